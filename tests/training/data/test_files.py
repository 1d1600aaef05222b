"""Files of rows, and every way in which one can be broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import DataError
from training.data.files import read_file


def test_a_line_separator_of_unicode_does_not_end_a_line(tmp_path: Path) -> None:
    """U+2028, U+0085 and form feed may stand in JSON texts; str.splitlines() would cut there."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "one\u2028two\u0085three"}\n{"a": "four"}\n', "utf-8")
    rows = read_file(path)
    assert [row.columns["a"] for row in rows] == ["one\u2028two\u0085three", "four"]
    assert rows[1].where == f"{path}, line 2"


def test_blank_lines_and_carriage_returns_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n')
    assert [row.where.rpartition(" ")[2] for row in read_file(path)] == ["1", "3"]


def test_a_list_has_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"a": 1}, {"a": 2}], indent=2))
    assert [row.where for row in read_file(path)] == [f"{path}, row 1", f"{path}, row 2"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.jsonl", b'{"a": 1}\n{"a": ', "r.jsonl, line 2, column 7: not JSON"),
        ("r.json", b'[{"a": 1},\n {"a" 2}]', "r.json, line 2, column 7: not JSON"),
        ("r.json", b'{"a": 1}', "it is an object .*a .json file is a list of objects"),
        ("r.jsonl", b'{"a": 1}\n[1, 2]\n', r"r.jsonl, line 2: a row is a list \(\[1, 2\]\)"),
        ("r.json", b'[{"a": 1}, "text"]', "r.json, row 2: a row is a text"),
        ("r.json", b"[{}, null]", "r.json, row 2: a row is null; it is an object"),
        ("r.json", b"[{}, true]", r"row 2: a row is true or false \(true\)"),
        ("r.jsonl", b'{"a": 1}\n{"a": "caf\xe9"}\n', "r.jsonl, line 2: not UTF-8 .*0xe9"),
        ("r.jsonl", b"", "r.jsonl holds no rows"),
        ("r.json", b" \n", "r.json holds no rows"),
        ("r.json", b"[]", "r.json holds no rows"),
        ("r.json", b"[" * 200_000, "not JSON that can be read"),
        ("r.csv", b"a,b\n", "ends in .json or .jsonl"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_file(tmp_path / name)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        read_file(tmp_path / "none.jsonl")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_file(tmp_path / "folder.json")
