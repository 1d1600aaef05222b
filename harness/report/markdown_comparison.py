"""A comparison as GitHub-flavoured Markdown."""

from __future__ import annotations

from harness.compare import Comparison
from harness.report.captions import ABOUT_NOISE
from harness.report.comparison import (
    HOW_TO_READ,
    details,
    head,
    heading,
    rows,
    sides,
    summary,
    tests,
)
from harness.report.markdown import escape, table


def comparison_markdown(
    comparison: Comparison, verdict: str | None = None, forest: tuple[str, str] | None = None
) -> str:
    """Render one model against its base.

    Args:
        comparison: the two.
        verdict: the sentence at the top; by default the summary.
        forest: the path of the picture of the differences, from the page, and what it shows.
    """
    cells = [[escape(cell) for cell in row] for row in rows(comparison)]
    lines = [f"# {escape(heading(comparison))}", "", escape(verdict or summary(comparison)), ""]
    if comparison.on_samples:
        lines += ["Scored on the shipped samples: not comparable with the benchmarks.", ""]
    if forest is not None:
        lines += [f"![{escape(forest[1])}]({forest[0]})", ""]
    lines += [*table([escape(name) for name in head(comparison)], cells), ""]
    said = [*details(comparison), *(f"note: {note}" for note in comparison.notes)]
    lines += [*(f"- {escape(line)}" for line in said), ""] if said else []
    lines += ["## How to read this", ""]
    noisy = any(noise for each in comparison.differences for noise in each.noise)
    for paragraph in (*HOW_TO_READ, *([ABOUT_NOISE] if noisy else [])):
        lines += [paragraph, ""]
    lines += [*(f"- {escape(line)}" for line in tests(comparison)), ""]
    return "\n".join([*lines, f"{escape(sides(comparison))}.", ""])
