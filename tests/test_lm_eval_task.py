"""Tasks worded by lm-eval, held against lm-eval's own classes on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.data import DataFolders
from harness.errors import DataError, UsageError
from harness.open_task import OpenTask, TaskContext, spread_limit
from harness.types import GenerateUntil, Generation, LogLikelihood, LogProb
from tests.conftest import arc_row

Write = Callable[..., Path]


def open_task(catalog: Catalog, name: str, folders: DataFolders, **settings: Any) -> OpenTask:
    task = catalog.task(name)
    return task.open(task, TaskContext(folders, **settings))


@pytest.fixture
def arc(tmp_path: Path, write_rows: Write) -> DataFolders:
    rows = [arc_row(number) for number in range(6)]
    write_rows(tmp_path / "allenai/ai2_arc/ARC-Easy/test.jsonl", rows)
    return DataFolders(tmp_path, tmp_path)


def test_prompts_are_lm_evals(catalog: Catalog, arc: DataFolders) -> None:
    opened = open_task(catalog, "arc_easy", arc, limit=2)
    assert len(opened.docs) == 2
    first = opened.requests(opened.docs[0])
    assert first[1] == LogLikelihood("Question: Which is number 0?\nAnswer:", " two")
    assert opened.target(opened.docs[0]) == "two"


def test_scores_are_lm_evals(catalog: Catalog, arc: DataFolders) -> None:
    """Choices one, two, three, four at -4, -5, -6, -9 nats: acc picks ``one`` (wrong). Per
    character -4/3, -5/3, -6/5, -9/4: acc_norm picks ``three`` (wrong). With ``two`` at -3: acc is
    right, and so is acc_norm (-1 per character).
    """
    opened = open_task(catalog, "arc_easy", arc)
    doc = opened.docs[0]
    wrong = [LogProb(value, False) for value in (-4.0, -5.0, -6.0, -9.0)]
    right = [LogProb(value, False) for value in (-4.0, -3.0, -6.0, -9.0)]
    assert opened.score(doc, wrong).values == {"acc": 0.0, "acc_norm": 0.0}
    assert opened.score(doc, right).values == {"acc": 1.0, "acc_norm": 1.0}


def test_gsm8k_filters(catalog: Catalog, sample_folders: DataFolders) -> None:
    """``#### 42`` counts for strict-match; ``the answer is 42.`` only for flexible-extract."""
    opened = open_task(catalog, "gsm8k", sample_folders, limit=1)
    doc = opened.docs[0]
    (request,) = opened.requests(doc)
    assert isinstance(request, GenerateUntil)
    assert request.until == ("Question:", "</s>", "<|im_end|>")
    assert request.max_new_tokens == 256 and request.temperature == 0
    assert request.context.count("Question:") == 6, "five examples and the question"
    answer = opened.target(doc).rpartition("#### ")[2]
    strict, flexible = "exact_match,strict-match", "exact_match,flexible-extract"
    score = opened.score(doc, [Generation(f"So it is so.\n#### {answer}")])
    assert score.values == {strict: 1.0, flexible: 1.0}
    score = opened.score(doc, [Generation(f"The answer is {answer}")])
    assert score.values == {strict: 0.0, flexible: 1.0}
    score = opened.score(doc, [Generation("")])
    assert score.values == {strict: 0.0, flexible: 0.0}


def test_prompts_do_not_depend_on_the_limit(catalog: Catalog, sample_folders: DataFolders) -> None:
    """Few-shot examples are drawn doc after doc from one seeded stream, as lm-eval does."""
    few = open_task(catalog, "gsm8k", sample_folders, limit=3)
    many = open_task(catalog, "gsm8k", sample_folders, limit=20)
    for doc in few.docs:
        assert few.requests(doc) == many.requests(many.docs[doc.index])


def test_mmlu_is_one_task_with_groups(catalog: Catalog, sample_folders: DataFolders) -> None:
    opened = open_task(catalog, "mmlu", sample_folders, limit=25)
    groups = [doc.group for doc in opened.docs]
    assert len(groups) == 25
    counts = {group: groups.count(group) for group in groups}
    assert len(counts) == 10 and set(counts.values()) == {2, 3}
    assert [metric.name for metric in opened.metrics] == ["acc", "acc_macro"]
    prompt = opened.requests(opened.docs[0])[0]
    assert isinstance(prompt, LogLikelihood) and "about astronomy" in prompt.context


def test_mmlu_few_shot_examples_come_from_dev(
    catalog: Catalog, sample_folders: DataFolders
) -> None:
    opened = open_task(catalog, "mmlu", sample_folders, limit=10, num_fewshot=5)
    request = opened.requests(opened.docs[0])[0]
    assert isinstance(request, LogLikelihood) and request.context.count("Answer:") == 6


def test_a_missing_train_split_is_fine_at_zero_shots(
    catalog: Catalog, sample_folders: DataFolders
) -> None:
    assert len(open_task(catalog, "hellaswag", sample_folders, limit=3).docs) == 3


