"""Rows for tests: texts of words that no other row and no task has."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data_card import DataCard
from training.data.mixture.declared import Mixture, Source, Taken
from training.data.mixture.making import Place, make


class Silent:
    """A meter that shows nothing and keeps what it was told."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, int, str]] = []
        self.done = 0

    def start(self, title: str, total: int, unit: str) -> None:
        self.parts.append((title, total, unit))
        self.done = 0

    def advance(self, count: int) -> None:
        self.done += count


def words(count: int, seed: object) -> str:
    """Words that are made up, others for each seed."""
    rng = random.Random(str(seed))
    return " ".join("".join(rng.choices("bdfgklmnprstvz", k=7)) for _ in range(count))


def alpaca(count: int, name: str = "a") -> list[dict[str, Any]]:
    return [
        {"instruction": words(12, (name, place)), "input": "", "output": words(20, (place, name))}
        for place in range(count)
    ]


def write(path: Path, rows: Iterable[Mapping[str, Any]], *, zipped: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def parquet(path: Path, rows: Sequence[Mapping[str, Any]], groups: int = 1000) -> Path:
    """The same as a Parquet file, so many rows a group."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist([dict(row) for row in rows])
    pyarrow.parquet.write_table(table, path, row_group_size=groups)
    return path


def source(path: Path, name: str = "a", format: str = "alpaca", **more: Any) -> Source:
    return Source(name=name, format=format, licence="own", path=str(path), **more)  # type: ignore[arg-type]


def mixture(*sources: Source | Taken, **more: Any) -> Mixture:
    """A mixture that is not held against any test docs, unless ``ngram`` says so."""
    taken = tuple(each if isinstance(each, Taken) else Taken(each, None) for each in sources)
    more = {"kind": "examples", "ngram": None, **more}
    return Mixture("mix", "for a test", sources=taken, **more)


def made(
    declared: Mixture, out: Path, *, data: Path | None = None, limit: int | None = None
) -> DataCard:
    return make(declared, Place(data, out, limit, lambda _: None), Silent())


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def sources_of(card: DataCard) -> Sequence[tuple[str, int, int]]:
    return [(each.name, each.rows, each.taken) for each in card.sources]
