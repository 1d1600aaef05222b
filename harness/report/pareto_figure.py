"""The picture of quality against memory, and against speed where it was probed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.pareto import Pareto, Point, frontier
from harness.report.figures import BLUE, GREY, INK, name_in_figure, svg_of

_COSTS: tuple[tuple[str, Callable[[Point], float | None]], ...] = (
    ("weights in memory, MB", lambda point: _divided(point.memory_bytes, 1e6)),
    ("milliseconds a generated token", lambda point: _divided(1e3, point.decode)),
)


def pareto_svg(pareto: Pareto) -> bytes | None:
    """Draw a panel per cost that all models have; ``None`` where there is none."""
    from matplotlib.figure import Figure

    panels = [
        (label, costs)
        for label, cost in _COSTS
        if None not in (costs := [cost(point) for point in pareto.points])
    ]
    if not panels:
        return None
    figure = Figure(figsize=(5.6 * len(panels), 4.2), layout="constrained")
    for place, (label, costs) in enumerate(panels):
        axis = figure.add_subplot(1, len(panels), place + 1)
        _panel(axis, pareto, label, [cost or 0.0 for cost in costs], first=place == 0)
    return svg_of(figure)


def _panel(axis: Any, pareto: Pareto, label: str, costs: list[float], first: bool) -> None:
    scale = 100.0 if pareto.quality.delta.unit == "proportion" else 1.0
    changes = [scale * point.change for point in pareto.points]
    best = frontier(list(zip(costs, changes, strict=True)))
    line = sorted((costs[place], changes[place]) for place in best)
    axis.plot(*zip(*line, strict=True), color=BLUE, linewidth=1, drawstyle="steps-post", zorder=1)
    by_cost = sorted(range(len(costs)), key=lambda place: costs[place])
    for turn, place in enumerate(by_cost):
        point = pareto.points[place]
        colour = INK if place == 0 else BLUE if place in best else GREY
        low, high = point.interval
        if None not in point.interval:
            ends = sorted(scale * (end or 0.0) for end in (low, high))
            axis.plot([costs[place]] * 2, ends, color=colour, linewidth=1.2, zorder=2)
        axis.plot(costs[place], changes[place], "D" if place == 0 else "o", color=colour, zorder=3)
        axis.annotate(
            name_in_figure(point.model),
            (costs[place], changes[place]),
            textcoords="offset points",
            xytext=(6, 4 if turn % 2 else -11),  # neighbours' names stand apart
            fontsize=8,
        )
    axis.axhline(0, color=INK, linewidth=0.6, linestyle=":")
    axis.set_xlabel(label)
    axis.margins(x=0.2)
    axis.grid(linewidth=0.4, alpha=0.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if first:
        unit = "points" if scale == 100.0 else pareto.quality.delta.unit
        quality, base = pareto.quality.task, pareto.points[0].model
        axis.set_ylabel(f"{name_in_figure(quality)}: change from {name_in_figure(base)}, {unit}")


def _divided(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None
