"""`harness eval`: score a model on tasks, keep the records, write the reports."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from harness.catalog import Catalog, load_catalog
from harness.environment import describe_command, program
from harness.errors import HarnessError, Interrupted, RecordError, UsageError
from harness.job import Job, make_job
from harness.progress import note, open_progress
from harness.records import Run, Settings
from harness.run_folder import RunFolder, held, remove_unbegun
from harness.runner import Progress
from harness.scoring import score
from harness.sources import presence
from harness.zoo import ModelSpec, load_zoo

DEFAULT_MODEL = "smol"
SETTINGS_OF_A_RUN = (
    "model",
    "tasks",
    "suite",
    "limit",
    "num_fewshot",
    "data",
    "samples",
    "dataset_config",
    "dtype",
    "head",
    "backend",
    "noise_floor",
    "reference",
)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    signal.signal(signal.SIGTERM, interrupt)
    zoo, catalog = load_zoo(options.zoo), load_catalog(options.tasks_dir)
    earlier = _earlier_run(options) if options.resume else None
    spec = zoo.get(earlier.model.name if earlier else options.model or DEFAULT_MODEL)
    settings = earlier.settings if earlier else _settings(options, spec, catalog)
    job = make_job(spec, zoo, catalog, settings, options.models_dir)
    if options.check:
        return 0
    if options.missing:
        print(" ".join(not_built(job)))
        return 0

    # By the folder's name, not by what the record in it calls itself: that could be a path.
    resumed = runs_folder(options) / Path(options.resume or "").name
    folder = RunFolder(resumed) if earlier else new_folder(options, job)
    try:
        with held(folder.path), ExitStack() as displays:

            def display() -> Progress:
                opened = open_progress()
                displays.enter_context(opened)
                return opened

            journals = None if options.no_journal else journals_folder(options)
            finished = score(job, folder, earlier, journals, describe_command(), display, note)
    except KeyboardInterrupt:
        raise Interrupted(_how_to_go_on(folder, options, "stopped")) from None
    except HarnessError as error:
        if _finished_tasks(folder):
            error.args = (f"{error}\n{_how_to_go_on(folder, options, 'failed')}",)
        raise
    finally:
        folder.discard_if_empty()
    publish(finished, folder, options)
    return 1 if any(result.unscored >= result.docs for result in finished.results.values()) else 0


def not_built(job: Job) -> list[str]:
    """Judges and the reference that a step has to make first, in words for the Makefile."""
    return [
        spec.name
        for spec in {other.name: other for other in job.others.values()}.values()
        if presence(spec, job.zoo, job.models_dir).state == "not built"
    ]


def _settings(options: argparse.Namespace, spec: ModelSpec, catalog: Catalog) -> Settings:
    if options.tasks and options.suite:
        raise UsageError("--tasks and --suite exclude each other: choose one")
    data = options.data or os.environ.get("HARNESS_DATA") or None
    suite = options.suite
    if not suite and not options.tasks:
        suite = "card" if data and not options.samples else "quick"
    samples = options.samples
    if suite:
        chosen = catalog.suite(suite)
        tasks = tuple(choice.task for choice in chosen.tasks)
        if chosen.samples and options.data:
            raise UsageError(
                f"the suite {suite!r} scores the shipped samples, not --data {options.data}; "
                "leave --data out, or choose another suite (`harness list suites`)"
            )
        samples = samples or chosen.samples
    else:
        tasks = _task_names(options.tasks, catalog)
    configs = _dataset_configs(options.dataset_config, tasks)
    if configs and samples:
        raise UsageError("--dataset-config does not apply to the shipped samples: leave one out")
    return Settings(
        tasks=tasks,
        suite=suite,
        limit=options.limit,
        num_fewshot=options.num_fewshot,
        backend=options.backend or spec.backend,
        dtype=options.dtype or spec.dtype,
        head=options.head or "float32",
        data=_absolute(options.data if samples else data),
        samples=samples,
        dataset_configs=configs,
        noise_floor=options.noise_floor,
        reference=options.reference,
    )


def _absolute(folder: str | None) -> str | None:
    """A run may be resumed from elsewhere; a folder that is not there is refused as written."""
    return str(Path(folder).resolve()) if folder and Path(folder).is_dir() else folder


def _task_names(written: str, catalog: Catalog) -> tuple[str, ...]:
    asked = [name.strip() for name in written.split(",") if name.strip()]
    if not asked:
        raise UsageError("--tasks is empty; name tasks (`harness list tasks`)")
    return tuple(dict.fromkeys(task.name for name in asked for task in catalog.expand(name)))


def _dataset_configs(pairs: list[str], tasks: tuple[str, ...]) -> dict[str, str]:
    configs: dict[str, str] = {}
    for pair in pairs:
        task, separator, config = pair.rpartition("=")
        if not separator:
            if len(tasks) != 1:
                raise UsageError(
                    f"--dataset-config {pair}: say which task it is for, "
                    f"--dataset-config TASK={pair} (tasks: {', '.join(tasks)})"
                )
            task = tasks[0]
        if task not in tasks:
            raise UsageError(
                f"--dataset-config {pair}: {task!r} is not among the tasks {', '.join(tasks)}"
            )
        if not config:
            raise UsageError(f"--dataset-config {pair}: the configuration's name is missing")
        configs[task] = config
    return configs


def _earlier_run(options: argparse.Namespace) -> Run:
    """The run of ``--resume``, whose settings hold: any other option would contradict them."""
    given = [name for name in SETTINGS_OF_A_RUN if getattr(options, name)]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"--resume takes the run's own settings; leave out {flags}")
    earlier = RunFolder(runs_folder(options) / Path(options.resume).name).read()
    if earlier.status == "complete":
        raise UsageError(f"run {earlier.id} is complete; `harness show {earlier.id}` prints it")
    if earlier.rescored_from:
        raise UsageError(
            f"run {earlier.id} asks no model; begin it again: "
            f"`harness rescore {earlier.rescored_from}`"
        )
    return earlier


def runs_folder(options: argparse.Namespace) -> Path:
    """Where the runs are kept."""
    return Path(options.reports) / "runs"


def journals_folder(options: argparse.Namespace) -> Path:
    """Where the models' answers are kept."""
    return Path(options.reports) / "journal"


