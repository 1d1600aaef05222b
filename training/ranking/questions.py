"""The questions that answers are made for and ranked under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.storage import expanded
from training.data import sets
from training.data.files import FileRow, read_file
from training.data.formats import read_examples
from training.data.rows import Example, Message


@dataclass(frozen=True)
class Question:
    """A question in LLaMA-Factory's columns, so that a row made of it is what went in.

    Attributes:
        instruction: what is asked.
        input: more of it, mostly empty.
        reference: the worked solution; empty where there is none.
        group: its source or topic.
        system: a system message, mostly empty.
        history: earlier turns, question and answer.
    """

    instruction: str
    input: str = ""
    reference: str = ""
    group: str = ""
    system: str = ""
    history: tuple[tuple[str, str], ...] = ()

    def turns(self) -> tuple[Message, ...]:
        """The conversation up to where the answer begins, as the formats read its columns."""
        system = [Message("system", self.system)] if self.system else []
        earlier = [
            Message(role, text)
            for turn in self.history
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        return (*system, *earlier, Message("user", self.last()))

    def last(self) -> str:
        """The last instruction, with its input."""
        return "\n".join(filter(None, (self.instruction, self.input)))

    def key(self) -> str:
        """32 hexadecimal digits that are equal where the same is asked."""
        turns = json.dumps([[turn.role, turn.content] for turn in self.turns()])
        return hashlib.blake2b(turns.encode(), digest_size=16).hexdigest()

    def columns(self) -> dict[str, Any]:
        """LLaMA-Factory's columns of what is asked; rare ones only where they are used."""
        columns: dict[str, Any] = {"instruction": self.instruction, "input": self.input}
        if self.system:
            columns["system"] = self.system
        if self.history:
            columns["history"] = [list(turn) for turn in self.history]
        return columns


def read_questions(name: str, data: Path | None) -> list[Question]:
    """The questions of a set by name, or of a file; with a solution or without.

    Args:
        name: as in a recipe's ``data`` (``default``, ``gsm8k``), or a path to a .json or .jsonl
            file of alpaca rows, whose ``output`` may be missing or empty here, or of chats, where
            every answer of an assistant is a solution.
        data: the user's data folder, if there is one.

    Raises:
        UnknownName: there is no such set.
        DataError: the file is not as it should be; names line and column.
    """
    if name in sets.NAMES:
        return [_of_example(example) for example in sets.examples(name, data).rows]
    sets.check_name(name)
    path = expanded(name)
    rows = read_file(path)
    if rows[0].has("messages"):
        return [_of_example(example) for example in read_examples(path)]
    return [question_of(row, path.stem) for row in rows]


def question_of(row: FileRow, source: str) -> Question:
    """The question of an alpaca row; ``output`` may be missing.

    Raises:
        DataError: a column is not as it should be.
    """

    def optional(name: str) -> str:
        return row.text(name, may_be_empty=True) if row.columns.get(name) is not None else ""

    if not row.has("instruction"):
        raise DataError(
            f"{row.where}: the row holds no question: it has the columns "
            f"{', '.join(row.columns) or '(none)'}; needed: instruction, and where there are any, "
            "input, output, system, history and group"
        )
    return Question(
        row.text("instruction"),
        optional("input"),
        optional("output"),
        optional("group") or source,
        optional("system"),
        _history(row),
    )


def once(questions: Iterable[Question]) -> list[Question]:
    """Each question once; of equal ones the first that has a solution, else the first."""
    found: dict[str, Question] = {}
    for question in questions:
        earlier = found.setdefault(question.key(), question)
        if question.reference.strip() and not earlier.reference.strip():
            found[question.key()] = question
    return list(found.values())


def _history(row: FileRow) -> tuple[tuple[str, str], ...]:
    history = row.columns.get("history") or []
    if not isinstance(history, list) or not all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(side, str) for side in turn)
        for turn in history
    ):
        raise row.error("history", "is not a list of [question, answer] texts")
    return tuple((question, answer) for question, answer in history)


def _of_example(example: Example) -> Question:
    """An example's prompt in columns: system, turns, and the question that comes last."""
    turns: Sequence[Message] = example.prompt
    system = turns[0].content if turns[0].role == "system" else ""
    turns = turns[1:] if system else turns
    history = tuple(
        (asked.content, said.content) for asked, said in zip(turns[::2], turns[1::2], strict=False)
    )
    return Question(turns[-1].content, "", example.answer, example.group, system, history)
