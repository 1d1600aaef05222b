"""Writes the chosen rows into the files of their splits, and counts what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from harness.data_card import Lengths, Split
from training.data.mixture.choosing import RULES, TAKEN, Choice
from training.data.mixture.declared import Mixture
from training.data.mixture.shards import Kept, Shard
from training.data.mixture.surveying import Survey
from training.data.mixture.tally import EXAMPLES, Tally
from training.data.mixture.words import Hashes

EDGES = (0, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800)
PARTS = {"examples": ("prompt", "answer"), "pairs": ("prompt", "chosen", "rejected")}


class _Meter(Protocol):
    def start(self, title: str, total: int, unit: str) -> None: ...
    def advance(self, count: int) -> None: ...


@dataclass
class Finished:
    """What was written.

    Attributes:
        tallies: per source, what the choice left out.
        taken: per source, examples or pairs; ``taken_rows``: rows that they came of.
    """

    splits: tuple[Split, ...] = ()
    lengths: tuple[Lengths, ...] = ()
    tallies: list[Tally] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    taken_rows: list[int] = field(default_factory=list)


def finish(
    mixture: Mixture,
    surveys: Sequence[Survey],
    shards: Sequence[Sequence[Shard]],
    kept: Sequence[Kept],
    choice: Choice,
    out: Path,
    meter: _Meter,
) -> Finished:
    """Write ``<split>.jsonl`` for every split, in the order of the sources and their files.

    Raises:
        OSError: a file cannot be written.
    """
    meter.start("writing", len(choice.fates), "rows")
    measured = _Measured(mixture)
    found = Finished()
    with ExitStack() as stack:
        files = [
            _File(stack.enter_context((out / f"{name}.jsonl").open("wb")))
            for name in mixture.splits
        ]
        start = 0
        for survey, parts, arrays in zip(surveys, shards, kept, strict=True):
            left_out, rows, count = Tally(), set(), 0
            for line in _lines(parts, arrays, choice, start):
                meter.advance(1)
                if line.fate == TAKEN:
                    files[line.split].write(line.content)
                    measured.add(json.loads(line.content))
                    rows.add(line.number)
                    count += 1
                else:
                    where = f"{survey.taken.source.name}, {survey.where(line.number)}"
                    _leave_out(left_out, line, where, _repeated(surveys, kept, line.repeats))
            found.tallies.append(left_out)
            found.taken.append(count)
            found.taken_rows.append(len(rows))
            start += len(arrays.keys)
    questions = np.concatenate([part.questions for part in kept])
    found.lengths = measured.lengths()
    found.splits = tuple(
        Split(
            name=name,
            percent=percent,
            rows=file.rows,
            questions=_count(questions, choice, number),
            file=f"{name}.jsonl",
            sha256=file.digest.hexdigest(),
        )
        for number, ((name, percent), file) in enumerate(
            zip(mixture.splits.items(), files, strict=True)
        )
    )
    return found


class _File:
    """A split's file, digested as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.rows = file, hashlib.sha256(), 0

    def write(self, line: bytes) -> None:
        self._file.write(line)
        self.digest.update(line)
        self.rows += 1


class _Measured:
    """Lengths of the parts of rows."""

    def __init__(self, mixture: Mixture) -> None:
        self._parts = PARTS[mixture.kind]
        self._lengths: dict[str, list[int]] = {part: [0] * len(EDGES) for part in self._parts}
        self._totals = dict.fromkeys(self._parts, 0)

    def add(self, row: dict[str, Any]) -> None:
        for part in self._parts:
            length = _prompt_length(row) if part == "prompt" else len(row[_COLUMNS[part]])
            self._totals[part] += length
            self._lengths[part][int(np.searchsorted(EDGES, length, side="right")) - 1] += 1

    def lengths(self) -> tuple[Lengths, ...]:
        return tuple(
            Lengths(part, EDGES, tuple(self._lengths[part]), self._totals[part])
            for part in self._parts
        )


_COLUMNS = {"answer": "output", "chosen": "chosen", "rejected": "rejected"}


def _prompt_length(row: dict[str, Any]) -> int:
    said = [row.get("system", ""), *(text for turn in row.get("history", []) for text in turn)]
    return len(row["instruction"]) + sum(map(len, said))


def _count(questions: Hashes, choice: Choice, split: int) -> int:
    """Different questions of a split."""
    return len(np.unique(questions[(choice.fates == TAKEN) & (choice.splits == split)]))


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of a shard, and what becomes of it: see `Choice`."""

    content: bytes
    number: int
    fate: int
    split: int
    repeats: int


def _lines(shards: Sequence[Shard], arrays: Kept, choice: Choice, start: int) -> Iterator[_Line]:
    """A source's rows; ``start`` is the place of its first one among those of all sources."""
    place = 0
    for shard in shards:
        with shard.rows.open("rb") as file:
            for content in file:
                here = start + place
                yield _Line(
                    content,
                    int(arrays.numbers[place]),
                    int(choice.fates[here]),
                    int(choice.splits[here]),
                    int(choice.repeats[here]),
                )
                place += 1


def _leave_out(tally: Tally, line: _Line, where: str, repeated: str) -> None:
    rule = RULES[line.fate]
    if len(tally.examples.get(rule, ())) >= EXAMPLES:
        tally.counts[rule] += 1  # the text is not read for a count
        return
    row = json.loads(line.content)
    answer = row.get("output") or row.get("chosen", "")
    why = f"repeats {repeated}" if repeated else "not needed"
    tally.drop(rule, where, why, f"{row['instruction']}\n{answer}")


def _repeated(surveys: Sequence[Survey], kept: Sequence[Kept], place: int) -> str:
    """Source and row of a place among all rows; empty for none (-1)."""
    for survey, part in zip(surveys, kept, strict=True):
        if 0 <= place < len(part.keys):
            return f"{survey.taken.source.name}, {survey.where(int(part.numbers[place]))}"
        place -= len(part.keys)
    return ""
