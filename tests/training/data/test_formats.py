"""Formats: each read as its writer meant it, each mistake named with file, row and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from training.data.formats import read_examples, read_marked, read_pairs
from training.data.rows import Example, Marked, Message, Pair

Rows = Callable[..., Path]

ASKED = (Message("user", "What is 2 + 2?"),)
QUESTION = {"role": "user", "content": "What is 2 + 2?"}


def said(content: str, role: str = "assistant") -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.fixture
def file(tmp_path: Path, write_rows: Callable[..., Path]) -> Rows:
    def write(*rows: Mapping[str, Any]) -> Path:
        return write_rows(tmp_path / "sums.jsonl", rows)

    return write


def test_alpaca(file: Rows) -> None:
    """The input follows the instruction after a line feed; the file's name is the group."""
    path = file(
        {"instruction": "What is 2 + 2?", "input": "", "output": "4", "id": 7},
        {"instruction": "Add.", "input": "2, 2", "output": "4", "group": "adding"},
        {"instruction": "Add 2 and 2.", "output": "4"},
    )
    assert read_examples(path) == [
        Example(ASKED, "4", "sums"),
        Example((Message("user", "Add.\n2, 2"),), "4", "adding"),
        Example((Message("user", "Add 2 and 2."),), "4", "sums"),
    ]


def test_alpaca_with_system_and_history(file: Rows) -> None:
    path = file(
        {
            "instruction": "And 3 + 3?",
            "input": "",
            "output": "6",
            "system": "You add.",
            "history": [["What is 2 + 2?", "4"]],
        }
    )
    (example,) = read_examples(path)
    assert [message.role for message in example.prompt] == ["system", "user", "assistant", "user"]
    assert example.prompt[2].content == "4" and example.answer == "6"


def test_every_answer_of_a_chat_is_an_example(file: Rows) -> None:
    """Two answers: the second one's prompt holds the first."""
    path = file(
        {"messages": [QUESTION, said("4"), said("And 3 + 3?", "user"), said("6")]},
        {"messages": [said("You add.", "system"), QUESTION, said("4")]},
    )
    first, second, third = read_examples(path)
    assert first == Example(ASKED, "4", "sums")
    assert second.prompt == (*ASKED, Message("assistant", "4"), Message("user", "And 3 + 3?"))
    assert second.answer == "6"
    assert third.prompt == (Message("system", "You add."), *ASKED)


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "What is 2 + 2?", "input": "", "chosen": "4", "rejected": "5"},
        {"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"},
        {"prompt": [QUESTION], "chosen": [said("4")], "rejected": [said("5")]},
        {"chosen": [QUESTION, said("4")], "rejected": [QUESTION, said("5")]},
        {"prompt": [QUESTION], "chosen": "4", "rejected": "5"},
    ],
)
def test_preferences_in_every_layout(file: Rows, row: dict[str, Any]) -> None:
    assert read_pairs(file(row)) == [Pair(ASKED, "4", "5", "sums")]


def test_kto(file: Rows) -> None:
    path = file(
        {"prompt": "What is 2 + 2?", "completion": "4", "label": True},
        {"prompt": [QUESTION], "completion": [said("5")], "label": False},
    )
    assert read_marked(path) == [
        Marked(ASKED, "4", True, "sums"),
        Marked(ASKED, "5", False, "sums"),
    ]


def test_preferences_are_taken_apart_for_kto(file: Rows) -> None:
    path = file({"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5", "group": "slip"})
    assert read_marked(path) == [
        Marked(ASKED, "4", True, "slip"),
        Marked(ASKED, "5", False, "slip"),
    ]


ALPACA = {"instruction": "What is 2 + 2?", "input": "", "output": "4"}
PAIR = {"instruction": "What is 2 + 2?", "input": "", "chosen": "4", "rejected": "5"}
KTO = {"prompt": "What is 2 + 2?", "completion": "4", "label": True}


