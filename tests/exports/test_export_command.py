"""`harness export`: which runs, into which files, and what it refuses."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.cli import main
from tests.exports.stored import ARC, HOSTILE, hostile, written
from tests.report.fixtures.runs import choice_row, result, run, stored

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Smol with an older run, a hostile model, and an interrupted run, which is the last."""
    runs = tmp_path / "reports" / "runs"
    older = run("smol", [result("arc_easy", ARC, docs=1)], created="2026-01-01T12:00:00+00:00")
    stored(runs / older.id, older, {"arc_easy": [choice_row(0, True)]})
    hostile(runs)
    written(runs)
    stopped = run("qwen", [], status="interrupted", created="2026-06-01T12:00:00+00:00")
    stored(runs / stopped.id, stopped, {})
    return tmp_path / "reports"


NEWEST = run("smol", []).id
OLDER = run("smol", [], created="2026-01-01T12:00:00+00:00").id
OF_HOSTILE = run(HOSTILE, [], created="2026-02-01T12:00:00+00:00").id
STOPPED = run("qwen", [], created="2026-06-01T12:00:00+00:00").id


@pytest.fixture
def export(reports: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["export", *map(str, arguments), "--reports", str(reports)])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_all_complete_runs_without_a_name(export: Command, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    code, printed, err = export("--format", "csv", "--out", out)
    assert (code, printed) == (0, "")
    assert f"left out: run {STOPPED} is interrupted" in err
    assert f"export: {out} (7 estimates)" in err
    assert set(pd.read_csv(out)["run"]) == {NEWEST, OLDER, OF_HOSTILE}
    assert not (tmp_path / "x-docs.csv").exists()


@pytest.mark.parametrize(
    ("names", "rows"),
    [(["smol"], 5), ([OLDER], 1), ([OLDER, "smol", NEWEST], 6), ([HOSTILE], 1)],
)
def test_names_are_of_runs_or_of_models(
    names: list[str], rows: int, export: Command, tmp_path: Path
) -> None:
    code, _, err = export(*names, "--format", "csv", "--out", tmp_path / "x.csv")
    assert code == 0, err
    assert len(pd.read_csv(tmp_path / "x.csv")) == rows


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_docs_go_into_a_file_beside(kind: str, export: Command, tmp_path: Path) -> None:
    out = tmp_path / f"x.{kind}"
    assert export("smol", "--format", kind, "--out", out, "--docs")[0] == 0
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    docs = read(tmp_path / f"x-docs.{kind}")
    assert len(read(out)) == 5 and len(docs) == 8 and "prompt" not in docs
    assert export("smol", "--format", kind, "--out", out, "--docs", "--texts")[0] == 0
    assert "prompt" in read(tmp_path / f"x-docs.{kind}")


def test_json_says_what_was_written(export: Command, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    code, out, err = export("smol", "--format", "model-card", "--out", card, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert said["runs"] == [NEWEST] and said["written"] == {str(card): "3 results"}
    assert said["left_out"][0] == "gsm8k: scored on the shipped samples"


def test_lm_evals_file(export: Command, tmp_path: Path) -> None:
    assert export("smol", "--format", "lm-eval", "--out", tmp_path / "x.json")[0] == 0
    found = json.loads((tmp_path / "x.json").read_text("utf-8"))
    assert found["results"]["arc_easy"]["acc,none"] == 0.5


def test_a_card_of_several_runs_of_one_model(export: Command, tmp_path: Path) -> None:
    out = tmp_path / "README.md"
    code, _, err = export(OLDER, NEWEST, "--format", "model-card", "--out", out)
    assert code == 0 and "left out: gsm8k: scored on the shipped samples" in err
    assert "split: test" in out.read_text()  # known from the tasks of this repository
    assert export(OLDER, "--format", "model-card", "--out", out)[0] == 0  # its own may be renewed


def test_somebodys_own_card_is_not_written_over(export: Command, tmp_path: Path) -> None:
    out = tmp_path / "README.md"
    assert export("smol", "--format", "model-card", "--out", out)[0] == 0
    card = out.read_text("utf-8")
    own = [
        "# My model\n",
        card + "\nMy own words.\n",
        card.replace("0.5", "0.9", 1),
        re.sub(" [0-9a-f]{64} ", " ", card),
    ]
    for text in own:
        assert text != card
        out.write_text(text, "utf-8")
        code, _, err = export("smol", "--format", "model-card", "--out", out)
        assert code == 2 and "is not as this command writes it" in err
        assert out.read_text("utf-8") == text
    for text in ("", card):
        out.write_text(text, "utf-8")
        assert export("smol", "--format", "model-card", "--out", out)[0] == 0


def test_a_link_is_followed(export: Command, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("run,created,suite\n")
    assert export("smol", "--format", "csv", "--out", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink() and len(pd.read_csv(tmp_path / "x.csv")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xls"], "unknown format 'xls'; valid: csv, lm-eval, mlflow"),
        (["--format", "parket"], "unknown format 'parket': did you mean 'parquet'?"),
        (["smoll", "--format", "csv"], "unknown model or run 'smoll': did you mean 'smol'"),
        (["last", "--format", "csv"], f"run {STOPPED} is interrupted: finish it first"),
        ([STOPPED, "--format", "csv"], f"`harness eval --resume {STOPPED}`"),
        (["--format", "lm-eval"], "lm-eval's results are of one run: name one, not "),
        (["--format", "model-card"], "a model card is of one model and its weights: name one"),
        (["--format", "lm-eval", "--docs"], "--docs is for csv and parquet, not for lm-eval"),
        (["--format", "csv", "--texts"], "it needs --docs"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str], message: str, export: Command, tmp_path: Path
) -> None:
    code, out, err = export(*arguments, "--out", tmp_path / "x")
    assert code == 2 and out == ""
    assert message in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("{tmp}", "is a folder: name a file in it"),
        ("{tmp}/none/x.csv", "there is no folder {tmp}/none; make it first"),
        ("{tmp}/file/x.csv", "there is no folder {tmp}/file; make it first"),
        ("/dev/null", "is no ordinary file"),
        ("http://localhost/x", "only mlflow takes an address"),
        ("sqlite:///x.db", "only mlflow takes an address"),
        ("-", "an export is a file, not standard output"),
        ("{tmp}/pipe", "is no ordinary file"),
        ("{tmp}/round", "name another file"),
        ("{tmp}/" + "n" * 300, "File name too long; name another file"),
        ("{tmp}/reports/runs/x.csv", "is among the records of runs"),
        ("{tmp}/to-record", "is among the records of runs"),
        ("{tmp}/notes.csv", "is there and no csv file that this command wrote"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_before_the_work(
    out: str, message: str, export: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "notes.csv").write_text("run,after,lunch\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    record = tmp_path / "reports" / "runs" / NEWEST / "run.json"
    (tmp_path / "to-record").symlink_to(record)
    before = record.read_bytes()
    place = out.format(tmp=tmp_path)
    code, _, err = export("nobody", "--format", "csv", "--out", place)
    assert code == 2
    assert f"--out {place}" in err and message.format(tmp=tmp_path) in err
    assert record.read_bytes() == before
    assert (tmp_path / "notes.csv").read_text() == "run,after,lunch\n"


@pytest.mark.parametrize("kind", ["csv", "parquet", "lm-eval", "mlflow"])
def test_a_file_of_another_kind_is_not_written_over(
    kind: str, export: Command, reports: Path, tmp_path: Path
) -> None:
    """A run's record that was copied is no export of any kind; an export is one of its own."""
    for name in ("run.json", "rows/arc_easy.jsonl"):
        out = tmp_path / "x"
        out.write_bytes((reports / "runs" / NEWEST / name).read_bytes())
        before = out.read_bytes()
        code, _, err = export(NEWEST, "--format", kind, "--out", out)
        assert code == 2 and f"is there and no {kind} file that this command wrote" in err
        assert out.read_bytes() == before
        out.unlink()
    if kind != "mlflow":
        assert [export(NEWEST, "--format", kind, "--out", out)[0] for _ in range(2)] == [0, 0]


def test_the_docs_file_is_checked_too(export: Command, reports: Path, tmp_path: Path) -> None:
    out, docs = tmp_path / "x.csv", tmp_path / "x-docs.csv"
    command = ("smol", "--format", "csv", "--docs", "--out", out)
    docs.write_text("mine")
    code, _, err = export(*command)
    assert code == 2 and f"--out {docs} is there and no csv file" in err
    assert docs.read_text() == "mine" and not out.exists()
    docs.unlink()
    docs.symlink_to(out)
    code, _, err = export(*command)
    assert code == 2 and f"is a link to {out}: remove it" in err
    docs.unlink()
    assert [export(*command)[0] for _ in range(2)] == [0, 0]


def test_a_long_name_is_written(export: Command, tmp_path: Path) -> None:
    out = tmp_path / ("n" * 245 + ".csv")
    assert export("smol", "--format", "csv", "--out", out)[0] == 0
    assert len(pd.read_csv(out)) == 5
    card = tmp_path / ("n" * 250)
    assert export("smol", "--format", "model-card", "--out", card)[0] == 0


def test_a_run_that_cannot_be_read_is_not_unknown(
    export: Command, reports: Path, tmp_path: Path
) -> None:
    record = reports / "runs" / NEWEST / "run.json"
    record.write_text(record.read_text("utf-8").replace('"schema": ', '"schema": 99'), "utf-8")
    code, _, err = export(NEWEST, "--format", "csv", "--out", tmp_path / "x.csv")
    assert code == 1 and "unknown model" not in err
    assert re.search(rf"^harness: .*{NEWEST}.*: schema 99\d+", err, re.MULTILINE)


def test_names_on_both_sides_of_the_options_are_explained(export: Command, tmp_path: Path) -> None:
    code, _, err = export("smol", "--format", "csv", "--out", tmp_path / "x", "qwen")
    assert code == 2 and "'qwen' stands apart from the other names" in err
    assert "put all of them before the options" in err


def test_one_is_no_plural(export: Command, tmp_path: Path) -> None:
    assert "(1 estimate)" in export(OLDER, "--format", "csv", "--out", tmp_path / "x")[2]
    assert "(1 task)" in export(OLDER, "--format", "lm-eval", "--out", tmp_path / "y")[2]


def test_an_sqlite_address_is_a_path(export: Command) -> None:
    code, _, err = export("smol", "--format", "mlflow", "--out", "sqlite:///x.db")
    assert code == 2 and "name the database by its path" in err


def test_damaged_rows_leave_no_file(export: Command, reports: Path, tmp_path: Path) -> None:
    (reports / "runs" / NEWEST / "rows" / "mmlu.jsonl").write_text("{")
    code, _, err = export("smol", "--format", "csv", "--docs", "--out", tmp_path / "x.csv")
    assert code == 1 and "mmlu.jsonl, line 1" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports"]


def test_rows_that_are_not_all_there_are_no_table_of_docs(
    export: Command, reports: Path, tmp_path: Path
) -> None:
    """Cut at a line's end, and one doc twice: both read as rows without an error."""
    path = reports / "runs" / NEWEST / "rows" / "mmlu.jsonl"
    first = path.read_text("utf-8").splitlines(keepends=True)[0]
    for rows in (first, first * 2, ""):
        path.write_text(rows, "utf-8")
        code, _, err = export("--format", "csv", "--docs", "--out", tmp_path / "x.csv")
        assert code == 1 and f"it has {int(bool(rows))} of 2 docs" in err and str(path) in err
        assert "name the other runs, or leave --docs out" in err
    assert export(OLDER, "--format", "csv", "--docs", "--out", tmp_path / "x.csv")[0] == 0


def test_only_samples_are_no_card(export: Command, reports: Path, tmp_path: Path) -> None:
    made = run("tiny", [result("arc_easy", ARC, origin="samples")])
    stored(reports / "runs" / made.id, made, {})
    code, _, err = export("tiny", "--format", "model-card", "--out", tmp_path / "x.md")
    assert code == 1
    assert "nothing to put into a model card: arc_easy: scored on the shipped samples" in err
    assert not (tmp_path / "x.md").exists()


def test_no_runs_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--out", str(tmp_path / "x"), "--reports", str(tmp_path / "none")]
    assert main(["export", "--format", "csv", *place]) == 1
    assert "no complete run under" in capsys.readouterr().err


def test_an_export_needs_no_torch(reports: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from harness.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 9 * ('torch' in sys.modules))"
    )
    for kind in ("csv", "parquet", "lm-eval", "model-card"):
        arguments = ["export", "smol", "--format", kind, "--out", str(tmp_path / kind)]
        command = [sys.executable, "-c", script, *arguments, "--reports", str(reports)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
