"""The file of marks that a run's page lets a reviewer download, read strictly.

A JSON object::

    {"kind": "harness marks", "schema": 1, "run": "<run id>", "reviewer": "Ana",
     "saved": "2026-03-01T12:00:00Z",
     "marks": [{"task": "gsm8k", "doc_id": "1f…-0", "mark": "bad", "note": "", "at": "2026-…Z"}]}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from harness.errors import MarksError, closest
from harness.marks import VERDICTS, Mark, Verdict
from harness.storage import UNDECODABLE

KIND = "harness marks"
SCHEMA = 1

MAX_BYTES = 64_000_000
NOTE_CHARS = 10_000
REVIEWER_CHARS = 100

_HEAD = ("kind", "schema", "run", "reviewer", "saved", "marks")
_ENTRY = ("task", "doc_id", "mark", "note", "at")
_TOLD = 20
"""So many mistakes are named; the others are counted."""


@dataclass(frozen=True)
class MarksFile:
    """What a file of marks says: the run that was reviewed, by whom, and the marks in its order."""

    run: str
    reviewer: str
    marks: tuple[Mark, ...]


def read_marks_file(path: Path) -> MarksFile:
    """Read a downloaded file.

    Raises:
        MarksError: it is not such a file; names every wrong entry, by its place from 1.
    """
    told = _decoded(path)
    found = _head_mistakes(told)
    if found:
        raise _refused(path, found)
    marks, entries = [], told["marks"]
    for number, entry in enumerate(entries, 1):
        if mistakes := _entry_mistakes(entry):
            found += [f"{_named(number, entry)}: {mistake}" for mistake in mistakes]
        else:
            marks.append(_mark(entry, told["reviewer"]))
    if not found:
        found = _repeated(marks)
    if found:
        raise _refused(path, found)
    return MarksFile(told["run"], told["reviewer"].strip(), tuple(marks))


def check_docs(path: Path, file: MarksFile, docs: Mapping[str, Collection[str]]) -> None:
    """Hold the marks against the run that they are of.

    Args:
        path: of the file, for the message.
        file: what it says.
        docs: the run's tasks, with their docs' ids.

    Raises:
        MarksError: a mark is of a task or doc that the run does not have; names every such entry.
    """
    found = []
    for number, mark in enumerate(file.marks, 1):
        if mark.task not in docs:
            problem = f"unknown task {mark.task!r}{closest(mark.task, docs)}"
        elif mark.doc_id not in docs[mark.task]:
            problem = f"run {file.run} has no such doc in {mark.task}"
        else:
            continue
        found.append(f"{_place(number, mark.task, mark.doc_id)}: {problem}")
    if found:
        raise _refused(path, found)


def _decoded(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MarksError(f"{path} has more than {MAX_BYTES:,} bytes: it is no file of marks")
        return msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise MarksError(
            f"there is no file {path}: a run's page writes one by `Download marks`"
        ) from None
    except OSError as error:
        raise MarksError(f"{path} cannot be read: {error.strerror or error}") from None
    except UNDECODABLE as error:
        raise MarksError(f"{path} is not a file of marks: {error}") from None


def _head_mistakes(told: Any) -> list[str]:
    if not isinstance(told, dict) or told.get("kind") != KIND:
        return [f'it is no file of marks: "kind" is not {KIND!r} (a run\'s page writes one)']
    if type(told.get("schema")) is not int or told["schema"] != SCHEMA:
        return [
            f"schema {told.get('schema')!r}: this version of the harness reads {SCHEMA}; "
            "draw the page again (`harness report`) and download from it"
        ]
    found = _keys(told, _HEAD)
    if found:
        return found
    if not isinstance(told["run"], str) or not told["run"]:
        found.append(f"run: must be a run's id, got {_short(told['run'])}")
    found += _reviewer_mistakes(told["reviewer"])
    found += _time_mistakes("saved", told["saved"])
    if not isinstance(told["marks"], list):
        found.append(f"marks: must be a list, got {type(told['marks']).__name__}")
    return found


def _reviewer_mistakes(name: object) -> list[str]:
    if not isinstance(name, str) or not name.strip():
        return [f"reviewer: must be a name, got {_short(name)}"]
    if len(name) > REVIEWER_CHARS:
        return [f"reviewer: at most {REVIEWER_CHARS} characters, got {len(name):,}"]
    return []


def _entry_mistakes(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [f"must be an object, got {type(entry).__name__}"]
    if found := _keys(entry, _ENTRY):
        return found
    for key in ("task", "doc_id"):
        if not isinstance(entry[key], str) or not entry[key]:
            found.append(f"{key}: must be a name, got {_short(entry[key])}")
    mark, note = entry["mark"], entry["note"]
    if mark not in VERDICTS:
        near = closest(mark, VERDICTS) if isinstance(mark, str) else ""
        found.append(f"unknown mark {_short(mark)}{near or '; valid: ' + ', '.join(VERDICTS)}")
    if not isinstance(note, str):
        found.append(f"note: must be a text, got {_short(note)}")
    elif len(note) > NOTE_CHARS:
        found.append(f"note: at most {NOTE_CHARS:,} characters, got {len(note):,}")
    elif mark == "note" and not note.strip():
        found.append("a mark 'note' without a note")
    return found + _time_mistakes("at", entry["at"])


def _keys(told: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    found = [f"{key} is missing" for key in wanted if key not in told]
    return found + [
        f"unknown key {key!r}{closest(key, wanted)}" for key in told if key not in wanted
    ]


def _time_mistakes(key: str, told: object) -> list[str]:
    try:
        if isinstance(told, str) and (time := datetime.fromisoformat(told)).tzinfo is not None:
            time.astimezone(UTC)
            return []
    except (ValueError, OverflowError):  # no time, or none that UTC has
        pass
    return [
        f"{key}: must be a time with its zone, such as 2026-03-01T12:00:00Z, got {_short(told)}"
    ]


def _mark(entry: Mapping[str, str], reviewer: str) -> Mark:
    return Mark(
        task=entry["task"],
        doc_id=entry["doc_id"],
        mark=cast(Verdict, entry["mark"]),
        note=entry["note"].strip(),
        reviewer=reviewer.strip(),
        at=entry["at"],
    )


def _repeated(marks: Sequence[Mark]) -> list[str]:
    """A page writes one mark a doc; of two, nobody could tell which one counts."""
    first: dict[tuple[str, str], int] = {}
    found = []
    for number, mark in enumerate(marks, 1):
        before = first.setdefault((mark.task, mark.doc_id), number)
        if before != number:
            found.append(f"{_place(number, mark.task, mark.doc_id)}: entry {before} again")
    return found


def _named(number: int, entry: Any) -> str:
    if not isinstance(entry, dict) or not {"task", "doc_id"} <= entry.keys():
        return f"entry {number}"
    return _place(number, entry["task"], entry["doc_id"])


def _place(number: int, task: object, doc_id: object) -> str:
    return f"entry {number} ({_short(task)}, doc {_short(doc_id)})"


def _short(told: object) -> str:
    """A name as it can be printed: it comes from a file, which may hold anything."""
    text = told if isinstance(told, str) and told.isprintable() else repr(told)
    return text if len(text) <= 80 else text[:79] + "…"


def _refused(path: Path, found: Sequence[str]) -> MarksError:
    lines = [f"{path} cannot be taken in; nothing was stored:"]
    lines += [f"  {line}" for line in found[:_TOLD]]
    if len(found) > _TOLD:
        lines.append(f"  and {len(found) - _TOLD:,} more")
    return MarksError("\n".join(lines))