def test_a_missing_train_split_is_refused_by_name_with_shots(
    catalog: Catalog, sample_folders: DataFolders
) -> None:
    with pytest.raises(UsageError, match=r"hellaswag with 10 .*'train'.*--num-fewshot 0"):
        open_task(catalog, "hellaswag", sample_folders, num_fewshot=10)


def test_a_row_of_another_layout_is_refused(
    catalog: Catalog, tmp_path: Path, write_rows: Write
) -> None:
    write_rows(tmp_path / "allenai/ai2_arc/ARC-Easy/test.jsonl", [{"question": "Why?", "id": "1"}])
    with pytest.raises(DataError, match=r"ARC-Easy.*arc/arc_easy\.yaml.*'choices' is undefined"):
        open_task(catalog, "arc_easy", DataFolders(tmp_path, tmp_path))


def test_docs_cut_from_one_video_share_a_cluster(
    catalog: Catalog, tmp_path: Path, write_rows: Write
) -> None:
    """HellaSwag names the video or article of a doc; a copy that does not know it names nothing."""
    sources = ["activitynet~v_1", "activitynet~v_2", "activitynet~v_1", "wikihow~unknown", ""]
    rows = [
        {
            "ind": index,
            "activity_label": "Sailing",
            "ctx_a": f"A man sails {index}.",
            "ctx_b": "he",
            "ctx": f"A man sails {index}. he",
            "endings": ["turns.", "stops.", "waves.", "sinks."],
            "source_id": source,
            "split": "val",
            "split_type": "indomain",
            "label": "1",
        }
        for index, source in enumerate(sources)
    ]
    write_rows(tmp_path / "Rowan/hellaswag/default/validation.jsonl", rows)
    opened = open_task(catalog, "hellaswag", DataFolders(tmp_path, tmp_path))
    one, two, again, unknown, nothing = [doc.cluster for doc in opened.docs]
    assert one == again != two and two is not None
    assert unknown is None and nothing is None
    assert "activitynet" not in one, "a baseline holds no word of the data"


def test_equal_rows_have_different_ids(catalog: Catalog, tmp_path: Path, write_rows: Write) -> None:
    rows = [arc_row(1), arc_row(2), arc_row(1)]
    write_rows(tmp_path / "allenai/ai2_arc/ARC-Easy/test.jsonl", rows)
    docs = open_task(catalog, "arc_easy", DataFolders(tmp_path, tmp_path)).docs
    assert docs[0].id.endswith("-0") and docs[2].id.endswith("-1")
    assert docs[0].id[:-2] == docs[2].id[:-2] != docs[1].id[:-2]


