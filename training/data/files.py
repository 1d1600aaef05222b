"""Reads .json and .jsonl files into rows that know where they stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harness.errors import DataError

SUFFIXES = (".json", ".jsonl")


@dataclass(frozen=True)
class FileRow:
    """One object of a file.

    Attributes:
        where: file and line, or file and row number of a list.
        columns: its content.
    """

    where: str
    columns: dict[str, Any]

    def has(self, *names: str) -> bool:
        """Whether it has all of these columns."""
        return all(name in self.columns for name in names)

    def value(self, name: str) -> Any:
        """A column, whatever it holds; raises DataError where it is missing."""
        if name not in self.columns:
            near = get_close_matches(name, self.columns, n=1)
            meant = f"; is {near[0]!r} meant for it?" if near else ""
            raise self.error(name, f"is missing (the row has {', '.join(self.columns)}){meant}")
        return self.columns[name]

    def text(self, name: str, *, may_be_empty: bool = False) -> str:
        """A column's text.

        Raises:
            DataError: it is missing, of another type, empty, or not all of it is characters.
        """
        value = self.value(name)
        if not isinstance(value, str):
            raise self.error(name, f"is {_kind(value)}; it is a text")
        if not may_be_empty and not value.strip():
            raise self.error(name, "is empty; it is a text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = ascii(value[error.start])
            raise self.error(
                name, f"holds {half}, half a pair of UTF-16 and no character"
            ) from None
        return value

    def error(self, column: str, problem: str) -> DataError:
        """What is wrong with a column, and where."""
        return DataError(f"{self.where}: the column {column!r} {problem}")


def read_file(path: Path) -> list[FileRow]:
    """Read every row of a .json list or a .jsonl file; blank lines are passed over.

    Raises:
        DataError: it is missing, empty, not UTF-8, broken, or no list of objects.
    """
    text = _text(path)
    rows = _lines(text, path) if path.suffix == ".jsonl" else _list(text, path)
    if not rows:
        raise DataError(f"{path} holds no rows")
    return rows


def _text(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: training data is a file that ends in {' or '.join(SUFFIXES)}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 ({error.reason}, byte "
            f"0x{content[error.start]:02x}); save it as UTF-8"
        ) from None


def _lines(text: str, path: Path) -> list[FileRow]:
    """One object per line. A line ends in a line feed: U+2028 is an ordinary character of JSON."""
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            rows.append(_row(_parse(line, where), where))
    return rows


def _list(text: str, path: Path) -> list[FileRow]:
    if not text.strip():
        return []
    content = _parse(text, str(path))
    if not isinstance(content, list):
        raise DataError(
            f"{path}: it is {_kind(content)}; a .json file is a list of objects, a .jsonl file "
            "has one object per line"
        )
    return [_row(row, f"{path}, row {number}") for number, row in enumerate(content, 1)]


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f", line {error.lineno}" if error.lineno > 1 else ""
        raise DataError(f"{where}{place}, column {error.colno}: not JSON ({error.msg})") from None
    except (RecursionError, ValueError) as error:  # brackets without end, numbers without end
        raise DataError(f"{where}: not JSON that can be read ({error})") from None


def _row(content: Any, where: str) -> FileRow:
    if not isinstance(content, dict):
        raise DataError(f"{where}: a row is {_kind(content)}; it is an object")
    return FileRow(where, content)


def _kind(value: Any) -> str:
    """A JSON value's type in words, with its beginning."""
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    name = names.get(type(value), "true or false" if isinstance(value, bool) else "a number")
    shown = json.dumps(value, ensure_ascii=False)
    return name if value is None else f"{name} ({shown[:40]}{'...' if len(shown) > 40 else ''})"
