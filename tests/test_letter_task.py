"""Multiple choice by explained answers: what is asked, what counts, which rows are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.data import DataFolders, Dataset
from harness.errors import DataError, UsageError
from harness.open_task import OpenTask, TaskContext
from harness.runner import estimates
from harness.task import letter_answer
from harness.types import GenerateUntil, Generation

NUMBERED: dict[str, Any] = {
    "id": "x",
    "question": "What is ice? ",
    "choices": {"text": ["steam", "water", "stone"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}
LETTERED = {
    **NUMBERED,
    "choices": {**NUMBERED["choices"], "label": ["A", "B", "C"]},
    "answerKey": "C",
}
OF_MMLU = {"question": "What is ice?", "subject": "physics", "choices": ["a", "b"], "answer": 1}


@pytest.fixture
def open_rows(tmp_path: Path, write_rows: Callable[..., Path]) -> Callable[..., OpenTask]:
    task = letter_answer("ice", datasets=[Dataset("ice", shipped="ice.jsonl")], about="ice")

    def make(rows: Sequence[dict[str, Any]] = (NUMBERED, LETTERED), **settings: Any) -> OpenTask:
        write_rows(tmp_path / "ice.jsonl", rows)
        return task.open(task, TaskContext(DataFolders(tmp_path), **settings))

    return make


def test_choices_are_lettered_whatever_the_data_calls_them(
    open_rows: Callable[..., OpenTask],
) -> None:
    opened = open_rows()
    (request,) = opened.requests(opened.docs[0])
    assert isinstance(request, GenerateUntil)
    assert request.context == (
        "Question: What is ice?\nA. steam\nB. water\nC. stone\n"
        'Explain briefly, then give the letter of the right choice after "The answer is".\n'
        "Explanation:"
    )
    assert request.until[0] == "Question:" and request.temperature == 0
    assert [opened.target(doc) for doc in opened.docs] == ["B. water", "C. stone"]


def test_a_chat_model_is_asked_through_its_template(open_rows: Callable[..., OpenTask]) -> None:
    def render(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        assert add_generation_prompt
        return f"<{messages[0]['role']}>{messages[0]['content']}<assistant>"

    opened = open_rows(render_chat=render)
    (request,) = opened.requests(opened.docs[0])
    assert isinstance(request, GenerateUntil)
    assert request.context.startswith("<user>Question: What is ice?\nA. steam")
    assert request.context.endswith('after "The answer is".<assistant>')


@pytest.mark.parametrize(
    ("text", "values", "note"),
    [
        (" It melts. The answer is (B).", (1.0, 1.0), "B, anchored phrase"),
        (" It is hard. The answer is C", (0.0, 1.0), "C, anchored phrase"),
        (" It melts, so B", (1.0, 1.0), "B, last letter"),
        (" It is frozen water.", (1.0, 1.0), "B, choice text"),
        (" A cold thing", (0.0, 0.0), "no letter found"),
        ("", (0.0, 0.0), "no letter found"),
    ],
)
def test_the_rule_is_noted_and_a_failure_counted(
    open_rows: Callable[..., OpenTask], text: str, values: tuple[float, float], note: str
) -> None:
    opened = open_rows()
    score = opened.score(opened.docs[0], [Generation(text)])
    assert (score.values["acc"], score.values["extracted"]) == values
    assert score.note == note and score.unscored is None


def test_what_has_no_letter_is_wrong_and_not_left_out(open_rows: Callable[..., OpenTask]) -> None:
    """One right, one without a letter: acc 1/2 and extracted 1/2, not 1/1."""
    opened = open_rows()
    texts = ("The answer is B", "")
    scores = [
        opened.score(doc, [Generation(text)]) for doc, text in zip(opened.docs, texts, strict=True)
    ]
    samples = {
        name: [(score.values[name], None) for score in scores] for name in ("acc", "extracted")
    }
    found = estimates(opened.metrics, samples)
    assert {name: each.value for name, each in found.items()} == {"acc": 0.5, "extracted": 0.5}
    assert found["acc"].unit == "proportion" and found["acc"].n == 2


def test_mmlus_rows_are_read_too(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows([OF_MMLU])
    assert opened.target(opened.docs[0]) == "B. b"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([NUMBERED, {**NUMBERED, "answerKey": "4"}], r"ice, row 2: .*its columns are id, question"),
        ([{**NUMBERED, "question": " "}], "row 1: .*the question or a choice is empty"),
        ([{**OF_MMLU, "choices": ["a", ""]}], "row 1: .*the question or a choice is empty"),
        ([{**OF_MMLU, "choices": ["a"]}], "row 1: .*1 choices, of which number 2 is right"),
        ([{**OF_MMLU, "answer": 2}], "row 1: .*2 choices, of which number 3 is right"),
        ([{"question": "q", "answer": 1}], "'choices' is missing"),
        ([{"question": "q", "choices": "ab", "answer": 1}], "choices are no list"),
    ],
)
def test_rows_without_a_right_choice_are_refused(
    open_rows: Callable[..., OpenTask], rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_rows(rows)


def test_few_shot_examples_are_refused(open_rows: Callable[..., OpenTask]) -> None:
    with pytest.raises(UsageError, match="ice with explained answers takes no few-shot examples"):
        open_rows(num_fewshot=5)


@pytest.mark.parametrize("twin", ["arc_easy", "arc_challenge", "mmlu"])
def test_the_docs_are_those_of_the_twin(catalog: Catalog, twin: str) -> None:
    """The same ids under the same limit, so that rows of the two can be laid side by side."""
    context = TaskContext(DataFolders(catalog.samples, samples_only=True), limit=20)
    tasks = [catalog.task(name) for name in (twin, f"{twin}_answer")]
    opened = [task.open(task, context) for task in tasks]
    docs = [[(doc.id, doc.group) for doc in each.docs] for each in opened]
    assert docs[0] == docs[1] and len(docs[0]) == 20
    assert opened[0].data == opened[1].data
    assert tasks[1].primary == "acc"


def test_subjects_are_groups_and_have_a_macro_mean(catalog: Catalog) -> None:
    task = catalog.task("mmlu_answer")
    context = TaskContext(DataFolders(catalog.samples, samples_only=True), limit=20)
    opened = task.open(task, context)
    assert set(Counter(doc.group for doc in opened.docs).values()) == {2}
    names = [metric.name for metric in opened.metrics]
    assert names == ["acc", "extracted", "acc_macro", "extracted_macro"]
    for doc in opened.docs:
        right = opened.score(doc, [Generation(f"The answer is ({opened.target(doc)[0]}).")])
        assert right.values == {"acc": 1.0, "extracted": 1.0}
