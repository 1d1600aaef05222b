"""How a training went, step by step: `curves.json`, and the figure `curves.svg`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_TRAIN = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
    "accuracy": "reward_accuracy",
    "margin": "reward_margin",
    "kl": "kl",
}
"""The trainers' names for what is kept, and ours."""
_SMOOTHED_SHARE = 0.05


@dataclass(frozen=True)
class Curves:
    """What was measured, in order.

    Attributes:
        train: one entry per optimizer step: ``step``, ``loss``, ``learning_rate``,
            ``gradient_norm``, and what the objective adds, ``reward_accuracy`` and
            ``reward_margin`` of the step's own pairs.
        validation: the same of the held-out rows, at some steps; step 0 is the parent. Where the
            objective measures rewards from the parent, it has none itself, and no accuracy.
        best_step: the step whose weights are kept: the lowest validation loss, or the last one.
    """

    train: tuple[Mapping[str, float], ...]
    validation: tuple[Mapping[str, float], ...]
    best_step: int

    def write(self, folder: Path, title: str) -> None:
        """Write `curves.json` and `curves.svg`."""
        written = json.dumps(asdict(self), indent=1)
        (folder / "curves.json").write_text(written + "\n", "utf-8")
        draw(self, folder / "curves.svg", title)

    def figures(self) -> dict[str, float]:
        """The numbers that a lineage keeps: losses before and after, and steps."""
        kept: dict[str, float] = {"steps": len(self.train), "best_step": self.best_step}
        if self.train:
            tail = [entry["loss"] for entry in self.train[-max(1, len(self.train) // 10) :]]
            kept["train_loss"] = sum(tail) / len(tail)
        by_step = {entry["step"]: entry for entry in self.validation}
        if 0 in by_step:
            kept["validation_loss_before"] = by_step[0]["loss"]
        if self.best_step in by_step:
            kept["validation_loss"] = by_step[self.best_step]["loss"]
        return kept


def read_history(history: Iterable[Mapping[str, Any]], best_step: int | None) -> Curves:
    """Sort out a trainer's log.

    Args:
        history: `TrainerState.log_history`.
        best_step: of the lowest validation loss; ``None`` if nothing was held out.
    """
    train: dict[int, dict[str, float]] = {}
    validation: dict[int, dict[str, float]] = {}
    for entry in history:
        # A step's own figures are of the weights before it.
        if "loss" in entry:
            train[entry["step"]] = _kept(entry, "", of_parent=entry["step"] == 1)
        elif "eval_loss" in entry:
            validation[entry["step"]] = _kept(entry, "eval_", of_parent=entry["step"] == 0)
    last = max(train, default=0)
    return Curves(tuple(train.values()), tuple(validation.values()), best_step or last)


def _kept(entry: Mapping[str, Any], prefix: str, *, of_parent: bool) -> dict[str, float]:
    """One look, under our names."""
    kept: dict[str, float] = {"step": entry["step"]}
    for theirs, ours in _TRAIN.items():
        # Rewards that are measured from the parent are all alike there: TRL counts ties as lost.
        if prefix + theirs in entry and not (of_parent and theirs == "rewards/accuracies"):
            kept[ours] = entry[prefix + theirs]
    return kept


def draw(curves: Curves, path: Path, title: str) -> None:
    """Draw the curves as an SVG: loss, learning rate, and what the objective adds."""
    import matplotlib
    from matplotlib.figure import Figure

    wanted = ["loss", "learning_rate", "reward_accuracy", "reward_margin"]
    entries = (*curves.train, *curves.validation)
    names = [name for name in wanted if any(name in entry for entry in entries)]
    # Without these two settings the same curves would make another file each time.
    with matplotlib.rc_context({"svg.hashsalt": "curves", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 2.4 * max(1, len(names))), layout="constrained")
        for place, name in enumerate(names):
            _panel(figure.add_subplot(len(names), 1, place + 1), curves, name)
        figure.suptitle(title)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(axes: Any, curves: Curves, name: str) -> None:
    steps = [entry["step"] for entry in curves.train if name in entry]
    values = [entry[name] for entry in curves.train if name in entry]
    marker = "o" if len(values) == 1 else ""  # a line of one point would not be seen
    if values and name == "learning_rate":
        axes.plot(steps, values, marker=marker, color="#0b62a4")
    elif values:
        axes.plot(steps, values, color="#0b62a4", alpha=0.25, linewidth=0.8)
        label = "training, smoothed"
        axes.plot(steps, smoothed(values), marker=marker, color="#0b62a4", label=label)
    held = [(entry["step"], entry[name]) for entry in curves.validation if name in entry]
    if held:
        axes.plot(*zip(*held, strict=True), "o-", color="#c1440e", label="validation")
        axes.axvline(curves.best_step, color="#777777", linestyle=":", label="kept")
    axes.set_ylabel(name.replace("_", " "))
    axes.set_xlabel("optimizer step")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small")


def smoothed(values: Sequence[float]) -> list[float]:
    """Means over the last twentieth of the values, at least one."""
    window = max(1, round(len(values) * _SMOOTHED_SHARE))
    means = []
    for end in range(1, len(values) + 1):
        seen = values[max(0, end - window) : end]
        means.append(sum(seen) / len(seen))
    return means
