"""Preference pairs: a prompt, the better answer and the worse one, in the formats in use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Dataset, find, load
from harness.errors import DataError
from harness.open_task import TaskContext, group_of, make_docs, spread_limit
from harness.records import DataRecord
from harness.types import Doc

Row = Mapping[str, Any]
Turns = list[tuple[str, str]]
"""Who says what: ``system``, ``user`` or ``assistant``, and the text."""

_TURN = "\n\nAssistant:"
_SPEAKERS = {"user": "Human", "assistant": "Assistant"}
_SPOKEN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")


def preference_docs(dataset: Dataset, context: TaskContext) -> tuple[list[Doc], DataRecord]:
    """Read pairs: docs with the fields ``prompt``, ``chosen`` and ``rejected``; a limit is spread
    over their groups.

    Read are LLaMA-Factory's columns (``instruction``, ``input``, ``system``, ``history``), TRL's
    (``prompt``; texts, or lists of messages, with which the prompt may be left out), and the
    transcripts of hh-rlhf. A prompt is the question alone, or, where there is more before the
    answer, a transcript that begins with ``Human:``. A row that is no pair makes a doc with the
    field ``unusable``, the reason: what is left out is counted.

    Raises:
        DataError: columns are missing, one is neither text nor messages, or a group is no text.
    """
    found = find(dataset, context.folders)
    splits, record = load(found)
    place: Path | Dataset = found.files.get(dataset.split, dataset)
    if dataset.split not in splits:
        raise DataError(f"{dataset} has no rows")
    rows = splits[dataset.split]
    if not {"chosen", "rejected"} <= set(rows.column_names):
        raise DataError(
            f"{place}: the columns chosen and rejected are needed, with instruction or prompt "
            f"unless they are whole conversations; it has {', '.join(rows.column_names)}"
        )
    groups: dict[str | None, list[Mapping[str, str]]] = {}
    for number, row in enumerate(rows, 1):
        where = f"{place}, row {number}"
        groups.setdefault(group_of(row, where), []).append(_fields(row, where))
    counts = spread_limit(context.limit, [len(of_group) for of_group in groups.values()])
    return make_docs(_taken(groups, counts)), record


def conversation(prompt: str) -> list[dict[str, str]]:
    """A doc's prompt as messages for a chat template: one question, or a transcript's turns.

    Turns of one speaker that follow one another are one.
    """
    if not prompt.startswith("Human:"):
        return [{"role": "user", "content": prompt}]
    roles = {speaker: role for role, speaker in _SPEAKERS.items()}
    messages: list[dict[str, str]] = []
    speakers_and_texts = _SPOKEN.split(prompt)[1:]
    for speaker, text in zip(speakers_and_texts[::2], speakers_and_texts[1::2], strict=True):
        if messages and messages[-1]["role"] == roles[speaker]:
            messages[-1]["content"] += f"\n\n{text.strip()}"
        else:
            messages.append({"role": roles[speaker], "content": text.strip()})
    return messages


def _taken(
    groups: Mapping[str | None, Sequence[Mapping[str, str]]], counts: Sequence[int]
) -> Iterator[tuple[Mapping[str, str], str | None]]:
    for (group, of_group), count in zip(groups.items(), counts, strict=True):
        for fields in of_group[:count]:
            yield fields, group


def _fields(row: Row, where: str) -> Mapping[str, str]:
    if isinstance(row["chosen"], list) or isinstance(row["rejected"], list):
        fields = _conversations(row, where)
    elif "instruction" in row or "prompt" in row:
        asked = _instruction(row, where) if "instruction" in row else _prompt(row, where)
        sides = {side: _text(row, side, where) for side in ("chosen", "rejected")}
        fields = {"prompt": _spoken(asked), **sides}
    else:
        fields = _transcripts(row, where)
    if "unusable" not in fields and (reason := _why_no_pair(fields)):
        return {**fields, "unusable": f"no pair: {reason}"}
    return fields


def _instruction(row: Row, where: str) -> Turns:
    """LLaMA-Factory's: ``system``, the turns of ``history``, then instruction and input."""
    turns: Turns = [("system", _text(row, "system", where))] if row.get("system") else []
    for turn in row.get("history") or []:
        if not isinstance(turn, list) or len(turn) != 2:
            raise DataError(f"{where}: history is not a list of [question, answer] texts")
        turns += [("user", str(turn[0])), ("assistant", str(turn[1]))]
    parts = [_text(row, name, where) for name in ("instruction", "input") if row.get(name)]
    return [*turns, ("user", "\n".join(parts))]


