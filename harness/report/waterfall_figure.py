"""The picture of a lineage: per task, how far each step raised or lowered the metric."""

from __future__ import annotations

from typing import Any

from harness.difference import Difference
from harness.report.figures import BLUE, GREY, INK, ORANGE, name_in_figure, svg_of
from harness.report.waterfall import comparable
from harness.report.wording import brief_change, metric_heading
from harness.waterfall import Waterfall

_COLUMNS = 2


def waterfall_svg(waterfall: Waterfall) -> bytes:
    """Draw one panel per task: a mark where the first model is, and a bar from step to step."""
    from matplotlib.figure import Figure

    tasks = comparable(waterfall.whole)
    columns = min(_COLUMNS, max(1, len(tasks)))
    lines = -(-len(tasks) // columns)
    height = 0.9 + 0.42 * (len(waterfall.steps) + 1)
    figure = Figure(figsize=(5.4 * columns, 0.4 + height * lines), layout="constrained")
    for place, whole in enumerate(tasks):
        axis = figure.add_subplot(lines, columns, place + 1)
        _panel(axis, waterfall, whole, labels=place % columns == 0)
    return svg_of(figure)


def _panel(axis: Any, waterfall: Waterfall, whole: Difference, labels: bool) -> None:
    scale = 100.0 if whole.delta.unit == "proportion" else 1.0
    level = scale * (whole.base or 0.0)
    names = [name_in_figure(waterfall.steps[0].parent)]
    axis.plot([level], [0], marker="D", color=INK, markersize=5)
    for row, step in enumerate(waterfall.steps, 1):
        names.append(name_in_figure(step.child))
        found = comparable([each for each in step.differences if each.task == whole.task])
        if not found:
            continue
        delta = found[0].delta
        value, low, high = (scale * (end or 0.0) for end in (delta.value, delta.low, delta.high))
        colour = {"better": BLUE, "worse": ORANGE}.get(found[0].verdict, GREY)
        axis.barh(row, value, left=level, height=0.55, color=colour)
        axis.plot([level + low, level + high], [row, row], color=INK, linewidth=1.4)
        axis.plot([level, level], [row - 1, row + 0.3], color=INK, linewidth=0.6, linestyle=":")
        axis.annotate(
            brief_change(delta.value, whole.delta.unit),
            (max(level + high, level), row),
            textcoords="offset points",
            xytext=(4, -3),
            fontsize=8,
        )
        level += value
    axis.set_yticks(range(len(names)), names if labels else [])
    axis.invert_yaxis()
    axis.set_title(
        f"{name_in_figure(whole.task)}, "
        f"{metric_heading(whole.metric, whole.delta.unit, whole.delta.higher_is_better)}",
        fontsize=10,
        loc="left",
    )
    axis.use_sticky_edges = False  # else a bar that begins at the first level is cut there
    axis.margins(x=0.16)
    axis.grid(axis="x", linewidth=0.4, alpha=0.5)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0, labelsize=9)
    axis.tick_params(axis="x", labelsize=8)
