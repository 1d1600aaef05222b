"""`harness eval` with an executor: the record is the local run's, whatever happens to workers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.backends.backend import Backend
from harness.backends.fake import FakeBackend
from harness.commands import eval_command, eval_runs
from harness.executors import desk, local
from harness.executors.desk import Desk
from harness.executors.executor import Executor, Loading
from harness.executors.remote import PoolExecutor
from harness.progress import note
from harness.run_folder import RunFolder
from harness.types import Request, Response
from tests.conftest import REPOSITORY, Command
from tests.executors.thread_pool import ThreadPool

SOME = ("--samples", "--limit", "12", "--tasks", "arc_easy,gsm8k", "--json")


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ray's place is taken by threads; a worker ends over a text that holds a word of the list."""
    words: list[str] = []

    def fake(loading: Loading, end: Callable[[], None] = lambda: None) -> Backend:
        def script(request: Request) -> Response | None:
            if any(word in repr(request) for word in words):
                end()
            return None

        backend = FakeBackend(script)
        backend.identity = {"backend": "fake", "weights": loading.options.weights_id}
        return backend

    def make(end: Callable[[], None]) -> Desk:
        return Desk(lambda loading: fake(loading, end))

    original = eval_command.open_executor

    def opened(options: argparse.Namespace) -> Executor:
        if options.executor == "local":
            return original(options)
        return PoolExecutor(ThreadPool(options.workers or 2, make=make), note)

    monkeypatch.setattr(eval_command, "open_executor", opened)
    monkeypatch.setattr(local, "load_here", fake)
    return words


