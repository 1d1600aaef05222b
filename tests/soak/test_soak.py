"""One round of the soak, and what it compares: what is lost, mixed or left behind must be found."""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.run_folder import list_runs
from tests.conftest import REPOSITORY, Command
from tests.soak import full_disk
from tests.soak.compared import check_survived, expected
from tests.soak.ground import ended_with, evaluation, survived_so_far
from tests.soak.operations import Moment, Operations
from tests.soak.processes import start

SEED = "1"


def test_runs_survive_a_round_of_all_faults() -> None:
    """A process of its own: what is forked must not have this one's threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--rounds", "1", "--seed", SEED],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    total = re.search(r"survived: ([\d,]+) faults, ([\d,]+) of them kills", done.stdout)
    assert total and int(total[1]) >= 12 and int(total[2]) >= 8, done.stdout


def test_a_full_disk_is_part_of_a_round(tmp_path: Path) -> None:
    """Skipped, for anyone to see, where the round above is one without it."""
    if why := full_disk.why_not(tmp_path):
        pytest.skip(f"no disk is filled by the soak: {why}")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_crash_is_not_survived(tmp_path: Path, number: signal.Signals) -> None:
    def crash(words: object) -> int:
        faulthandler.disable()  # pytest's, which would print where
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(number, signal.SIG_DFL)  # a command of an earlier test may heed it
        os.kill(os.getpid(), number)
        return 0

    ended = start(crash, [], tmp_path / "said").wait()
    assert ended.code == -number
    with pytest.raises(AssertionError, match=f"exit code -{int(number)}"):
        survived_so_far(ended, 0, 1)


def test_a_kill_is_survived_only_where_one_was_meant(tmp_path: Path) -> None:
    def die(words: object) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    ended = start(die, [], tmp_path / "said").wait()
    assert ended.code is None
    survived_so_far(ended, 0)
    with pytest.raises(AssertionError, match="exit code None"):
        ended_with(ended, 0)


def lose_a_row(reports: Path) -> None:
    (path,) = reports.glob("runs/*/rows/gsm8k.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def mix_in_another_answer(reports: Path) -> None:
    (path,) = reports.glob("runs/*/rows/gsm8k.jsonl")
    path.write_text(path.read_text("utf-8").replace('"text":"', '"text":"x', 1), "utf-8")


def change_an_estimate(reports: Path) -> None:
    (path,) = reports.glob("runs/*/run.json")
    run = json.loads(path.read_bytes())
    run["results"]["wikitext2"]["estimates"]["word_perplexity"]["value"] *= 1.01
    path.write_text(json.dumps(run))


def lose_an_answer(reports: Path) -> None:
    (path,) = reports.glob("journal/*.jsonl")
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-2]))


def ask_twice(reports: Path) -> None:
    (path,) = reports.glob("journal/*.jsonl")
    path.write_bytes(path.read_bytes() + path.read_bytes().split(b"\n")[-2] + b"\n")


def leave_a_part(reports: Path) -> None:
    (reports / "html" / ".page.html.123.part").write_text("half")


def leave_an_old_page(reports: Path) -> None:
    path = reports / "leaderboard.md"
    path.write_text(path.read_text("utf-8").replace("tiny", "tinier"))


def never_finish(reports: Path) -> None:
    (path,) = reports.glob("runs/*/run.json")
    path.write_text(path.read_text("utf-8").replace('"complete"', '"running"'))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("undisturbed") / "reports"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lose_a_row, "gsm8k: [1, 2]"),
        (mix_in_another_answer, "gsm8k, doc 0, text"),
        (change_an_estimate, "wikitext2, estimates, word_perplexity, value"),
        (lose_an_answer, "1 answers are not in the journal"),
        (ask_twice, "was asked 2 times"),
        (leave_a_part, "left behind"),
        (leave_an_old_page, "pages that are not of these runs: leaderboard.md"),
        (never_finish, "no run is complete"),
    ],
)
def test_what_is_lost_mixed_or_left_is_found(
    harness: Command,
    undisturbed: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    says: str,
) -> None:
    if not list_runs(undisturbed / "runs"):
        code, _, err = harness(*evaluation(), "--reports", str(undisturbed))
        assert code == 0, err
    wanted, reports = expected(undisturbed), tmp_path / "reports"
    shutil.copytree(undisturbed, reports)
    check_survived(reports, wanted)
    spoil(reports)
    with pytest.raises(AssertionError, match=re.escape(says)):
        check_survived(reports, wanted)


@pytest.mark.parametrize(
    ("moment", "content", "renamed"),
    [
        (Moment(1), None, False),
        (Moment(2), "", False),
        (Moment(2, torn=True), "abcd", False),
        (Moment(3), "abcdefgh", False),
        (Moment(4, torn=True), "abcdefgh", False),  # no write: nothing of it is done
        (Moment(None), "abcdefgh", True),
    ],
)
def test_a_process_ends_at_the_operation_that_was_named(
    tmp_path: Path, moment: Moment, content: str | None, renamed: bool
) -> None:
    """In a process that opens, writes, syncs and renames: four operations."""
    root, log = tmp_path / "watched", tmp_path / "log"
    root.mkdir()

    def write(words: object) -> int:
        (tmp_path / "elsewhere").write_text("not counted")
        with (root / "file").open("wb") as file:
            file.write(b"abcdefgh")
            file.flush()
            os.fsync(file.fileno())
        (root / "file").replace(root / "other")
        return 0

    install = Operations((root,), moment, log).install
    ended = start(write, [], tmp_path / "said", install).wait()
    assert (ended.code, ended.said) == (None if moment.number else 0, "")
    place = root / ("other" if renamed else "file")
    assert (place.read_text("utf-8") if place.exists() else None) == content
    kinds = [line.split()[0] for line in log.read_text("utf-8").splitlines()]
    assert kinds == ["open", "write", "fsync", "replace"][: moment.number]
