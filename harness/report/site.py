"""Writes the report folder: the leaderboard in three formats and a page for every run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.errors import RecordError
from harness.records import Run
from harness.report.beside import parents_runs
from harness.report.html import leaderboard_html
from harness.report.leaderboard import Leaderboard, build_leaderboard
from harness.report.markdown import leaderboard_markdown
from harness.report.picking import Other
from harness.report.run_files import AllPages, changed, write_run_pages
from harness.report.wording import clean
from harness.run_folder import RunFolder
from harness.storage import write_atomic

PAGES = "html"


def write_leaderboard(
    runs: Sequence[RunFolder], out: Path, asked: AllPages | None = None
) -> dict[str, Path]:
    """Write ``leaderboard.md``, ``.json`` and ``.html`` under ``out``, and for every run
    ``html/<run id>.html`` and, where its docs need them, ``html/<run id>,2.html`` and so on.

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
    board = build_leaderboard([run for _, run in readable], notes)
    written: dict[str, Path] = {}

    def write(name: str, content: str | bytes) -> None:
        written[name] = out / name
        write_atomic(out / name, content)

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
    # The leaderboard comes last: its links never lead to a page that is not there yet.
    write("leaderboard.md", leaderboard_markdown(board))
    write("leaderboard.json", leaderboard_json(board))
    write("leaderboard.html", leaderboard_html(board, PAGES))
    return written


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


def leaderboard_json(board: Leaderboard) -> bytes:
    """Encode the leaderboard; undefined values are ``null``."""
    return msgspec.json.format(msgspec.json.encode(board)) + b"\n"


def parse_leaderboard(text: bytes) -> Leaderboard:
    """Read back what `leaderboard_json` wrote."""
    try:
        return msgspec.json.decode(text, type=Leaderboard)
    except msgspec.MsgspecError as error:
        raise RecordError(f"not a leaderboard: {error}") from None
