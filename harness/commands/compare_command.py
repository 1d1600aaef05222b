"""`harness compare`: models against a base, doc by doc, from runs that are on disk."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from harness.commands.compare_pages import Compared, write_pages
from harness.commands.eval_command import runs_folder
from harness.commands.stored import advice_for, check_known, runs_of, stored_runs, tell_of_newer
from harness.compare import Comparison, StoredRun, compare_runs
from harness.distance import distances, is_unmeasured
from harness.errors import IncomparableRuns, RecordError, UnknownName, UsageError
from harness.progress import note
from harness.report.distance import print_distances, unmeasured
from harness.report.terminal_comparison import print_comparison
from harness.report.waterfall import print_waterfall
from harness.same_work import work_differences
from harness.waterfall import Waterfall, between, waterfall
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    asked = [name.strip() for given in options.models for name in given.split(",")]
    names = [options.base, *filter(None, asked)]
    if len(names) == 1:
        raise UsageError(
            f"no model is named to hold against {options.base!r}: name one, or several separated "
            "by commas (`harness list models`)"
        )
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{name!r} is named {names.count(name)} times: name two models, or two runs of one "
                "by their ids (`harness list runs`)"
            )
    stored, zoo = stored_runs(runs_folder(options)), load_zoo(options.zoo)
    check_known(names, stored, zoo, options)
    candidates = [runs_of(name, stored, zoo, options) for name in names]
    tasks = _tasks(options.tasks, candidates)
    base, models = _chosen(candidates, tasks)
    for taken, of_name in zip([base, *models], candidates, strict=True):
        tell_of_newer(taken, of_name)
    named: dict[str, str] = {}
    for name, each in zip(names, [base, *models], strict=True):
        if (other := named.setdefault(each.run.id, name)) != name:
            raise UsageError(
                f"{other!r} and {name!r} are the same run, {each.run.id}: name two "
                "(`harness list runs`)"
            )
    try:
        comparisons = compare_runs(base, models, tasks)
    except IncomparableRuns as error:
        unlike = next(each for each in models if error.model in (each.run.model.name, each.run.id))
        advice = advice_for(base.run, unlike.run)
        raise IncomparableRuns(error.base, error.model, error.differences, advice) from None
    runs = [each.run for each in stored]
    found = [
        Compared(
            model,
            comparison,
            steps=_lineage(base, model, stored, tasks, comparison),
            moved=distances(base.run, model.run, runs),
        )
        for model, comparison in zip(models, comparisons, strict=True)
    ]
    pages = write_pages(base, found, Path(options.reports))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(comparisons)).decode("utf-8"))
    else:
        _print(found)
        for path in pages:
            note(f"report: {path}")
    for one in found:
        if is_unmeasured(base.run, one.model.run, one.moved):
            note(unmeasured(one.model.run.model.name))
    return 0


def _print(found: Sequence[Compared]) -> None:
    console = Console()
    for each in found:
        print_comparison(each.comparison, console)
        if each.moved:
            names = each.comparison.base.label, each.comparison.model.label
            print_distances(names, each.moved, console)
        if each.steps is not None:
            print_waterfall(each.steps, console)


def _lineage(
    base: StoredRun,
    model: StoredRun,
    stored: Sequence[StoredRun],
    tasks: Sequence[str] | None,
    whole: Comparison,
) -> Waterfall | None:
    """The way from an ancestor, if a model on it has a run of equal work."""
    on_the_way = {}
    for name in between(base, model):
        equal = (
            each
            for each in stored
            if each.run.model.name == name
            and each.run.status == "complete"
            and not work_differences(base.run, each.run, tasks)
        )
        if (run := next(equal, None)) is not None:
            on_the_way[name] = run
    try:
        return waterfall(base, model, on_the_way, whole) if on_the_way else None
    except (IncomparableRuns, RecordError) as error:
        note(f"the steps between are left out: {error}")
        return None


def _tasks(written: str | None, found: Sequence[Sequence[StoredRun]]) -> list[str] | None:
    if written is None:
        return None
    tasks = list(dict.fromkeys(name.strip() for name in written.split(",") if name.strip()))
    if not tasks:
        raise UsageError("--tasks is empty; name tasks that were scored (`harness show RUN`)")
    scored = {task for runs in found for each in runs for task in each.run.results}
    for task in tasks:
        if task not in scored:
            raise UnknownName("task", task, scored, "the runs of these models")
    return tasks


def _chosen(
    found: Sequence[Sequence[StoredRun]], tasks: Sequence[str] | None
) -> tuple[StoredRun, list[StoredRun]]:
    """The newest run of the base with which each other has a run of equal work, and those runs.

    Where there is none, the newest of each, so that what differs can be said.
    """
    bases, *others = found
    for base in bases:
        models = []
        for runs in others:
            equal = (
                each
                for each in runs
                if each.run.id != base.run.id and not work_differences(base.run, each.run, tasks)
            )
            if (model := next(equal, None)) is None:
                break
            models.append(model)
        else:
            return base, models
    return bases[0], [runs[0] for runs in others]
