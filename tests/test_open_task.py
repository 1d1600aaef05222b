"""What every kind of task shares: the group that a row names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.data import DataFolders, Dataset
from harness.errors import DataError
from harness.open_task import TaskContext
from harness.overlap_measures import BLEU
from harness.records import Row
from harness.task import answers, final_number, judged_pairs
from harness.types import Doc
from tests.report.fixtures.runs import generated_row

DATA = Dataset("own", shipped="own.jsonl")
ROW = {
    "question": "What is 1 + 1?",
    "answer": "#### 2",
    "prompt": "What is 1 + 1?",
    "chosen": "2",
    "rejected": "3",
}
TASKS = {
    "answers": answers(
        "own", dataset=DATA, prompt="{question}", reference="{answer}", measures=[BLEU], about="own"
    ),
    "final number": final_number("own", dataset=DATA, about="own"),
    "pairs": judged_pairs("own", dataset=DATA, about="own"),
}

Read = Callable[[Sequence[Any]], Sequence[Doc]]


@pytest.fixture(params=TASKS)
def read(request: pytest.FixtureRequest, tmp_path: Path, write_rows: Callable[..., Path]) -> Read:
    task = TASKS[request.param]

    def make(groups: Sequence[Any]) -> Sequence[Doc]:
        write_rows(tmp_path / "own.jsonl", [{**ROW, "group": group} for group in groups])
        return task.open(task, TaskContext(DataFolders(tmp_path))).docs

    return make


@pytest.mark.parametrize(
    ("groups", "named"),
    [([3, 0, 3], ["3", "3", "0"]), ([3, None], ["3", None]), (["a", "", None], ["a", None, None])],
)
def test_a_group_is_a_text_that_a_record_can_hold(
    read: Read, groups: Sequence[Any], named: Sequence[str | None]
) -> None:
    docs = read(groups)
    assert [doc.group for doc in docs] == named
    row = generated_row(0, "2", group=docs[0].group)
    assert msgspec.json.decode(msgspec.json.encode(row), type=Row) == row


@pytest.mark.parametrize(("group", "said"), [(["a"], r"\['a'\]"), (True, "True"), (1.5, "1.5")])
def test_a_group_of_another_kind_is_refused_with_its_row(
    read: Read, group: object, said: str
) -> None:
    with pytest.raises(DataError, match=f"own.*, row 1: the group is {said}; it must be a text"):
        read([group])
