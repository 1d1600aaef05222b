"""The layouts of the sources, each read into prompts with answers or into pairs.

- ``alpaca``, ``preference``, ``chat``: as in `training.data.formats`;
- ``turns``: ``conversations``, a list of texts or of ``{from, value}``, which take turns; as in
  ``chat``, a column ``system`` is what is said before them;
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
_ASKING = ("user", "system")
_LETTERS = "ABCDEFGHIJ"
_A_IS_BETTER = (1, "1", "A", "a")
_B_IS_BETTER = (0, "0", "B", "b")
_TIE = (0.5, "0.5", "AB", "ab", "tie", "Tie")


def columns_of(source: Source) -> tuple[str, ...]:
    """The columns that a source's rows have at least, by its own names."""
    theirs = dict(source.columns)
    if source.format == "preference" and "instruction" in theirs:
        theirs["prompt"] = theirs["instruction"]
    return tuple(theirs.get(name, name) for name in COLUMNS[source.format])


def prompt_columns(source: Source, columns: Mapping[str, Any]) -> list[str]:
    """The source's own names of the columns that a row asks with; those of its template where it
    has none that the format names, and none at all where a row is a conversation.
    """
    if source.format not in PROMPT_COLUMN:
        return []
    names = [_prompt_column(source, columns)]
    if names == ["instruction"]:
        names.append("input")
    found = [name for name in (source.columns.get(name, name) for name in names) if name in columns]
    if found or source.template is None:
        return found
    return [name for name in _FILLED.findall(source.template) if name in columns]


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
        said = str(error).removeprefix(where).removeprefix(": ").removeprefix(", ")
        raise Refused("malformed", said) from None


