"""JSON Lines of a stranger, packed or not: read line by line within bounds, refused beyond them."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from harness.errors import DataError
from harness.plain_text import half_pair

LONGEST_LINE = 64_000_000
"""Bytes of one line."""
LARGEST_FILE = 4_000_000_000
"""Bytes of a file, unpacked."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``.jsonl`` or ``.jsonl.gz`` file; all have the columns of the first.

    Raises:
        DataError: it cannot be read, is damaged, is beyond the bounds, or a line is no row; names
            the line.
    """
    rows: list[dict[str, Any]] = []
    read = number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                number, read = number + 1, read + len(line)
                if len(line) > LONGEST_LINE:
                    raise _beyond(path, f"line {number} has more than {LONGEST_LINE:,} bytes")
                if read > LARGEST_FILE:
                    unpacked = " unpacked" if path.suffix == ".gz" else ""
                    raise _beyond(path, f"it has more than {LARGEST_FILE:,} bytes{unpacked}")
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    rows.append(_row(text, rows, f"{path}, line {number}"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; fetch it again") from None
    if not rows:
        raise DataError(f"{path} holds no rows; fetch it again")
    return rows


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _beyond(path: Path, problem: str) -> DataError:
    return DataError(f"{path}: {problem}, which no benchmark has: it is not read")


def _row(line: str, before: list[dict[str, Any]], where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        # Only JSON's own spelling gets half a pair past the decoding of the line.
        spelt = json.dumps(row, ensure_ascii=False) if "\\ud" in line.lower() else ""
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}); fetch it again") from None
    except (ValueError, RecursionError) as error:  # digits or brackets without end
        raise DataError(f"{where}: not JSON that can be read ({error})") from None
    if half := half_pair(spelt):
        raise DataError(f"{where}: it holds {half!r}, half a pair of UTF-16 and no character")
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row must be an object, got {line[:40]!r}")
    if before and row.keys() != before[0].keys():
        missing = sorted(before[0].keys() - row.keys()) or sorted(row.keys() - before[0].keys())
        problem = "lacks the column" if before[0].keys() - row.keys() else "has an extra column"
        raise DataError(
            f"{where}: the row {problem} {', '.join(missing)} (line 1 has {', '.join(before[0])})"
        )
    return row
