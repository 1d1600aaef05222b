"""A lineage step by step, in words: rows, and which step is named for what was lost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from harness.difference import Difference
from harness.report.markdown import escape
from harness.report.markdown import table as markdown_table
from harness.report.terminal import say, table
from harness.report.wording import ABSENT, changes, clean, metric_heading
from harness.types import SURE
from harness.waterfall import Step, Waterfall

_MOVED = {"worse": "lost", "better": "gained", "changed": "changed"}


def head(waterfall: Waterfall) -> list[str]:
    """Column names: the step, then the tasks."""
    return [
        "step",
        *(
            f"{clean(each.task)}\n"
            f"{metric_heading(each.metric, each.delta.unit, each.delta.higher_is_better)}"
            for each in waterfall.whole
        ),
    ]


def rows(waterfall: Waterfall) -> list[list[str]]:
    """A row per step, and one for the whole way; what is sure is marked with its verdict."""
    first, last = waterfall.steps[0].parent, waterfall.steps[-1].child
    return [
        *([_name(step), *_cells(waterfall, step.differences)] for step in waterfall.steps),
        [f"{clean(first)} to {clean(last)}", *_cells(waterfall, waterfall.whole)],
    ]


def named(waterfall: Waterfall) -> list[str]:
    """For each task, the steps that surely moved it."""
    said = []
    for each in waterfall.whole:
        moves = [
            f"{_MOVED[found.verdict]} by {_name(step)} ({changes(found.delta)})"
            for step, found in waterfall.moves(each.task)
        ]
        said.append(f"{clean(each.task)}: {', '.join(moves) or 'no step surely moved it'}")
    return said


def adjusted(waterfall: Waterfall) -> str:
    """Say over how many tests the steps' verdicts are adjusted."""
    return (
        f"p of the steps are adjusted for {waterfall.family} tests (Holm); a step's verdict is "
        "shown where it is sure."
    )


def print_waterfall(waterfall: Waterfall, console: Console) -> None:
    """Print the steps, and name those that moved a task."""
    say(console, "step by step", style="bold")
    names, cells = head(waterfall), rows(waterfall)
    if console.is_terminal:
        console.print(table(names, cells, left={0}))
    else:
        for row in cells:
            say(console, "\t".join(row))
    for line in named(waterfall):
        say(console, line, style="bold")


def waterfall_markdown(waterfall: Waterfall, figure: str | None) -> str:
    """The same as Markdown, to follow a comparison's page.

    Args:
        waterfall: the steps.
        figure: the picture's path from the page.
    """
    names = [escape(name.replace("\n", ", ")) for name in head(waterfall)]
    cells = [[escape(cell) for cell in row] for row in rows(waterfall)]
    lines = ["## Step by step", "", *(f"- {escape(line)}" for line in named(waterfall)), ""]
    lines += [*markdown_table(names, cells), ""]
    lines += [adjusted(waterfall), ""]
    if figure is not None:
        lines += [f"![What each step changed, with 95% intervals]({figure})", ""]
    return "\n".join(lines)


def _name(step: Step) -> str:
    skipped = f" (by way of {', '.join(map(clean, step.unscored))})" if step.unscored else ""
    return f"{clean(step.parent)} to {clean(step.child)}{skipped}"


def _cells(waterfall: Waterfall, differences: Sequence[Difference]) -> list[str]:
    """Differences in the order of the columns: runs need not have their tasks in one order."""
    found = {(each.task, each.metric): each for each in differences}
    return [_cell(found.get((each.task, each.metric))) for each in waterfall.whole]


def _cell(each: Difference | None) -> str:
    if each is None or each.p is None:
        return ABSENT
    sure = f", {each.verdict}" if each.verdict in SURE else ""
    return changes(each.delta) + sure


def comparable(differences: Sequence[Difference]) -> list[Difference]:
    """Those with a value and an interval, which a figure can show."""
    return [
        each
        for each in differences
        if None not in (each.base, each.delta.value, each.delta.low, each.delta.high)
    ]