def _prompt(row: Row, where: str) -> Turns:
    """TRL's ``prompt``: a question, or messages that end in one."""
    if isinstance(row["prompt"], list):
        return _messages(row, "prompt", where)
    return [("user", _text(row, "prompt", where))]


def _conversations(row: Row, where: str) -> dict[str, str]:
    """Sides of messages: the last one is the answer, and any before it are the prompt."""
    chosen, rejected = (_messages(row, side, where) for side in ("chosen", "rejected"))
    before, other = chosen[:-1], rejected[:-1]
    fields = {
        "prompt": "",
        "chosen": chosen[-1][1] if chosen else "",
        "rejected": rejected[-1][1] if rejected else "",
    }
    if before != other:
        reason = "no pair: the conversations part before their last message"
        return {**fields, "unusable": reason}
    if not before:
        named = "instruction" in row or "prompt" in row
        asked = _instruction if "instruction" in row else _prompt
        before = asked(row, where) if named else []
    return {**fields, "prompt": _spoken(before)}


def _transcripts(row: Row, where: str) -> dict[str, str]:
    """Two transcripts, which should be equal up to the assistant's last turn."""
    sides = [_text(row, side, where).rpartition(_TURN) for side in ("chosen", "rejected")]
    (before, turn, chosen), (other, _, rejected) = sides
    if not turn or before != other:
        return {
            "prompt": "",
            "chosen": _text(row, "chosen", where),
            "rejected": _text(row, "rejected", where),
            "unusable": "no pair: the transcripts part before the assistant's last turn",
        }
    return {"prompt": before.strip(), "chosen": chosen.strip(), "rejected": rejected.strip()}


def _spoken(turns: Turns) -> str:
    """A question by itself, or a transcript; what the system says stands before the question."""
    said = [text for role, text in turns if role == "system"]
    spoken = [turn for turn in turns if turn[0] != "system"]
    if said and spoken:
        role, text = spoken[0]
        spoken[0] = role, "\n\n".join([*said, text])
    if len(spoken) == 1:
        return spoken[0][1]
    return "\n\n".join(f"{_SPEAKERS[role]}: {text}" for role, text in spoken)


def _text(row: Row, column: str, where: str) -> str:
    value = row[column]
    if value is not None and not isinstance(value, str):
        kind = type(value).__name__
        raise DataError(f"{where}: {column} is neither a text nor a list of messages but {kind}")
    return value or ""


def _messages(row: Row, column: str, where: str) -> Turns:
    value = row[column]
    known = ("system", *_SPEAKERS)
    if isinstance(value, list) and all(
        isinstance(each, Mapping)
        and each.get("role") in known
        and isinstance(each.get("content"), str)
        for each in value
    ):
        return [(each["role"], each["content"]) for each in value]
    raise DataError(
        f"{where}: {column} is no list of messages, each with a role ({', '.join(known)}) and "
        "content, as the other side is"
    )


def _why_no_pair(fields: Mapping[str, str]) -> str | None:
    for name in ("prompt", "chosen", "rejected"):
        if not fields[name].strip():
            return f"{name} is empty"
    if fields["chosen"].strip() == fields["rejected"].strip():
        return "chosen and rejected are the same text"
    return None
