"""The index as a self-contained HTML page."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.report.html import render, run_page
from harness.report.index import LEADERBOARD, METHOD, Index, Page
from harness.report.wording import clean, counted


@dataclass(frozen=True)
class Link:
    """A page as the index names it."""

    href: str
    name: str
    about: str = ""


def index_html(index: Index, pages: str, headline: str = "") -> str:
    """Render the page.

    Args:
        index: what it says.
        pages: the folder of the runs' pages, relative to its own.
        headline: the leaderboard's sentence on which model to ship.
    """

    def run_href(run_id: str) -> str:
        return _href(f"{pages}/{run_page(run_id)}")

    return render(
        "index.html.j2",
        {
            "index": index,
            "headline": headline,
            "summary": _summary(index),
            "reports": _reports(index),
            "comparisons": [
                Link(_href(page.path), _compared(page)) for page in index.pages.comparisons
            ],
            "data_cards": [
                Link(_href(page.path), clean(PurePosixPath(page.path).stem))
                for page in index.pages.data
            ],
            "statuses": sorted({run.status for run in index.runs}),
            "run_href": run_href,
        },
    )


def _summary(index: Index) -> str:
    models = {run.model for run in index.runs}
    tasks = {task for run in index.runs for task in run.tasks}
    counts = [(len(index.runs), "run"), (len(models), "model"), (len(tasks), "task")]
    first, *others = [counted(count, noun) for count, noun in counts]
    return f"{first} of {' on '.join(others)}"


def _reports(index: Index) -> list[Link]:
    links = [
        Link(LEADERBOARD, "Leaderboard", "every model on every task, with 95% intervals and costs"),
        Link(METHOD, "Method", "what each metric is, settings, data, versions, commands"),
    ]
    if index.pages.gate:
        links.append(Link(_href(index.pages.gate.path), "Gate", "what the gate said last"))
    for page in index.pages.others:
        links.append(
            Link(_href(page.path), clean(PurePosixPath(page.path).stem), clean(page.title))
        )
    return links


def _compared(page: Page) -> str:
    """``smol--smol-dpo``: a base and a model."""
    stem = clean(PurePosixPath(page.path).stem)
    base, parted, model = stem.partition("--")
    return f"{model} against {base}" if parted and base and model else stem


def _href(path: str) -> str:
    """A relative address: a file's own name may hold what an address may not."""
    return urllib.parse.quote(path)