def new_folder(options: argparse.Namespace, job: Job) -> RunFolder:
    """Make the folder of a new run, named by the time, the model and the tasks."""
    title = "".join(c if c.isalnum() or c in "+-_." else "-" for c in job.title)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{job.spec.name}-{title[:60]}"
    remove_unbegun(runs_folder(options))
    # Two runs may begin in the same second: whoever makes the folder has it.
    numbers = itertools.count(2)
    folder = RunFolder(runs_folder(options) / name)
    while not folder.create():
        folder = RunFolder(runs_folder(options) / f"{name}-{next(numbers)}")
    return folder


def publish(run: Run, folder: RunFolder, options: argparse.Namespace) -> None:
    """Write the reports, print the run and say where all of it is."""
    from rich.console import Console

    from harness.commands.report_command import FRONT_PAGES, publish_reports
    from harness.report.terminal import print_run

    written = publish_reports(options.reports)
    if options.json:
        print((folder.path / "run.json").read_text("utf-8"))
        return
    print_run(run, Console())
    note(f"run: {folder.path}")
    for name in FRONT_PAGES:
        note(f"report: {written[name]}")


def _finished_tasks(folder: RunFolder) -> list[str]:
    try:
        return list(folder.read().results)
    except RecordError:
        return []


def _how_to_go_on(folder: RunFolder, options: argparse.Namespace, how: str) -> str:
    if not (kept := _finished_tasks(folder)):
        found = "" if options.no_journal else "; it finds the answers so far in the journal"
        return f"{how} before a task was finished: run the same command again{found}"
    command = [*program(), "eval", "--resume", folder.path.name, *places(options)]
    command += ["--no-journal"] if options.no_journal else []
    return f"{how}; finished tasks are kept ({', '.join(kept)}). To go on: {shlex.join(command)}"


def places(options: argparse.Namespace) -> list[str]:
    """The options that say where things are, to be repeated in a command that goes on."""
    written: list[str] = []
    for name in ("reports", "models_dir", "zoo", "tasks_dir"):
        value = getattr(options, name)
        if value is not None and str(value) != "reports":
            written += [f"--{name.replace('_', '-')}", str(value)]
    return written


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Let SIGTERM end a run as Ctrl-C does."""
    raise KeyboardInterrupt
