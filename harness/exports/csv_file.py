"""A table as CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.exports.table import Table, Value
from harness.storage import replacing

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text begins with that a spreadsheet takes for a formula (OWASP, "CSV injection")."""

DEFUSED = "'"
"""Put before such a text, and before one that begins with it: taking one away restores every text
(``cell.removeprefix("'")``).
"""


def write_csv(table: Table, path: Path) -> int:
    """Write a table as UTF-8 CSV, row by row, and say how many rows it has.

    Every text is quoted: a reader may take ``;`` or a line break for the end of one that is not.
    ``None`` is an empty cell, a bool ``true`` or ``false``, a number the shortest that reads back
    as the same. Only texts are defused: a number may begin with a minus.

    Raises:
        StorageError: it cannot be written; what was there before stays.
    """
    rows = 0
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow([_cell(column.name) for column in table.columns])
        for row in table.rows:
            writer.writerow([_cell(value) for value in row])
            rows += 1
    return rows


def _cell(value: Value) -> str | float | int | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith((*FORMULA, DEFUSED)):
        return DEFUSED + value
    return value
