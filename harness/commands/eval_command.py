"""`harness eval`: score a model on tasks.

The order is that of growing cost, so that a mistake is told before anything is paid for: names and
options, then data, then weights, then the prompts, and only then is torch imported.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from harness.backends.backend import (
    Backend,
    LoadOptions,
    check_backend,
    check_dtype,
    load_backend,
)
from harness.catalog import Catalog, load_catalog
from harness.data import DataFolders, data_folders, find
from harness.errors import HarnessError, Interrupted, RecordError, UsageError, WeightsError
from harness.progress import note, open_progress
from harness.records import ModelRecord, Run, RunFolder, Settings
from harness.runner import PlannedTask, evaluate
from harness.sources import Artifact, resolve
from harness.task import Task, TaskChoice, TaskContext
from harness.zoo import ModelSpec, Zoo, load_zoo

DEFAULT_MODEL = "smol"


@dataclass(frozen=True)
class Job:
    """Everything that was asked for, checked as far as names go."""

    spec: ModelSpec
    zoo: Zoo
    settings: Settings
    choices: tuple[tuple[Task, TaskChoice], ...]
    folders: DataFolders
    models_dir: Path | None


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    signal.signal(signal.SIGTERM, _interrupt)
    zoo, catalog = load_zoo(options.zoo), load_catalog(options.tasks_dir)
    earlier = _earlier_run(options) if options.resume else None
    job = _plan(options, zoo, catalog, earlier.settings if earlier else None, earlier)
    for task, _ in job.choices:
        for dataset in task.datasets:
            find(dataset, job.folders)

    folder = _open_folder(options, job, earlier)
    try:
        finished = _score(job, folder, earlier)
    except KeyboardInterrupt:
        raise Interrupted(_how_to_go_on(folder, options, "stopped")) from None
    except HarnessError as error:
        kept = _kept(folder)
        if kept:
            error.args = (f"{error}\n{_how_to_go_on(folder, options, 'failed')}",)
        raise
    _publish(finished, folder, options)
    return 1 if any(result.docs and result.unscored >= result.docs for result in
                    finished.results.values()) else 0


def _plan(
    options: argparse.Namespace,
    zoo: Zoo,
    catalog: Catalog,
    settings: Settings | None,
    earlier: Run | None,
) -> Job:
    spec = zoo.get(earlier.model.name if earlier else options.model or DEFAULT_MODEL)
    settings = settings or _settings(options, spec, catalog)
    check_backend(settings.backend)
    check_dtype(settings.dtype)
    folders = data_folders(catalog.samples, settings.data, settings.samples)
    return Job(spec, zoo, settings, _choices(settings, catalog), folders, options.models_dir)


def _settings(options: argparse.Namespace, spec: ModelSpec, catalog: Catalog) -> Settings:
    if options.tasks and options.suite:
        raise UsageError("--tasks and --suite exclude each other: choose one")
    data = options.data or os.environ.get("HARNESS_DATA") or None
    suite = options.suite
    if not suite and not options.tasks:
        suite = "card" if data and not options.samples else "quick"
    samples = options.samples
    names: tuple[str, ...]
    if suite:
        chosen = catalog.suite(suite)
        names = tuple(choice.task for choice in chosen.tasks)
        if chosen.samples and options.data:
            raise UsageError(
                f"the suite {suite!r} scores the shipped samples, not --data {options.data}; "
                "leave --data out, or choose another suite (`harness list suites`)"
            )
        samples = samples or chosen.samples
    else:
        asked = [name.strip() for name in options.tasks.split(",") if name.strip()]
        if not asked:
            raise UsageError("--tasks is empty; name tasks (`harness list tasks`)")
        expanded = [task.name for name in asked for task in catalog.expand(name)]
        names = tuple(dict.fromkeys(expanded))
    return Settings(
        tasks=names,
        suite=suite,
        limit=options.limit,
        num_fewshot=options.num_fewshot,
        backend=options.backend or spec.backend,
        dtype=options.dtype or spec.dtype,
        data=None if samples else data,
        samples=samples,
        dataset_configs=_dataset_configs(options.dataset_config, names),
    )


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
        configs[task] = config
    return configs


def _choices(settings: Settings, catalog: Catalog) -> tuple[tuple[Task, TaskChoice], ...]:
    """The tasks with the settings that hold for each: the command's, then the suite's."""
    listed = (
        catalog.suite(settings.suite).tasks
        if settings.suite
        else tuple(TaskChoice(name) for name in settings.tasks)
    )
    chosen: list[tuple[Task, TaskChoice]] = []
    for choice in listed:
        task = catalog.task(choice.task)
        if config := settings.dataset_configs.get(choice.task):
            task = task.with_config(config)
        shots = settings.num_fewshot if settings.num_fewshot is not None else choice.num_fewshot
        limit = settings.limit if settings.limit is not None else choice.limit
        chosen.append((task, replace(choice, num_fewshot=shots, limit=limit)))
    return tuple(chosen)


def _open_folder(options: argparse.Namespace, job: Job, earlier: Run | None) -> RunFolder:
    runs = Path(options.reports) / "runs"
    if earlier is not None:
        return RunFolder(runs / earlier.id)
    what = job.settings.suite or "+".join(job.settings.tasks)
    safe = "".join(letter if letter.isalnum() or letter in "+-_." else "-" for letter in what)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{job.spec.name}-{safe[:60]}"
    path, number = runs / name, 1
    while path.exists():
        number += 1
        path = runs / f"{name}-{number}"
    folder = RunFolder(path)
    folder.create()
    return folder


def _score(job: Job, folder: RunFolder, earlier: Run | None) -> Run:
    spec, settings = job.spec, job.settings
    note(f"{spec.name}: {', '.join(task.name for task, _ in job.choices)}")
    artifact = resolve(spec, job.zoo, job.models_dir, note)
    if earlier is not None and earlier.model.weights_id != artifact.weights_id:
        raise RecordError(
            f"the weights of {spec.name} are not those of run {earlier.id} "
            f"({artifact.weights_id[:12]}, not {earlier.model.weights_id[:12]}): "
            "start a new run instead of --resume"
        )
    for remark in artifact.notes:
        note(f"{spec.name}: {remark}")
    if spec.trust_remote_code:
        note(f"{spec.name}: runs the checkpoint's own code (trust_remote_code in the registry)")
    lazy = _LazyBackend(job, artifact)
    planned = [_open(task, choice, job, lazy) for task, choice in job.choices]
    started = time.perf_counter()
    backend = lazy.get()
    load_seconds = time.perf_counter() - started
    record = earlier or _new_run(folder, job, artifact, backend, load_seconds)
    with open_progress() as progress:
        return evaluate(replace(record, status="running"), folder, backend, planned, progress)


class _LazyBackend:
    """Loads the model when the first prompt needs its chat template, else after the prompts."""

    def __init__(self, job: Job, artifact: Artifact) -> None:
        self._job, self._artifact = job, artifact
        self._backend: Backend | None = None

    def get(self) -> Backend:
        if self._backend is None:
            spec, settings = self._job.spec, self._job.settings
            note(f"{spec.name}: loading {self._artifact.path} ({settings.backend})")
            options = LoadOptions(
                path=self._artifact.path,
                dtype=settings.dtype,
                tokenizer=self._artifact.tokenizer_path,
                add_bos=spec.add_bos,
                trust_remote_code=spec.trust_remote_code,
            )
            try:
                self._backend = load_backend(settings.backend, options)
            except WeightsError as error:
                notes = f"\nThe registry says of {spec.name}: {spec.notes}" if spec.notes else ""
                raise WeightsError(f"{error}{notes}") from None
        return self._backend

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self.get().render_chat(messages, add_generation_prompt)


def _open(task: Task, choice: TaskChoice, job: Job, lazy: _LazyBackend) -> PlannedTask:
    context = TaskContext(
        folders=job.folders,
        num_fewshot=choice.num_fewshot,
        limit=choice.limit,
        seed=job.settings.seed,
        render_chat=lazy.render_chat if job.spec.chat_template else None,
    )
    opened = task.open(task, context)
    primary = choice.primary or task.primary
    names = [metric.name for metric in opened.metrics]
    if primary not in names:
        raise UsageError(f"{task.name} has no metric {primary!r}; it has {', '.join(names)}")
    return PlannedTask(task, opened, primary, choice.limit)


def _new_run(
    folder: RunFolder, job: Job, artifact: Artifact, backend: Backend, load_seconds: float
) -> Run:
    from harness.environment import describe_environment

    spec, facts = job.spec, backend.facts
    model = ModelRecord(
        name=spec.name,
        family=spec.family,
        stage=spec.stage,
        quantization=spec.quantization,
        lineage=tuple(ancestor.name for ancestor in job.zoo.lineage(spec.name)),
        source=artifact.source,
        weights_id=artifact.weights_id,
        files=artifact.files,
        disk_bytes=artifact.disk_bytes,
        memory_bytes=facts.memory_bytes,
        parameters=facts.parameters,
        dtype=facts.dtype,
        chat_template=spec.chat_template,
        trust_remote_code=spec.trust_remote_code,
        notes=spec.notes,
        licence=spec.licence,
        revision=artifact.revision,
    )
    return Run(
        id=folder.path.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="running",
        command=shlex.join(["harness", *sys.argv[1:]]),
        model=model,
        settings=job.settings,
        environment=describe_environment(facts.device),
        load_seconds=load_seconds,
        results={},
    )


def _earlier_run(options: argparse.Namespace) -> Run:
    """The run of ``--resume``, whose settings hold: any other option would contradict them."""
    contradicting = ("model", "tasks", "suite", "limit", "num_fewshot", "data", "dtype", "backend")
    given = [f"--{name.replace('_', '-')}" for name in contradicting if getattr(options, name)]
    if given:
        raise UsageError(f"--resume takes the run's own settings; leave out {', '.join(given)}")
    earlier = RunFolder(Path(options.reports) / "runs" / options.resume).read()
    if earlier.status == "complete":
        raise UsageError(f"run {earlier.id} is complete; `harness show {earlier.id}` prints it")
    return earlier


def _publish(run: Run, folder: RunFolder, options: argparse.Namespace) -> None:
    from rich.console import Console

    from harness.commands.report_command import publish_reports
    from harness.report.terminal import print_run

    written = publish_reports(options.reports)
    if options.json:
        import msgspec

        print(msgspec.json.encode(run).decode())
        return
    print_run(run, Console())
    note(f"run: {folder.path}")
    for path in written.values():
        note(f"report: {path}")


def _kept(folder: RunFolder) -> list[str]:
    try:
        return list(folder.read().results)
    except RecordError:
        return []


def _how_to_go_on(folder: RunFolder, options: argparse.Namespace, how: str) -> str:
    kept = _kept(folder)
    finished = f"finished tasks are kept ({', '.join(kept)})" if kept else "no task was finished"
    reports = "" if str(options.reports) == "reports" else f" --reports {shlex.quote(str(options.reports))}"
    if not (folder.path / "run.json").exists():
        return f"{how}; nothing was scored yet: run the same command again"
    return f"{how}; {finished}. To go on: harness eval --resume {folder.path.name}{reports}"


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
