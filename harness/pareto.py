"""Quality against cost: which models no other one beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.compare import Comparison, StoredRun
from harness.difference import Difference
from harness.metrics.metric import is_ordered
from harness.speed import As
from harness.stats import Interval
from harness.types import Estimate


@dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
        change: of the quality from the base's, in the metric's own unit; 0 for the base.
        interval: of the change, 95%, paired.
        memory_bytes: of the loaded weights.
        decode: generated tokens a second by the speed probe, ``None`` where it was not probed.
    """

    model: str
    change: float
    interval: Interval
    memory_bytes: int | None
    decode: float | None


@dataclass(frozen=True)
class Pareto:
    """Models beside their base.

    Attributes:
        quality: what is measured: a task and its metric, or all accuracy tasks.
        points: the base first.
    """

    quality: Difference
    points: tuple[Point, ...]


def pareto(
    base: StoredRun,
    models: Sequence[StoredRun],
    comparisons: Sequence[Comparison],
    decode: Mapping[As, float],
) -> Pareto | None:
    """Put models beside their base.

    The quality is that of all accuracy tasks together, or of the only task; ``None`` where there
    are several and they cannot be pooled, a value is undefined, or neither end of it is better.

    Args:
        base: what the models were compared with.
        models: their runs.
        comparisons: of each with the base.
        decode: tokens a second, by weights and dtype.
    """
    found = [each.lead for each in comparisons]
    qualities = [
        each
        for each in found
        if each is not None and each.delta.value is not None and is_ordered(each.metric)
    ]
    if len(qualities) < len(models) or not models:
        return None
    points = [Point(base.run.model.name, 0.0, (0.0, 0.0), *_costs(base, decode))]
    for model, each in zip(models, qualities, strict=True):
        change, interval = _towards_better(each.delta)
        points.append(Point(model.run.model.name, change, interval, *_costs(model, decode)))
    return Pareto(qualities[0], tuple(points))


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that no other beats: less cost and more quality, or one of them equal.

    Args:
        points: cost and quality.
    """
    return [
        place
        for place, (cost, quality) in enumerate(points)
        if not any(
            other_cost <= cost
            and other_quality >= quality
            and (other_cost, other_quality) != (cost, quality)
            for other_cost, other_quality in points
        )
    ]


def _towards_better(delta: Estimate) -> tuple[float, Interval]:
    """A difference whose upper side is the better one, and its interval."""
    value = delta.value or 0.0
    if delta.higher_is_better:
        return value, (delta.low, delta.high)
    low, high = (None if end is None else -end for end in (delta.high, delta.low))
    return -value, (low, high)


def _costs(run: StoredRun, decode: Mapping[As, float]) -> tuple[int | None, float | None]:
    model = run.run.model
    return model.memory_bytes, decode.get((model.weights_id, model.dtype))
