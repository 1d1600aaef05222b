"""Reads Parquet files row by row, a few rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS = 256
_BATCH_BYTES = 32 * 2**20

NOT_UTF8, NOT_HELD = b"\xff", b"\xfe no value"
"""Stand for a row whose texts are not UTF-8, which they are not either; and for one with a value
that Python does not hold: a date beyond the year 9999, a time zone that nobody knows.
"""


def parquet_rows(path: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """Each row as JSON, its columns in the order of their names, so that equal rows are equal
    whatever file they are in.

    Args:
        path: a Parquet file.
        advance: told of bytes of the file that were read, about.

    Raises:
        DataError: it is no Parquet file, cut off or damaged.
        OSError: it cannot be opened.
    """
    import pyarrow
    import pyarrow.parquet

    total, told, done = path.stat().st_size, 0, 0
    with path.open("rb") as opened:
        try:
            file = pyarrow.parquet.ParquetFile(opened)
            rows = file.metadata.num_rows
            for batch in file.iter_batches(_batch_rows(file), use_threads=False):
                yield from _encoded(batch)
                done += batch.num_rows
                now = total * done // max(rows, 1)
                advance(now - told)
                told = now
        except (pyarrow.ArrowException, OSError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"{path} is cut off or damaged ({first}); fetch it again") from None
    advance(total - told)


def _batch_rows(file: Any) -> int:
    """So many rows that they take a few megabytes, as far as the file tells."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    widest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(BATCH_ROWS, _BATCH_BYTES // max(widest, 1)))


def _encoded(batch: pyarrow.RecordBatch) -> Iterator[bytes]:
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError, LookupError) as error:
        if batch.num_rows == 1:
            yield NOT_UTF8 if isinstance(error, UnicodeDecodeError) else NOT_HELD
            return
        for place in range(batch.num_rows):
            yield from _encoded(batch.slice(place, 1))
        return
    for row in rows:
        # Dates, decimals and bytes are no texts to learn from, but a row may have such columns.
        yield json.dumps(row, ensure_ascii=False, sort_keys=True, default=str).encode()
