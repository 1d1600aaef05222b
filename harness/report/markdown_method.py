"""The method as GitHub-flavoured Markdown."""

from __future__ import annotations

from harness.report import wording
from harness.report.markdown import code, escape
from harness.report.method import Method
from harness.report.method_tables import (
    INTRODUCTION,
    TITLE,
    Cell,
    MetricText,
    Table,
    metric_texts,
    tables,
)


def method_markdown(method: Method) -> str:
    """Render the whole method."""
    lines = [f"# {TITLE}", ""]
    for paragraph in INTRODUCTION:
        lines += [paragraph, ""]
    if not method.runs:
        lines += ["There is no run yet.", ""]
    if method.metrics:
        lines += ["## Metrics", ""]
        for metric in metric_texts(method):
            lines += _metric(metric)
    for table in tables(method):
        lines += drawn_table(table)
    if method.notes:
        lines += ["## Not shown", "", *(f"- {escape(note)}" for note in method.notes), ""]
    return "\n".join(lines)


def _metric(metric: MetricText) -> list[str]:
    said = [
        f"### {escape(metric.name)}",
        "",
        f"{escape(metric.what)} {_sentence(escape(metric.scale))}",
        "",
        *([code(metric.formula), ""] if metric.formula else []),
        *([escape(metric.convention), ""] if metric.convention else []),
    ]
    facts = [("Interval", "; ".join(metric.intervals)), ("Tasks", ", ".join(metric.tasks))]
    return [*said, *(f"- {name}: {escape(text)}" for name, text in facts if text), ""]


def drawn_table(table: Table) -> list[str]:
    """A table under its heading, folded away where it is long."""
    rows = [" | ".join(map(_cell, row)) for row in table.rows]
    head = [" | ".join(table.head), " | ".join([":--"] * len(table.head))]
    lines = [*(f"| {row} |" for row in (*head, *rows)), ""]
    if table.folded:
        summary = wording.counted(len(rows), table.what)
        lines = [f"<details><summary>{summary}</summary>", "", *lines, "</details>", ""]
    return [f"## {table.title}", "", *([table.about, ""] if table.about else []), *lines]


def _cell(cell: Cell) -> str:
    return code(cell.text).replace("|", "\\|") if cell.code else escape(cell.text)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "." if words else ""
