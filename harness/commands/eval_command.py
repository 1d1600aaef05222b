"""`harness eval`: score a model on tasks, keep the records, write the reports."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from harness.backends.backend import checked_arguments
from harness.catalog import Catalog, load_catalog
from harness.commands.eval_resumed import earlier_run
from harness.commands.eval_runs import Attempt, score_all
from harness.environment import program
from harness.errors import Interrupted, RecordError, UsageError
from harness.executors.executor import Executor, check_executor
from harness.executors.local import LOCAL
from harness.job import Job, make_job
from harness.openai_api import options as server_options
from harness.openai_api.server import make_server
from harness.openai_api.spending import Spending
from harness.presence import models_folder, presence
from harness.progress import note
from harness.records import Run, Settings
from harness.run_folder import RunFolder, remove_unbegun
from harness.served import served_name
from harness.zoo import ModelSpec, load_zoo

if TYPE_CHECKING:
    from harness.openai_api.terms import Terms

DEFAULT_MODEL = "smol"
RAY_OPTIONS = ("ray_address", "workers", "worker_cpus", "worker_gpus")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    signal.signal(signal.SIGTERM, interrupt)
    _check_executor(options)
    zoo, catalog = load_zoo(options.zoo), load_catalog(options.tasks_dir)
    earlier = earlier_run(options, runs_folder(options)) if options.resume else None
    jobs = []
    spending = Spending(server_options.budget(options))  # of all models together
    for name in _model_names(options, earlier):
        spec = zoo.get(name)
        settings = earlier.settings if earlier else _settings(options, spec, catalog)
        terms = _terms(settings, options, spending)
        jobs.append(make_job(spec, zoo, catalog, settings, options.models_dir, terms))
    _check_servers(jobs, options)
    if any(job.terms is None and not job.spec.served for job in jobs):
        models_folder(options.models_dir)
    if options.check:
        return 0
    if options.missing:
        print(" ".join(dict.fromkeys(name for job in jobs for name in not_built(job))))
        return 0
    with closing(open_executor(options)) as executor:
        # By the folder's name, not by what the record in it calls itself: that could be a path.
        resumed = runs_folder(options) / Path(options.resume or "").name
        kept = RunFolder(resumed) if earlier else None
        attempts = [Attempt(job, kept or new_folder(options, job), earlier) for job in jobs]
        try:
            score_all(attempts, executor, None if options.no_journal else journals_folder(options))
        except KeyboardInterrupt:
            raise Interrupted(_all_stopped(attempts, options)) from None
        finally:
            for attempt in attempts:
                attempt.folder.discard_if_empty()
    return _end(attempts, executor, options)


def open_executor(options: argparse.Namespace) -> Executor:
    """The executor that was asked for.

    Raises:
        UsageError: ray is not installed, or no machine has room for a worker.
        HarnessError: no cluster answers.
    """
    if options.executor == "local":
        return LOCAL
    from harness.executors.ray import Wanted, open_ray

    wanted = Wanted(options.ray_address, options.workers, options.worker_cpus, options.worker_gpus)
    return open_ray(wanted, note)


def _check_executor(options: argparse.Namespace) -> None:
    check_executor(options.executor)
    given = [name for name in RAY_OPTIONS if getattr(options, name) is not None]
    if given and options.executor == "local":
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{flags}: only --executor ray has workers; add it, or leave it out")


def _check_servers(jobs: Sequence[Job], options: argparse.Namespace) -> None:
    served = [job.spec.name for job in jobs if job.terms is not None]
    if served and options.executor != "local":
        raise UsageError(
            f"--executor {options.executor}: {', '.join(served)} is asked of a server, which has "
            "its own workers: leave --executor out"
        )
    terms = [
        f"--{name.replace('_', '-')}"
        for name in (*server_options.TERMS, *server_options.COST)
        if getattr(options, name) is not None
    ]
    if terms and not served:
        raise UsageError(
            f"{', '.join(terms)}: only the backend api (--base-url) is asked on these terms, not "
            f"{jobs[0].settings.backend}: leave them out"
        )
    if options.served_model and len(jobs) > 1:
        raise UsageError("--served-model names one model: score them one by one with --model")


def _end(attempts: Sequence[Attempt], executor: Executor, options: argparse.Namespace) -> int:
    """Publish what is finished, and say what is not: the exit code."""
    finished = [(each.finished, each.folder) for each in attempts if each.finished is not None]
    if finished:
        publish_all(finished, options)
    for given_up in executor.set_apart:
        note(f"harness: set apart: {given_up}; the same command asks it again")
    failed = [each for each in attempts if each.error is not None]
    for each in failed:
        error = each.error
        assert error is not None
        if len(attempts) > 1:
            error.args = (f"{each.job.spec.name}: {error}",)
        if _finished_tasks(each.folder):
            error.args = (f"{error}\n{_how_to_go_on(each.folder, options, 'failed')}",)
        if each is failed[-1]:
            raise error
        note(f"harness: {error}")
    nothing = any(
        result.unscored >= result.docs for run, _ in finished for result in run.results.values()
    )
    return 1 if nothing or executor.set_apart else 0


def _all_stopped(attempts: Sequence[Attempt], options: argparse.Namespace) -> str:
    """How to go on with each run that is not finished."""
    open_runs = [each for each in attempts if each.finished is None]
    if len(attempts) == 1:
        return _how_to_go_on(attempts[0].folder, options, "stopped")
    names = [each.job.spec.name for each in open_runs]
    lines = [f"stopped; {', '.join(names)} not finished: run the same command with --models"]
    return f"{lines[0]} {','.join(names)}" + (
        "" if options.no_journal else "; it finds the answers so far in the journal"
    )


def _model_names(options: argparse.Namespace, earlier: Run | None) -> list[str]:
    if options.models is None:
        if "," in (options.model or ""):
            raise UsageError(
                f"--model {options.model}: one model is named here; several: harness eval --models "
                f"{options.model} (make: ARGS='--models {options.model}')"
            )
        return [earlier.model.name if earlier else options.model or DEFAULT_MODEL]
    if options.model:
        raise UsageError("--model and --models exclude each other: choose one")
    names = [name.strip() for name in options.models.split(",") if name.strip()]
    if not names:
        raise UsageError("--models is empty; name models (`harness list models`)")
    return list(dict.fromkeys(names))


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
    settings = Settings(
        tasks=tasks,
        suite=suite,
        limit=options.limit,
        num_fewshot=options.num_fewshot,
        backend=options.backend or ("api" if options.base_url else spec.backend),
        dtype=options.dtype or spec.dtype,
        head=options.head or "float32",
        data=_absolute(options.data if samples else data),
        samples=samples,
        dataset_configs=configs,
        noise_floor=options.noise_floor,
        reference=options.reference,
    )
    return _elsewhere(settings, options, spec)


def _elsewhere(settings: Settings, options: argparse.Namespace, spec: ModelSpec) -> Settings:
    """The settings with those of a model that another program has."""
    backend = settings.backend
    if backend != "api" and (options.base_url or options.served_model):
        raise UsageError(f"--base-url and --served-model are of the backend api, not of {backend}")
    if backend != "lm_eval" and (options.lm_eval_model or options.lm_eval_args):
        raise UsageError(
            f"--lm-eval-model and --lm-eval-args are of the backend lm_eval, not of {backend}: "
            "add --backend lm_eval"
        )
    if options.base_url:
        # A slash at its end does not make another server: written as it is asked.
        server = make_server(options.base_url, options.served_model or served_name(spec), None, {})
        return replace(settings, base_url=server.url, served_model=server.model)
    return replace(
        settings,
        lm_eval_model=options.lm_eval_model or settings.lm_eval_model,
        lm_eval_args=checked_arguments(options.lm_eval_args or ""),
    )


def _terms(settings: Settings, options: argparse.Namespace, spending: Spending) -> Terms | None:
    """How the server is asked; a run that is finished has its own."""
    if settings.backend != "api" or not settings.base_url or not settings.served_model:
        return None
    return server_options.terms(options, settings.base_url, settings.served_model, spending)


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
    publish_all([(run, folder)], options)


def publish_all(runs: Sequence[tuple[Run, RunFolder]], options: argparse.Namespace) -> None:
    """The same of several runs; as JSON, several are a list."""
    from rich.console import Console

    from harness.commands.report_command import FRONT_PAGES, publish_reports
    from harness.report.terminal import print_run

    written = publish_reports(options.reports)
    if options.json:
        records = [(folder.path / "run.json").read_text("utf-8") for _, folder in runs]
        several = options.models is not None if "models" in options else False
        print("[" + ",\n".join(records) + "]" if several else records[0])
        return
    for run, folder in runs:
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
    if options.executor != "local":
        command += ["--executor", options.executor]
        for name in RAY_OPTIONS:
            value = getattr(options, name)
            command += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    command += ["--base-url", options.base_url] if options.base_url else []
    command += ["--lm-eval-args", options.lm_eval_args] if options.lm_eval_args else []
    command += ["--key-env", options.key_env] if options.key_env else []
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
