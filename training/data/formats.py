"""The formats that training data comes in, told apart by a row's columns.

- alpaca: ``instruction``, ``input``, ``output``; LLaMA-Factory's ``system`` and ``history`` too;
- preference: ``instruction``, ``input``, ``chosen``, ``rejected``, as LLaMA-Factory writes it, or
  ``prompt``, ``chosen``, ``rejected``, texts or lists of messages, as TRL does (the prompt may be
  left out: it is then what both lists begin with);
- chat: ``messages``, a list of ``role`` and ``content``; every answer in it is an example;
- KTO: ``prompt``, ``completion``, ``label``.

A column ``group`` is kept; other columns are not read.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import DataError
from training.data.files import FileRow, read_file
from training.data.rows import Example, Marked, Message, Pair

ROLES = ("system", "user", "assistant")
Row = TypeVar("Row", Example, Pair, Marked)


def read_examples(path: Path) -> list[Example]:
    """Alpaca or chat rows.

    Raises:
        DataError: the file or a row is not as it should be; names file, line and column.
    """
    return _read(path, examples_of)


def read_pairs(path: Path) -> list[Pair]:
    """Preference rows.

    Raises:
        DataError: as `read_examples`.
    """
    return _read(path, pairs_of)


def read_marked(path: Path) -> list[Marked]:
    """KTO rows, or preference rows taken apart.

    Raises:
        DataError: as `read_examples`.
    """
    return _read(path, _marked)


def taken_apart(pair: Pair) -> list[Marked]:
    """A pair as one good answer and one bad one."""
    return [
        Marked(pair.prompt, pair.chosen, True, pair.group),
        Marked(pair.prompt, pair.rejected, False, pair.group),
    ]


def _read(path: Path, parse: Callable[[FileRow, str], list[Row]]) -> list[Row]:
    return [row for found in read_file(path) for row in parse(found, _group(found, path.stem))]


def _group(row: FileRow, source: str) -> str:
    return row.text("group") if row.has("group") else source


def examples_of(row: FileRow, group: str) -> list[Example]:
    """An alpaca or chat row; a chat has an example for each of its answers.

    Raises:
        DataError: it is not as it should be; names the row and the column.
    """
    if row.has("messages"):
        return _chat(row, group)
    if row.has("instruction") and not row.has("chosen"):
        return [Example(_alpaca_prompt(row), row.text("output"), group)]
    raise _no_format(row, "examples", "instruction, input and output; or messages")


def pairs_of(row: FileRow, group: str) -> list[Pair]:
    """A preference row.

    Raises:
        DataError: as `examples_of`.
    """
    if not (row.has("chosen") or row.has("rejected")):
        wanted = "instruction, input, chosen and rejected; or prompt, chosen and rejected"
        raise _no_format(row, "preference pairs", wanted)
    if isinstance(row.columns.get("chosen"), list) or isinstance(row.columns.get("rejected"), list):
        prompt, chosen, rejected = _message_sides(row)
    else:
        chosen, rejected = row.text("chosen"), row.text("rejected")
        prompt = _alpaca_prompt(row) if row.has("instruction") else _prompt(row)
    if chosen.strip() == rejected.strip():
        raise row.error("rejected", "says the same as 'chosen'; the two must differ")
    return [Pair(prompt, chosen, rejected, group)]


def _marked(row: FileRow, group: str) -> list[Marked]:
    if row.has("chosen") or row.has("rejected"):
        return [marked for pair in pairs_of(row, group) for marked in taken_apart(pair)]
    if not (row.has("completion") or row.has("label")):
        wanted = "prompt, completion and label; or chosen and rejected"
        raise _no_format(row, "marked answers", wanted)
    if isinstance(row.columns.get("completion"), list):
        answer = _only_answer(row, "completion", _messages(row, "completion"))
    else:
        answer = row.text("completion")
    label = row.value("label")
    if not isinstance(label, bool):
        raise row.error("label", f"is {label!r}; it is true (a good answer) or false")
    return [Marked(_prompt(row), answer, label, group)]


def _alpaca_prompt(row: FileRow) -> tuple[Message, ...]:
    """``system``, the turns of ``history``, then instruction and input, a line feed between."""
    turns: list[Message] = []
    if row.columns.get("system"):
        turns.append(Message("system", row.text("system")))
    history = row.columns.get("history") or []
    if not isinstance(history, list) or not all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(side, str) for side in turn)
        for turn in history
    ):
        raise row.error("history", "is not a list of [question, answer] texts")
    for place, (question, answer) in enumerate(history):
        said = FileRow(row.where, {f"history[{place}]": question})
        turns.append(Message("user", said.text(f"history[{place}]", may_be_empty=True)))
        said = FileRow(row.where, {f"history[{place}]": answer})
        turns.append(Message("assistant", said.text(f"history[{place}]", may_be_empty=True)))
    asked = row.text("instruction")
    if row.columns.get("input") is not None:
        asked = "\n".join(filter(None, (asked, row.text("input", may_be_empty=True))))
    return (*turns, Message("user", asked))


def _prompt(row: FileRow) -> tuple[Message, ...]:
    """A column ``prompt``: one question, or messages that end in one."""
    if not isinstance(row.columns.get("prompt"), list):
        return (Message("user", row.text("prompt")),)
    messages = _messages(row, "prompt")
    if messages[-1].role != "user":
        raise row.error("prompt", f"ends with the role {messages[-1].role!r}; it ends with 'user'")
    return _begun(row, "prompt", messages)


def _chat(row: FileRow, group: str) -> list[Example]:
    messages = _begun(row, "messages", _messages(row, "messages"))
    if messages[-1].role != "assistant":
        raise row.error(
            "messages",
            f"has no answer: it ends with the role {messages[-1].role!r}, not 'assistant'",
        )
    return [
        Example(messages[:place], message.content, group)
        for place, message in enumerate(messages)
        if message.role == "assistant"
    ]


def _message_sides(row: FileRow) -> tuple[tuple[Message, ...], str, str]:
    """Prompt, chosen and rejected of a row whose sides are lists of messages."""
    chosen, rejected = _messages(row, "chosen"), _messages(row, "rejected")
    if row.has("prompt"):
        prompt = _prompt(row)
        return (
            prompt,
            _only_answer(row, "chosen", chosen),
            _only_answer(row, "rejected", rejected),
        )
    prompt = chosen[:-1]
    if rejected[:-1] != prompt:
        raise row.error(
            "rejected", "begins unlike 'chosen'; all but the last message is the prompt"
        )
    if not prompt:
        raise row.error(
            "chosen", "has no question before its last message, and there is no 'prompt'"
        )
    return (
        _begun(row, "chosen", prompt),
        _only_answer(row, "chosen", chosen[-1:]),
        _only_answer(row, "rejected", rejected[-1:]),
    )


def _begun(row: FileRow, column: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages, if a question comes first, a system message aside."""
    first = messages[1:2] if messages[0].role == "system" else messages[:1]
    if not first or first[0].role != "user":
        raise row.error(column, "does not begin with a message of the role 'user'")
    return messages


