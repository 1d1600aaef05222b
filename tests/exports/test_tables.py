"""The tables of estimates and docs, and their files: CSV that is never run, Parquet with types."""

import csv
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import RecordError, StorageError
from harness.exports import parquet_file
from harness.exports.csv_file import write_csv
from harness.exports.docs import docs_table
from harness.exports.estimates import estimates_table
from harness.exports.parquet_file import write_parquet
from harness.exports.table import Column, Table, Value
from tests.exports.stored import ARC, HOSTILE, STRICT, complete, hostile, written
from tests.report.fixtures.runs import result, run


def lines(table: Table) -> list[dict[str, Value]]:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def texts(*cells: Value) -> Table:
    return Table((Column("cell", "text"),), [(cell,) for cell in cells])


def test_one_row_per_run_task_and_metric() -> None:
    found = lines(estimates_table([complete()]))
    assert [(line["task"], line["metric"]) for line in found] == [
        ("arc_easy", "acc"),
        ("mmlu", "acc"),
        ("mmlu", "acc_macro"),
        ("gsm8k", STRICT),
        ("wikitext2", "word_perplexity"),
    ]
    arc = found[0]
    assert (arc["value"], arc["low"], arc["high"], arc["stderr"]) == (0.5, 0.4, 0.6, 0.05)
    assert (arc["n"], arc["docs"], arc["limit"], arc["num_fewshot"]) == (100, 100, 100, 0)
    assert (arc["unit"], arc["higher_is_better"], arc["primary"]) == ("proportion", True, True)
    assert (arc["noise_docs"], arc["noise_changed"], arc["noise_logprob_mean"]) == (32, 2, 0.125)
    # 100 docs at 0.21 s and 96 tokens each: 9,600 tokens in 21 s.
    assert arc["seconds"] == 21.0 and arc["tokens_per_second"] == pytest.approx(9600 / 21)
    assert [line["on_samples"] for line in found] == [False, False, False, True, False]
    assert [line["primary"] for line in found][1:3] == [True, False]


def test_figures_of_two_judges_are_told_apart() -> None:
    by = [{"judge": "a (01)"}, {"reference": "smol (02)", "judge": "b (03)"}, {}]
    made = [run("smol", [result("exchange", ARC, "reward", others=others)]) for others in by]
    assert [line["others"] for line in lines(estimates_table(made))] == [
        "judge: a (01)",
        "judge: b (03); reference: smol (02)",
        None,
    ]


def test_what_is_undefined_is_no_value() -> None:
    macro = lines(estimates_table([complete()]))[2]
    for name in ("value", "low", "high", "stderr", "limit", "noise_docs", "noise_logprob_mean"):
        assert macro[name] is None, name


def test_docs_have_their_own_values(tmp_path: Path) -> None:
    """A page of log-likelihood -2 and one word: exp(2); one of -8 and two words: exp(4)."""
    found = lines(docs_table([written(tmp_path)]))
    assert [line["task"] for line in found] == [
        task for task in ("arc_easy", "mmlu", "gsm8k", "wikitext2") for _ in range(2)
    ]
    assert [line["index"] for line in found] == [0, 1] * 4
    assert [line["metric_acc"] for line in found] == [1.0, None, 1.0, 0.0, *[None] * 4]
    assert [line[f"metric_{STRICT}"] for line in found] == [*[None] * 4, 1.0, 0.0, None, None]
    perplexities = [line["metric_word_perplexity"] for line in found[6:]]
    assert perplexities == pytest.approx([math.exp(2), math.exp(4)])
    assert [line["unscored"] for line in found[:2]] == [None, "no answer"]
    assert [line["group"] for line in found[1:3]] == [None, "anatomy"]
    assert not {"metric_acc_macro", "prompt", "text"} & found[0].keys()


def test_texts_only_where_they_are_asked_for(tmp_path: Path) -> None:
    found = lines(docs_table([written(tmp_path)], texts=True))
    assert found[0]["prompt"] == "-1 + 1 = ?\r=2" and found[0]["text"] is None
    assert found[4]["text"] == " #### 7" and found[4]["target"] == "3 + 4 = 7\n#### 7"


def test_docs_are_read_while_they_are_written(tmp_path: Path) -> None:
    """The damaged second row is met only when it is reached."""
    made = written(tmp_path)
    path = made.folder.rows_path("arc_easy")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0] + b"{torn\n")
    rows: Iterator[Any] = iter(docs_table([made]).rows)
    assert next(rows)[5] == 0
    with pytest.raises(RecordError, match="line 2"):
        next(rows)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "'"])
def test_a_cell_that_begins_like_a_formula_is_defused(start: str, tmp_path: Path) -> None:
    cell = start + "cmd|'/C calc'!A1"
    write_csv(texts(cell, "a" + cell), tmp_path / "x.csv")
    first, second = (line["cell"] for line in read(tmp_path / "x.csv"))
    assert first == "'" + cell and second == "a" + cell
    assert first.removeprefix("'") == cell


