"""A suite's results beside published figures, as GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.markdown import escape, table
from harness.report.published import Cell, Column, Line, Part, SuiteTable
from harness.report.published_captions import (
    HOW_TO_READ,
    NOT_RUN,
    OWN_TITLE,
    SAMPLES_TITLE,
    heading,
    measured_by,
    missing_words,
    name,
    ours_words,
    published_words,
    run_words,
    summary,
    title,
    verdict,
)
from harness.report.wording import ABSENT


def published_markdown(found: SuiteTable) -> str:
    """Render the page of a suite."""
    lines = [f"# {escape(title(found))}", "", escape(summary(found)), ""]
    lines += [f"Source: {escape(found.source)}. {escape(found.unstated)}", ""]
    for part in found.parts:
        lines += _part(part)
    lines += [f"{number}. {escape(note)}" for number, note in enumerate(found.footnotes, 1)]
    if found.missing:
        lines += ["", "## Not run", ""]
        lines += [f"- {escape(missing_words(each, found.suite))}" for each in found.missing]
    lines += ["", "## How to read this", ""]
    for paragraph in HOW_TO_READ:
        lines += [paragraph, ""]
    if found.runs:
        lines += ["## Runs", "", *(f"- {escape(run_words(run))}" for run in found.runs), ""]
    if found.notes:
        lines += ["## Not shown", "", *(f"- {escape(note)}" for note in found.notes), ""]
    return "\n".join(lines)


def _part(part: Part) -> list[str]:
    lines = [f"## {escape(part.title)}", "", *_table(part.published, part.columns), ""]
    if part.own:
        lines += [f"### {OWN_TITLE}", "", *_table(part.own, part.columns), ""]
    if part.samples:
        lines += [f"### {SAMPLES_TITLE}", "", *_table(part.samples, part.columns), ""]
    return lines


def _table(rows: Sequence[Line], columns: Sequence[Column]) -> list[str]:
    head = [f"{escape(heading(column))}<br>{escape(measured_by(column))}" for column in columns]
    cells = [
        [
            escape(name(line)),
            *(
                _cell(cell, column, bool(line.name))
                for cell, column in zip(line.cells, columns, strict=True)
            ),
        ]
        for line in rows
    ]
    return table(["Model", *head], cells)


def _cell(cell: Cell, column: Column, in_source: bool) -> str:
    if not in_source:
        return ours_words(cell, column, ABSENT)
    parts = [f"**{published_words(cell)}**" if cell.published else "not published"]
    parts += [ours_words(cell, column, NOT_RUN)]
    parts += [verdict(cell, column)] if cell.published and cell.ours else []
    return "<br>".join(parts)
