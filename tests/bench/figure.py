"""The benchmark as a figure: how many times as fast as lm-eval, work by work, with the targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.results import Bench
from tests.bench.works import GEOMETRIC_MEAN_TARGET

# Okabe and Ito's colours, told apart by every kind of colour vision; hatched, for those who print.
INK = "#222222"
MET: Any = {"facecolor": "#56B4E9", "edgecolor": INK, "linewidth": 0.5}
MISSED: Any = {"facecolor": "#E69F00", "edgecolor": INK, "linewidth": 0.5, "hatch": "///"}
ROW_INCHES = 0.5


def draw(bench: Bench, path: Path) -> None:
    """Write an SVG; nothing is written where no work has a ratio."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = [
        (f"{work.name}\n{work.docs:,} docs", work.ratio, work.target, work.ratios)
        for work in bench.works
        if work.ratio is not None
    ]
    if not rows:
        return
    if bench.geometric_mean is not None and len(rows) > 1:
        rows.append(("geometric mean", bench.geometric_mean, GEOMETRIC_MEAN_TARGET, []))
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 10}
    with plt.rc_context(style):
        size = (7.5, 1.5 + ROW_INCHES * len(rows))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        for position, (_, ratio, target, ratios) in enumerate(rows):
            assert ratio is not None
            axes.barh(position, ratio, height=0.6, **(MET if ratio >= target else MISSED))
            if len(ratios) > 1:
                axes.plot([min(ratios), max(ratios)], [position] * 2, color=INK, linewidth=1.2)
            axes.plot([target] * 2, [position - 0.4, position + 0.4], color=INK, linewidth=2.5)
            end = max([ratio, target, *ratios])
            axes.annotate(
                f"{ratio:.2f}x",
                (end, position),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=INK,
            )
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
        axes.invert_yaxis()
        furthest = max(max([ratio or 0, target, *ratios]) for _, ratio, target, ratios in rows)
        axes.set_xlim(0, 1.15 * furthest)
        axes.set_xlabel("times as fast as lm-eval's hf model at its best batch size")
        axes.set_title(
            f"{bench.model}, {bench.dtype}, {bench.threads} threads", loc="left", fontsize=11
        )
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(
            handles=[
                Patch(**MET, label="target met"),
                Patch(**MISSED, label="target missed"),
                Line2D([], [], color=INK, linewidth=2.5, label="target"),
                Line2D([], [], color=INK, linewidth=1.2, label="slowest to fastest pair"),
            ],
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize=9,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(
            path,
            format="svg",
            metadata={
                "Title": "Times as fast as lm-eval",
                "Date": None,
                "Description": _say(bench),
            },
        )
        plt.close(figure)


def _say(bench: Bench) -> str:
    """The figure in words, for those who do not see it."""
    said = [
        f"{work.name} {work.ratio:.2f} (target {work.target:g})"
        for work in bench.works
        if work.ratio is not None
    ]
    return "Times as fast as lm-eval: " + ", ".join(said)
