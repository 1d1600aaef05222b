"""`harness report`: write the leaderboard of all runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import RecordError
from harness.progress import note
from harness.records import RunFolder, list_runs

LEADERBOARDS = ("leaderboard.md", "leaderboard.html")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from rich.console import Console

    from harness.report.leaderboard import build_leaderboard
    from harness.report.terminal import print_leaderboard

    folders = readable_runs(options.reports, options.model)
    if not folders:
        of_model = f" of model {options.model!r}" if options.model else ""
        raise RecordError(
            f"no finished run{of_model} under {Path(options.reports) / 'runs'}: "
            "score a model first, with `harness eval` or `make eval`"
        )
    written = publish_reports(options.reports, options.model)
    if options.json:
        print(written["leaderboard.json"].read_text("utf-8"))
        return 0
    print_leaderboard(build_leaderboard([folder.read() for folder in folders]), Console())
    for name in LEADERBOARDS:
        note(f"report: {written[name]}")
    return 0


def publish_reports(reports: Path, model: str | None = None) -> dict[str, Path]:
    """Write the leaderboard and the run pages; returns files by their name."""
    from harness.report.site import write_leaderboard

    return write_leaderboard(readable_runs(reports, model), reports)


def readable_runs(reports: Path, model: str | None = None) -> list[RunFolder]:
    """Runs with at least one finished task; one that cannot be read is named and left out."""
    folders: list[RunFolder] = []
    for path in list_runs(reports / "runs"):
        folder = RunFolder(path)
        try:
            record = folder.read()
        except RecordError as error:
            note(f"left out: {error}")
            continue
        if record.results and (model is None or record.model.name == model):
            folders.append(folder)
    return folders