def test_a_hostile_model_keeps_its_name_and_runs_nothing(tmp_path: Path) -> None:
    made = hostile(tmp_path)
    for table in (estimates_table([made.run]), docs_table([made], texts=True)):
        write_csv(table, tmp_path / "x.csv")
        (line,) = read(tmp_path / "x.csv")
        assert line["model"].removeprefix("'") == HOSTILE
        assert line["task"] == "../=1+1"
        for cell in line.values():
            assert not cell.startswith(("=", "+", "@", "\t", "\r", "\n"))


def test_a_header_is_defused_too(tmp_path: Path) -> None:
    write_csv(Table((Column("=1+1", "number"),), [(1.0,)]), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == '"\'=1+1"\n1.0\n'


def test_numbers_are_not_touched(tmp_path: Path) -> None:
    columns = (Column("a", "number"), Column("b", "whole"), Column("c", "truth"))
    table = Table(columns, [(-0.1, -7, True), (None, None, None), (1e-300, 2**53 + 1, False)])
    assert write_csv(table, tmp_path / "x.csv") == 3
    assert (tmp_path / "x.csv").read_text() == (
        '"a","b","c"\n-0.1,-7,"true"\n"","",""\n1e-300,9007199254740993,"false"\n'
    )


def test_every_text_is_quoted(tmp_path: Path) -> None:
    write_csv(texts("a;=1+1", "a\n=1+1", "plain"), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == (b'"cell"\r\n"a;=1+1"\r\n"a\n=1+1"\r\n"plain"\r\n')


@pytest.mark.parametrize(
    "text", ["a,b", 'say "a"', "two\nlines", "a\rb", "\x00", "\u202e\U0001f9ea"]
)
def test_texts_come_back_from_csv(text: str, tmp_path: Path) -> None:
    write_csv(texts(text, "after"), tmp_path / "x.csv")
    assert [line["cell"] for line in read(tmp_path / "x.csv")] == [text, "after"]


def test_pandas_reads_the_same_from_both(tmp_path: Path) -> None:
    made = written(tmp_path)
    tables: dict[str, Callable[[], Table]] = {
        "estimates": lambda: estimates_table([made.run]),
        "docs": lambda: docs_table([made]),
    }
    for name, table in tables.items():
        columns = table().columns
        rows = write_csv(table(), tmp_path / f"{name}.csv")
        assert write_parquet(table(), tmp_path / f"{name}.parquet") == rows
        as_csv = pd.read_csv(tmp_path / f"{name}.csv", dtype={"task_version": "str"})
        as_parquet = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert list(as_csv) == list(as_parquet) == [column.name for column in columns]
        for column in columns:
            if column.kind == "number":
                pd.testing.assert_series_equal(
                    as_csv[column.name], as_parquet[column.name], check_dtype=False
                )
        assert as_csv["on_samples"].tolist() == as_parquet["on_samples"].tolist()


def test_parquet_has_types_and_nulls(tmp_path: Path) -> None:
    import pyarrow.parquet

    write_parquet(estimates_table([complete()]), tmp_path / "x.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert str(found.schema.field("limit").type) == "int64"
    assert str(found.schema.field("on_samples").type) == "bool"
    assert found["limit"].to_pylist() == [100, None, None, None, None]
    assert found["value"].to_pylist() == [0.5, 0.55, None, 0.25, 7.5]


def test_parquet_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet

    monkeypatch.setattr(parquet_file, "ROWS", 2)
    cells = ["a", "b", "c", "d", "e"]
    assert write_parquet(texts(*cells), tmp_path / "x.parquet") == 5
    file = pyarrow.parquet.ParquetFile(tmp_path / "x.parquet")
    assert file.num_row_groups == 3 and file.read()["cell"].to_pylist() == cells
    monkeypatch.setattr(parquet_file, "ROWS", 100)
    monkeypatch.setattr(parquet_file, "CHARACTERS", 2)
    write_parquet(texts("a" * 5, "b", "c", "d"), tmp_path / "x.parquet")
    assert pyarrow.parquet.ParquetFile(tmp_path / "x.parquet").num_row_groups == 3


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_no_rows_are_a_file_with_columns(write: Any, tmp_path: Path) -> None:
    assert write(texts(), tmp_path / "x") == 0
    found = pd.read_csv(tmp_path / "x") if write is write_csv else pd.read_parquet(tmp_path / "x")
    assert list(found) == ["cell"] and len(found) == 0


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_write_that_fails_leaves_what_was_there(write: Any, tmp_path: Path) -> None:
    def torn() -> Iterator[tuple[Value, ...]]:
        yield ("a",)
        raise RecordError("damaged")

    (tmp_path / "x").write_text("before")
    with pytest.raises(RecordError, match="damaged"):
        write(Table((Column("cell", "text"),), torn()), tmp_path / "x")
    assert (tmp_path / "x").read_text() == "before"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_where_nothing_can_be_written_is_said(write: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*none/x"):
        write(texts("a"), tmp_path / "none" / "x")
