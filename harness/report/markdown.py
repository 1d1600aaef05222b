"""The leaderboard as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from harness.report import wording
from harness.report.answer_words import HOW_TO_READ as ANSWER_RULE
from harness.report.answer_words import TITLE, Phrase, answer_phrases, answer_sureness
from harness.report.board import Cell, Column, Delta, Leaderboard, ModelRow, Section
from harness.report.captions import (
    ABOUT_NOISE,
    BEST,
    DELTA_KEY,
    HOW_TO_READ,
    cell_marks,
    column_data,
    column_metric,
    column_note,
    delta_mark,
    has_deltas,
    headline,
    is_probed,
    machines_note,
    noise_notes,
)

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
    if said := answer_phrases(board.benchmarks):
        parts += [f"**{TITLE}.** {_answer(said)}", ""]
        parts += [escape(" ".join(answer_sureness(board.benchmarks))), ""]
    for section in (board.benchmarks, board.samples):
        if section.rows:
            parts += _section(section)
    if board.published:
        pages = [f"[{escape(suite)}]({quote(suite)}.md)" for suite in board.published]
        parts += [f"Beside published figures: {', '.join(pages)}.", ""]
    if board.notes:
        parts += ["## Not shown", "", *(f"- {escape(note)}" for note in board.notes), ""]
    parts += ["## How to read this", ""]
    for paragraph in (ANSWER_RULE, *HOW_TO_READ):
        parts += [paragraph, ""]
    if board.newest:
        parts += [f"Newest run: {escape(wording.moment(board.newest))}.", ""]
    return "\n".join(parts)


def _answer(phrases: Iterable[Phrase]) -> str:
    # Joined by spaces, because escaping cuts those at the ends.
    told = [f"**{escape(each.text)}**" if each.strong else escape(each.text) for each in phrases]
    return " ".join(filter(None, told))


def _section(section: Section) -> list[str]:
    head = ["Model", *(_heading(column) for column in section.columns)]
    rows = [[escape(row.label), *(_cell(cell) for cell in row.cells)] for row in section.rows]
    probed = is_probed(section)
    cost_head = [
        "Model", "Parameters", "On disk", "In memory", "Peak memory",
        *(["Tokens/s, probe"] if probed else []), "Time",
    ]  # fmt: skip
    lines = [
        f"## {section.title}",
        "",
        escape(headline(section)),
        "",
        *table(head, rows),
        "",
        f"**Bold**: {BEST}.{DELTA_KEY if has_deltas(section) else ''}",
        "",
        *table(cost_head, [_costs(row, probed) for row in section.rows]),
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
    told = "; ".join([text, *cell_marks(cell)])
    return told if cell.delta is None else f"{told}<br>{_delta(cell.delta)}"


def _delta(delta: Delta) -> str:
    mark = delta_mark(delta)
    return f"Δ {wording.brief_changes(delta.estimate)}{mark and ' ' + mark}"


def _costs(row: ModelRow, probed: bool) -> list[str]:
    cost = row.costs
    return [
        escape(row.label),
        wording.parameters(cost.parameters),
        wording.size(cost.disk_bytes),
        wording.size(cost.memory_bytes),
        wording.size(cost.peak_memory_bytes),
        *([wording.speed(cost.decode)] if probed else []),
        f"{wording.seconds(cost.seconds)} ({wording.counted(cost.tasks, 'task')})",
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
