"""`harness show`: one run in the terminal, its scores or some of its docs."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from harness.errors import RecordError, UnknownName
from harness.records import Run, RunFolder, list_runs


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder = _find(Path(options.reports) / "runs", options.run)
    record = folder.read()
    if options.json:
        print((folder.path / "run.json").read_text("utf-8"))
        return 0
    if options.task is None:
        from harness.report.terminal import print_run

        print_run(record, Console())
        return 0
    if options.task not in record.results:
        raise UnknownName("task", options.task, record.results, f"run {record.id}")
    return _print_docs(record, folder, options)


def _find(runs: Path, name: str) -> RunFolder:
    known = {path.name: path for path in list_runs(runs)}
    if not known:
        raise RecordError(f"no runs under {runs}: score a model first, with `make eval`")
    if name == "last":
        return RunFolder(max(known.values(), key=lambda path: (path / "run.json").stat().st_mtime))
    if name not in known:
        raise UnknownName("run", name, known, str(runs))
    return RunFolder(known[name])


def _print_docs(record: Run, folder: RunFolder, options: argparse.Namespace) -> int:
    from harness.report.docs import shown_doc, verdict
    from harness.report.terminal_doc import print_doc

    result = record.results[options.task]
    console, shown = Console(), 0
    for row in folder.rows(options.task):
        if options.wrong and verdict(row, result) != "wrong":
            continue
        print_doc(shown_doc(row, result), console)
        shown += 1
        if shown == options.docs:
            return 0
    if shown == 0:
        console.print("no such doc")
    return 0
