"""The forest plot: a line per difference with its 95% interval, and 0 for no difference."""

from __future__ import annotations

from typing import Any

from harness.report.figures import BLUE, INK, ORANGE, PAPER, name_in_figure, svg_of
from harness.report.forest import Forest, Line, Panel, direction, margin_words
from harness.report.wording import changes, counted, metric_name

_LINE_HEIGHT = 0.42
_COLOURS = {"better": BLUE, "worse": ORANGE}


def forest_svg(found: Forest) -> bytes:
    """Draw the panels one below the other, their axes aligned."""
    from matplotlib.figure import Figure

    counts = [len(panel.lines) for panel in found.panels]
    height = _LINE_HEIGHT * sum(counts) + 0.95 * len(counts) + 0.3
    figure = Figure(figsize=(9.6, height), layout="constrained")
    axes = figure.subplots(len(counts), 1, squeeze=False, height_ratios=[n + 0.4 for n in counts])
    for axis, panel in zip(axes[:, 0], found.panels, strict=True):
        _panel(axis, panel)
    if found.profile is not None:
        words = name_in_figure(margin_words(found), longest=200)
        figure.supxlabel(words, fontsize=8.5, color=INK)
    return svg_of(figure)


def _panel(axis: Any, panel: Panel) -> None:
    axis.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for row, line in enumerate(panel.lines):
        _line(axis, panel, line, row)
    axis.set_ylim(len(panel.lines) - 0.5, -0.5)
    axis.set_yticks([])
    axis.margins(x=0.06)
    axis.set_title(panel.title, fontsize=10, loc="left")
    axis.set_xlabel(direction(panel), fontsize=8.5)
    axis.tick_params(axis="x", labelsize=8.5)
    axis.grid(axis="x", linewidth=0.4, alpha=0.5)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _line(axis: Any, panel: Panel, line: Line, row: int) -> None:
    each = line.difference
    delta = each.delta
    low, value, high = (panel.scale * (end or 0.0) for end in (delta.low, delta.value, delta.high))
    sure = each.verdict in _COLOURS
    colour = _COLOURS.get(each.verdict, INK)
    thick = (2.8 if line.pooled else 2.0) if sure else 1.2
    axis.plot([low, high], [row, row], color=colour, linewidth=thick, zorder=2)
    # What is sure is filled: the colours are not all that tells it apart.
    axis.plot(
        [value],
        [row],
        marker="D" if line.pooled else "o",
        markersize=7,
        markerfacecolor=colour if sure else PAPER,
        markeredgecolor=colour,
        zorder=3,
    )
    if line.margin is not None:
        edge = -panel.scale * line.margin
        axis.plot([edge] * 2, [row - 0.5, row + 0.5], color=INK, linewidth=1.1, linestyle="--")
    if line.pooled:
        axis.axhline(row - 0.5, color=INK, linewidth=0.5)
    measured = "" if line.pooled else f"{metric_name(each.metric)}, "
    below = name_in_figure(f"{measured}{counted(delta.n, 'doc')}")
    _beside(axis, row, name_in_figure(each.task), below, left=True, bold=line.pooled)
    _beside(axis, row, changes(delta), each.verdict, left=False, bold=sure)


def _beside(axis: Any, row: int, text: str, below: str, left: bool, bold: bool) -> None:
    """Two lines of text beside a row of the plot."""
    for words, shift, size, weight in (
        (text, 1.5, 9.5, "bold" if bold else "normal"),
        (below, -9.0, 7.5, "normal"),
    ):
        axis.annotate(
            words,
            (0.0 if left else 1.0, row),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            xytext=(-8 if left else 8, shift),
            ha="right" if left else "left",
            fontsize=size,
            fontweight=weight,
            annotation_clip=False,
        )
