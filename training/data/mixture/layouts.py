"""The layouts of the sources, each read into prompts with answers or into pairs.

- ``alpaca``, ``preference``, ``chat``: as in `training.data.formats`;
- ``turns``: ``conversations``, a list of texts or of ``{from, value}``, which take
  turns;
- ``choices``: ``question``, ``choices`` and ``answer``: an index, a letter, or a label of the
  choices. The choices are lettered under the question, and the answer is the letter;
- ``either``: ``prompt``, two answers ``a`` and ``b``, and ``label``, which says the better one;
- ``transcripts``: ``chosen`` and ``rejected`` as hh-rlhf writes them;
- ``stack_exchange``: ``question`` and scored ``answers``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import DataError
from training.data.files import FileRow
from training.data.formats import examples_of, pairs_of
from training.data.mixture.declared import Source
from training.data.mixture.exchange import exchange_pairs
from training.data.mixture.refused import Refused
from training.data.mixture.transcripts import transcript_pairs
from training.data.rows import Example, Message, Pair

Row = Example | Pair

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "output"),
    "preference": ("prompt", "chosen", "rejected"),
    "chat": ("messages",),
    "turns": ("conversations",),
    "choices": ("question", "choices", "answer"),
    "either": ("prompt", "a", "b", "label"),
    "transcripts": ("chosen", "rejected"),
    "stack_exchange": ("question", "answers"),
}
"""What a row of each format has at least."""

PROMPT_COLUMN = {
    "alpaca": "instruction",
    "preference": "prompt",
    "choices": "question",
    "either": "prompt",
    "stack_exchange": "question",
}
"""The column that a source's template words."""

_FILLED = re.compile(r"\{(\w+)\}")
_LETTERS = "ABCDEFGHIJ"
_A_IS_BETTER = (1, "1", "A", "a")
_B_IS_BETTER = (0, "0", "B", "b")


def columns_of(source: Source) -> tuple[str, ...]:
    """The columns that a source's rows have at least, by its own names."""
    theirs = dict(source.columns)
    if source.format == "preference" and "instruction" in theirs:
        theirs["prompt"] = theirs["instruction"]
    return tuple(theirs.get(name, name) for name in COLUMNS[source.format])


def rows_of(source: Source, columns: Mapping[str, Any], where: str) -> list[Row]:
    """What a source's row gives: at least one row to learn from.

    Args:
        source: says the layout, and what its columns are called.
        columns: the row.
        where: file and row, for messages.

    Raises:
        Refused: it gives none; says by which rule.
    """
    for name, wanted in source.where.items():
        if columns.get(name) != wanted:
            raise Refused("not wanted", f"{name} is {columns.get(name)!r}")
    row = FileRow(where, _named(source, columns))
    try:
        return _READERS[source.format](row, source)
    except DataError as error:
        raise Refused("malformed", str(error).removeprefix(f"{where}: ")) from None


