"""A suite's results beside published figures, in the terminal: a line for every figure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from harness.report.published import Column, Line, SuiteTable
from harness.report.published_captions import (
    HOW_TO_READ,
    INSIDE,
    NOT_RUN,
    OUTSIDE,
    OWN_TITLE,
    SAMPLES_TITLE,
    heading,
    measured_by,
    missing_words,
    name,
    ours_words,
    published_words,
    summary,
    title,
    verdict,
)
from harness.report.terminal import say, table
from harness.report.wording import clean

_HEAD = ["measure", "model", "published", "ours (95% interval)", "published lies"]
_PUBLISHED, _OURS, _VERDICT = 2, 3, 4


def print_published(found: SuiteTable, console: Console) -> None:
    """Print the table: drawn in a terminal, lines with tabs into a pipe."""
    say(console, title(found), style="bold")
    say(console, f"source: {found.source}. {found.unstated}")
    for part in found.parts:
        for what, lines in (
            (part.title, part.published),
            (f"{part.title}: {OWN_TITLE.lower()}", part.own),
            (f"{part.title}: {SAMPLES_TITLE.lower()}", part.samples),
        ):
            if lines:
                _print_lines(what, lines, part.columns, console)
    for number, note in enumerate(found.footnotes, 1):
        say(console, f"[{number}] {note}", style="dim" if console.is_terminal else "")
    for each in found.missing:
        say(console, f"{NOT_RUN}: {missing_words(each, found.suite)}")
    for note in found.notes:
        say(console, f"not shown: {note}")
    say(console, summary(found), style="bold")
    if console.is_terminal:
        for paragraph in HOW_TO_READ:
            say(console, paragraph, style="dim")


def _print_lines(
    what: str, lines: Sequence[Line], columns: Sequence[Column], console: Console
) -> None:
    rows: list[list[str]] = []
    for place, column in enumerate(columns):
        for line in lines:
            cell = line.cells[place]
            if not cell.published and not cell.ours:
                continue
            ours = ours_words(cell, column, NOT_RUN)
            said = [name(line), published_words(cell), ours, verdict(cell, column)]
            rows.append([f"{heading(column)} ({measured_by(column)})", *said])
    if not rows:
        return
    if not console.is_terminal:
        say(console, f"# {what}")
        for row in rows:
            say(console, "\t".join(row))
        return
    inside, outside = (
        {(line, _VERDICT) for line, row in enumerate(rows) if row[_VERDICT] == word}
        for word in (INSIDE, OUTSIDE)
    )
    # A measure is named once, above its models.
    drawn = [
        [row[0] if not line or rows[line - 1][0] != row[0] else "", *row[1:]]
        for line, row in enumerate(rows)
    ]
    left = {0, 1, _OURS, _VERDICT}
    console.print(table(_HEAD, drawn, left=left, bold=inside, bad=outside, title=clean(what)))
