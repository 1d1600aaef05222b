"""The method as a self-contained HTML page."""

from __future__ import annotations

from harness.report import method_tables
from harness.report.html import render
from harness.report.method import Method


def method_html(method: Method) -> str:
    """Render the page."""
    return render(
        "method.html.j2",
        {
            "method": method,
            "say": method_tables,
            "metrics": method_tables.metric_texts(method),
            "tables": method_tables.tables(method),
        },
    )
