"""Writes the report folder: a page for every run, the leaderboard, the method and the index."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.errors import RecordError
from harness.marks import marks_path
from harness.records import Run
from harness.report.beside import parents_runs
from harness.report.captions import headline
from harness.report.html import generator, leaderboard_html, run_page
from harness.report.html_index import index_html
from harness.report.html_method import method_html
from harness.report.index import INDEX, LEADERBOARD, METHOD, build_index, pages_in
from harness.report.leaderboard import Leaderboard, build_leaderboard
from harness.report.markdown import leaderboard_markdown
from harness.report.markdown_method import method_markdown
from harness.report.method import build_method
from harness.report.picking import Other
from harness.report.run_page import drawn_beside, run_html
from harness.report.wording import clean
from harness.run_folder import RunFolder
from harness.speed import probed
from harness.storage import write_atomic

PAGES = "html"

_HEAD_BYTES = 400
"""A page says within its first bytes what drew it."""


def write_leaderboard(runs: Sequence[RunFolder], out: Path) -> dict[str, Path]:
    """Write ``leaderboard.md``, ``.json`` and ``.html``, ``html/<run id>.html``, ``method.md`` and
    ``.html`` and ``index.html`` under ``out``.

    A run that cannot be read is named on the leaderboard and otherwise left out. A run's page is
    drawn only if the one that is there is not of the run and its marks as they stand, has another
    run's answers beside them, or was drawn by another version of the harness.

    Returns:
        The report's files, by their name relative to ``out``.

    Raises:
        StorageError: ``out`` cannot be written.
    """
    # Looked at before reading: what changes from now on makes the page out of date.
    changed = {folder.path: _changed(folder) for folder in runs}
    readable, notes = read_runs(runs)
    board = _with_paired_facts(
        build_leaderboard([run for _, run in readable], notes, probed(out), _published(out)),
        readable,
    )
    written: dict[str, Path] = {}

    def write(name: str, content: str | bytes) -> None:
        written[name] = out / name
        data = content.encode() if isinstance(content, str) else content
        if not _holds(out / name, data):
            write_atomic(out / name, data)

    others = [Other(run, folder) for folder, run in readable]
    for folder, run in readable:
        name, besides = f"{PAGES}/{run_page(run.id)}", parents_runs(run, others)
        if _is_current(out / name, changed[folder.path], drawn_beside(besides)):
            written[name] = out / name
            continue
        write(name, run_html(folder, run, besides))
        with contextlib.suppress(OSError):  # gone or another's by now: then it is drawn again
            os.utime(out / name, ns=(changed[folder.path], changed[folder.path]))
    # What links to pages comes after them, the index last: no link leads to what is not there yet.
    write("leaderboard.md", leaderboard_markdown(board))
    write("leaderboard.json", leaderboard_json(board))
    write(LEADERBOARD, leaderboard_html(board, PAGES))
    method = build_method([run for _, run in readable], notes)
    write("method.md", method_markdown(method))
    write(METHOD, method_html(method))
    index = build_index([run for _, run in readable], pages_in(out), notes)
    write(INDEX, index_html(index, PAGES, headline(board.benchmarks)))
    return written


def _with_paired_facts(
    board: Leaderboard, readable: Sequence[tuple[RunFolder, Run]]
) -> Leaderboard:
    """Add what only the docs tell: differences to the parents, and which model to ship."""
    # numpy and scipy are for those who write a report, not for all who import this package.
    from harness.compare import StoredRun
    from harness.report.answer import with_answer
    from harness.report.deltas import with_deltas
    from harness.report.paired_docs import PairedDocs

    docs = PairedDocs(StoredRun(run, folder) for folder, run in readable)
    return replace(
        board,
        benchmarks=with_answer(with_deltas(board.benchmarks, docs), docs),
        samples=with_deltas(board.samples, docs),
    )


def _published(out: Path) -> set[str]:
    """Names of pages in the folder; `harness report --suite` calls a suite's by its name."""
    return {path.stem for path in out.glob("*.html")}


def read_runs(folders: Sequence[RunFolder]) -> tuple[list[tuple[RunFolder, Run]], list[str]]:
    """Read every run that can be read, and say of each other one why it cannot."""
    readable: list[tuple[RunFolder, Run]] = []
    notes: list[str] = []
    for folder in folders:
        try:
            readable.append((folder, folder.read()))
        except RecordError as error:
            notes.append(clean(f"{folder.path.name} cannot be read: {error}"))
    return readable, notes


def _changed(folder: RunFolder) -> int:
    """When the newest of a run's files was changed, in nanoseconds of the file system's clock."""
    rows = folder.path / "rows"
    files = (folder.path / "run.json", marks_path(folder), rows, *rows.glob("*.jsonl"))
    return max(map(_modified, files))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_current(page: Path, changed: int, beside: str) -> bool:
    """Whether a page was drawn by this harness, from files as new as ``changed``, beside ``beside``
    (see `harness.report.run_page.drawn_beside`).

    A page carries the time of its run's newest file, not that of its drawing: another process may
    have changed the run while the page was being drawn.
    """
    try:
        with page.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    drawn = all(f'content="{name}"'.encode() in head for name in (generator(), beside))
    return drawn and _modified(page) >= changed


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file is there with this content: it need not be written again."""
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def leaderboard_json(board: Leaderboard) -> bytes:
    """Encode the leaderboard; undefined values are ``null``."""
    return msgspec.json.format(msgspec.json.encode(board)) + b"\n"


def parse_leaderboard(text: bytes) -> Leaderboard:
    """Read back what `leaderboard_json` wrote."""
    try:
        return msgspec.json.decode(text, type=Leaderboard)
    except msgspec.MsgspecError as error:
        raise RecordError(f"not a leaderboard: {error}") from None
