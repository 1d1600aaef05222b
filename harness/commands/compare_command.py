"""`harness compare`: models against a base, doc by doc, from runs that are on disk."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from harness.commands.eval_command import runs_folder
from harness.compare import Comparison, StoredRun, compare_runs
from harness.errors import IncomparableRuns, RecordError, UnknownName, UsageError
from harness.others import NO_REFERENCE, PARENT, REFERENCE
from harness.pareto import pareto
from harness.progress import note
from harness.records import Run
from harness.run_folder import RunFolder, list_runs
from harness.same_work import work_differences
from harness.speed import probed
from harness.storage import write_atomic
from harness.waterfall import Waterfall, between, waterfall
from harness.zoo import Zoo, load_zoo


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
    _publish(comparisons, lineages, options)
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
    options: argparse.Namespace,
) -> None:
    """Write a page for each, and print them all."""
    from harness.report.markdown_comparison import comparison_markdown
    from harness.report.terminal_comparison import print_comparison
    from harness.report.waterfall import print_waterfall, waterfall_markdown
    from harness.report.waterfall_figure import waterfall_svg

    written = []
    for comparison, steps in zip(comparisons, lineages, strict=True):
        name = f"{_plain(comparison.base.label)}--{_plain(comparison.model.label)}"
        page = comparison_markdown(comparison)
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
    for comparison, steps in zip(comparisons, lineages, strict=True):
        print_comparison(comparison, console)
        if steps is not None:
            print_waterfall(steps, console)
    for path in written:
        note(f"report: {path}")


def stored_runs(runs: Path) -> list[StoredRun]:
    """Read all runs that can be read, the newest first; the others are named."""
    stored = []
    for path in list_runs(runs):
        folder = RunFolder(path)
        try:
            stored.append(StoredRun(folder.read(), folder))
        except RecordError as error:
            note(f"left out: {error}")
    return sorted(stored, key=lambda each: (each.run.created, each.run.id), reverse=True)


def runs_of(
    name: str, stored: Sequence[StoredRun], zoo: Zoo, options: argparse.Namespace
) -> list[StoredRun]:
    """Find the run of that id, or the complete runs of the model of that name, newest first.

    Raises:
        UnknownName: there is neither a run nor a model of that name.
        UsageError: the run is not complete.
        RecordError: the model has no complete run.
    """
    runs = runs_folder(options)
    for each in stored:
        if name in (each.run.id, each.folder.path.name):
            if each.run.status != "complete":
                raise UsageError(
                    f"run {name} is {each.run.status}: finish it first, with "
                    f"`harness eval --resume {name}`"
                )
            return [each]
    of_model = [each for each in stored if each.run.model.name == name]
    complete = [each for each in of_model if each.run.status == "complete"]
    if complete:
        return complete
    if not of_model and name not in zoo.models:
        models = {*zoo.models, *(each.run.model.name for each in stored)}
        known = {*models, *(each.folder.path.name for each in stored)}
        raise UnknownName("model or run", name, known, f"the registry and {runs}")
    done = next((each.run for each in stored if each.run.status == "complete"), None)
    command = f"make eval MODEL={shlex.quote(name)}" if done is None else _make_eval(name, done)
    raise RecordError(f"{name} has no complete run under {runs}. This makes one: {command}")


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


def advice_for(base: Run, model: Run) -> str:
    """Say what makes the two runs' work the same."""
    if base.model.chat_template != model.model.chat_template:
        return "Give both the same chat_template in the registry, and score both again."
    if asked := _unlike_references(base, model):
        return _one_reference(base, model, asked)
    command = _make_eval(model.model.name, base, run_as=model)
    if command == _make_eval(model.model.name, model, run_as=model):
        again = _make_eval(base.model.name, base, run_as=base)
        return (
            "Both were asked by the same settings at different times: ask both again\n"
            f"  {again}\n  {command}"
        )
    shared = [task for task in base.results if task in model.results]
    advice = f"This asks {model.model.name} the same: {command}"
    if shared and set(shared) != {*base.results, *model.results}:
        advice += f"\nOr compare what both have, if it is equal: --tasks {','.join(shared)}"
    return advice


def _unlike_references(base: Run, model: Run) -> set[str]:
    """Which of ``reference`` and ``parent`` are not the same model in a task that both have."""
    return {
        name
        for task in set(base.results) & set(model.results)
        for name in (REFERENCE, PARENT)
        if base.results[task].others.get(name) != model.results[task].others.get(name)
    }


def _one_reference(base: Run, model: Run, unlike: set[str]) -> str:
    """What holds two runs against one model: the root that both descend from, or none where one of
    the two is that root.
    """
    names = base.model.name, model.model.name
    root = base.model.lineage[0]
    common = root if root == model.model.lineage[0] and root not in names else NO_REFERENCE
    if common == NO_REFERENCE and PARENT in unlike:
        return (
            "What both descend from is one of the two, or nothing: name a third model that both "
            "can be held against, with REFERENCE=MODEL, or compare the other tasks with --tasks"
        )
    first = _make_eval(names[0], base, run_as=base, reference=common)
    second = _make_eval(names[1], base, run_as=model, reference=common)
    return f"These hold both against the same model:\n  {first}\n  {second}"


def _make_eval(
    model: str, like: Run, run_as: Run | None = None, reference: str | None = None
) -> str:
    """The `make eval` that asks a model what another run asked.

    Args:
        model: its name.
        like: the run that asked it.
        run_as: an earlier run of the model, whose dtype, backend and head are kept.
        reference: what it is held against instead of the other run's reference.
    """
    settings, own = like.settings, run_as.settings if run_as else None
    variables = {
        "MODEL": model,
        "SUITE": settings.suite,
        "TASKS": None if settings.suite else ",".join(settings.tasks),
        "LIMIT": settings.limit,
        "NUM_FEWSHOT": settings.num_fewshot,
        "DATA": settings.data,
        "DTYPE": own.dtype if own and own.dtype != "auto" else None,
        "BACKEND": own.backend if own and own.backend != "hf" else None,
        "REFERENCE": reference or settings.reference,
    }
    arguments = ["--samples"] if settings.samples and not settings.suite else []
    for task, config in settings.dataset_configs.items():
        arguments += ["--dataset-config", f"{task}={config}"]
    arguments += ["--head", own.head] if own and own.head != "float32" else []
    variables["ARGS"] = shlex.join(arguments) or None
    written = [
        f"{name}={shlex.quote(str(value))}"
        for name, value in variables.items()
        if value is not None
    ]
    return " ".join(["make", "eval", *written])


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "+-_." else "-" for c in name)
