"""`make eval MODEL=qwen-dpo-int4` as a user types it, with the registry's own recipes, on a tiny
Qwen2 in the place of the publisher's weights.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.training.qwen import NAME, save_qwen
from tests.training.test_make import make

COMMANDS = {"harness": "harness", "harness-train": "training.cli"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A clean copy of the project's outside: Makefile, registry, an installed .venv, no cache."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "model_zoo.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    bins = tmp_path / ".venv" / "bin"
    bins.mkdir(parents=True)
    for name, module in COMMANDS.items():
        (bins / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n', "utf-8")
        (bins / name).chmod(0o755)
    for stamp in (".installed", ".installed-train"):
        (tmp_path / ".venv" / stamp).touch()
    save_qwen(tmp_path / "models")
    return tmp_path


def artifact(place: Path, model: str) -> tuple[Path, dict[str, Any]]:
    """The one folder that was built of a model, and its lineage.json."""
    (folder,) = (p for p in (place / "cache/artifacts" / model).iterdir() if p.is_dir())
    return folder, json.loads((folder / "lineage.json").read_text("utf-8"))


@pytest.mark.slow
def test_from_an_empty_cache_to_a_leaderboard_row(place: Path) -> None:
    """The shipped 2,400 rows less the 5% held out are 2,280: with batches of 16 and 8 of them a
    step, SFT's 2 epochs are 4,560 rows, 285 batches, 36 steps; DPO's 3 are 6,840, 428 and 54. Both
    end within their warm-up of 1,000 and 200 steps.
    """
    done = make(place, "eval", "MODEL=qwen-dpo-int4", "LIMIT=4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "qwen -> qwen-sft -> qwen-dpo -> qwen-dpo-int4" in done.stdout
    assert "3 models to build" in done.stdout
    assert "qwen-sft: warmup_steps is 1,000, the whole training 36 steps" in done.stderr

    lineages = []
    for model, steps, rate in (("qwen-sft", 36, 5e-5 / 1000), ("qwen-dpo", 54, 5e-5 / 200)):
        folder, lineage = artifact(place, model)
        lineages.append(lineage)
        assert lineage["chosen"]["template"] == "chat"
        assert lineage["figures"]["steps"] == steps
        assert lineage["figures"]["rows"] + lineage["figures"]["held_out_rows"] == 2400
        curves = json.loads((folder / "curves.json").read_text("utf-8"))
        assert curves["train"][-1]["learning_rate"] == pytest.approx((steps - 1) * rate)
        assert (folder / "curves.svg").is_file()
    folder, lineage = artifact(place, "qwen-dpo-int4")
    lineages.append(lineage)
    assert [each["parent"] for each in lineages] == ["qwen", "qwen-sft", "qwen-dpo"]
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    template = (place / "models" / NAME / "chat_template.jinja").read_bytes()
    assert (folder / "chat_template.jinja").read_bytes() == template

    (run,) = (place / "reports" / "runs").iterdir()
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert record["status"] == "complete"
    assert record["model"]["lineage"] == ["qwen", "qwen-sft", "qwen-dpo", "qwen-dpo-int4"]
    assert record["model"]["recipe_id"] == lineage["recipe_id"]
    rows = (place / "reports" / "leaderboard.md").read_text("utf-8").splitlines()
    assert any(row.startswith("| qwen-dpo-int4 |") for row in rows)

    again = make(place, "eval", "MODEL=qwen-dpo-int4", "LIMIT=4")
    assert again.returncode == 0 and "to build" not in again.stdout
