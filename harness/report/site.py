"""Writes the report folder: a page for every run, the leaderboard, the method and the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.errors import RecordError
from harness.records import Run
from harness.report.answer_words import answer_phrases, plain
from harness.report.beside import parents_runs
from harness.report.data_pages import write_learned_pages
from harness.report.html import leaderboard_html
from harness.report.html_index import index_html
from harness.report.html_method import method_html
from harness.report.index import INDEX, LEADERBOARD, METHOD, build_index, pages_in
from harness.report.leaderboard import Leaderboard, build_leaderboard
from harness.report.markdown import leaderboard_markdown
from harness.report.markdown_method import method_markdown
from harness.report.method import build_method
from harness.report.picking import Other
from harness.report.run_files import AllPages, changed, write_run_pages
from harness.report.wording import clean
from harness.run_folder import RunFolder
from harness.speed import probed
from harness.storage import write_atomic

PAGES = "html"


def write_leaderboard(
    runs: Sequence[RunFolder], out: Path, asked: AllPages | None = None
) -> dict[str, Path]:
    """Write the site of all runs under ``out``: ``leaderboard.md``, ``.json`` and ``.html``,
    ``method.md`` and ``.html``, ``index.html``, and for every run ``html/<run id>.html`` and, where
    its docs need them, ``html/<run id>,2.html`` and so on.

    A run that cannot be read is named on the leaderboard and otherwise left out. A run's pages are
    drawn only if those that are there are not of the run and its marks as they stand, have another
    run's answers beside them, or were drawn by another version of the harness.

    Args:
        runs: all that there are.
        out: the report's folder.
        asked: a run of which all pages are drawn, however large it is (see
            `harness.report.run_files.write_run_pages`).

    Returns:
        The report's files, by their name relative to ``out``.

    Raises:
        StorageError: ``out`` cannot be written.
    """
    # Looked at before reading: what changes from now on makes the page out of date.
    since = {folder.path: changed(folder) for folder in runs}
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

    cards = write_learned_pages(readable, out)
    written |= {page: out / page for page in cards.values()}
    others = [Other(run, folder) for folder, run in readable]
    for folder, run in readable:
        for page in write_run_pages(
            folder,
            run,
            parents_runs(run, others),
            out / PAGES,
            since=since[folder.path],
            asked=asked if asked and asked.run == run.id else None,
        ):
            written[f"{PAGES}/{page.name}"] = page
    # What links to pages comes after them, the index last: no link leads to what is not there yet.
    write("leaderboard.md", leaderboard_markdown(board))
    write("leaderboard.json", leaderboard_json(board))
    write(LEADERBOARD, leaderboard_html(board, PAGES, cards))
    method = build_method([run for _, run in readable], notes)
    write("method.md", method_markdown(method))
    write(METHOD, method_html(method))
    index = build_index([run for _, run in readable], pages_in(out), notes)
    write(INDEX, index_html(index, PAGES, plain(answer_phrases(board.benchmarks))))
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
    """Read every run that can be read, and say of each other one why it cannot. Of two with one id,
    which would share their pages, the first counts.
    """
    readable: list[tuple[RunFolder, Run]] = []
    notes: list[str] = []
    first: dict[str, str] = {}
    for folder in folders:
        try:
            run = folder.read()
        except RecordError as error:
            notes.append(clean(f"{folder.path.name} cannot be read: {error}"))
            continue
        if (other := first.setdefault(run.id, folder.path.name)) != folder.path.name:
            notes.append(clean(f"{folder.path.name}: two runs have the id {run.id}, see {other}"))
            continue
        readable.append((folder, run))
    return readable, notes


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
