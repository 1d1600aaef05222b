"""Preference pairs: both formats, what is refused and what is left out and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.data import DataFolders, Dataset
from harness.errors import DataError, UsageError
from harness.open_task import TaskContext
from harness.pairs import conversation, preference_docs
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
def test_a_users_own_bad_pair_is_kept_with_its_reason(
    read: Read, change: Mapping[str, str], words: str
) -> None:
    good, bad = read([PAIR, {**PAIR, **change}])
    assert "unusable" not in good.fields and bad.fields["unusable"] == f"no pair: {words}"


ASKED = [{"role": "user", "content": "What is 2 + 2?"}]
TURNS = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    *ASKED,
]
SPOKEN = "Human: Be short.\n\nHello\n\nAssistant: Hi.\n\nHuman: What is 2 + 2?"


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"}, "What is 2 + 2?"),
        ({"prompt": ASKED, "chosen": said("4"), "rejected": said("5")}, "What is 2 + 2?"),
        ({"prompt": TURNS, "chosen": "4", "rejected": "5"}, SPOKEN),
        ({"chosen": ASKED + said("4"), "rejected": ASKED + said("5")}, "What is 2 + 2?"),
        ({"chosen": TURNS + said("4"), "rejected": TURNS + said("5")}, SPOKEN),
        # Said twice, as some data sets have it: what stands before the answers counts.
        ({"prompt": "2?", "chosen": TURNS + said("4"), "rejected": TURNS + said("5")}, SPOKEN),
        (
            {"instruction": "What is 2 + 2?", "chosen": said("4"), "rejected": said("5")},
            "What is 2 + 2?",
        ),
        ({**PAIR, "system": "Be short.", "history": [["Hello", "Hi."]]}, SPOKEN),
    ],
)
def test_trls_columns_and_llama_factorys_give_the_same_pair(
    read: Read, row: Mapping[str, Any], prompt: str
) -> None:
    (doc,) = read([row])
    assert doc.fields == {"prompt": prompt, "chosen": "4", "rejected": "5"}


def test_conversations_that_part_are_no_pair(read: Read) -> None:
    other = [{"role": "user", "content": "What is 2 + 3?"}]
    alone = {"chosen": said("4"), "rejected": said("5")}
    parted, unasked = read([{"chosen": ASKED + said("4"), "rejected": other + said("5")}, alone])
    assert parted.fields["unusable"] == "no pair: the conversations part before their last message"
    assert unasked.fields["unusable"] == "no pair: prompt is empty"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chosen": 4, "rejected": 5}, "chosen is neither a text nor a list of messages but int"),
        ({"chosen": said("4")}, "rejected is no list of messages"),
        ({"chosen": ["4"], "rejected": ["5"]}, "chosen is no list of messages"),
    ],
)
def test_what_is_neither_text_nor_messages_is_refused(
    read: Read, change: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=rf"test\.jsonl, row 1: {words}"):
        read([{**PAIR, **change}])


def test_a_transcript_becomes_the_turns_of_a_chat() -> None:
    assert conversation("What is 2 + 2?") == ASKED
    merged = {"role": "user", "content": "Be short.\n\nHello"}
    assert conversation(SPOKEN) == [merged, *TURNS[2:]]
    again = conversation("Human: One\n\nHuman: Two: Assistant: no")
    assert again == [{"role": "user", "content": "One\n\nTwo: Assistant: no"}]


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
    told = str(caught.value)
    assert told.startswith(f"{file}: the columns chosen and rejected are needed, with instruction")
    assert told.endswith(f"it has {', '.join(row)}")


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