def _named(source: Source, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns under the format's names; a template's wording in place of all that asks."""
    named = _renamed(source, columns)
    if source.template is None:
        return named
    worded = _filled(source.template, columns)
    theirs = prompt_columns(source, columns)
    if theirs and all(_blank(columns[name]) for name in theirs):
        raise Refused("empty", f"{theirs[0]} is empty")
    named.update({name: "" for name in ("input", "title") if name in named})
    named[_prompt_column(source, columns)] = worded
    return named


def _prompt_column(source: Source, columns: Mapping[str, Any]) -> str:
    """The format's name of the column that is read as the prompt."""
    theirs = source.columns.get("instruction", "instruction")
    if source.format == "preference" and theirs in columns:
        return "instruction"
    return PROMPT_COLUMN[source.format]


def _renamed(source: Source, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns under the format's names; without a ``group`` of their own: the source is it."""
    taken = {*source.columns.values(), "group"}
    named = {name: value for name, value in columns.items() if name not in taken}
    for name, theirs in source.columns.items():
        if theirs in columns:
            named[name] = columns[theirs]
    return named


def _filled(template: str, columns: Mapping[str, Any]) -> str:
    """A template with a row's columns in its braces; nothing where one is null."""
    names = _FILLED.findall(template)
    if names and all(_blank(columns.get(name, "?")) for name in names):
        raise Refused("empty", f"{', '.join(names)}: empty")

    def value(match: re.Match[str]) -> str:
        if match[1] not in columns:
            raise Refused("malformed", f"has no column {match[1]!r}, which the template names")
        found = columns[match[1]]
        if isinstance(found, list | dict):
            raise Refused("malformed", f"{match[1]!r} is no text, which the template needs")
        return "" if found is None else str(found)

    return _FILLED.sub(value, template)


def _alpaca(row: FileRow, source: Source) -> list[Row]:
    columns = _input_alone(row.columns)
    _refuse_blank(columns, "instruction", "output")
    return list(examples_of(FileRow(row.where, columns), source.name))


def _input_alone(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Where the question stands in ``input`` only, it is the instruction."""
    if _blank(columns.get("instruction")) and not _blank(columns.get("input")):
        return {**columns, "instruction": columns["input"], "input": ""}
    return dict(columns)


def _chat(row: FileRow, source: Source) -> list[Row]:
    messages = row.columns.get("messages")
    if not isinstance(messages, list):
        return list(examples_of(row, source.name))
    if all(isinstance(each, dict) for each in messages):
        messages = _with_system(row, messages)
    messages = _answered(messages)
    return list(examples_of(FileRow(row.where, {"messages": messages}), source.name))


def _answered(messages: list[Any]) -> list[Any]:
    """The messages without a question at the end that nobody answered.

    Raises:
        Refused: none is left, or one says nothing.
    """
    messages = list(messages)
    while messages and isinstance(messages[-1], dict) and messages[-1].get("role") in _ASKING:
        messages.pop()
    if not messages or any(map(_silent, messages)):
        raise Refused("empty", "no answer, or an empty turn")
    return messages


def _silent(message: Any) -> bool:
    return isinstance(message, dict) and "content" in message and _blank(message["content"])


def _with_system(row: FileRow, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages after what a column ``system`` says; their own system message counts before it."""
    own = messages[:1] and messages[0].get("role") == "system"
    if own or _blank(row.columns.get("system")):
        return messages
    return [{"role": "system", "content": row.text("system")}, *messages]


def _turns(row: FileRow, source: Source) -> list[Row]:
    turns = row.value("conversations")
    if not isinstance(turns, list):
        raise row.error("conversations", "is not a list of turns")
    messages = _answered([_turn(row, place, turn) for place, turn in enumerate(turns)])
    told = {"messages": _with_system(row, messages)}
    return list(examples_of(FileRow(row.where, told), source.name))


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
    blank = "value" in turn and _blank(turn["value"])
    return {"role": role, "content": "" if blank else said.text("value")}


def _choices(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "question", "answer")
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
        and all(text is None or isinstance(text, str) for text in texts)
    ):
        raise row.error("choices", "is not a list of two to ten texts, nor such with labels")
    if any(map(_blank, texts)):
        raise Refused("empty", "a choice is empty")
    each = {f"choices[{place}]": text for place, text in enumerate(texts)}
    checked = [FileRow(row.where, each).text(name) for name in each]
    return checked, list(map(str, labels))[: len(texts)]


def _preference(row: FileRow, source: Source) -> list[Row]:
    columns = _input_alone(row.columns) if row.has("instruction") else dict(row.columns)
    sides = ("chosen", "rejected")
    asked = "instruction" if row.has("instruction") else "prompt"
    for name in (asked, *sides):
        said = columns.get(name)
        if isinstance(said, list) and (not said or any(map(_silent, said))):
            raise Refused("empty", f"{name} has no message, or an empty one")
    _refuse_blank(columns, asked, *sides)
    _refuse_identical(columns.get("chosen"), columns.get("rejected"))
    return list(pairs_of(FileRow(row.where, columns), source.name))


def _either(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "prompt", "a", "b")
    label = row.value("label")
    label = label.strip() if isinstance(label, str) else label
    # A bool equals 0 or 1 in Python, and means the same here.
    if label in _A_IS_BETTER:
        chosen, rejected = row.text("a"), row.text("b")
    elif label in _B_IS_BETTER:
        chosen, rejected = row.text("b"), row.text("a")
    elif label in _TIE:
        raise Refused("tie", f"the label is {label!r}: neither answer is the better one")
    else:
        raise row.error("label", f"is {str(label)[:40]!r}; valid: A or 1, B or 0, AB or tie")
    _refuse_identical(chosen, rejected)
    return [Pair((Message("user", row.text("prompt")),), chosen, rejected, source.name)]


def _transcripts(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "chosen", "rejected")
    return [transcript_pairs(row.text("chosen"), row.text("rejected"), source.name)]


def _exchange(row: FileRow, source: Source) -> list[Row]:
    _refuse_blank(row.columns, "question", "answers")
    return list(exchange_pairs(row, source.votes, source.name))


def _refuse_blank(columns: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name in columns and _blank(columns[name]):
            raise Refused("empty", f"{name} is empty")


def _refuse_identical(chosen: Any, rejected: Any) -> None:
    """Refuse sides that are the same text, or the same messages, white space at the end aside."""
    if isinstance(chosen, list) and isinstance(rejected, list) and chosen[:-1] == rejected[:-1]:
        ends = [
            side[-1].get("content") for side in (chosen, rejected) if isinstance(side[-1], dict)
        ]
        chosen, rejected = ends if len(ends) == 2 else (None, None)
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