def test_chat_templates_go_through_the_models_own(catalog: Catalog, arc: DataFolders) -> None:
    seen: list[list[dict[str, str]]] = []

    def render(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        seen.append(messages)
        return "<chat>"

    opened = open_task(catalog, "arc_easy", arc, limit=1, render_chat=render)
    assert opened.requests(opened.docs[0])[0] == LogLikelihood("<chat>", "one")
    assert seen[0][-1]["role"] == "user"


def test_word_perplexity_counts_the_original_words(
    catalog: Catalog, sample_folders: DataFolders
) -> None:
    from harness.types import RollingLogLikelihood, RollingLogProb

    opened = open_task(catalog, "wikitext2", sample_folders, limit=1)
    (request,) = opened.requests(opened.docs[0])
    assert isinstance(request, RollingLogLikelihood) and " @-@ " not in request.text
    score = opened.score(opened.docs[0], [RollingLogProb(-100.0)])
    words = len(opened.docs[0].fields["page"].split(" "))
    logprob, counted = score.values["word_perplexity"]
    assert logprob == -100.0 and abs(counted - words) < 40


@pytest.mark.parametrize(
    ("limit", "sizes", "expected"),
    [
        (None, [3, 2], [3, 2]),
        (100, [100, 100, 100], [34, 33, 33]),
        (2, [5, 5, 5], [1, 1, 0]),
        (10, [1, 20, 20], [1, 5, 4]),
        (99, [1, 2], [1, 2]),
    ],
)
def test_a_limit_is_spread_evenly(limit: int | None, sizes: list[int], expected: list[int]) -> None:
    assert spread_limit(limit, sizes) == expected


def test_a_limit_of_100_over_mmlus_57_subjects() -> None:
    taken = spread_limit(100, [150] * 57)
    assert sum(taken) == 100 and taken.count(2) == 43 and taken.count(1) == 14


def test_tasks_that_shuffle_ask_the_same_every_time(tmp_path: Path, write_rows: Write) -> None:
    """GPQA shuffles its choices from Python's global random stream as it reads its rows."""
    from harness.asking import request_digest
    from harness.lm_eval_index import find_tasks

    row = {
        "Question": "Which?",
        "Correct Answer": "right",
        "Incorrect Answer 1": "a",
        "Incorrect Answer 2": "b",
        "Incorrect Answer 3": "c",
    }
    rows = [row | {"Question": f"Which of {number}?"} for number in range(8)]
    write_rows(tmp_path / "Idavidrein/gpqa/gpqa_main/train.jsonl", rows)
    (task,) = find_tasks("lm-eval:gpqa_main_zeroshot")
    assert task.primary is None and task.datasets[0].split == "train"
    seen = []
    for _ in range(2):
        opened = task.open(task, TaskContext(DataFolders(tmp_path, tmp_path)))
        seen.append([request_digest(opened.requests(doc)) for doc in opened.docs])
        assert len({opened.target(doc) for doc in opened.docs}) > 1, "it does shuffle"
    assert seen[0] == seen[1]


def test_a_group_of_lm_evals_reads_the_index_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import lm_eval_index
    from harness.catalog import load_catalog

    lm_eval_index._index()  # built, or remembered from another test
    monkeypatch.setattr(lm_eval_index, "TaskManager", None)
    catalog = load_catalog()
    members = [task.name for task in catalog.expand("lm-eval:mmlu_stem")]
    assert "lm-eval:mmlu_astronomy" in members
    assert catalog.task("lm-eval:mmlu_astronomy").name == "lm-eval:mmlu_astronomy"


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"until": ["x"], "max_new_tokens": 5}, None),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.9}, None),
        ({"do_sample": True, "temperature": 0.7}, None),
        ({"temperature": 0.7}, None),
        ({"do_sample": None, "temperature": 0.7}, None),
        ({"temperature": 0.7, "top_p": 0.9}, "top_p"),
        ({"do_sample": True, "temperature": 0.7, "top_p": 0.9}, "top_p"),
        ({"num_beams": 4}, "num_beams"),
    ],
)
def test_generation_options_are_honoured_or_refused_before_anything_is_asked(
    tmp_path: Path, write_rows: Write, options: dict[str, Any], refused: str | None
) -> None:
    import yaml

    from harness.data import Dataset
    from harness.lm_eval_definition import Part
    from harness.lm_eval_task import open_lm_eval_task

    definition = tmp_path / "own.yaml"
    definition.write_text(
        yaml.safe_dump(
            {
                "task": "own",
                "dataset_path": "org/name",
                "output_type": "generate_until",
                "test_split": "test",
                "doc_to_text": "{{q}}",
                "doc_to_target": "{{a}}",
                "generation_kwargs": options,
            }
        )
    )
    write_rows(tmp_path / "org/name/default/test.jsonl", [{"q": "why", "a": "so"}])
    part = Part(str(definition), None, Dataset("org/name"))
    context = TaskContext(DataFolders(tmp_path, tmp_path))
    if refused:
        with pytest.raises(UsageError, match=refused):
            open_lm_eval_task([part], context)
        return
    opened = open_lm_eval_task([part], context)
    (request,) = opened.requests(opened.docs[0])
    assert isinstance(request, GenerateUntil)
    warm = "temperature" in options and options.get("do_sample") is not False
    assert request.temperature == (0.7 if warm else 0.0)
    assert request.max_new_tokens == options.get("max_new_tokens", 256)


def test_repeats_are_asked_and_voted_on(tmp_path: Path, write_rows: Write) -> None:
    """Self-consistency as lm-eval defines it: three samples a doc, the majority's answer counts.

    Of "7", "8", "7" that is 7: right, although the second sample is wrong.
    """
    import yaml

    from harness.data import Dataset
    from harness.lm_eval_definition import Part
    from harness.lm_eval_task import open_lm_eval_task

    definition = tmp_path / "own.yaml"
    definition.write_text(
        yaml.safe_dump(
            {
                "task": "own",
                "dataset_path": "org/name",
                "output_type": "generate_until",
                "test_split": "test",
                "doc_to_text": "{{q}}",
                "doc_to_target": "{{a}}",
                "repeats": 3,
                "generation_kwargs": {"until": ["\n"], "do_sample": True, "temperature": 0.5},
                "metric_list": [{"metric": "exact_match"}],
                "filter_list": [
                    {
                        "name": "vote",
                        "filter": [{"function": "majority_vote"}, {"function": "take_first"}],
                    }
                ],
            }
        )
    )
    write_rows(tmp_path / "org/name/default/test.jsonl", [{"q": "3 + 4 =", "a": "7"}])
    part = Part(str(definition), None, Dataset("org/name"))
    opened = open_lm_eval_task([part], TaskContext(DataFolders(tmp_path, tmp_path)))
    (doc,) = opened.docs
    requests = opened.requests(doc)
    assert [r.repeat for r in requests if isinstance(r, GenerateUntil)] == [0, 1, 2]
    score = opened.score(doc, [Generation("7"), Generation("8"), Generation("7")])
    assert score.values["exact_match,vote"] == 1.0
    score = opened.score(doc, [Generation("8"), Generation("8"), Generation("7")])
    assert score.values["exact_match,vote"] == 0.0


def test_more_examples_than_there_are_is_refused_by_number(
    catalog: Catalog, sample_folders: DataFolders
) -> None:
    with pytest.raises(UsageError, match=r"gsm8k with 500 .* has only 8"):
        open_task(catalog, "gsm8k", sample_folders, num_fewshot=500)
