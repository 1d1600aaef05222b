"""`harness show`: one run, its scores or some of its docs, in the terminal or as JSON."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console

from harness.errors import RecordError, UnknownName
from harness.progress import note
from harness.records import Row, Run
from harness.run_folder import RunFolder, list_runs


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder, record = _find(Path(options.reports) / "runs", options.run)
    if options.task is not None:
        if options.task not in record.results:
            raise UnknownName("task", options.task, record.results, f"run {record.id}")
        _print_docs(record, folder, options)
    elif options.json:
        print(msgspec.json.format(msgspec.json.encode(record)).decode("utf-8"))
    else:
        from harness.report.terminal import print_run

        print_run(record, Console())
    return 0


def _find(runs: Path, name: str) -> tuple[RunFolder, Run]:
    known = {path.name: RunFolder(path) for path in list_runs(runs)}
    if not known:
        raise RecordError(f"no runs under {runs}: score a model first, with `make eval`")
    if name == "last":
        return _last(list(known.values()))
    if name not in known:
        raise UnknownName("run", name, known, str(runs))
    return known[name], known[name].read()


def _last(folders: list[RunFolder]) -> tuple[RunFolder, Run]:
    """The newest run that can be read; a newer one that cannot is named."""
    for folder in sorted(folders, key=_written, reverse=True):
        try:
            return folder, folder.read()
        except RecordError as error:
            note(f"left out: {error}")
    raise RecordError("none of the runs can be read: score a model again, with `make eval`")


def _written(folder: RunFolder) -> float:
    try:
        return (folder.path / "run.json").stat().st_mtime
    except OSError:
        return 0.0


def _print_docs(record: Run, folder: RunFolder, options: argparse.Namespace) -> None:
    from harness.report.docs import shown_doc, verdict
    from harness.report.terminal_doc import print_doc

    result = record.results[options.task]
    rows: Iterator[Row] = folder.rows(options.task)
    if options.wrong:
        rows = (row for row in rows if verdict(row, result) == "wrong")
    chosen = itertools.islice(rows, options.docs)
    if options.json:
        for row in chosen:
            print(msgspec.json.encode(row).decode("utf-8"))
        return
    console, found = Console(), False
    for row in chosen:
        print_doc(shown_doc(row, result), console)
        found = True
    if not found:
        console.print("no such doc")
