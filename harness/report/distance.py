"""How far a model has moved, in words: rows for the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from harness.distance import Distance
from harness.report.markdown import escape
from harness.report.markdown import table as markdown_table
from harness.report.terminal import say, table
from harness.report.wording import clean, figure, metric_heading

HEAD = ["task", "metric", "value (95% interval)", "docs"]
ABOUT = (
    "Accuracy can stay where it is while answers change both ways. kl is the divergence from the "
    "base's predictions, in nats a token (of questions: a question's choices): its mean, its "
    "median, and the value that the 1% of tokens which moved most exceed. probability_change is "
    "what the token that follows gained; its root mean square does not cancel gains and losses. "
    "Intervals are over whole documents."
)


def title(base: str, model: str) -> str:
    """Name what is measured: ``how far smol-int4 has moved from smol``."""
    return f"how far {clean(model)} has moved from {clean(base)}"


def rows(distances: Sequence[Distance]) -> list[list[str]]:
    """One row of cells per metric of each task."""
    return [
        [
            clean(each.task) + (" (samples)" if each.on_samples else ""),
            metric_heading(metric, estimate.unit, estimate.higher_is_better),
            figure(estimate),
            f"{each.docs:,}",
        ]
        for each in distances
        for metric, estimate in each.estimates.items()
    ]


def unmeasured(model: str) -> str:
    """Say which command measures it."""
    return (
        f"how far {clean(model)} has moved was not measured: make eval MODEL={clean(model)} "
        "TASKS=divergence_wikitext2,divergence_choices"
    )


def print_distances(
    names: tuple[str, str], distances: Sequence[Distance], console: Console
) -> None:
    """Print what is known."""
    say(console, title(*names), style="bold")
    if console.is_terminal:
        console.print(table(HEAD, rows(distances), left={0, 1}))
        say(console, ABOUT, style="dim")
        return
    for row in rows(distances):
        say(console, "\t".join(row))


def distances_markdown(names: tuple[str, str], distances: Sequence[Distance]) -> str:
    """The same as Markdown, to follow a comparison's page."""
    cells = [[escape(cell) for cell in row] for row in rows(distances)]
    heading = title(*names)
    lines = [f"## {escape(heading[0].upper() + heading[1:])}", ""]
    lines += [*markdown_table(HEAD, cells), "", escape(ABOUT), ""]
    lines += [f"Measured by {escape(', '.join(sorted({each.run for each in distances})))}.", ""]
    return "\n".join(lines)
