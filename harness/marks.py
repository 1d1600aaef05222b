"""What people said of a run's answers: good, bad, unsafe, or a note.

They lie beside the run, one mark a line, in ``<run>/marks.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import msgspec

from harness.errors import RecordError
from harness.run_folder import RunFolder
from harness.storage import UNDECODABLE, write_atomic

Verdict = Literal["good", "bad", "unsafe", "note"]

VERDICTS: tuple[str, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Mark:
    """One reviewer's word on one doc.

    Attributes:
        task, doc_id: which doc of the run.
        mark: ``note`` stands for a note alone, without good or bad.
        note: what the reviewer wrote; may be empty beside another mark than ``note``.
        reviewer: who.
        at: when, as an ISO 8601 time with its zone.
    """

    task: str
    doc_id: str
    mark: Verdict
    note: str
    reviewer: str
    at: str


@dataclass(frozen=True)
class Merged:
    """Marks after others came in, with how many of those were what.

    Attributes:
        new: of docs that the reviewer had not marked.
        changed: newer than the reviewer's earlier mark of the doc, which they replace.
        unchanged: as stored.
        older: left out, because the stored mark is newer.
    """

    marks: tuple[Mark, ...]
    new: int
    changed: int
    unchanged: int
    older: int


def marks_path(folder: RunFolder) -> Path:
    """Where a run's marks are."""
    return folder.path / "marks.jsonl"


def read_marks(folder: RunFolder) -> list[Mark]:
    """Read a run's marks; none where nobody marked it.

    Raises:
        RecordError: they cannot be read; names the line.
    """
    path, marks = marks_path(folder), []
    decoder = msgspec.json.Decoder(Mark)
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None
    for number, line in enumerate(lines, 1):
        try:
            mark = decoder.decode(line)
            if _when(mark).tzinfo is None:
                raise ValueError(f"the time {mark.at!r} has no zone")
        except (*UNDECODABLE, ValueError) as error:
            raise RecordError(f"{path}, line {number}: {error}") from None
        marks.append(mark)
    return marks


def write_marks(folder: RunFolder, marks: Iterable[Mark]) -> None:
    """Replace a run's marks atomically; raises StorageError where they cannot be written."""
    lines = (msgspec.json.encode(mark) + b"\n" for mark in marks)
    write_atomic(marks_path(folder), b"".join(lines))


def by_doc(marks: Iterable[Mark], task: str) -> Mapping[str, Sequence[Mark]]:
    """The marks of one task by the docs' ids."""
    found: dict[str, list[Mark]] = {}
    for mark in marks:
        if mark.task == task:
            found.setdefault(mark.doc_id, []).append(mark)
    return found


def merged(stored: Iterable[Mark], incoming: Iterable[Mark]) -> Merged:
    """Take marks in: of one reviewer and doc, the newer one stands."""
    kept = {_whose(mark): mark for mark in stored}
    new = changed = unchanged = older = 0
    for mark in incoming:
        before = kept.get(_whose(mark))
        if before is not None and before == mark:
            unchanged += 1
            continue
        if before is not None and _when(before) > _when(mark):
            older += 1
            continue
        new += before is None
        changed += before is not None
        kept[_whose(mark)] = mark
    return Merged(tuple(kept[key] for key in sorted(kept)), new, changed, unchanged, older)


def _whose(mark: Mark) -> tuple[str, str, str]:
    return mark.task, mark.doc_id, mark.reviewer


def _when(mark: Mark) -> datetime:
    return datetime.fromisoformat(mark.at)
