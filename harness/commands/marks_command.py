"""`harness marks`: take in what reviewers marked on a run's page, and list it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from harness.commands.report_command import publish_reports
from harness.errors import RecordError, UnknownName, UsageError
from harness.marks import VERDICTS, Mark, merged, read_marks, write_marks
from harness.marks_file import check_docs, read_marks_file
from harness.progress import note
from harness.records import Run
from harness.run_folder import RunFolder, held, list_runs

PIPE_WIDTH = 180
"""Columns where no terminal says how many it has."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What is read of a row to find a doc by its id."""

    doc_id: str
    index: int


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    runs = Path(options.reports) / "runs"
    if options.what == "import":
        if options.name is None:
            raise UsageError("name the file that was downloaded: harness marks import FILE")
        _import(Path(options.name), runs, options)
    elif options.name is None:
        _list_runs(runs, options)
    else:
        _list_marks(*_find(runs, options.name), options)
    return 0


def _import(path: Path, runs: Path, options: argparse.Namespace) -> None:
    file = read_marks_file(path)
    folder, record = _find(runs, file.run)
    # A mark of a task that the run lacks is an error of its own.
    asked = {mark.task for mark in file.marks} & set(record.results)
    docs: dict[str, Collection[str]] = dict.fromkeys(record.results, ())
    docs |= {task: _places(folder, task).keys() for task in asked}
    check_docs(path, file, docs)
    with held(folder.path):
        found = merged(read_marks(folder), file.marks)
        if found.new or found.changed:
            write_marks(folder, found.marks)
    counts = {
        "run": record.id,
        "reviewer": file.reviewer,
        "new": found.new,
        "changed": found.changed,
        "unchanged": found.unchanged,
        "older": found.older,
    }
    if options.json:
        print(msgspec.json.encode(counts).decode("utf-8"))
    else:
        older = f", {found.older:,} older than what is stored and left out" if found.older else ""
        print(
            f"run {record.id}: {found.new:,} new, {found.changed:,} changed, "
            f"{found.unchanged:,} unchanged{older}"
        )
    written = publish_reports(options.reports)
    from harness.report.html import run_page

    if page := written.get(f"html/{run_page(record.id)}"):
        note(f"report: {page}")


def _find(runs: Path, name: str) -> tuple[RunFolder, Run]:
    """The run of that id, or in the folder of that name."""
    folders = [RunFolder(path) for path in list_runs(runs)]
    for folder in folders:
        if folder.path.name == name:
            return folder, folder.read()
    known = []
    for folder in folders:
        known.append(folder.path.name)
        try:
            record = folder.read()
        except RecordError:
            continue
        if record.id == name:
            return folder, record
    raise UnknownName("run", name, known, f"{runs}; --reports names another folder")


def _places(folder: RunFolder, task: str) -> dict[str, int]:
    return {row.doc_id: row.index for row in folder.rows_as(task, _Place)}


def _list_runs(runs: Path, options: argparse.Namespace) -> None:
    """How many marks of each kind every run has."""
    rows = []
    for path in list_runs(runs):
        folder = RunFolder(path)
        try:
            marks, record = read_marks(folder), folder.read()
        except RecordError as error:
            note(f"left out: {error}")
            continue
        if marks:
            rows.append(_summary(record, marks))
    none = "no run is marked yet: a run's page marks docs, `harness marks import FILE` takes it in"
    _print(rows, none, options)


def _summary(record: Run, marks: Sequence[Mark]) -> dict[str, Any]:
    counts = Counter[str](mark.mark for mark in marks)
    return {
        "run": record.id,
        "model": record.model.name,
        **{verdict: counts[verdict] for verdict in VERDICTS},
        "reviewers": ", ".join(sorted({mark.reviewer for mark in marks})),
    }


def _list_marks(folder: RunFolder, record: Run, options: argparse.Namespace) -> None:
    """Every mark of a run, with the number of its doc, in the task's order."""
    marks = read_marks(folder)
    places: dict[str, dict[str, int]] = {}
    for task in {mark.task for mark in marks}:
        try:
            places[task] = _places(folder, task)
        except RecordError as error:
            note(f"left out: {error}")
            places[task] = {}
    rows = [
        {
            "task": mark.task,
            "doc": places[mark.task].get(mark.doc_id),
            "doc_id": mark.doc_id,
            "mark": mark.mark,
            "reviewer": mark.reviewer,
            "at": mark.at,
            "note": mark.note,
        }
        for mark in marks
    ]
    rows.sort(key=lambda row: (row["task"], row["doc"] is None, row["doc"] or 0, row["reviewer"]))
    _print(rows, f"nobody has marked run {record.id}", options)


def _print(rows: Sequence[dict[str, Any]], none: str, options: argparse.Namespace) -> None:
    from harness.report.terminal import say, table
    from harness.report.wording import ABSENT, clean

    if options.json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode("utf-8"))
        return
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    if not rows:
        say(console, none)
        return
    shown = [[_cell(key, value) for key, value in row.items()] for row in rows]
    if console.is_terminal:
        words = {at for at, key in enumerate(rows[0]) if isinstance(rows[0][key], str)}
        console.print(table([clean(key) for key in rows[0]], shown, left=words))
        return
    for cells in [list(rows[0]), *shown]:
        say(console, "\t".join(cell or ABSENT for cell in cells))


def _cell(key: str, value: object) -> str:
    from harness.report.wording import ABSENT, clean, moment

    if value is None:
        return ABSENT
    if key == "at":
        return moment(str(value))
    return f"{value:,}" if isinstance(value, int) else clean(str(value))
