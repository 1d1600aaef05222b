"""Writes the report folder: the leaderboard in three formats and a page for every run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.errors import RecordError
from harness.records import Run, RunFolder, write_atomic
from harness.report.html import leaderboard_html, run_page
from harness.report.leaderboard import Leaderboard, build_leaderboard
from harness.report.markdown import leaderboard_markdown
from harness.report.run_page import run_html
from harness.report.wording import clean

PAGES = "html"


def write_leaderboard(runs: Sequence[RunFolder], out: Path) -> dict[str, Path]:
    """Write ``leaderboard.md``, ``.json`` and ``.html`` and ``html/<run id>.html`` under ``out``.

    A run that cannot be read is named on the leaderboard and otherwise left out.

    Returns:
        The files that were written, by their name relative to ``out``.

    Raises:
        StorageError: ``out`` cannot be written.
    """
    readable, notes = read_runs(runs)
    board = build_leaderboard([run for _, run in readable], notes)
    written: dict[str, Path] = {}

    def write(name: str, content: str | bytes) -> None:
        written[name] = out / name
        write_atomic(out / name, content)

    for folder, run in readable:
        write(f"{PAGES}/{run_page(run.id)}", run_html(folder, run))
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
        except (OSError, RecordError) as error:
            reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
            notes.append(clean(f"{folder.path.name} cannot be read: {reason}"))
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