@pytest.mark.parametrize(
    ("read", "row", "message"),
    [
        (read_examples, ALPACA | {"output": " "}, "the column 'output' is empty"),
        (read_examples, ALPACA | {"output": None}, "the column 'output' is null; it is a text"),
        (read_examples, ALPACA | {"output": 4}, r"the column 'output' is a number \(4\)"),
        (read_examples, ALPACA | {"instruction": ""}, "the column 'instruction' is empty"),
        (read_examples, ALPACA | {"input": ["2"]}, r"the column 'input' is a list \(\[\"2\"\]\)"),
        (read_examples, ALPACA | {"group": 1}, "the column 'group' is a number"),
        (
            read_examples,
            {"instruction": "What is 2 + 2?", "ouput": "4"},
            "'output' is missing .the row has instruction, ouput.; is 'ouput' meant for it",
        ),
        (read_examples, ALPACA | {"history": ["a"]}, "'history' is not a list of"),
        (read_examples, ALPACA | {"output": "\ud83d"}, r"'output' holds '.ud83d', half a pair"),
        (read_examples, PAIR, "none of the formats of examples: it has the columns instruction"),
        (read_examples, {"text": "4"}, "it has the columns text; needed: instruction"),
        (read_examples, {}, r"it has the columns \(none\)"),
        (read_examples, {"messages": []}, "'messages' is not a list of messages"),
        (read_examples, {"messages": "4"}, "'messages' is not a list of messages"),
        (read_examples, {"messages": [QUESTION]}, "has no answer: it ends with the role 'user'"),
        (read_examples, {"messages": [said("4")]}, "does not begin with a message of the role"),
        (
            read_examples,
            {"messages": [QUESTION, QUESTION, said("4")]},
            r"'messages\[1\]' has the role 'user' after 'user'",
        ),
        (
            read_examples,
            {"messages": [said("Add.", "system"), QUESTION, said("4"), said("x", "system")]},
            r"'messages\[3\]' has the role 'system' after 'assistant'",
        ),
        (
            read_examples,
            {"messages": [said("4", "human"), said("4")]},
            r"line 2, messages\[0\]: the column 'role' is 'human'; valid: system, user, assistant",
        ),
        (
            read_examples,
            {"messages": [QUESTION, {"role": "assistant"}]},
            r"line 2, messages\[1\]: the column 'content' is missing",
        ),
        (read_examples, {"messages": [QUESTION, "4"]}, r"'messages\[1\]' is not an object"),
        (read_pairs, PAIR | {"rejected": "4 "}, "'rejected' says the same as 'chosen'"),
        (read_pairs, PAIR | {"chosen": ""}, "'chosen' is empty"),
        (read_pairs, {"prompt": "a", "chosen": "4"}, "'rejected' is missing"),
        (read_pairs, {"chosen": "4", "rejected": "5"}, "'prompt' is missing"),
        (read_pairs, {"prompt": "", "chosen": "4", "rejected": "5"}, "'prompt' is empty"),
        (read_pairs, {"chosen": [QUESTION, said("4")]}, "'rejected' is missing"),
        (
            read_pairs,
            {"prompt": [QUESTION, said("4")], "chosen": "4", "rejected": "5"},
            "'prompt' ends with the role 'assistant'",
        ),
        (
            read_pairs,
            {"chosen": [QUESTION, said("4")], "rejected": [said("x", "user"), said("5")]},
            "'rejected' begins unlike 'chosen'",
        ),
        (
            read_pairs,
            {"chosen": [said("4")], "rejected": [said("5")]},
            "'chosen' has no question before its last message",
        ),
        (
            read_pairs,
            {"prompt": [QUESTION], "chosen": [QUESTION], "rejected": [said("5")]},
            "'chosen' is not one message of the role 'assistant'",
        ),
        (read_pairs, ALPACA, "none of the formats of preference pairs"),
        (read_marked, KTO | {"label": 1}, r"'label' is 1; it is true \(a good answer\) or false"),
        (read_marked, {"prompt": "a", "completion": "4"}, "'label' is missing"),
        (read_marked, KTO | {"completion": ""}, "'completion' is empty"),
        (read_marked, ALPACA, "none of the formats of marked answers"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    file: Rows, read: Callable[[Path], Any], row: dict[str, Any], message: str
) -> None:
    """The wrong row is the second of the file."""
    right = ALPACA if read is read_examples else PAIR if read is read_pairs else KTO
    path = file(right, row)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 2")
