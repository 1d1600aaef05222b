"""`make eval` and `make train` of a model that is not built, through the real Makefile."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.training.steps_for_tests import driver, write_steps

ZOO = """models:
  root: {family: f, stage: base, source: {hub: org/name}}
  a: {parent: root, step: {kind: mark, mark: 1}}
  b: {parent: a, step: {kind: mark, mark: 2}}
"""


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with the Makefile and a set-up .venv whose two commands find the test's steps."""
    steps = write_steps(tmp_path / "steps")
    shutil.copytree(tiny_model, tmp_path / "models" / "org" / "name")
    (tmp_path / "model_zoo.yaml").write_text(ZOO, "utf-8")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    bins = tmp_path / ".venv" / "bin"
    bins.mkdir(parents=True)
    for name, module in {"harness": "harness.cli", "harness-train": "training.cli"}.items():
        script = bins / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(driver(steps, module))} "$@"\n', "utf-8")
        script.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def make(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "HARNESS_CACHE": str(place / "cache"),
        "HARNESS_TASKS": str(REPOSITORY / "tasks"),
        "HF_HUB_CACHE": str(place / "hub"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(REPOSITORY),
        "STEP_LOG": str(place / "steps.log"),
    }
    outside = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", *words, f"MODELS={place / 'models'}"],
        cwd=place,
        env=outside | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_eval_builds_what_is_missing_and_scores_it(place: Path) -> None:
    done = make(place, "eval", "MODEL=b", "TASKS=arc_easy", "LIMIT=2", "ARGS=--samples")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 models to build" in done.stdout
    assert "b: built in" in done.stderr
    (run,) = (place / "reports" / "runs").iterdir()
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert record["model"]["lineage"] == ["root", "a", "b"]
    assert record["status"] == "complete" and len(record["model"]["recipe_id"]) == 64
    assert "b" in (place / "reports" / "leaderboard.md").read_text("utf-8")

    again = make(place, "eval", "MODEL=b", "TASKS=arc_easy", "LIMIT=2", "ARGS=--samples")
    assert again.returncode == 0 and "to build" not in again.stdout
    assert len((place / "steps.log").read_text("utf-8").splitlines()) == 2


def test_a_misspelt_task_is_refused_before_anything_is_built(place: Path) -> None:
    done = make(place, "eval", "MODEL=b", "TASKS=arc_eazy")
    assert done.returncode == 2
    assert "did you mean 'arc_easy'" in done.stderr
    assert not (place / "steps.log").exists()


def test_train_builds_and_plan_does_not(place: Path) -> None:
    assert make(place, "train", "MODEL=b", "ARGS=--plan").returncode == 0
    assert not (place / "steps.log").exists()
    done = make(place, "train", "MODEL=b")
    assert done.returncode == 0, done.stderr
    assert len((place / "steps.log").read_text("utf-8").splitlines()) == 2


def test_a_missing_extra_is_installed_first(place: Path) -> None:
    """The step needs a package of an extra; make runs that extra's own target before building."""
    step = place / "steps" / "mark.py"
    step.write_text(step.read_text("utf-8").replace('("numpy",)', '("no-such-thing",)'), "utf-8")
    done = make(place, "train", "MODEL=b")
    assert done.returncode != 0
    assert "b cannot be built: no-such-thing is not installed" in done.stderr
    assert not (place / "steps.log").exists()
    (place / ".venv/bin/harness-train").write_text(
        '#!/bin/sh\ncase "$*" in *--needs*) echo train build;; *) echo "$@" >> asked;; esac\n',
        "utf-8",
    )
    (place / ".venv/bin/python").write_text('#!/bin/sh\necho "$@" >> asked\n', "utf-8")
    (place / ".venv/bin/python").chmod(0o755)
    assert make(place, "train", "MODEL=b").returncode == 0
    first, second = (place / "asked").read_text("utf-8").splitlines()
    assert "install" in first and ".[train]" in first
    assert second.endswith("-- b")
