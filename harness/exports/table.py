"""A table as data: named columns of one kind each, and rows that are made while they are read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "whole", "truth"]
"""What a column holds: str, float, int or bool. Any of its values may be ``None``."""

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Column:
    """A column's name, distinct within its table, and the kind of its values."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """Rows of values in the order of the columns; they can be read once."""

    columns: tuple[Column, ...]
    rows: Iterable[tuple[Value, ...]]


def known(value: float | None) -> float | None:
    """The value, or ``None`` where it is no finite number: no table holds NaN."""
    return value if value is not None and math.isfinite(value) else None
