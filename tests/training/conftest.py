"""A tiny model, tiny data, and the work that a step is given."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.step import Work

QUICK: dict[str, Any] = {
    "template": "plain",
    "precision": "float32",
    "batch_size": 8,
    "accumulation": 1,
    "learning_rate": 1e-2,
    "warmup_steps": 2,
    "epochs": 2.0,
    "max_length": 128,
    "validation_share": 0.1,
}
"""Options with which the tiny model learns the tiny data in a second or two."""


@pytest.fixture
def told() -> list[str]:
    """What the user was told."""
    return []


@pytest.fixture
def work(tiny_model: Path, tmp_path: Path, told: list[str]) -> Work:
    """A step on the tiny model."""
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    return Work(
        name="tiny-made",
        parent=tiny_model,
        tokenizer=tiny_model,
        out=tmp_path / "out",
        scratch=tmp_path / "scratch",
        data=None,
        trust_remote_code=False,
        tell=told.append,
    )


@pytest.fixture
def again(work: Work, tmp_path: Path) -> Callable[[str], Work]:
    """The same work in other folders."""

    def make(name: str) -> Work:
        for kind in ("out", "scratch"):
            (tmp_path / name / kind).mkdir(parents=True)
        folder = tmp_path / name
        return dataclasses.replace(work, out=folder / "out", scratch=folder / "scratch")

    return make


@pytest.fixture
def sums(tmp_path: Path) -> str:
    """Eighty sums with their answers, in the alpaca format."""
    rows = [
        {"instruction": f"What is {a} plus {b}?", "input": "", "output": f"The sum is {a + b}."}
        for a in range(10)
        for b in range(8)
    ]
    return _write(tmp_path / "sums.jsonl", rows)


@pytest.fixture
def choices(tmp_path: Path) -> str:
    """Eighty pairs: the chosen answer is short and says yes, the rejected one says no."""
    rows = [
        {
            "instruction": f"Is {a} plus {b} equal to {a + b}?",
            "input": "",
            "chosen": f"Yes, it is {a + b}.",
            "rejected": f"No, it is {a + b + 1}.",
        }
        for a in range(10)
        for b in range(8)
    ]
    return _write(tmp_path / "choices.jsonl", rows)


def _write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)