def found(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """All of a run but when, where and at what cost."""
    kept = ("estimates", "groups", "prompt_digest", "docs", "unscored", "truncated", "data")
    run = RunFolder(folder / "runs" / record["id"])
    return {
        task: (
            {key: result[key] for key in kept},
            sorted(run.rows(task), key=lambda row: row.index),
        )
        for task, result in record["results"].items()
    }


def test_the_record_is_the_local_runs(harness: Command, poison: list[str], tmp_path: Path) -> None:
    code, out, _ = harness("eval", "--model", "tiny", *SOME, "--no-journal")
    assert code == 0
    theirs = json.loads(out)
    for workers in ("1", "3"):
        code, out, _ = harness(
            *("eval", "--model", "tiny", *SOME, "--no-journal"),
            *("--executor", "ray", "--workers", workers),
        )
        ours = json.loads(out)
        assert code == 0 and found(ours, tmp_path / "reports") == found(
            theirs, tmp_path / "reports"
        )
        assert ours["identity"] == theirs["identity"] and ours["plan"] == theirs["plan"]


def test_the_device_is_the_workers(
    harness: Command, poison: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_accelerator", lambda backend: {"device": "A GPU elsewhere"})
    code, out, err = harness("eval", "--model", "tiny", *SOME, "--executor", "ray")
    assert code == 0, err
    record = json.loads(out)
    assert record["environment"]["device"] == record["identity"]["device"] == "A GPU elsewhere"


def test_a_model_goes_when_its_run_is_finished(
    harness: Command,
    two_roots: Path,
    poison: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released: list[tuple[str, str]] = []
    original = PoolExecutor.release

    def release(self: PoolExecutor, backend: Backend) -> None:
        released.append((backend.identity["weights"], finished[-1] if finished else ""))
        original(self, backend)

    finished: list[str] = []
    finish = eval_runs._finish

    def noted(attempt: eval_runs.Attempt, *, several: bool) -> None:
        finish(attempt, several=several)
        finished.append(attempt.job.spec.name)

    monkeypatch.setattr(PoolExecutor, "release", release)
    monkeypatch.setattr(eval_runs, "_finish", noted)
    code, _, err = harness("eval", "--models", "tiny,other", *SOME, "--executor", "ray")
    assert code == 0, err
    weights = list(dict.fromkeys(which for which, _ in released))
    assert len(weights) == 2
    assert set(released) == {(weights[0], "tiny"), (weights[1], "other")}


def test_what_is_set_apart_is_unscored_and_the_run_ends_with_one(
    harness: Command, poison: list[str], tmp_path: Path
) -> None:
    command = ("eval", "--model", "tiny", *SOME, "--executor", "ray")
    code, out, _ = harness("eval", "--model", "tiny", *SOME, "--no-journal")
    undisturbed = json.loads(out)
    row = next(iter(RunFolder(tmp_path / "reports/runs" / undisturbed["id"]).rows("arc_easy")))
    poison.append(row.prompt[:60])

    code, out, err = harness(*command)
    assert code == 1
    assert "ended 3 workers, the last one: its process ended" in err
    assert "Traceback" not in err
    record = json.loads(out)
    arc = record["results"]["arc_easy"]
    assert f"harness: set apart: {4 * arc['unscored']} requests" in err
    assert record["status"] == "complete" and 0 < arc["unscored"] < 12
    (reason,) = arc["unscored_reasons"]
    assert reason.startswith("set apart: its batch ended 3 workers")
    assert record["results"]["gsm8k"]["unscored"] == 0

    poison.clear()
    code, out, err = harness(*command)
    assert code == 0
    again = json.loads(out)
    assert found(again, tmp_path / "reports") == found(undisturbed, tmp_path / "reports")
    asked = 4 * arc["unscored"]
    assert again["results"]["arc_easy"]["cost"]["stored"] == 48 - asked


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_several_models_have_a_run_each(
    harness: Command, poison: list[str], two_roots: Path, tmp_path: Path, executor: str
) -> None:
    code, out, err = harness("eval", "--models", "tiny,other", *SOME, "--executor", executor)
    assert code == 0, err
    records = json.loads(out)
    assert [record["model"]["name"] for record in records] == ["tiny", "other"]
    assert all(record["status"] == "complete" for record in records)
    assert len({record["id"] for record in records}) == 2
    assert len(list((tmp_path / "reports/journal").iterdir())) == 2


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_model_that_fails_does_not_stop_the_others(
    harness: Command, poison: list[str], two_roots: Path, executor: str
) -> None:
    code, out, err = harness("eval", "--models", "tiny-sft,other", *SOME, "--executor", executor)
    assert code == 1
    assert [record["model"]["name"] for record in json.loads(out)] == ["other"]
    assert "tiny-sft is not built" in err or "make train MODEL=tiny-sft" in err


def test_cost_is_the_workers_time(harness: Command, poison: list[str]) -> None:
    _, out, _ = harness("eval", "--model", "tiny", *SOME, "--executor", "ray")
    for result in json.loads(out)["results"].values():
        assert 0 < result["cost"]["seconds"] < 60 and result["cost"]["stored"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--executor", "slurm"), "unknown executor 'slurm'; valid: local, ray"),
        (("--workers", "2"), "--workers: only --executor ray has workers"),
        (("--ray-address", "auto", "--worker-gpus", "1"), "--ray-address, --worker-gpus: only"),
        (("--model", "tiny", "--models", "tiny"), "--model and --models exclude each other"),
        (("--models", " , "), "--models is empty"),
        (("--models", "tiny,tinny"), "unknown model 'tinny': did you mean 'tiny'"),
        (("--resume", "x", "--models", "tiny"), "leave out --models"),
        (("--workers", "0"), "must be at least 1, got 0"),
    ],
)
def test_wrong_use_is_told(harness: Command, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = harness("eval", "--samples", *arguments)
    assert (code, out) == (2, "") and said in err
    assert len(err.splitlines()) == 1


def test_without_ray_the_error_says_how_to_install_it(
    harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(sys, "prefix", str(REPOSITORY / ".venv"))  # as make sets it up
    code, _, err = harness("eval", "--model", "tiny", "--samples", "--executor", "ray")
    assert code == 2
    assert err == (
        "harness: --executor ray needs the package ray, which is not installed: "
        ".venv/bin/pip install -c constraints.txt -e '.[ray]'\n"
    )
