"""How far a model has moved from the base of a comparison, where a run of it has measured that.

A difference of accuracies pairs two runs; a divergence is one run's own figure, of the model and
its parent side by side. So it is looked up among the model's runs, not made from two of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.others import PARENT
from harness.records import Run, TaskResult
from harness.types import Estimate


@dataclass(frozen=True)
class Distance:
    """What one task says of how far a model is from the base.

    Attributes:
        run: id of the run that measured it.
        task: its name.
        docs: texts or questions.
        on_samples: whether these were the shipped samples.
        estimates: by metric, the primary one first.
    """

    run: str
    task: str
    docs: int
    on_samples: bool
    estimates: Mapping[str, Estimate]


def distances(base: Run, model: Run, runs: Iterable[Run]) -> tuple[Distance, ...]:
    """Find, for each task that holds a model against its parent, the newest result of the model
    against the base, both with the very weights that are compared.

    Args:
        base: the run of the base.
        model: the run of the model.
        runs: where to look, the newest first.
    """
    found: dict[str, Distance] = {}
    for run in runs:
        if run.model.weights_id != model.model.weights_id or run.status != "complete":
            continue
        for task, result in run.results.items():
            if is_from(base, result):
                found.setdefault(task, _distance(run, result))
    return tuple(found.values())


def is_unmeasured(base: Run, model: Run, found: Iterable[Distance]) -> bool:
    """Whether a rounded model's distance from the very model that was rounded is not known."""
    is_parent = base.model.name in model.model.lineage[-2:-1]
    return is_parent and model.model.quantization not in ("", "none") and not list(found)


def is_from(base: Run, result: TaskResult) -> bool:
    """Whether a result was held against the very weights of the base as its parent."""
    parent = result.others.get(PARENT, "")
    return parent.startswith(f"{base.model.name} ({base.model.weights_id[:16]}")


def _distance(run: Run, result: TaskResult) -> Distance:
    metrics = sorted(result.estimates, key=lambda metric: metric != result.primary)
    return Distance(
        run=run.id,
        task=result.task,
        docs=result.docs,
        on_samples=result.on_samples,
        estimates={metric: result.estimates[metric] for metric in metrics},
    )
