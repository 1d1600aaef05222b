"""A table as Parquet, in row groups of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.exports.table import Kind, Table, Value
from harness.storage import replacing

if TYPE_CHECKING:
    import pyarrow

ROWS = 10_000
CHARACTERS = 16_000_000
"""How much is held at a time: so many rows, or texts of about so many characters."""


def write_parquet(table: Table, path: Path) -> int:
    """Write a table as Parquet and say how many rows it has; ``None`` is null.

    Raises:
        StorageError: it cannot be written; what was there before stays.
    """
    import pyarrow
    import pyarrow.parquet

    kinds = _kinds()
    schema = pyarrow.schema([(column.name, kinds[column.kind]) for column in table.columns])
    rows = 0
    with replacing(path) as part, pyarrow.parquet.ParquetWriter(part, schema) as writer:
        for batch in _batches(table.rows):
            columns = [list(values) for values in zip(*batch, strict=True)]
            writer.write_table(pyarrow.table(dict(zip(schema.names, columns, strict=True)), schema))
            rows += len(batch)
    return rows


def _kinds() -> dict[Kind, pyarrow.DataType]:
    import pyarrow

    return {
        "text": pyarrow.string(),
        "number": pyarrow.float64(),
        "whole": pyarrow.int64(),
        "truth": pyarrow.bool_(),
    }


def _batches(rows: Iterable[tuple[Value, ...]]) -> Iterator[list[tuple[Value, ...]]]:
    batch: list[tuple[Value, ...]] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(len(value) for value in row if isinstance(value, str))
        if len(batch) >= ROWS or characters >= CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
