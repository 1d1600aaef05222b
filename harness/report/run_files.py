"""The files of a run's pages: drawn where they are missing or out of date."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.marks import marks_path
from harness.records import Run
from harness.report.beside import Beside
from harness.report.html import generator, run_page
from harness.report.run_page import PART, TOKENS, drawn_beside, run_pages
from harness.report.token_borders import Borders
from harness.run_folder import RunFolder
from harness.storage import write_atomic

DRAWN_DOCS = 5_000
"""Docs of a run up to which all its pages are drawn unasked: it takes about a second."""

_HEAD_BYTES = 500
"""A page says within its first bytes what drew it."""

_DRAWN_HERE = '<meta name="generator" content="lineup-harness '


@dataclass(frozen=True)
class AllPages:
    """A wish for all pages of a run.

    Attributes:
        run: its id.
        borders: finds where its tokens begin, where that is wanted and can be had.
        why: why it cannot be had.
    """

    run: str
    borders: Borders | None = None
    why: str = ""


@dataclass(frozen=True)
class _Drawn:
    """What a run's first page says of all: how many there are, whether they show all docs, and
    whether where tokens begin.
    """

    pages: int = 0
    whole: bool = False
    tokens: bool = False


def changed(folder: RunFolder) -> int:
    """When the newest of a run's files was changed, in nanoseconds of the file system's clock.

    A file that is removed, such as its marks, changes the folder that it was in.
    """
    rows = folder.path / "rows"
    files = (folder.path / "run.json", marks_path(folder), *rows.glob("*.jsonl"))
    return max(map(_modified, (folder.path, rows, *files)))


def write_run_pages(
    folder: RunFolder,
    run: Run,
    besides: Mapping[str, Beside],
    out: Path,
    *,
    since: int,
    asked: AllPages | None = None,
) -> list[Path]:
    """Write a run's pages, if those that are there are not of the run as it stands.

    The pages after the first one are drawn where the run has at most `DRAWN_DOCS` docs, where it
    was asked for, and where there were some before.

    Args:
        folder: where the rows are.
        run: what ``folder`` holds, as read.
        besides: whose answers stand beside its own, by task.
        out: the folder of all runs' pages.
        since: what `changed` said before ``run`` was read.
        asked: draw all pages, however many, and with the tokens it wants.

    Returns:
        All pages of the run, the first one first.

    Raises:
        StorageError: they cannot be written.
    """
    first = out / run_page(run.id)
    small = sum(result.docs for result in run.results.values()) <= DRAWN_DOCS
    whole = asked is not None or small or (out / run_page(run.id, 2)).exists()
    drawn = _drawn(first, since, drawn_beside(besides))
    kept = [out / run_page(run.id, number) for number in range(1, drawn.pages + 1)]
    borders = asked.borders if asked else None
    told = borders is not None or bool(asked and asked.why)
    enough = (drawn.whole or not whole) and (not told or (drawn.tokens and borders is not None))
    if kept and enough and all(page.exists() for page in kept):
        return kept
    pages = []
    why = asked.why if asked else ""
    for name, content in run_pages(folder, run, besides, whole=whole, borders=borders, why=why):
        write_atomic(out / name, content)
        pages.append(out / name)
    _remove_others(out, run.id, pages)
    with contextlib.suppress(OSError):  # gone or another's by now: then it is drawn again
        os.utime(first, ns=(since, since))
    return [pages[-1], *pages[:-1]]


def _drawn(page: Path, since: int, beside: str) -> _Drawn:
    """Read how many pages a run has, if they were drawn by this harness, from files as new as
    ``since``, beside ``beside`` (see `harness.report.run_page.drawn_beside`).

    A run's first page, which is written last, says it for all. It carries the time of its run's
    newest file, not that of its drawing: another process may have changed the run while the pages
    were being drawn.
    """
    head = _head(page)
    pages = re.search(rf'<meta name="pages" content="(\d{{1,6}})({PART})?({TOKENS})?">', head)
    same = all(f'content="{name}"' in head for name in (generator(), beside))
    if not pages or not same or _modified(page) < since:
        return _Drawn()
    return _Drawn(int(pages[1]), not pages[2], bool(pages[3]))


def _head(page: Path) -> str:
    try:
        with page.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def remove_strays(out: Path, kept: Collection[str]) -> None:
    """Remove the pages of runs that are gone; a file that was not drawn here stays.

    Args:
        out: the folder of all runs' pages.
        kept: names of the first pages of all runs that there are.
    """
    for page in out.glob("*.html"):
        first = f"{page.stem.partition(',')[0]}.html"
        if first not in kept and _DRAWN_HERE in _head(page):
            with contextlib.suppress(OSError):
                page.unlink()


def _remove_others(out: Path, run_id: str, pages: Collection[Path]) -> None:
    """Remove the pages that a run had when it had more of them."""
    stem = run_page(run_id).removesuffix(".html")
    for page in out.glob(f"{glob.escape(stem)},*.html"):
        if page not in pages:
            with contextlib.suppress(OSError):
                page.unlink()


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
