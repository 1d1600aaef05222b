"""The leaderboard as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.report import wording
from harness.report.captions import (
    ABOUT_NOISE,
    BEST,
    HOW_TO_READ,
    cell_marks,
    column_data,
    column_metric,
    column_note,
    headline,
    machines_note,
    noise_notes,
)
from harness.report.leaderboard import Cell, Column, Leaderboard, ModelRow, Section

_SPECIAL = re.compile(r"[\\`*|\[\]~#]|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Return ``text`` as one line of Markdown that shows exactly its characters.

    Nothing in it can end a table cell, open a tag or become a link, not even a bare address.
    """
    plain = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], wording.clean(text))
    plain = _SPECIAL.sub(lambda found: "\\" + found[0], plain)
    plain = plain.replace("://", ":&#47;/").replace("@", "&#64;")
    return re.sub(r"(?i)\bwww\.", lambda found: found[0][:-1] + "&#46;", plain)


def code(text: str) -> str:
    """Return ``text`` as one line of code that shows exactly its characters; pipes stay, so that
    in a table's cell they are escaped after this.
    """
    plain = wording.clean(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", plain)), default=0))
    room = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{room}{plain}{room}{fence}" if plain else ""


def leaderboard_markdown(board: Leaderboard) -> str:
    """Render the whole leaderboard."""
    parts = ["# Leaderboard", ""]
    if not board.benchmarks.rows and not board.samples.rows:
        parts += ["No run has a finished task yet.", ""]
    for section in (board.benchmarks, board.samples):
        if section.rows:
            parts += _section(section)
    if board.notes:
        parts += ["## Not shown", "", *(f"- {escape(note)}" for note in board.notes), ""]
    parts += ["## How to read this", ""]
    for paragraph in HOW_TO_READ:
        parts += [paragraph, ""]
    if board.newest:
        parts += [f"Newest run: {escape(wording.moment(board.newest))}.", ""]
    return "\n".join(parts)


def _section(section: Section) -> list[str]:
    head = ["Model", *(_heading(column) for column in section.columns)]
    rows = [[escape(row.label), *(_cell(cell) for cell in row.cells)] for row in section.rows]
    cost_head = [
        "Model", "Parameters", "On disk", "In memory", "Peak memory", "Time", "Tokens/s",
    ]  # fmt: skip
    lines = [
        f"## {section.title}",
        "",
        escape(headline(section)),
        "",
        *table(head, rows),
        "",
        f"**Bold**: {BEST}.",
        "",
        *table(cost_head, [_costs(row) for row in section.rows]),
        "",
        *([escape(note), ""] if (note := machines_note(section)) else []),
        "<details><summary>What the columns are</summary>",
        "",
        *(_column_line(column) for column in section.columns),
        "",
        "</details>",
        "",
    ]
    notes = [(row.label, note) for row in section.rows for note in row.notes]
    if notes:
        lines += [*(f"- {escape(label)}: {escape(note)}" for label, note in notes), ""]
    if noises := noise_notes(section):
        lines += [ABOUT_NOISE, "", *(f"- {escape(note)}" for note in noises), ""]
    return lines


def _heading(column: Column) -> str:
    return f"{escape(column.label)}<br>{escape(column_metric(column))}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return wording.ABSENT
    text = wording.figure(cell.estimate)
    if cell.surely_best and cell.estimate is not None:
        value = wording.number(cell.estimate.value, cell.estimate.unit)
        text = f"**{value}**{text.removeprefix(value)}"
    return "; ".join([text, *cell_marks(cell)])


def _costs(row: ModelRow) -> list[str]:
    cost = row.costs
    return [
        escape(row.label),
        wording.parameters(cost.parameters),
        wording.size(cost.disk_bytes),
        wording.size(cost.memory_bytes),
        wording.size(cost.peak_memory_bytes),
        f"{wording.seconds(cost.seconds)} ({wording.counted(cost.tasks, 'task')})",
        wording.speed(cost.tokens_per_second),
    ]


def _column_line(column: Column) -> str:
    metric = wording.metric_name(column.metric)
    digest = wording.short_digest(column.prompt_digest)
    return (
        f"- {escape(column.label)}: {escape(metric)}, {escape(column_note(column))}; "
        f"{escape(column_data(column))}; prompts `{re.sub(r'[^0-9A-Za-z]', '', digest)}`"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table of escaped cells; all columns but the first are flush right."""
    align = [":--", *["--:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, align, *rows)]
