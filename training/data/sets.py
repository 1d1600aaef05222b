"""Data by name (stand-in: JSON Lines in the alpaca and preference formats)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from training.data.rows import Example, Marked, Message, Pair

Row = TypeVar("Row")


@dataclass(frozen=True)
class Loaded(Generic[Row]):
    """Rows, and what they were read from."""

    rows: tuple[Row, ...]
    sha256: str
    name: str


def examples(name: str, data: Path | None) -> Loaded[Example]:
    """Rows for SFT."""
    rows, digest = _read(name)
    return Loaded(tuple(Example(_prompt(r), r["output"], "file") for r in rows), digest, name)


def pairs(name: str, data: Path | None) -> Loaded[Pair]:
    """Preference pairs."""
    rows, digest = _read(name)
    made = tuple(Pair(_prompt(r), r["chosen"], r["rejected"], "file") for r in rows)
    return Loaded(made, digest, name)


def marked(name: str, data: Path | None) -> Loaded[Marked]:
    """Marked answers: pairs taken apart."""
    loaded = pairs(name, data)
    rows = [
        Marked(pair.prompt, answer, good, pair.group)
        for pair in loaded.rows
        for answer, good in ((pair.chosen, True), (pair.rejected, False))
    ]
    return Loaded(tuple(rows), loaded.sha256, name)


def _prompt(row: dict[str, Any]) -> tuple[Message, ...]:
    return (Message("user", "\n".join(filter(None, (row["instruction"], row.get("input"))))),)


def _read(name: str) -> tuple[list[dict[str, Any]], str]:
    content = Path(name).read_bytes()
    return [json.loads(line) for line in content.splitlines()], hashlib.sha256(content).hexdigest()
