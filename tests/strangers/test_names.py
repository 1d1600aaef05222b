"""Names in records that are paths, and task files that are code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness import catalog
from harness.catalog import load_catalog
from harness.gate.baseline import baseline_folder
from harness.report.html import run_page
from harness.run_folder import RunFolder
from tests.conftest import REPOSITORY, Command

OUT = ["..", ".", "", "../x", "/etc/passwd", "a/../../x", "..\\x", ".git", "\0", "a" * 400]


@pytest.mark.parametrize("name", OUT)
def test_no_name_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    for path, folder in (
        (baseline_folder(tmp_path / "baselines", name), tmp_path / "baselines"),
        (run.rows_path(name), tmp_path / "run/rows"),
        (tmp_path / "html" / run_page(name), tmp_path / "html"),
    ):
        assert path.resolve().parent == folder.resolve(), name
        assert path.name not in (".", "..", "", ".git")


def test_a_record_that_calls_itself_a_path_is_taken_up_in_its_own_folder(
    harness: Command, tmp_path: Path
) -> None:
    harness("eval", "--model", "tiny", "--tasks", "arc_easy", "--samples", "--limit", "2")
    (path,) = (tmp_path / "reports/runs").glob("*/run.json")
    record = json.loads(path.read_text("utf-8"))
    record |= {"id": "../../../elsewhere", "status": "interrupted", "results": {}}
    path.write_text(json.dumps(record), "utf-8")
    harness("eval", "--resume", path.parent.name)
    assert not list(tmp_path.rglob("elsewhere*")) and not list(tmp_path.parent.glob("elsewhere*"))
    assert json.loads(path.read_text("utf-8"))["status"] == "complete"


def test_task_files_of_the_working_directory_are_said_to_be_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks/suites").mkdir(parents=True)
    (tmp_path / "tasks/mine.py").write_text("MARK = 1\n", "utf-8")
    catalog._say_that_it_is_code.cache_clear()
    for _ in range(2):
        assert load_catalog().folder == tmp_path / "tasks"
    said = capsys.readouterr().err
    assert said == (
        "runs the task files of the working directory, which are code: "
        f"{tmp_path / 'tasks'} (mine.py)\n"
    )
    load_catalog(tmp_path / "tasks")  # named by the user, who knows
    shutil.rmtree(tmp_path / "tasks")
    load_catalog()
    monkeypatch.chdir(REPOSITORY)
    load_catalog()
    assert capsys.readouterr().err == ""
