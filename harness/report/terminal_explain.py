"""The docs that turned, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from harness.explain import Explanation, Part
from harness.records import TaskResult
from harness.report.docs import shown_beside, shown_doc
from harness.report.terminal import say, table
from harness.report.terminal_doc import print_doc
from harness.report.wording import change, clean, counted, metric_name, small

GROUPS = 10
"""So many groups are shown at most: the ones that lost most, and the ones that gained most."""


def print_explanation(
    found: Explanation, results: tuple[TaskResult, TaskResult], names: tuple[str, str],
    console: Console,
) -> None:  # fmt: skip
    """Print how many docs turned where, and the sharpest of them.

    Args:
        found: what `harness.explain.explain` found.
        results: the task's results of base and model.
        names: what base and model are called.
        console: where to.
    """
    say(
        console,
        f"{clean(found.task)}, {metric_name(found.metric)}: of {counted(found.docs, 'doc')} "
        f"{found.gained:,} turned right and {found.lost:,} wrong",
        style="bold",
    )
    if found.groups:
        _print_parts("group", _outermost(found.groups), console)
        if len(found.groups) > GROUPS:
            say(console, f"{len(found.groups) - GROUPS:,} groups between them are not shown")
    _print_parts("length of the prompt", found.lengths, console)
    for flip in found.flips:
        shown = shown_beside(shown_doc(flip.model, results[1]), shown_doc(flip.base, results[0]))
        turned = "turned right" if flip.gained else "turned wrong"
        by = (
            ""
            if flip.shift is None
            else f": the right choice's lead moved by {_signed(flip.shift)}"
        )
        say(console, turned + by, style="green" if flip.gained else "red")
        print_doc(shown, console, names=(names[1], names[0]))


def _print_parts(what: str, parts: Sequence[Part], console: Console) -> None:
    cells = [
        [
            clean(part.name),
            f"{part.docs:,}",
            f"{part.gained:,}",
            f"{part.lost:,}",
            f"{change(part.change, 'proportion')} ({change(part.interval[0], 'proportion')} to "
            f"{change(part.interval[1], 'proportion')})",
        ]
        for part in parts
    ]
    if console.is_terminal:
        head = [what, "docs", "to right", "to wrong", "change, points\n(95% interval)"]
        console.print(table(head, cells, left={0}))
    else:
        for row in cells:
            say(console, "\t".join(row))


def _outermost(parts: Sequence[Part]) -> Sequence[Part]:
    if len(parts) <= GROUPS:
        return parts
    return [*parts[: GROUPS // 2], *parts[-GROUPS // 2 :]]


def _signed(value: float) -> str:
    return ("+" if value > 0 else "−") + small(abs(value))
