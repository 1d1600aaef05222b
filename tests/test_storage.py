"""Files are whole or not there, and what a killed process left half written is removed."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.commands import eval_runs, report_command
from harness.errors import RecordError
from harness.executors.local import LOCAL
from harness.learned import keep_cards
from harness.run_folder import RunFolder, held, remove_unbegun
from harness.storage import alone, in_turn, remove_parts, replacing, write_atomic
from tests.conftest import REPOSITORY, Command
from tests.report.fixtures.cards import card

KILLED = """
import os, signal, sys
from pathlib import Path
from harness.storage import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (["eval", "--model", "tiny", "--data", "~nosuchuser/x"], ""),
        (["eval", "--model", "tiny", "--models-dir", "~nosuchuser/x", "--samples"], ""),
        (["list", "models"], "HARNESS_CACHE"),
        (["list", "models"], "HARNESS_ZOO"),
        (["eval", "--model", "tiny", "--samples"], "HARNESS_LOCK"),
        (["eval", "--model", "tiny", "--samples"], "HARNESS_MODELS"),
        (["eval", "--model", "tiny", "--tasks", "arc_easy"], "HF_HUB_CACHE"),
    ],
)
def test_a_home_folder_that_is_not_there_is_wrong_use(
    harness: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], variable: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, "~nosuchuser/x")
    code, _, err = harness(*arguments)
    assert code == 2 and "there is no home folder for '~nosuchuser/x'" in err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / "page.html").write_text("whole")
    (tmp_path / ".hidden.part").write_text("somebody's own")
    (tmp_path / "rows.jsonl.part").write_text("a run's")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "page.html")]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    (left,) = tmp_path.glob(".page.html.*.part")
    assert left.read_text() == "half" and (tmp_path / "page.html").read_text() == "whole"

    with replacing(tmp_path / "other.html") as part:
        part.write_text("going on")
        remove_parts(tmp_path)
        assert part.read_text() == "going on" and not left.exists()
    assert names(tmp_path) == [".hidden.part", "other.html", "page.html", "rows.jsonl.part"]
    assert (tmp_path / "other.html").read_text() == "going on"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", "before")

    def fail() -> None:
        with replacing(tmp_path / "file") as part:
            part.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "before"


def test_a_part_that_is_removed_before_it_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, first = fcntl.flock, True

    def removed_first(descriptor: int, how: int) -> None:
        nonlocal first
        if first:
            first = False
            next(tmp_path.glob(".file.*.part")).unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    write_atomic(tmp_path / "file", "content")
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "content"


def others_wait(folder: Path) -> bool:
    """Whether another process would have to wait for its turn with a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_reports_are_written_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the one that read first and wrote last would leave a page without the other's run."""
    waited: list[bool] = []
    folders = report_command._folders

    def seen(reports: Path) -> list[RunFolder]:
        waited.append(others_wait(reports))
        return folders(reports)

    monkeypatch.setattr(report_command, "_folders", seen)
    report_command.publish_reports(tmp_path / "reports")
    assert waited and all(waited) and not others_wait(tmp_path / "reports")
    with in_turn(tmp_path / "reports"):
        assert others_wait(tmp_path / "reports")


def test_folders_of_runs_that_never_began_are_removed(tmp_path: Path) -> None:
    for name in ("begun", "held", "kept", "killed", "killed-2", "young"):
        RunFolder(tmp_path / name).create()
    (tmp_path / "begun" / "run.json").write_text("{}")
    (tmp_path / "kept" / "notes.txt").write_text("somebody's own")
    (tmp_path / "killed" / ".run.json.123.part").write_text("{")
    (tmp_path / "killed-2" / "rows").rmdir()
    own = tmp_path.with_name(f"{tmp_path.name}-own")
    RunFolder(own).create()
    (own / ".notes.123.part").write_text("somebody's own")
    (tmp_path / "linked").symlink_to(own)
    for path in tmp_path.iterdir():
        if path.name != "young":
            os.utime(path, (time.time() - 7200,) * 2)
    with held(tmp_path / "held"):
        remove_unbegun(tmp_path)
    assert names(tmp_path) == ["begun", "held", "kept", "linked", "young"]
    assert (own / ".notes.123.part").exists() and (own / "rows").is_dir(), "behind a link"
    assert (tmp_path / "kept" / "notes.txt").exists()
    remove_unbegun(tmp_path / "nowhere")


def age(*folders: Path) -> None:
    """Let folders be two hours old."""
    for folder in folders:
        os.utime(folder, (time.time() - 7200,) * 2)


def attempts(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> Sequence[eval_runs.Attempt]:
    """Runs that begin with nothing; another command begins while the first is scored."""

    def finish(begun: Any, progress: Any) -> Any:
        age(*(folder for folder in folders if folder.exists()))
        remove_unbegun(folders[0].parent)
        return begun

    monkeypatch.setattr(eval_runs, "begin", lambda job, folder, *_: folder.path)
    monkeypatch.setattr(eval_runs, "finish", finish)
    job: Any = SimpleNamespace(spec=SimpleNamespace(name="tiny"), title="quick")
    return [eval_runs.Attempt(job, RunFolder(folder), None) for folder in folders]


def test_models_that_wait_for_their_turn_keep_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        RunFolder(folder).create()
    tried = attempts(monkeypatch, *folders)
    eval_runs.score_all(tried, LOCAL, None)
    finished: list[Any] = [each.finished for each in tried]
    assert finished == folders, "it is there when its turn comes"


def test_a_folder_that_is_gone_does_not_keep_others_from_being_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunFolder(tmp_path / "there").create()
    tried = attempts(monkeypatch, tmp_path / "gone", tmp_path / "there")
    eval_runs.score_all(tried, LOCAL, None)
    assert isinstance(tried[0].error, RecordError)
    assert "the folder of run gone cannot be opened: No such file" in str(tried[0].error)
    finished: Any = tried[1].finished
    assert finished == tmp_path / "there"


@pytest.mark.usefixtures("no_locks")
def test_a_file_system_without_locks_is_worked_on_without(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").create()
    with held(tmp_path / "run") as locked:
        assert not locked
        age(tmp_path / "run")
        remove_unbegun(tmp_path)
    assert (tmp_path / "run").is_dir(), "nobody can tell whether it is still to begin"
    with alone(tmp_path / "made", print) as locked:
        assert not locked


def test_what_a_run_raises_is_not_taken_for_another_process(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError, match="the run's own"), held(tmp_path):
        raise BlockingIOError("the run's own")


def test_cards_of_a_run_that_never_began_go_with_it(tmp_path: Path) -> None:
    """Those of a run stay, and so does what is nobody's card, and what lies behind a link."""
    for name in ("begun", "elsewhere", "empty", "own"):
        RunFolder(tmp_path / name).create()
        keep_cards(tmp_path / name, {"mixed": card()})
    (tmp_path / "begun/run.json").write_text("{}")
    (tmp_path / "own/cards/notes.json").write_text("{}")
    RunFolder(tmp_path / "linked").create()
    (tmp_path / "linked/cards").symlink_to(tmp_path / "elsewhere/cards")
    for name in ("begun", "empty", "linked", "own"):
        RunFolder(tmp_path / name).discard_if_empty()
    assert names(tmp_path) == ["begun", "elsewhere", "linked", "own"]
    assert names(tmp_path / "own/cards") == ["notes.json"]
    kept = names(tmp_path / "begun/cards")
    assert len(kept) == 1 and names(tmp_path / "elsewhere/cards") == kept
