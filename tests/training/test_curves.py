"""A trainer's log becomes curves, and a figure that is the same each time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from training.curves import read_history, smoothed

HISTORY: list[dict[str, Any]] = [
    {"step": 0, "epoch": 0, "eval_loss": 0.7, "eval_rewards/accuracies": 0.0, "eval_runtime": 3.0},
    {"step": 1, "loss": 0.7, "learning_rate": 0.1, "grad_norm": 2.0, "rewards/margins": 0.0},
    {"step": 2, "loss": 0.5, "learning_rate": 0.2, "grad_norm": 1.0, "rewards/margins": 0.3},
    {"step": 2, "eval_loss": 0.6, "eval_rewards/accuracies": 0.75},
    {"step": 3, "loss": 0.3, "learning_rate": 0.1, "grad_norm": 1.0, "rewards/margins": 0.5},
    {"step": 3, "eval_loss": 0.65, "eval_rewards/accuracies": 0.5},
    {"step": 3, "train_runtime": 9.0, "train_loss": 0.5},
]


def test_a_log_is_sorted_out() -> None:
    curves = read_history(HISTORY, 2)
    assert curves.train[1] == {
        "step": 2,
        "loss": 0.5,
        "learning_rate": 0.2,
        "gradient_norm": 1.0,
        "reward_margin": 0.3,
    }
    assert curves.validation == (
        {"step": 0, "loss": 0.7},
        {"step": 2, "loss": 0.6, "reward_accuracy": 0.75},
        {"step": 3, "loss": 0.65, "reward_accuracy": 0.5},
    )
    assert curves.figures() == {
        "steps": 3,
        "best_step": 2,
        "train_loss": 0.3,
        "validation_loss_before": 0.7,
        "validation_loss": 0.6,
    }


def test_the_parent_has_no_accuracy_by_rewards_measured_from_itself() -> None:
    """Policy and parent are one at step 0 and in the first step: every pair is a tie, which TRL
    counts as lost. A reward model's own scores are none of that.
    """
    history: list[dict[str, Any]] = [
        {"step": 0, "eval_loss": 0.7, "eval_rewards/accuracies": 0.0, "eval_rewards/margins": 0.0},
        {"step": 1, "loss": 0.7, "rewards/accuracies": 0.0},
        {"step": 2, "loss": 0.6, "rewards/accuracies": 0.0},
    ]
    curves = read_history(history, 0)
    assert curves.validation == ({"step": 0, "loss": 0.7, "reward_margin": 0.0},)
    assert ["reward_accuracy" in entry for entry in curves.train] == [False, True]
    scored = read_history([{"step": 0, "eval_loss": 0.7, "eval_accuracy": 0.5}], 0)
    assert scored.validation[0]["reward_accuracy"] == 0.5


def test_a_training_of_one_step_is_seen(tmp_path: Path) -> None:
    """A line through one point has no length: loss and learning rate are drawn as dots."""

    def dots(steps: int) -> int:
        """Marks inside the panels; those of axes and legends are not clipped."""
        history = [
            {"step": step + 1, "loss": 0.7, "learning_rate": 0.1, "grad_norm": 1.0}
            for step in range(steps)
        ]
        read_history(history, None).write(tmp_path, "tiny")
        figure = (tmp_path / "curves.svg").read_text("utf-8")
        return len(re.findall(r"<g clip-path=[^>]*>\s*<use ", figure))

    assert dots(1) == 2
    assert dots(2) == 0


def test_without_held_out_rows_the_last_step_is_kept() -> None:
    curves = read_history([entry for entry in HISTORY if "eval_loss" not in entry], None)
    assert curves.figures() == {"steps": 3, "best_step": 3, "train_loss": 0.3}


def test_they_are_written_and_drawn_the_same_each_time(tmp_path: Path) -> None:
    curves = read_history(HISTORY, 2)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        curves.write(tmp_path / name, "tiny-dpo")
    written = json.loads((tmp_path / "one/curves.json").read_text("utf-8"))
    assert written["best_step"] == 2
    assert [entry["loss"] for entry in written["train"]] == [0.7, 0.5, 0.3]
    figure = (tmp_path / "one/curves.svg").read_bytes()
    assert figure == (tmp_path / "other/curves.svg").read_bytes()
    texts = {element.text for element in ElementTree.fromstring(figure).iter() if element.text}
    assert {"tiny-dpo", "loss", "learning rate", "reward accuracy", "reward margin"} <= texts


def test_smoothing_looks_back_only() -> None:
    """Forty values are smoothed by two: the mean of each and the one before."""
    values = [float(value) for value in range(40)]
    assert smoothed(values)[:3] == [0.0, 0.5, 1.5]
    assert smoothed([4.0, 2.0]) == [4.0, 2.0]
