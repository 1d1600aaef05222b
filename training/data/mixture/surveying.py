"""Looks a source through once: its digests, its rows, and which of them are drawn."""

from __future__ import annotations

import hashlib
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from harness.errors import DataError
from training.data.mixture.declared import Taken
from training.data.mixture.locating import Located
from training.data.mixture.reading import RawRow, Unreadable, raw_rows
from training.data.mixture.words import key

RESERVE = 0.25
"""Of the rows that are wanted, so many more are drawn, to stand in for those that are dropped."""
_RESERVE_LEAST = 20
GROWTH = 4
"""Where that is too few, so many times as many are drawn, and so on until there are no more."""
_LAST_KEY = 2**64 - 1


@dataclass(frozen=True)
class Drawn:
    """A row that was drawn.

    Attributes:
        number: in the source: rows of a second file are numbered on.
        file: where it stands.
    """

    number: int
    raw: RawRow
    file: Path
    key: int


@dataclass(frozen=True)
class Survey:
    """A source as it was found.

    Attributes:
        starts: for each file the number before its first row's.
        digests: file name to sha256.
        rows: that it holds.
        limits: the largest key of each round of the draw; no key is larger than the last one.
        reached: rows that are drawn by the end of each round.
        seed: of its keys.
        first: only so many rows were looked at; ``None`` for all.
        states: size and time of change of each file.
        torn: what is wrong with the last row of a file that was cut off; empty where none was.
        rounds: of the draw, so far.
    """

    taken: Taken
    located: Located
    starts: tuple[int, ...]
    digests: Mapping[str, str]
    rows: int
    limits: tuple[int, ...]
    reached: tuple[int, ...]
    seed: int
    first: int | None
    states: tuple[tuple[int, int], ...]
    torn: str = ""
    rounds: int = 1

    @property
    def drawn(self) -> int:
        """Rows that were drawn, in all rounds."""
        return self.reached[self.rounds - 1]

    @property
    def drawn_last(self) -> int:
        """Rows that the last round has drawn."""
        return self.drawn - (self.reached[self.rounds - 2] if self.rounds > 1 else 0)

    def further(self) -> Survey | None:
        """The same with another round drawn; ``None`` where all rows are."""
        more = self.rounds < len(self.limits)
        return replace(self, rounds=self.rounds + 1) if more else None

    def drawn_rows(self) -> Iterator[Drawn]:
        """The rows of the last round, in the order of the files."""
        limit = self.limits[self.rounds - 1]
        above = self.limits[self.rounds - 2] if self.rounds > 1 else -1
        for place, row in islice(_rows(self.located), self.first):
            if above < (found := _draw_key(row, self.seed)) <= limit:
                number = self.starts[place] + row.number
                yield Drawn(number, row, self.located.files[place], found)

    def check_unchanged(self) -> None:
        """Hold the files against what they were.

        Raises:
            DataError: one is another now, so that rows may be of both.
        """
        for path, state in zip(self.located.files, self.states, strict=True):
            if _state(path) != state:
                raise DataError(
                    f"{self.taken.source.name}: {path} changed while it was read; run the same "
                    "command again"
                )

    def where(self, number: int) -> str:
        """A row's place in words; with its file where there are several."""
        place = bisect_left(self.starts, number) - 1
        row = f"row {number - self.starts[place]}"
        return f"{self.located.files[place].name}, {row}" if len(self.starts) > 1 else row


def survey(
    taken: Taken,
    located: Located,
    seed: int,
    first: int | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Read a source's files once.

    A row's key is a hash of its bytes, the seed and the source's name, and the rows of the smallest
    keys are drawn: the same ones in whatever order the files have them, with some in reserve. Where
    they do not suffice, those of the next keys are (`Survey.further`).

    Args:
        taken: the source, and how many of its rows are wanted.
        located: where it is.
        seed: the mixture's.
        first: only so many rows are looked at; ``None`` for all.
        advance: told of bytes that were read.

    Raises:
        DataError: a file cannot be read, or there are no rows.
    """
    own_seed = key(taken.source.name, seed)
    states = tuple(map(_state, located.files))
    keys = array("Q")
    last: list[RawRow | None] = [None for _ in located.files]
    for place, row in islice(_rows(located, advance), first):
        keys.append(_draw_key(row, own_seed))
        last[place] = row
    if not keys:
        raise DataError(f"{taken.source.name}: {located.files[0]} holds no rows")
    limits, reached = _draw_rounds(np.frombuffer(keys, np.uint64), taken.at_most)
    return Survey(
        taken=taken,
        located=located,
        starts=_starts(last),
        digests=_digests(located),
        rows=len(keys),
        limits=limits,
        reached=reached,
        seed=own_seed,
        first=first,
        states=states,
        torn=_torn(located, last),
    )


def _draw_rounds(
    keys: npt.NDArray[np.uint64], at_most: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The largest key of each round, and the rows that are drawn by then."""
    limits: list[int] = []
    reached: list[int] = []
    if at_most is not None:
        wanted = at_most + max(int(at_most * RESERVE), _RESERVE_LEAST)
        while wanted < len(keys):
            limits.append(int(np.partition(keys, wanted - 1)[wanted - 1]))
            reached.append(int(np.count_nonzero(keys <= np.uint64(limits[-1]))))
            wanted *= GROWTH
    return (*limits, _LAST_KEY), (*reached, len(keys))


def _rows(
    located: Located, advance: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[int, RawRow]]:
    """Each row of the files, with the place of its file among them."""
    for place, path in enumerate(located.files):
        for row in raw_rows(path, advance):
            yield place, row


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return found.st_size, found.st_mtime_ns


def _starts(last: list[RawRow | None]) -> tuple[int, ...]:
    starts, end = [], 0
    for row in last:
        starts.append(end)
        end += row.number if row is not None else 0
    return tuple(starts)


def _digests(located: Located) -> dict[str, str]:
    top = os.path.commonpath([path.parent for path in located.files])
    found = {}
    for path in located.files:
        with path.open("rb") as opened:
            found[str(path.relative_to(top))] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def _torn(located: Located, last: list[RawRow | None]) -> str:
    for path, row in zip(located.files, last, strict=True):
        if row is None or row.ended:
            continue
        try:
            row.columns()
        except Unreadable as error:
            of = f"{path.name}, " if len(last) > 1 else ""
            return f"{of}row {row.number} {error}"
    return ""


def _draw_key(row: RawRow, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(row.content, seed)
