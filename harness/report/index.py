"""The front of a site as data: which pages there are, and every run.

`build_index` is pure; `pages_in` looks what lies in the folder. Pages of kinds that this module has
never heard of are found too: a site lists what is there.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records import Run
from harness.report.newest import newest_first

INDEX, LEADERBOARD, METHOD = "index.html", "leaderboard.html", "method.html"
COMPARISONS = "compare"
DATA = "data"
GATE = "gate"
_KINDS = {
    ".html": re.compile(r"<title>(.*?)</title>", re.DOTALL),
    ".md": re.compile(r"\A# (.*)"),
}
"""What a page may be and where its title stands; of one name, the first kind counts."""
_HEAD_BYTES = 4_000


@dataclass(frozen=True)
class Page:
    """A page beside the index: the path of its file relative to that, and its own title."""

    path: str
    title: str = ""


@dataclass(frozen=True)
class Pages:
    """Pages that other commands wrote.

    Attributes:
        comparisons: one model against another.
        gate: what the gate said last; ``None`` where it was never asked.
        data: cards of training data.
        others: suites beside published figures, and whatever else has a page.
    """

    comparisons: tuple[Page, ...] = ()
    gate: Page | None = None
    data: tuple[Page, ...] = ()
    others: tuple[Page, ...] = ()


@dataclass(frozen=True)
class RunLine:
    """A run.

    Attributes:
        tasks: those that were finished.
        missing: how many that were asked for were not.
        docs: of all tasks together.
        samples: ``none``, ``some`` or ``all`` of its results are of the shipped samples.
    """

    id: str
    model: str
    status: str
    created: str
    tasks: tuple[str, ...]
    missing: int
    docs: int
    samples: str


@dataclass(frozen=True)
class Index:
    """Everything that the index says.

    Attributes:
        runs: the newest first.
        notes: remarks to carry along, such as runs that could not be read.
    """

    pages: Pages
    runs: tuple[RunLine, ...]
    notes: tuple[str, ...] = ()


def build_index(runs: Sequence[Run], pages: Pages, notes: Iterable[str] = ()) -> Index:
    """List the runs beside the pages.

    Args:
        runs: in any order.
        pages: see `pages_in`.
        notes: remarks to carry along, such as runs that could not be read.
    """
    return Index(pages, tuple(map(_line, newest_first(runs))), tuple(notes))


def pages_in(folder: Path) -> Pages:
    """Look which pages lie in a report folder; what cannot be read is left out."""
    top, own = _pages(folder, ""), {Path(name).stem for name in (INDEX, LEADERBOARD, METHOD)}
    compared = _pages(folder / COMPARISONS, f"{COMPARISONS}/")
    return Pages(
        comparisons=tuple(compared.values()),
        gate=top.pop(GATE, None),
        data=tuple(_pages(folder / DATA, f"{DATA}/").values()),
        others=tuple(page for stem, page in top.items() if stem not in own),
    )


def _pages(folder: Path, prefix: str) -> dict[str, Page]:
    """A folder's pages by name without suffix; one that is being written has a dot before it."""
    found = {}
    for suffix, title in reversed(_KINDS.items()):
        for path in sorted(folder.glob(f"*{suffix}")):
            head = _head(path)
            if not path.name.startswith(".") and head is not None:
                named = title.search(head)
                found[path.stem] = Page(
                    prefix + path.name, html.unescape(named[1]).strip() if named else ""
                )
    return dict(sorted(found.items()))


def _head(path: Path) -> str | None:
    """The beginning of a file; ``None`` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def _line(run: Run) -> RunLine:
    on_samples = [result.on_samples for result in run.results.values()]
    return RunLine(
        id=run.id,
        model=run.model.name,
        status=run.status,
        created=run.created,
        tasks=tuple(run.results),
        missing=len(run.unfinished),
        docs=sum(result.docs for result in run.results.values()),
        samples="all" if all(on_samples) and on_samples else "some" if any(on_samples) else "none",
    )
