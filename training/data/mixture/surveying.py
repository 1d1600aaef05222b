"""Looks a source through once: its digest, its rows, and which of them are drawn."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import xxhash

from harness.errors import DataError
from training.data.mixture.declared import Taken
from training.data.mixture.reading import SUFFIXES, RawRow, Unreadable, raw_rows
from training.data.mixture.words import key

RESERVE = 0.25
"""Of the rows that are wanted, so many more are drawn, to stand in for those that are dropped."""
_RESERVE_LEAST = 20


@dataclass(frozen=True)
class Survey:
    """A source as it was found.

    Attributes:
        rows: that it holds.
        drawn: of these.
        limit: the largest key that was drawn.
        seed: of its keys.
        first: only so many rows were looked at; ``None`` for all.
        torn: what is wrong with the last row of a file that was cut off; empty for a whole one.
    """

    taken: Taken
    file: Path
    sha256: str
    rows: int
    drawn: int
    limit: int
    seed: int
    first: int | None
    torn: str = ""

    def drawn_rows(self) -> Iterator[tuple[RawRow, int]]:
        """The drawn rows in the order of the file, with their keys."""
        for row in islice(raw_rows(self.file), self.first):
            if (found := _draw_key(row, self.seed)) <= self.limit:
                yield row, found


def locate(taken: Taken, data: Path | None) -> Path:
    """The file of a source.

    Raises:
        DataError: there is none; names those that would serve.
    """
    source = taken.source
    if source.path:
        path = Path(source.path).expanduser()
        if not path.is_file():
            raise DataError(f"{source.name}: {path}: no such file")
        return path
    if data is None:
        raise DataError(
            f"{source.name}: no data folder was given; DATA=DIR (--data) names a folder that holds "
            f"{source.place}.jsonl"
        )
    for suffix in SUFFIXES:
        path = data / f"{source.place}{suffix}"
        if path.is_file():
            return path
    raise DataError(
        f"{source.name}: {data / source.place}.jsonl (or {', '.join(SUFFIXES[1:])}) is not there"
    )


def survey(
    taken: Taken,
    file: Path,
    seed: int,
    first: int | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Read a source's file once.

    A row's key is a hash of its bytes, the seed and the source's name, and the rows of the smallest
    keys are drawn: the same ones in whatever order the file has them.

    Args:
        taken: the source, and how many of its rows are wanted.
        file: where it is.
        seed: the mixture's.
        first: only so many rows are looked at; ``None`` for all.
        advance: told of bytes that were read.

    Raises:
        DataError: the file cannot be read, or holds no rows.
    """
    own_seed = key(taken.source.name, seed)
    keys = array("Q")
    row = None
    for row in islice(raw_rows(file, advance), first):
        keys.append(_draw_key(row, own_seed))
    if row is None:
        raise DataError(f"{taken.source.name}: {file} holds no rows")
    drawn, limit = len(keys), 2**64 - 1
    if taken.at_most is not None:
        wanted = taken.at_most + max(int(taken.at_most * RESERVE), _RESERVE_LEAST)
        if wanted < len(keys):
            found = np.frombuffer(keys, np.uint64)
            limit = int(np.partition(found, wanted - 1)[wanted - 1])
            drawn = int(np.count_nonzero(found <= np.uint64(limit)))
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Survey(taken, file, digest, len(keys), drawn, limit, own_seed, first, _torn(row))


def _torn(last: RawRow) -> str:
    if last.ended:
        return ""
    try:
        last.columns()
    except Unreadable as error:
        return f"row {last.number} {error}"
    return ""


def _draw_key(row: RawRow, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(row.content, seed)