def _only_answer(row: FileRow, column: str, messages: tuple[Message, ...]) -> str:
    if len(messages) != 1 or messages[0].role != "assistant":
        raise row.error(column, "is not one message of the role 'assistant'")
    return messages[0].content


def _messages(row: FileRow, column: str) -> tuple[Message, ...]:
    """A column's messages, in the order that chat templates take.

    Raises:
        DataError: it is no such list, a message is empty, or the roles do not take turns.
    """
    value = row.value(column)
    if not isinstance(value, list) or not value:
        raise row.error(column, "is not a list of messages, each with role and content")
    messages = tuple(
        _message(row, f"{column}[{place}]", content) for place, content in enumerate(value)
    )
    turns = messages[1:] if messages[0].role == "system" else messages
    for place, (before, after) in enumerate(pairwise(turns)):
        if after.role == before.role or after.role == "system":
            number = place + 1 + len(messages) - len(turns)
            raise row.error(
                f"{column}[{number}]",
                f"has the role {after.role!r} after {before.role!r}; 'user' and 'assistant' "
                "take turns, 'system' comes first",
            )
    return messages


def _message(row: FileRow, place: str, content: Any) -> Message:
    if not isinstance(content, dict):
        raise row.error(place, "is not an object with role and content")
    inside = FileRow(f"{row.where}, {place}", content)
    role = inside.text("role")
    if role not in ROLES:
        raise inside.error("role", f"is {role!r}; valid: {', '.join(ROLES)}")
    return Message(role, inside.text("content"))


def _no_format(row: FileRow, wanted: str, columns: str) -> DataError:
    return DataError(
        f"{row.where}: the row is none of the formats of {wanted}: it has the columns "
        f"{', '.join(row.columns) or '(none)'}; needed: {columns}"
    )
