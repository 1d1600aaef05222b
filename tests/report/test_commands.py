"""`harness report`, `list runs` and `show` on stored runs, damaged ones among them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.run_folder import RunFolder
from tests.conftest import REPOSITORY
from tests.report.fixtures.runs import choice_row, realistic, stored

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two runs of smol and qwen (arc_easy has rows, mmlu has none) and three damaged ones."""
    runs = tmp_path / "reports" / "runs"
    first, second = realistic()[0], realistic()[4]
    rows = [choice_row(index, index % 2 == 0) for index in range(10)]
    stored(runs / "1-smol", first, {"arc_easy": rows})
    stored(runs / "2-qwen", second, {"arc_easy": rows})
    for name in ("3-folder", "4-torn", "5-bytes"):
        RunFolder(runs / name).create()
    (runs / "3-folder" / "run.json").mkdir()
    (runs / "4-torn" / "run.json").write_text('{"schema": 1, "id": ')
    (runs / "5-bytes" / "run.json").write_bytes(b'{"schema": 1, "id": "\xff"}')
    for seconds, path in enumerate(sorted(runs.glob("*/run.json"))):
        os.utime(path, (1_700_000_000 + seconds,) * 2)
    return tmp_path / "reports"


DAMAGED = ("3-folder", "4-torn", "5-bytes")


@pytest.fixture
def harness(reports: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--reports", str(reports)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_damaged_runs_are_named_on_the_leaderboard(harness: Command, reports: Path) -> None:
    code, out, err = harness("report")
    assert code == 0, err
    board = (reports / "leaderboard.md").read_text("utf-8")
    assert "## Not shown" in board
    for name in DAMAGED:
        assert f"not shown: {name} cannot be read" in out
        assert f"- {name} cannot be read" in board
    assert json.loads((reports / "leaderboard.json").read_text())["notes"]
    assert len(list((reports / "html").iterdir())) == 2


def test_a_chosen_model_narrows_what_is_printed_and_not_the_files(
    harness: Command, reports: Path
) -> None:
    assert harness("report")[0] == 0
    files = {path: path.read_bytes() for path in reports.glob("leaderboard.*")}
    assert len(files) == 3
    code, out, _ = harness("report", "--model", "qwen")
    assert code == 0 and "qwen\t" in out and "smol\t" not in out
    code, out, _ = harness("report", "--model", "qwen", "--json")
    assert [row["name"] for row in json.loads(out)["benchmarks"]["rows"]] == ["qwen"]
    assert {path: path.read_bytes() for path in reports.glob("leaderboard.*")} == files
    code, out, _ = harness("report", "--json")
    assert out.encode() == files[reports / "leaderboard.json"]


def test_a_model_without_runs_is_refused_with_the_nearest_names(
    harness: Command, reports: Path
) -> None:
    code, out, err = harness("report", "--model", "qwem")
    assert (code, out) == (1, "")
    assert "no finished run of model 'qwem': did you mean 'qwen'?" in err
    assert not (reports / "leaderboard.md").exists()


def test_damaged_runs_are_listed_as_such(harness: Command) -> None:
    code, out, err = harness("list", "runs", "--json")
    rows = {row["run"]: row for row in json.loads(out)}
    assert code == 0 and len(rows) == 5
    assert {len(row) for row in rows.values()} == {6}
    for name in DAMAGED:
        assert rows[name]["status"] == "damaged" and rows[name]["model"] is None
        assert sum(name in line for line in err.splitlines()) == 1
    code, out, _ = harness("list", "runs")
    assert code == 0 and out.count("damaged") == 3 and "None" not in out


def test_the_last_run_is_the_last_that_can_be_read(harness: Command) -> None:
    code, out, err = harness("show")
    assert code == 0 and out.startswith("qwen ")
    assert "5-bytes" in err and "Traceback" not in err
    assert harness("show", "5-bytes")[0] == 1


def test_rows_that_are_not_here_are_explained(harness: Command) -> None:
    for more in ([], ["--json"]):
        code, out, err = harness("show", "1-smol", "--task", "mmlu", *more)
        assert (code, out) == (1, "")
        assert err.startswith("harness: the rows of mmlu are not here")


def test_an_unknown_task_is_refused_in_json_too(harness: Command) -> None:
    for more in ([], ["--json"]):
        code, out, err = harness("show", "1-smol", "--task", "arc_eazy", *more)
        assert (code, out) == (2, "")
        assert "unknown task 'arc_eazy': did you mean 'arc_easy'" in err


def test_docs_are_printed_as_json_lines(harness: Command) -> None:
    code, out, _ = harness("show", "1-smol", "--task", "arc_easy", "--json")
    assert code == 0
    assert [json.loads(line)["index"] for line in out.splitlines()] == [0, 1, 2]
    code, out, _ = harness(
        "show", "1-smol", "--task", "arc_easy", "--wrong", "--docs", "4", "--json"
    )
    assert [json.loads(line)["index"] for line in out.splitlines()] == [1, 3, 5, 7]
    code, out, _ = harness("show", "1-smol", "--task", "arc_easy", "--wrong", "--docs", "4")
    assert out.count("doc ") == 4


def test_a_run_as_json_is_its_record(harness: Command, reports: Path) -> None:
    code, out, _ = harness("show", "1-smol", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((reports / "runs/1-smol/run.json").read_text())


def shell(command: str, reports: Path, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command line in which ``harness`` is this checkout's."""
    line = command.replace("harness ", f"'{sys.executable}' -m harness ", 1)
    environment = os.environ | {"HARNESS_REPORTS": str(reports), "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(
        ["bash", "-c", line], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )


COMMANDS = ["list tasks", "show 1-smol --json", "report", "--help", "list --help", "--version"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    # Unbuffered, argparse itself ignores that its help could not be written.
    [*((command, "") for command in COMMANDS), *((command, "1") for command in COMMANDS[:3])],
)
def test_a_full_disk_under_standard_output_is_one_line(
    command: str, unbuffered: str, reports: Path
) -> None:
    done = shell(f"harness {command} >/dev/full", reports, unbuffered)
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("report: ")]
    assert said == ["harness: cannot write to standard output: No space left on device"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_standard_output_is_one_line(command: str, reports: Path) -> None:
    done = shell(f"harness {command} >&-", reports)
    assert done.returncode == 1
    assert done.stderr == "harness: standard output is closed: nothing could be printed\n"


def test_messages_never_go_among_the_results(reports: Path) -> None:
    done = shell("harness list modles 2>&-", reports)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_reader_that_goes_away_is_no_failure(reports: Path) -> None:
    done = shell("harness show 1-smol --json | head -1; exit ${PIPESTATUS[0]}", reports)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_of_ours_is_not_taken_for_one_of_the_output(
    harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise OSError("a bug")

    monkeypatch.setattr("harness.commands.show_command._find", broken)
    with pytest.raises(OSError, match="a bug"):
        harness("show")
