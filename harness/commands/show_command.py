"""`harness show`: one run, its scores or some of its docs, in the terminal or as JSON."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from harness.checkout import how_to_eval
from harness.errors import IncomparableRuns, RecordError, UnknownName, UsageError
from harness.marks import Mark, by_doc, read_marks
from harness.progress import note
from harness.records import Run, TaskResult
from harness.run_folder import RunFolder, list_runs

if TYPE_CHECKING:
    from harness.report.picking import Other, Pick, Picked

DOCS = 3
"""How many docs are shown unless `--docs` says otherwise."""


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder, record = _find(Path(options.reports) / "runs", options.run)
    task = _task(record, options)
    if task is not None:
        _print_docs(record, folder, record.results[task], options)
    elif options.json:
        print(msgspec.json.format(msgspec.json.encode(record)).decode("utf-8"))
    else:
        from harness.report.terminal import print_run

        print_run(record, Console())
        if marks := _marks(folder):
            from harness.report.wording import counted

            marked = len({(mark.task, mark.doc_id) for mark in marks})
            note(f"{counted(marked, 'marked doc')}: `harness marks list {folder.path.name}`")
    return 0


def _find(runs: Path, name: str) -> tuple[RunFolder, Run]:
    if name == "last":
        return last_run(runs)
    known = _folders(runs)
    if name not in known:
        raise UnknownName("run", name, known, str(runs))
    return known[name], known[name].read()


def last_run(runs: Path) -> tuple[RunFolder, Run]:
    """The newest run that can be read; a newer one that cannot is named.

    Raises:
        RecordError: there is none.
    """
    for folder in sorted(_folders(runs).values(), key=_written, reverse=True):
        try:
            return folder, folder.read()
        except RecordError as error:
            note(f"left out: {error}")
    raise RecordError(f"none of the runs can be read: score a model again, with `{how_to_eval()}`")


def _folders(runs: Path) -> dict[str, RunFolder]:
    known = {path.name: RunFolder(path) for path in list_runs(runs)}
    if not known:
        raise RecordError(f"no runs under {runs}: score a model first, with `{how_to_eval()}`")
    return known


def _written(folder: RunFolder) -> float:
    try:
        return (folder.path / "run.json").stat().st_mtime
    except OSError:
        return 0.0


def _task(record: Run, options: argparse.Namespace) -> str | None:
    """The task whose docs are asked for; ``None`` where no docs are.

    An option that chooses docs need not name the task where only one can be meant: the run's only
    one, or the only one with that metric.
    """
    if options.task is not None:
        if options.task not in record.results:
            raise UnknownName("task", options.task, record.results, f"run {record.id}")
        return str(options.task)
    asked = [
        option
        for option, given in (
            ("--wrong", options.wrong),
            ("--worst", options.worst is not None),
            ("--disagree", options.disagree is not None),
            ("--docs", options.docs is not None),
        )
        if given
    ]
    if not asked:
        return None
    tasks = list(record.results)
    if options.worst is not None:
        with_it = [task for task in tasks if options.worst in record.results[task].estimates]
        tasks = with_it or tasks
    if len(tasks) == 1:
        return tasks[0]
    raise UsageError(
        f"{asked[0]} needs a task: --task T, one of {', '.join(tasks)}"
        if tasks
        else f"run {record.id} has finished no task, so there are no docs to show"
    )


def _print_docs(
    record: Run, folder: RunFolder, result: TaskResult, options: argparse.Namespace
) -> None:
    from harness.report.picking import Picked, tells_wrong, wrong_rows

    if options.wrong and not tells_wrong(folder, result):
        from harness.report.wording import metric_name

        raise UsageError(
            f"{metric_name(result.primary)} does not say which docs of {result.task} are wrong: "
            "--worst METRIC orders them"
        )
    other, words = None, ""
    docs: Iterator[Picked] | Sequence[Picked]
    if options.worst is None and options.disagree is None:
        # Read as far as needed: a run may have 100,000 docs.
        rows = wrong_rows(folder, result) if options.wrong else folder.rows(result.task)
        docs = map(Picked, itertools.islice(rows, options.docs or DOCS))
    else:
        other = _other(record, folder, result.task, options)
        picked = _pick(record, folder, result, other, options)
        docs = picked.docs
        words = _chosen_by(picked, result, other, options)
    if options.json:
        if words:
            note(words)
        for doc in docs:
            print(_json(doc, other))
        return
    console, found = Console(), False
    if words:
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    marks = by_doc(_marks(folder), result.task)
    for doc in docs:
        said = marks.get(doc.row.doc_id, ())
        _print_doc(doc, record, result, other, said, console)
        found = True
    if not found:
        console.print("no such doc")


def _other(record: Run, folder: RunFolder, task: str, options: argparse.Namespace) -> Other | None:
    """The newest run of the named model that was asked the same, or the run of that name.

    Raises:
        UnknownName, RecordError: there is none of that name, or none that is complete.
        UsageError: it is the run that is shown.
        IncomparableRuns: all were asked something else; says what, of the newest one.
    """
    if options.disagree is None:
        return None
    from harness.commands.stored import advice_for, runs_of, stored_runs
    from harness.report.picking import Other
    from harness.same_work import work_differences
    from harness.zoo import load_zoo

    runs = stored_runs(folder.path.parent)
    named = runs_of(options.disagree, runs, load_zoo(options.zoo), options)
    others = [each for each in named if each.folder.path.name != folder.path.name]
    if not others:
        raise UsageError(
            f"{options.disagree!r} has no other run than {record.id}, the one that is shown: "
            "name another model or run (`harness list runs`)"
        )
    for each in others:
        if not work_differences(each.run, record, [task]):
            return Other(each.run, each.folder)
    newest = next((each.run for each in others if task in each.run.results), others[0].run)
    found = work_differences(newest, record, [task])
    raise IncomparableRuns(newest.model.name, record.model.name, found, advice_for(record, newest))


def _pick(
    record: Run,
    folder: RunFolder,
    result: TaskResult,
    other: Other | None,
    options: argparse.Namespace,
) -> Pick:
    from harness.report.picking import Wanted, pick

    wanted = Wanted(options.docs or DOCS, options.wrong, options.worst, other)
    return pick(record, folder, result, wanted)


def _chosen_by(
    picked: Pick, result: TaskResult, other: Other | None, options: argparse.Namespace
) -> str:
    """Say what the docs were chosen for, how many there are, and how many could not be chosen."""
    from harness.report.wording import clean, counted, metric_name

    metric = metric_name(picked.metric.name)
    words = f"{clean(result.task)}: {counted(picked.found, 'doc')}"
    words += " answered wrong" if options.wrong else ""
    if other is not None:
        words += f" on which it and {clean(other.run.model.name)} (run {clean(other.run.id)})"
        words += f" differ in {metric}"
    if options.worst is not None:
        words += f", the worst {metric} first"
    if picked.left_out:
        words += f"; {picked.left_out:,} left out: no {metric}"
        words += " on both sides" if other is not None else ""
    return words


def _print_doc(
    doc: Picked,
    record: Run,
    result: TaskResult,
    other: Other | None,
    marks: Sequence[Mark],
    console: Console,
) -> None:
    from harness.report.docs import shown_beside, shown_doc
    from harness.report.terminal_doc import print_doc
    from harness.same_work import labels

    shown = shown_doc(doc.row, result, marks)
    if other is None or doc.other is None:
        print_doc(shown, console)
        return
    beside = shown_doc(doc.other, other.run.results[result.task])
    first, second = labels([record, other.run])
    print_doc(shown_beside(shown, beside), console, names=(first, second))


def _json(doc: Picked, other: Other | None) -> str:
    """A row as it is stored; with the other run's under ``other``, where one was named."""
    row = msgspec.to_builtins(doc.row)
    if other is not None and doc.other is not None:
        who = {"run": other.run.id, "model": other.run.model.name}
        row["other"] = {**who, **msgspec.to_builtins(doc.other)}
    return msgspec.json.encode(row).decode("utf-8")


def _marks(folder: RunFolder) -> list[Mark]:
    """The run's marks; where they cannot be read, that is said, and the docs are shown without."""
    try:
        return read_marks(folder)
    except RecordError as error:
        note(f"left out: {error}")
        return []
