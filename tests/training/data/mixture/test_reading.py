"""Files of rows, whole and broken, plain and packed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harness.errors import DataError
from tests.training.data.mixture.rows import write
from training.data.mixture import reading
from training.data.mixture.reading import RawRow, Unreadable, raw_rows


def columns(path: Path) -> list[object]:
    return [row.columns() for row in raw_rows(path)]


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_are_rows_and_blank_lines_are_not(tmp_path: Path, zipped: bool) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": "\xe2\x80\xa8"}\n'
    path = tmp_path / f"rows.jsonl{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert [(row.number, row.columns()) for row in raw_rows(path)] == [
        (1, {"a": 1}),
        (4, {"a": "\u2028"}),
    ]


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
def test_a_list_is_read_element_by_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    rows = [{"a": "x" * 40, "b": ["]", {"c": "é\\"}]}, {"a": 2}, {}]
    path = tmp_path / "rows.json"
    path.write_text(f" \n{json.dumps(rows, indent=1, ensure_ascii=False)}\n", "utf-8")
    assert columns(path) == rows


def test_bytes_read_add_up_to_the_file(tmp_path: Path) -> None:
    told: list[int] = []
    path = write(tmp_path / "rows.jsonl.gz", [{"a": n} for n in range(3_000)], zipped=True)
    assert len(list(raw_rows(path, told.append))) == 3_000
    assert sum(told) == path.stat().st_size


def test_a_row_of_50_mb_is_passed_over_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "' + b"x" * 50_000_000 + b'"}\n{"a": 3}\n')
    first, large, last = raw_rows(path)
    assert (first.columns(), last.columns()) == ({"a": 1}, {"a": 3})
    assert large.number == 2 and len(large.content) < 2_000 and large.ended
    with pytest.raises(Unreadable, match="larger than 16 MiB") as refused:
        large.columns()
    assert refused.value.rule == "too large"


@pytest.mark.parametrize(
    ("row", "rule", "said"),
    [
        (RawRow(1, b'{"a": "\xe9"}'), "encoding", "not UTF-8 (byte 0xe9)"),
        (RawRow(1, b'{"a": 1'), "not JSON", "is not JSON"),
        (RawRow(1, b'{"a": 1', ended=False), "not JSON", "the file was cut off"),
        (RawRow(1, b"[" * 100_000), "not JSON", "is not JSON"),
        (RawRow(1, b"[1]"), "not JSON", "no object"),
    ],
)
def test_a_row_says_what_is_wrong_with_it(row: RawRow, rule: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        row.columns()
    assert refused.value.rule == rule
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", b"a,b", "ends in .jsonl"),
        ("rows.jsonl", '{"a": 1}\n'.encode("utf-16"), "UTF-16"),
        ("rows.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99)[:-9], "cut off or damaged"),
        ("rows.jsonl.gz", b"plain", "cut off or damaged"),
        ("rows.json", b'{"a": 1}', "a list of objects"),
        ("rows.json", b'[{"a": 1}, {"a"', "row 2: not JSON"),
        ("rows.json", b'[{"a": 1}', "cut off"),
        ("rows.json", b'[{"a": 1} {"a": 2}]', "no comma"),
        ("rows.json", b'[{"a": "\xe9"}]', "not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=name) as refused:
        columns(path)
    assert said in str(refused.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        columns(tmp_path / "rows.jsonl")
