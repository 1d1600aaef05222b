"""`harness compare`: models against a base, doc by doc, from runs that are on disk."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from harness.commands.eval_command import runs_folder
from harness.commands.stored import advice_for, runs_of, stored_runs
from harness.compare import Comparison, StoredRun, compare_runs
from harness.distance import Distance, distances, is_unmeasured
from harness.errors import IncomparableRuns, RecordError, UnknownName, UsageError
from harness.pareto import pareto
from harness.progress import note
from harness.same_work import work_differences
from harness.speed import probed
from harness.storage import write_atomic
from harness.waterfall import Waterfall, between, waterfall
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from harness.report.distance import unmeasured

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
    found = [runs_of(name, stored, zoo, options) for name in names]
    tasks = _tasks(options.tasks, found)
    base, models = _chosen(found, tasks)
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
    lineages = [
        _lineage(base, model, stored, tasks, comparison)
        for model, comparison in zip(models, comparisons, strict=True)
    ]
    runs = [each.run for each in stored]
    moved = [distances(base.run, model.run, runs) for model in models]
    _publish(comparisons, lineages, moved, options)
    for model, found_of in zip(models, moved, strict=True):
        if is_unmeasured(base.run, model.run, found_of):
            note(unmeasured(model.run.model.name))
    _draw(base, models, comparisons, options)
    return 0


def _draw(
    base: StoredRun,
    models: Sequence[StoredRun],
    comparisons: Sequence[Comparison],
    options: argparse.Namespace,
) -> None:
    """The picture of quality against cost, where several models are compared."""
    from harness.report.pareto_figure import pareto_svg

    found = pareto(base, models, comparisons, probed(Path(options.reports)))
    if len(models) < 2 or found is None or (drawn := pareto_svg(found)) is None:
        return
    path = Path(options.reports) / "compare" / f"{_plain(base.run.model.name)}-pareto.svg"
    write_atomic(path, drawn)
    note(f"quality against cost: {path}")


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
        return waterfall(base, model, on_the_way, whole, tasks) if on_the_way else None
    except (IncomparableRuns, RecordError) as error:
        note(f"the steps between are left out: {error}")
        return None


def _publish(
    comparisons: Sequence[Comparison],
    lineages: Sequence[Waterfall | None],
    moved: Sequence[Sequence[Distance]],
    options: argparse.Namespace,
) -> None:
    """Write a page for each, and print them all."""
    from harness.report.distance import distances_markdown, print_distances
    from harness.report.markdown_comparison import comparison_markdown
    from harness.report.terminal_comparison import print_comparison
    from harness.report.waterfall import print_waterfall, waterfall_markdown
    from harness.report.waterfall_figure import waterfall_svg

    written = []
    for comparison, steps, far in zip(comparisons, lineages, moved, strict=True):
        name = f"{_plain(comparison.base.label)}--{_plain(comparison.model.label)}"
        labels = comparison.base.label, comparison.model.label
        page = comparison_markdown(comparison)
        page += "\n" + distances_markdown(labels, far) if far else ""
        folder = Path(options.reports) / "compare"
        if steps is not None:
            page += "\n" + waterfall_markdown(steps, f"{name}.svg")
            write_atomic(folder / f"{name}.svg", waterfall_svg(steps))
        written.append(folder / f"{name}.md")
        write_atomic(written[-1], page)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(comparisons)).decode("utf-8"))
        return
    console = Console()
    for comparison, steps, far in zip(comparisons, lineages, moved, strict=True):
        print_comparison(comparison, console)
        if far:
            print_distances((comparison.base.label, comparison.model.label), far, console)
        if steps is not None:
            print_waterfall(steps, console)
    for path in written:
        note(f"report: {path}")


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


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "+-_." else "-" for c in name)
