"""What a forest plot shows: differences with their intervals, and the drops the gate tolerates.

Two metrics share an axis only if they have one unit: shares of docs are all in points, anything
else has a panel for each metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.compare import Comparison
from harness.difference import Difference
from harness.gate.decide import is_accuracy
from harness.gate.policy import Policy, TaskPolicy
from harness.metrics.metric import is_ordered
from harness.report.wording import changes, clean, metric_heading, metric_name


@dataclass(frozen=True)
class Line:
    """A difference in a forest plot.

    Attributes:
        difference: it has a value and both ends of its interval.
        pooled: whether it is that of all accuracy tasks.
        margin: the drop that the gate tolerates, in the metric's unit; ``None`` where it has none.
    """

    difference: Difference
    pooled: bool
    margin: float | None


@dataclass(frozen=True)
class Panel:
    """Lines that share an axis.

    Attributes:
        title: what is measured, and in what.
        scale: what a value is multiplied with: 100 where it is shown in points.
    """

    title: str
    scale: float
    higher_is_better: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Forest:
    """The panels of a comparison.

    Attributes:
        base, model: the labels of the two.
        panels: in the order of their tasks.
        profile: of the gate's policy, ``None`` where no margin is shown.
        left_out: tasks whose difference has no interval.
    """

    base: str
    model: str
    panels: tuple[Panel, ...]
    profile: str | None
    left_out: tuple[str, ...]


def forest(comparison: Comparison, policy: Policy | None) -> Forest | None:
    """Lay out the primary metrics, the pooled difference last; ``None`` where none has an interval.

    Args:
        comparison: the two.
        policy: whose margins are shown, of accuracy tasks.
    """
    pooled = comparison.pooled
    shown = [each for each in comparison.differences if each.primary]
    shown += [pooled] if pooled else []
    together: dict[tuple[str, bool, str], list[Line]] = {}
    for each in filter(_drawable, shown):
        unit, better = each.delta.unit, each.delta.higher_is_better
        together_with_others = unit == "proportion" and is_ordered(each.metric)
        key = (unit, better, "" if together_with_others else each.metric)
        line = Line(each, each is pooled, _margin(each, policy, of_all=each is pooled))
        together.setdefault(key, []).append(line)
    if not together:
        return None
    panels = tuple(_panel(lines) for lines in together.values())
    with_margin = any(line.margin is not None for line in _lines(panels))
    return Forest(
        base=comparison.base.label,
        model=comparison.model.label,
        panels=panels,
        profile=policy.profile if policy and with_margin else None,
        left_out=tuple(each.task for each in shown if not _drawable(each)),
    )


def described(found: Forest) -> str:
    """The plot in words, with every number that it shows."""
    parts = [
        f"Forest plot of {clean(found.model)} against {clean(found.base)}, differences with 95% "
        "intervals."
    ]
    for panel in found.panels:
        said = "; ".join(
            f"{clean(line.difference.task)} {changes(line.difference.delta)}, "
            f"{line.difference.verdict}"
            for line in panel.lines
        )
        parts.append(f"{panel.title}: {said}.")
    if found.profile is not None:
        parts.append(f"{margin_words(found)}.")
    if found.left_out:
        parts.append(f"Without an interval: {', '.join(map(clean, found.left_out))}.")
    return " ".join(parts)


def caption(found: Forest) -> str:
    """What to know when looking at it."""
    said = (
        "The primary metric of each task, with 95% intervals; 0 is no difference. What is filled "
        "is surely better (blue) or surely worse (orange)."
    )
    if found.left_out:
        tasks = ", ".join(map(clean, found.left_out))
        said += f" Without an interval, and so not shown: {tasks}."
    return said


def margin_words(found: Forest) -> str:
    """Which drops the gate tolerates: ``dashed: ... 2 points a task, 0.5 points over all``."""
    lines = list(_lines(found.panels))
    of_tasks = sorted({line.margin for line in lines if line.margin and not line.pooled})
    of_all = [line.margin for line in lines if line.margin and line.pooled]
    said = []
    if of_tasks:
        said.append(f"{' or '.join(f'{100 * each:g}' for each in of_tasks)} points a task")
    if of_all:
        said.append(f"{100 * of_all[0]:g} points over all")
    profile = clean(found.profile or "")
    return f"Dashed: the drop that gate.yaml tolerates ({profile}): {', '.join(said)}"


def direction(panel: Panel) -> str:
    """Which side of a panel is the better one."""
    if not any(is_ordered(line.difference.metric) for line in panel.lines):
        return "neither side is better"
    return "right of 0 is better" if panel.higher_is_better else "left of 0 is better"


def _lines(panels: Iterable[Panel]) -> Iterable[Line]:
    return (line for panel in panels for line in panel.lines)


def _panel(lines: list[Line]) -> Panel:
    first = lines[0].difference
    better = first.delta.higher_is_better
    if first.delta.unit != "proportion":
        return Panel(
            metric_heading(first.metric, first.delta.unit, better), 1.0, better, tuple(lines)
        )
    metrics = {metric_name(line.difference.metric) for line in lines if not line.pooled}
    named = f"{metrics.pop()}, in points" if len(metrics) == 1 else "shares of docs, in points"
    return Panel(f"{named} {'↑' if better else '↓'}", 100.0, better, tuple(lines))


def _drawable(each: Difference) -> bool:
    ends = (each.delta.low, each.delta.value, each.delta.high)
    return all(end is not None and math.isfinite(end) for end in ends)


def _margin(each: Difference, policy: Policy | None, of_all: bool) -> float | None:
    if policy is None or not is_accuracy(each.metric, each.delta):
        return None
    if of_all:
        return policy.pooled.value
    of_task = policy.tasks.get(each.task, TaskPolicy())
    if of_task.metric not in (None, each.metric):
        return None  # the gate looks at another metric of this task
    margin = of_task.margin or policy.task
    return margin.value if margin.unit == "proportion" else None
