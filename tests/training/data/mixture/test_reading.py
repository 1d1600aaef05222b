"""Files of rows, whole and broken, plain and packed."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path

import pytest

from harness.errors import DataError
from tests.training.data.mixture.rows import parquet, words, write
from training.data.mixture import reading
from training.data.mixture.reading import RawRow, Unreadable, raw_rows


def columns(path: Path) -> list[object]:
    return [row.columns() for row in raw_rows(path)]


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_are_rows_and_blank_lines_are_not(tmp_path: Path, zipped: bool) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": "\xe2\x80\xa8"}\n'
    path = tmp_path / f"rows.jsonl{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
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
        ("rows.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-9], "cut off or damaged"),
        ("rows.jsonl.gz", b"plain", "cut off or damaged"),
        ("rows.jsonl", b"PK\x03\x04...", "a zip archive: unpack it"),
        (
            "rows.jsonl",
            gzip.compress(b"{}", mtime=0),
            "packed with gzip: its name has to end in .gz",
        ),
        ("rows.json", b"PAR1....", "Parquet: its name has to end in .parquet"),
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


def test_parquet_rows_are_those_that_lines_would_be(tmp_path: Path) -> None:
    rows = [
        {"a": "é\u2028", "n": n, "f": 0.5, "none": None, "b": {"text": ["x"], "label": ["A", "B"]}}
        for n in range(10)
    ]
    path = parquet(tmp_path / "rows.parquet", rows, groups=3)
    told: list[int] = []
    found = list(raw_rows(path, told.append))
    assert [row.columns() for row in found] == rows
    assert [row.number for row in found] == list(range(1, 11)) and found[-1].ended
    assert sum(told) == path.stat().st_size


def test_parquet_columns_that_are_no_json_are_words(tmp_path: Path) -> None:
    path = parquet(tmp_path / "rows.parquet", [{"day": date(2020, 1, 2), "raw": b"x"}])
    assert columns(path) == [{"day": "2020-01-02", "raw": "b'x'"}]


def test_equal_rows_of_parquet_files_have_equal_keys(tmp_path: Path) -> None:
    """However the columns are ordered and the rows packed."""
    one = parquet(tmp_path / "one.parquet", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    two = parquet(tmp_path / "two.parquet", [{"b": "x", "a": 1}, {"b": "y", "a": 2}], groups=1)
    assert [row.content for row in raw_rows(one)] == [row.content for row in raw_rows(two)]


def test_a_parquet_row_that_is_too_large_or_no_utf8(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    texts = [b"fine", b"\xff", b"x" * 17_000_000, b"fine too"]
    path = tmp_path / "rows.parquet"
    column = pyarrow.array(texts, pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"a": column}), path)
    rows = list(raw_rows(path))
    assert [rows[place].columns()["a"] for place in (0, 3)] == ["fine", "fine too"]
    for place, rule in ((1, "encoding"), (2, "too large")):
        with pytest.raises(Unreadable) as refused:
            rows[place].columns()
        assert refused.value.rule == rule
    assert len(rows[2].content) == 1000


def test_a_parquet_value_that_python_does_not_hold(tmp_path: Path) -> None:
    """A time beyond the year 9999, whose row alone cannot be read; a zone that nobody knows, and
    two fields of one name: no row can.
    """
    import pyarrow
    import pyarrow.parquet

    times = pyarrow.array([0, 10**15], pyarrow.int64())
    struct = pyarrow.StructArray.from_arrays([times, times], names=["x", "x"])
    columns = {
        "late": times.cast(pyarrow.timestamp("s")),
        "nowhere": times.cast(pyarrow.timestamp("s", "No/Where")),
        "twice": struct,
    }
    for name, column in columns.items():
        path = tmp_path / f"{name}.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"a": ["fine", "y"], "b": column}), path)
        rows = list(raw_rows(path))
        if name == "late":
            assert rows.pop(0).columns()["a"] == "fine"
        for row in rows:
            with pytest.raises(Unreadable, match="holds a value that cannot be read") as refused:
                row.columns()
            assert refused.value.rule == "not JSON"


@pytest.mark.parametrize("harm", ["cut", "garbled", "none", "empty"])
def test_a_broken_parquet_file_is_named(tmp_path: Path, harm: str) -> None:
    path = parquet(tmp_path / "rows.parquet", [{"a": words(50, n)} for n in range(500)])
    whole = path.read_bytes()
    third = len(whole) // 3
    path.write_bytes(
        {
            "cut": whole[:third],
            "garbled": whole[:third] + bytes(range(256)) * 8 + whole[third + 2048 :],
            "none": b"PAR1",
            "empty": b"",
        }[harm]
    )
    with pytest.raises(DataError, match=r"rows\.parquet is cut off or damaged \(.*fetch it again"):
        columns(path)


@pytest.mark.parametrize("row", [b"\n", b"0\n", b"0"])
def test_a_packed_file_that_bursts_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: bytes
) -> None:
    """Whether it holds blank lines, short rows or one long one."""
    monkeypatch.setattr(reading, "_UNPACKED_BYTES", 2**17)
    monkeypatch.setattr(reading, "_CHUNK", 2**17)
    monkeypatch.setattr(reading, "MAX_ROW_BYTES", 2**17)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(row * (2**21 // len(row))))
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz unpacks to more than 200 times its size"):
        sum(1 for _ in raw_rows(path))


def test_rows_that_pack_well_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_UNPACKED_BYTES", 0)
    path = write(tmp_path / "rows.jsonl.gz", [{"a": words(30, n)} for n in range(500)], zipped=True)
    assert len(columns(path)) == 500


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "rows.parquet"):
        with pytest.raises(DataError, match=f"{name} cannot be read: No such file"):
            columns(tmp_path / name)
