"""A suite's results beside published figures, as a self-contained HTML page."""

from __future__ import annotations

from harness.report import published_captions
from harness.report.html import render
from harness.report.published import SuiteTable


def published_html(found: SuiteTable) -> str:
    """Render the page of a suite."""
    return render("published.html.j2", {"found": found, "say": published_captions})
