"""Every metric that a task of the catalog yields is explained; nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.catalog import Catalog
from harness.data import DataFolders
from harness.errors import DataError
from harness.metrics.meanings import MEANINGS, meaning_of
from harness.open_task import TaskContext
from harness.task import Task

Write = Callable[..., Path]

PAIR = {
    "chosen": "\n\nHuman: Is it so?\n\nAssistant: Yes.",
    "rejected": "\n\nHuman: Is it so?\n\nAssistant: No.",
}
BBQ = {
    "category": "Age",
    "context_condition": "ambig",
    "context": "Two people sat there, one old, one young.",
    "question": "Who was forgetful?",
    "question_index": "1",
    "example_id": 1,
    "question_polarity": "neg",
    "ans0": "The old one",
    "ans1": "The young one",
    "ans2": "Unknown",
    "answer_info": {"ans0": ["old", "old"], "ans1": ["nonOld", "nonOld"], "ans2": ["x", "unknown"]},
    "answer_label": 2,
    "label": 2,
    "target_label": 0,
    "stereotyped_groups": ["old"],
    "additional_metadata": {"stereotyped_groups": ["old"]},
}
SENTENCES = {"id": 0, "sent_more": "They are.", "sent_less": "We are.", "bias_type": "age"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A row of each data set that has no samples."""
    import json

    rows = {
        "Anthropic/hh-rlhf/harmless-base/test": PAIR,
        "oskarvanderwal/bbq/All/test": BBQ,
        "jannalu/crows_pairs_multilingual/english/test": SENTENCES,
        "Salesforce/wikitext/wikitext-2-raw-v1/test": {"text": "A valley lies there. " * 1000},
    }
    folder = tmp_path_factory.mktemp("data")
    for name, row in rows.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(row) + "\n")
    return folder


def keys_of(task: Task, catalog: Catalog, made: Path) -> Iterator[str]:
    """Keys of the metrics that a task has, with a reference and without."""
    for reference in (None, "other") if task.reference else (None,):
        for folders in (DataFolders(catalog.samples, samples_only=True), DataFolders(made, made)):
            context = TaskContext(folders, limit=2, tokenize=list_bytes, reference=reference)
            try:
                opened = task.open(task, context)
            except DataError:
                continue
            yield from (metric.name for metric in opened.metrics)
            break
        else:
            pytest.fail(f"{task.name} cannot be opened here: give `made` a row of its data set")


def list_bytes(text: str) -> list[int]:
    return list(text.encode())


def test_every_metric_of_the_catalog_is_explained(catalog: Catalog, made: Path) -> None:
    found = {name: set(keys_of(task, catalog, made)) for name, task in catalog.tasks.items()}
    assert all(found.values())
    lacking = {
        name: bad
        for name, keys in found.items()
        if (bad := sorted(key for key in keys if meaning_of(key) is None))
    }
    assert lacking == {}, "write what these are in harness/metrics/meanings.py"
    unused = set(MEANINGS) - set().union(*found.values())
    assert unused == set(), "no task has these any more"


def test_a_formula_begins_with_the_metrics_name() -> None:
    for key, meaning in MEANINGS.items():
        name = key.partition(",")[0]
        assert meaning.formula.startswith(f"{name} = "), key
        for text in (meaning.what, meaning.convention):
            assert text.endswith("."), f"{key}: {text}"
        assert "{" not in meaning.convention, f"{key}: a word was not filled in"


def test_means_over_groups_and_categories_follow_from_their_metric() -> None:
    macro = meaning_of("acc_macro")
    assert macro is not None and "own acc:" in macro.what
    assert macro.formula == "acc_macro = mean over groups of (mean over the group's docs of acc)"
    of_age = meaning_of("disamb_bias_score_Age")
    assert of_age is not None and of_age.what.endswith("one category alone: Age.")
    assert of_age.formula == MEANINGS["disamb_bias_score"].formula
    guessed = meaning_of("amb_bias_score_Race_x_SES")
    assert guessed is not None and guessed.formula == MEANINGS["amb_bias_score"].formula


@pytest.mark.parametrize("key", ["mcc", "acc,none", "brier_macro", "exact_match", ""])
def test_what_nobody_explained_has_no_meaning(key: str) -> None:
    assert meaning_of(key) is None
