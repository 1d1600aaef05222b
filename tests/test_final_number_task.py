"""Questions judged by the number their answer ends in, and data that is shipped whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from harness.catalog import Catalog
from harness.data import DataFolders, Dataset, find
from harness.errors import DataError, UsageError
from harness.final_number_task import last_number, marked_number
from harness.open_task import OpenTask, TaskContext
from harness.task import final_number
from harness.types import Generation

FLEXIBLE, STRICT = "exact_match,flexible-extract", "exact_match,strict-match"
ROWS = [
    {"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}", "group": group}
    for n, group in enumerate("aaabbbbbbc")
]


@pytest.fixture
def open_rows(tmp_path: Path, write_rows: Callable[..., Path]) -> Callable[..., OpenTask]:
    task = final_number("sums", dataset=Dataset("sums", shipped="sums.jsonl"), about="sums")

    def make(rows: list[dict[str, str]] = ROWS, **settings: object) -> OpenTask:
        write_rows(tmp_path / "sums.jsonl", rows)
        return task.open(task, TaskContext(DataFolders(tmp_path), **settings))  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("text", "last", "marked"),
    [
        ("2 + 2 = 4\n#### 4", "4", "4"),
        ("It is 4.", "4", None),
        ("#### 4\nQ: what is 5?", "5", "4"),
        ("#### 4\n#### 7", "7", "4"),
        ("####4", "4", "4"),
        ("#### $1,250.50", "1250.50", "1250.50"),
        ("x = -3", "-3", None),
        ("10-5", "5", None),
        ("#### -2.5 m", "-2.5", "-2.5"),
        ("about .5", ".5", None),
        ("1, 2, 3", "3", None),
        ("none at all", None, None),
        ("#### four", None, None),
        ("", None, None),
    ],
)
def test_numbers_are_found(text: str, last: str | None, marked: str | None) -> None:
    assert last_number(text) == (None if last is None else Fraction(last))
    assert marked_number(text) == (None if marked is None else Fraction(marked))


@pytest.mark.parametrize(
    ("text", "flexible", "strict"),
    [
        (" 0 + 1 = 1\n#### 1", 1.0, 1.0),
        (" 0 + 1 = 1\n#### 1.0", 1.0, 1.0),
        (" The answer is 1", 1.0, 0.0),
        (" 0 + 1 = 2\n#### 2", 0.0, 0.0),
        (" I do not know", 0.0, 0.0),
        (" #### 1\n\nThere are 12 months", 0.0, 1.0),
        # 200 tokens of 32 zeros, as GPT-2's vocabulary has them: beyond what Python reads.
        (" #### 1" + "0" * 6_400, 0.0, 0.0),
        (" #### 1\n" + "0" * 6_400, 0.0, 1.0),
    ],
)
def test_the_final_number_decides(
    open_rows: Callable[..., OpenTask], text: str, flexible: float, strict: float
) -> None:
    opened = open_rows()
    score = opened.score(opened.docs[0], [Generation(text)])
    assert score.values == {FLEXIBLE: flexible, STRICT: strict}


def test_a_question_is_worded_as_gsm8ks(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows()
    (request,) = opened.requests(opened.docs[0])
    assert request.context == "Question: What is 0 + 1?\nAnswer:"  # type: ignore[union-attr]
    assert request.until[0] == "Question:" and "\n\n" not in request.until  # type: ignore[union-attr]
    assert request.max_new_tokens == 200 and request.temperature == 0  # type: ignore[union-attr]
    assert opened.target(opened.docs[0]) == "0 + 1 = 1\n#### 1"


def test_a_chat_model_is_asked_through_its_template(open_rows: Callable[..., OpenTask]) -> None:
    def render(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        assert add_generation_prompt
        return f"<{messages[0]['role']}>{messages[0]['content']}<assistant>"

    opened = open_rows(render_chat=render)
    (request,) = opened.requests(opened.docs[0])
    assert request.context == "<user>Question: What is 0 + 1?\nAnswer:<assistant>"  # type: ignore[union-attr]


def test_a_limit_is_spread_over_the_groups(open_rows: Callable[..., OpenTask]) -> None:
    """7 of groups of 3, 6 and 1: the one, and three of each other."""
    groups = Counter(doc.group for doc in open_rows(limit=7).docs)
    assert groups == {"a": 3, "b": 3, "c": 1}


def test_few_shot_examples_are_refused(open_rows: Callable[..., OpenTask]) -> None:
    with pytest.raises(UsageError, match="sums takes no few-shot examples"):
        open_rows(num_fewshot=5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "q", "answer": "#### 1"}], "the column group is missing"),
        ([{"question": "q", "answer": "1", "group": "a"}], "row 1: the answer does not end in"),
        ([{"question": "q", "answer": 1, "group": "a"}], "row 1: the answer does not end in"),
        ([{"question": "q", "answer": None, "group": "a"}], "row 1: the answer does not end in"),
    ],
)
def test_rows_that_cannot_be_judged_are_refused(
    open_rows: Callable[..., OpenTask], rows: list[dict[str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_rows(rows)


@pytest.mark.parametrize(
    ("name", "docs", "of_each"), [("stem", 301, 43), ("stem_numbers", 105, 15)]
)
@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("samples_only", [True, False])
def test_shipped_data_is_read_whole_wherever_other_data_comes_from(
    catalog: Catalog,
    tmp_path: Path,
    name: str,
    docs: int,
    of_each: int,
    mirror: bool,
    samples_only: bool,
) -> None:
    task = catalog.task(name)
    folders = DataFolders(catalog.samples, tmp_path if mirror else None, samples_only)
    opened = task.open(task, TaskContext(folders))
    assert len(opened.docs) == docs
    assert set(Counter(doc.group for doc in opened.docs).values()) == {of_each}
    (record,) = opened.data
    assert record.origin == "shipped" and list(record.files) == ["stem.jsonl"]


def test_the_shipped_questions_score_full_marks_with_their_own_answers(catalog: Catalog) -> None:
    task = catalog.task("stem")
    opened = task.open(task, TaskContext(DataFolders(catalog.samples)))
    for doc in opened.docs:
        score = opened.score(doc, [Generation(" " + opened.target(doc))])
        assert score.values == {FLEXIBLE: 1.0, STRICT: 1.0}


def test_shipped_data_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sums\.jsonl, the data of sums, is missing"):
        find(Dataset("sums", shipped="sums.jsonl"), DataFolders(tmp_path))


def test_shipped_data_has_no_other_configuration(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="shipped with the project"):
        catalog.task("stem").with_config("other")