def _named(source: Source, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns under the format's names; without a ``group`` of their own: the source is it."""
    taken = {*source.columns.values(), "group"}
    named = {name: value for name, value in columns.items() if name not in taken}
    for name, theirs in source.columns.items():
        if theirs in columns:
            named[name] = columns[theirs]
    if source.template is not None:
        named[PROMPT_COLUMN[source.format]] = _filled(source.template, columns)
    return named


def _filled(template: str, columns: Mapping[str, Any]) -> str:
    """A template with a row's columns in its braces."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in columns:
            raise Refused("malformed", f"has no column {match[1]!r}, which the template names")
        return str(columns[match[1]])

    return _FILLED.sub(value, template)


def _alpaca(row: FileRow, source: Source) -> list[Row]:
    columns = dict(row.columns)
    if _blank(columns.get("instruction")) and not _blank(columns.get("input")):
        columns["instruction"], columns["input"] = columns["input"], ""
    _refuse_blank(columns, "instruction", "output")
    return list(examples_of(FileRow(row.where, columns), source.name))


def _chat(row: FileRow, source: Source) -> list[Row]:
    return list(examples_of(row, source.name))


def _turns(row: FileRow, source: Source) -> list[Row]:
    turns = row.value("conversations")
    if not isinstance(turns, list):
        raise row.error("conversations", "is not a list of turns")
    messages = [_turn(row, place, turn) for place, turn in enumerate(turns)]
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # a question that nobody answered
    if not messages or any(_blank(message["content"]) for message in messages):
        raise Refused("empty", "no answer, or an empty turn")
    return list(examples_of(FileRow(row.where, {"messages": messages}), source.name))


def _turn(row: FileRow, place: int, turn: Any) -> dict[str, Any]:
    if isinstance(turn, str):
        return {"role": ("user", "assistant")[place % 2], "content": turn}
    if not isinstance(turn, dict):
        raise row.error(f"conversations[{place}]", "is neither a text nor an object")
    said = FileRow(f"{row.where}, conversations[{place}]", turn)
    roles = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
    role = {**roles, "system": "system"}.get(said.text("from"))
    if role is None:
        raise said.error("from", f"is {turn['from']!r}; valid: human, gpt, system")
    return {"role": role, "content": said.text("value", may_be_empty=True)}


def _choices(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "question")
    texts, labels = _choice_texts(row)
    answer = row.value("answer")
    if isinstance(answer, str) and answer in labels:
        index = labels.index(answer)
    elif type(answer) is int and 0 <= answer < len(texts):
        index = answer
    else:
        raise row.error("answer", f"is {answer!r}, which is none of the choices")
    lines = [f"{letter}. {text}" for letter, text in zip(_LETTERS, texts, strict=False)]
    asked = "\n".join([row.text("question").strip(), *lines])
    return [Example((Message("user", asked),), _LETTERS[index], source.name)]


def _choice_texts(row: FileRow) -> tuple[list[str], list[str]]:
    """The choices and their labels; letters where they have none."""
    choices = row.value("choices")
    if isinstance(choices, dict):
        texts, labels = choices.get("text"), choices.get("label")
    else:
        texts, labels = choices, list(_LETTERS)
    if not (
        isinstance(texts, list)
        and isinstance(labels, list)
        and 2 <= len(texts) <= min(len(labels), len(_LETTERS))
        and all(isinstance(text, str) and text.strip() for text in texts)
    ):
        raise row.error("choices", "is not a list of two to ten texts, nor such with labels")
    for place, text in enumerate(texts):
        name = f"choices[{place}]"
        FileRow(row.where, {name: text}).text(name)
    return texts, list(map(str, labels))[: len(texts)]


def _preference(row: FileRow, source: Source) -> list[Row]:
    asked = "instruction" if row.has("instruction") else "prompt"
    sides = ("chosen", "rejected")
    if all(not isinstance(row.columns.get(side), list) for side in sides):
        _refuse_blank(row.columns, asked, *sides)
        _refuse_identical(row.columns.get("chosen"), row.columns.get("rejected"))
    return list(pairs_of(row, source.name))


def _either(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "prompt", "a", "b")
    label = row.value("label")
    # A bool equals 0 or 1 in Python, and means the same here.
    if label in _A_IS_BETTER:
        chosen, rejected = row.text("a"), row.text("b")
    elif label in _B_IS_BETTER:
        chosen, rejected = row.text("b"), row.text("a")
    else:
        raise Refused("tie", f"the label is {str(label)[:40]!r}: neither answer is the better one")
    _refuse_identical(chosen, rejected)
    return [Pair((Message("user", row.text("prompt")),), chosen, rejected, source.name)]


def _transcripts(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "chosen", "rejected")
    return [transcript_pairs(row.text("chosen"), row.text("rejected"), source.name)]


def _exchange(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "question")
    return list(exchange_pairs(row, source.votes, source.name))


def _refuse_blank(columns: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name in columns and _blank(columns[name]):
            raise Refused("empty", f"{name} is empty")


def _refuse_identical(chosen: Any, rejected: Any) -> None:
    if isinstance(chosen, str) and isinstance(rejected, str) and chosen.strip() == rejected.strip():
        raise Refused("identical", "chosen and rejected say the same")


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


_READERS: Mapping[str, Callable[[FileRow, Source], list[Row]]] = {
    "alpaca": _alpaca,
    "chat": _chat,
    "turns": _turns,
    "choices": _choices,
    "preference": _preference,
    "either": _either,
    "transcripts": _transcripts,
    "stack_exchange": _exchange,
}
