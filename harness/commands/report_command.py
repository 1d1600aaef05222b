"""`harness report`: write the leaderboard of all runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import RecordError, closest
from harness.progress import note
from harness.run_folder import RunFolder, list_runs

LEADERBOARDS = ("leaderboard.md", "leaderboard.html")


def run(options: argparse.Namespace) -> int:
    """Run the command; ``--model`` chooses what is printed, the files are always of all runs."""
    from rich.console import Console

    from harness.report.leaderboard import build_leaderboard
    from harness.report.site import leaderboard_json, read_runs
    from harness.report.terminal import print_leaderboard

    readable, damaged = read_runs(_folders(options.reports))
    finished = [record for _, record in readable if record.results]
    if not any(options.model in (None, record.model.name) for record in finished):
        for line in damaged:
            note(f"left out: {line}")
        of_model = near = ""
        if options.model:
            of_model = f" of model {options.model!r}"
            near = closest(options.model, {record.model.name for record in finished})
        raise RecordError(
            f"no finished run{of_model}{near} (looked in {Path(options.reports) / 'runs'}); "
            "score a model first, with `harness eval` or `make eval`"
        )
    written = publish_reports(options.reports)
    asked = [record for _, record in readable if options.model in (None, record.model.name)]
    board = build_leaderboard(asked, damaged)
    if options.json:
        print(leaderboard_json(board).decode("utf-8"), end="")
        return 0
    print_leaderboard(board, Console())
    for name in LEADERBOARDS:
        note(f"report: {written[name]}")
    return 0


def publish_reports(reports: Path) -> dict[str, Path]:
    """Write the leaderboard and the run pages; returns files by their name."""
    from harness.report.site import write_leaderboard

    return write_leaderboard(_folders(reports), reports)


def _folders(reports: Path) -> list[RunFolder]:
    return [RunFolder(path) for path in list_runs(Path(reports) / "runs")]
