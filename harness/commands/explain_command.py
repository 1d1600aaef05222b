"""`harness explain`: the docs on which two models part, by subject and length."""

from __future__ import annotations

import argparse

import msgspec

from harness.commands.eval_command import runs_folder
from harness.commands.stored import advice_for, check_known, runs_of, stored_runs, tell_of_newer
from harness.compare import StoredRun
from harness.errors import IncomparableRuns, UnknownName, UsageError
from harness.explain import explain, is_explained
from harness.same_work import labels, work_differences
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    stored, zoo = stored_runs(runs_folder(options)), load_zoo(options.zoo)
    check_known([options.base, options.model], stored, zoo, options)
    bases, models = (runs_of(name, stored, zoo, options) for name in (options.base, options.model))
    base, model = _chosen(bases, models, options.task)
    tell_of_newer(base, bases)
    tell_of_newer(model, models)
    found = [explain(base, model, task, options.docs) for task in _tasks(base, options.task)]
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode("utf-8"))
        return 0
    from rich.console import Console

    from harness.report.terminal_explain import print_explanation

    console, names = Console(), labels([base.run, model.run])
    for each in found:
        results = base.run.results[each.task], model.run.results[each.task]
        print_explanation(each, results, (names[0], names[1]), console)
    return 0


def _tasks(base: StoredRun, asked: str | None) -> list[str]:
    if asked is not None:
        return [asked]
    tasks = [task for task in base.run.results if is_explained(base, task)]
    if not tasks:
        raise UsageError(
            f"no task of run {base.run.id} has docs that are right or wrong: "
            f"it has {', '.join(base.run.results)}"
        )
    return tasks


def _chosen(
    bases: list[StoredRun], models: list[StoredRun], task: str | None
) -> tuple[StoredRun, StoredRun]:
    """The newest two runs of equal work.

    Raises:
        UnknownName: neither has the task.
        IncomparableRuns: there are none; says what differs between the newest.
    """
    known = {name for each in (*bases, *models) for name in each.run.results}
    if task is not None and task not in known:
        raise UnknownName("task", task, known, "the runs of these models")
    tasks = None if task is None else [task]
    for base in bases:
        for model in models:
            if base.run.id != model.run.id and not work_differences(base.run, model.run, tasks):
                return base, model
    base, model = bases[0], models[0]
    if base.run.id == model.run.id:
        raise UsageError(f"both names are of run {base.run.id}: name two (`harness list runs`)")
    names = labels([base.run, model.run])
    found = work_differences(base.run, model.run, tasks, (names[0], names[1]))
    raise IncomparableRuns(names[0], names[1], found, advice_for(base.run, model.run))
