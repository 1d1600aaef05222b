"""Preference pairs: both formats, what is refused and what is left out and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.data import DataFolders, Dataset
from harness.errors import DataError, UsageError
from harness.open_task import TaskContext
from harness.pairs import preference_docs
from harness.preference_task import open_judged_pairs, open_preference_task
from harness.types import Doc

OWN = Dataset("me/pairs")
PAIR = {"instruction": "What is 2 + 2?", "input": "", "chosen": "4", "rejected": "5"}

Read = Callable[[Sequence[Mapping[str, Any]]], list[Doc]]


def transcripts(chosen: str, rejected: str) -> dict[str, str]:
    return {"chosen": chosen, "rejected": rejected}


TALK = "\n\nHuman: Hello\n\nAssistant: Hi.\n\nHuman: What is 2 + 2?\n\nAssistant:"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "me/pairs/default/test.jsonl"


@pytest.fixture
def read(tmp_path: Path, file: Path, write_rows: Callable[..., Path]) -> Read:
    def make(rows: Sequence[Mapping[str, Any]]) -> list[Doc]:
        write_rows(file, rows)
        return preference_docs(OWN, TaskContext(DataFolders(tmp_path, tmp_path)))[0]

    return make


def test_an_instruction_and_its_input_make_the_prompt(read: Read) -> None:
    docs = read([PAIR, {**PAIR, "instruction": "Add up:", "input": "2 and 2"}])
    assert docs[0].fields == {"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"}
    assert docs[1].fields["prompt"] == "Add up:\n2 and 2"


def test_transcripts_are_cut_before_the_last_answer(read: Read) -> None:
    (doc,) = read([transcripts(TALK + " It is 4.", TALK + " 5")])
    assert doc.fields == {
        "prompt": "Human: Hello\n\nAssistant: Hi.\n\nHuman: What is 2 + 2?",
        "chosen": "It is 4.",
        "rejected": "5",
    }


def test_a_limit_is_spread_over_groups(
    tmp_path: Path, file: Path, write_rows: Callable[..., Path]
) -> None:
    """4 of groups of 3 and 2: two of each."""
    groups = ["a", "a", "a", "b", "b"]
    write_rows(file, [{**PAIR, "chosen": f"4{n}", "group": g} for n, g in enumerate(groups)])
    context = TaskContext(DataFolders(tmp_path, tmp_path), limit=4)
    docs, _ = preference_docs(OWN, context)
    assert [(doc.group, doc.fields["chosen"]) for doc in docs] == [
        ("a", "40"),
        ("a", "41"),
        ("b", "43"),
        ("b", "44"),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chosen": ""}, "chosen is empty"),
        ({"rejected": "  \n"}, "rejected is empty"),
        ({"rejected": None}, "rejected is empty"),
        ({"instruction": ""}, "prompt is empty"),
        ({"rejected": " 4 "}, "chosen and rejected are the same text"),
    ],
)
def test_a_users_own_bad_pair_is_named_with_file_and_row(
    read: Read, file: Path, change: Mapping[str, str], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read([PAIR, {**PAIR, **change}])
    assert str(caught.value) == f"{file}, row 2: {words}; leave the row out"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            transcripts(TALK + " 4", TALK.replace("Hi.", "Ho.") + " 5"),
            "no pair: the transcripts part before the assistant's last turn",
        ),
        (
            transcripts("4", "5"),
            "no pair: the transcripts part before the assistant's last turn",
        ),
        (transcripts(TALK, TALK + " 5"), "no pair: chosen is empty"),
        (transcripts(TALK + " 4", TALK + " 4 "), "no pair: chosen and rejected are the same text"),
    ],
)
def test_a_transcript_that_is_no_pair_is_kept_with_its_reason(
    read: Read, row: Mapping[str, str], reason: str
) -> None:
    docs = read([transcripts(TALK + " 4", TALK + " 5"), row])
    assert "unusable" not in docs[0].fields and docs[1].fields["unusable"] == reason


@pytest.mark.parametrize(
    "row", [{"instruction": "q", "chosen": "a"}, {"prompt": "q", "rejected": "a"}, {"text": "t"}]
)
def test_missing_columns_are_named(read: Read, file: Path, row: Mapping[str, str]) -> None:
    with pytest.raises(DataError) as caught:
        read([row])
    said = str(caught.value)
    assert said.startswith(f"{file}: the columns instruction, chosen and rejected (or transcripts")
    assert said.endswith(f"it has {', '.join(row)}")


def test_a_row_that_lacks_a_column_is_named_with_its_line(read: Read, file: Path) -> None:
    short = {name: value for name, value in PAIR.items() if name != "rejected"}
    with pytest.raises(DataError, match=r"test\.jsonl, line 2: the row lacks the column rejected"):
        read([PAIR, short])


@pytest.mark.parametrize("opening", [open_preference_task, open_judged_pairs])
def test_few_shot_examples_are_refused(tmp_path: Path, opening: Callable[..., Any]) -> None:
    context = TaskContext(DataFolders(tmp_path), num_fewshot=2, tokenize=str.split)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="takes no few-shot examples"):
        opening(OWN, context)


def test_the_whole_of_hh_rlhf_is_read(real_data: Path) -> None:
    """Of 2,312 rows four have an empty chosen answer and five part before the last turn; none has
    equal sides.
    """
    dataset = Dataset("Anthropic/hh-rlhf", "harmless-base")
    docs, _ = preference_docs(dataset, TaskContext(DataFolders(real_data, real_data)))
    reasons = [doc.fields["unusable"] for doc in docs if "unusable" in doc.fields]
    assert len(docs) == 2312 and len(reasons) == 9
    assert reasons.count("no pair: chosen is empty") == 4
    assert all(doc.fields["prompt"].startswith("Human:") for doc in docs if len(doc.fields) == 3)
