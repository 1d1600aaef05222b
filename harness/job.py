"""One model, some tasks, some settings: from names to a finished run.

The order is that of growing cost, so that a mistake is told before anything is paid for: names
first, then data, then weights, then prompts, and only then is torch imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.ancestry import check_ancestry
from harness.backends.backend import (
    Backend,
    LoadOptions,
    check_backend,
    check_dtype,
    check_head,
    load_backend,
)
from harness.catalog import Catalog
from harness.data import DataFolders, data_folders, find
from harness.errors import RecordError, UsageError, WeightsError
from harness.journal import open_journal
from harness.open_task import TaskContext
from harness.others import REFERENCE, Loaded, Other, Others, obtain, others_of, parent_of
from harness.recipe import recipe_id
from harness.records import Environment, ModelRecord, Run, Settings
from harness.run_folder import RunFolder
from harness.runner import PlannedTask, Progress, evaluate
from harness.sources import Artifact, resolve
from harness.task import Task, TaskChoice
from harness.zoo import ModelSpec, Zoo

Tell = Callable[[str], None]
"""Takes one line for the user."""


@dataclass(frozen=True)
class Job:
    """Everything that was asked for, checked as far as names and data go.

    Attributes:
        left_out: tasks of the suite that hold a model against its parent, if this one has none.
    """

    spec: ModelSpec
    zoo: Zoo
    settings: Settings
    choices: tuple[tuple[Task, TaskChoice], ...]
    others: Mapping[str, ModelSpec]
    folders: DataFolders
    models_dir: Path | None
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The suite's name, or the tasks'."""
        return self.settings.suite or "+".join(self.settings.tasks)


def make_job(
    spec: ModelSpec, zoo: Zoo, catalog: Catalog, settings: Settings, models_dir: Path | None
) -> Job:
    """Look everything up and locate the data; imports nothing heavy.

    Raises:
        UsageError: a name is unknown, or settings contradict each other.
        DataError: a task's data is nowhere.
    """
    check_backend(settings.backend)
    check_dtype(settings.dtype)
    check_head(settings.head)
    folders = data_folders(catalog.samples, settings.data, settings.samples)
    choices = _choices(settings, catalog)
    left_out: tuple[str, ...] = ()
    if settings.suite and parent_of(spec, zoo, settings.reference) is None:
        left_out = tuple(task.name for task, _ in choices if task.parent)
        choices = tuple(choice for choice in choices if not choice[0].parent)
    for task, _ in choices:
        _check_role(spec, task)
        for dataset in task.datasets:
            find(dataset, folders)
    others = others_of(spec, zoo, [task for task, _ in choices], settings.reference)
    return Job(spec, zoo, settings, choices, others, folders, models_dir, left_out)


def _check_role(spec: ModelSpec, task: Task) -> None:
    """Judges mark answers and language models give them: each has tasks of its own."""
    if spec.judges and not task.of_judges:
        raise UsageError(
            f"{spec.name} is a {spec.stage} model: it marks answers and gives none, so {task.name} "
            "cannot be asked of it; reward_model_accuracy can"
        )
    if task.of_judges and not spec.judges:
        raise UsageError(
            f"{task.name} is asked of reward models, and {spec.name} is a {spec.stage} model: "
            "reward_accuracy is the task for it"
        )


def score(
    job: Job,
    folder: RunFolder,
    earlier: Run | None,
    journals: Path | None,
    command: str,
    open_progress: Callable[[], Progress],
    tell: Tell,
) -> Run:
    """Get the weights, build the prompts, load the model and score every task.

    Args:
        job: what to score.
        folder: where the run is kept.
        earlier: the run to finish, or ``None`` for a new one.
        journals: folder of the journals; ``None`` neither reads nor writes one.
        command: what repeats it, for the record.
        open_progress: makes the progress display when the first request is about to be asked.
        tell: takes lines for the user.

    Raises:
        RecordError: model, versions or machine are not those of the earlier run.
        HarnessError: of many kinds; finished tasks and the answers in the journal are kept.
    """
    artifact = obtain_weights(job, tell)
    known = obtain(job.others, job.zoo, job.models_dir, tell)
    ready = make_ready(job, artifact, tell)
    backend = ready.backend
    if backend.facts.remark:
        tell(f"{job.spec.name}: {backend.facts.remark}")
    run = new_run(folder, job, artifact, ready, command)
    if earlier is not None:
        _check_same(earlier, run)
        run = replace(earlier, identity=run.identity, plan=_plans(earlier.plan, run.plan))
    run = replace(run, status="running")
    relaid = _relaid(job, backend, tell)
    with open_journal(journals, run.identity, tell) as journal, ExitStack() as held:
        others = make_others(job, known, backend, run.environment, journals, held, tell)
        progress = open_progress()
        return evaluate(run, folder, backend, ready.planned, progress, journal, relaid, others)


def make_others(
    job: Job,
    known: Mapping[str, Other],
    scored: Backend,
    environment: Environment,
    journals: Path | None,
    held: ExitStack,
    tell: Tell,
    guard: Callable[[Loaded], Backend] = lambda loaded: loaded[0],
) -> Others:
    """All whom a job's tasks ask besides the model; a reference is loaded in the model's settings.

    Args:
        job: what is scored.
        known: as `harness.others.obtain` made it.
        scored: the loaded model.
        environment: where the run takes place.
        journals: folder of the journals; ``None`` neither reads nor writes one.
        held: keeps the journals open.
        tell: takes lines for the user.
        guard: makes of a loaded model the backend that is asked.
    """

    def load(spec: ModelSpec, artifact: Artifact) -> Loaded:
        backend = _load(job.settings, spec, artifact, tell)
        return backend, _identity(backend, environment)

    def beside(parent: Backend) -> Loaded:
        from harness.backends.pair import make_pair

        pair = make_pair(scored, parent)
        return pair, _identity(pair, environment)

    return Others(known, load, beside, journals, held, tell, guard)


@dataclass(frozen=True)
class Ready:
    """A loaded model and the tasks that it will be asked."""

    backend: Backend
    planned: Sequence[PlannedTask]
    load_seconds: float


def obtain_weights(job: Job, tell: Tell) -> Artifact:
    """Get and check the model's files, and tell what a user should know of them."""
    spec = job.spec
    tell(f"{spec.name}: {', '.join(task.name for task, _ in job.choices)}")
    if job.left_out:
        tell(f"{spec.name}: no parent to be held against, without {', '.join(job.left_out)}")
    check_ancestry(spec, job.zoo, job.models_dir)
    artifact = resolve(spec, job.zoo, job.models_dir, tell)
    for remark in artifact.notes:
        tell(f"{spec.name}: {remark}")
    if spec.trust_remote_code:
        tell(f"{spec.name}: runs the checkpoint's own code (trust_remote_code in the registry)")
    return artifact


def make_ready(job: Job, artifact: Artifact, tell: Tell) -> Ready:
    """Build the prompts of every task, and load the model."""
    lazy = _LazyBackend(job, artifact, tell)
    planned = [_open(task, choice, job, lazy) for task, choice in job.choices]
    started = time.perf_counter()
    backend = lazy.get()
    return Ready(backend, planned, time.perf_counter() - started)


class _LazyBackend:
    """Loads the model when a task needs its tokenizer or chat template, else after the prompts."""

    def __init__(self, job: Job, artifact: Artifact, tell: Tell) -> None:
        self._job, self._artifact, self._tell = job, artifact, tell
        self._backend: Backend | None = None

    def get(self) -> Backend:
        """The backend, loaded on the first call."""
        if self._backend is None:
            self._backend = _load(self._job.settings, self._job.spec, self._artifact, self._tell)
        return self._backend

    def tokenize(self, text: str) -> Sequence[int]:
        """The text's token ids."""
        return self.get().tokenize(text)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages in the model's chat template."""
        return self.get().render_chat(messages, add_generation_prompt)


def _load(settings: Settings, spec: ModelSpec, artifact: Artifact, tell: Tell) -> Backend:
    """Load a language model into the backend that was asked for, or a judge as what it is."""
    options = LoadOptions(
        path=artifact.path,
        dtype=settings.dtype,
        head=settings.head,
        tokenizer=artifact.tokenizer_path,
        add_bos=spec.add_bos,
        trust_remote_code=spec.trust_remote_code,
        weights_id=artifact.weights_id,
        quantization=spec.quantization,
    )
    try:
        if spec.judge is not None:
            from harness.judges import load_judge

            tell(f"{spec.name}: loading {artifact.path} ({spec.judge.kind} judge)")
            return load_judge(options, spec.judge)
        tell(f"{spec.name}: loading {artifact.path} ({settings.backend})")
        return load_backend(settings.backend, options)
    except WeightsError as error:
        notes = f"\nThe registry says of {spec.name}: {spec.notes}" if spec.notes else ""
        raise WeightsError(f"{error}{notes}") from None


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
        # A suite's own limit is for a task whose docs are large: the command's may only lower it.
        limits = [limit for limit in (settings.limit, choice.limit) if limit is not None]
        limit = min(limits) if limits else task.default_limit
        chosen.append((task, replace(choice, num_fewshot=shots, limit=limit)))
    return tuple(chosen)


def _open(task: Task, choice: TaskChoice, job: Job, lazy: _LazyBackend) -> PlannedTask:
    context = TaskContext(
        folders=job.folders,
        num_fewshot=choice.num_fewshot,
        limit=choice.limit,
        seed=job.settings.seed,
        render_chat=lazy.render_chat if job.spec.chat_template else None,
        tokenize=lazy.tokenize,
        reference=job.others[REFERENCE].name if REFERENCE in job.others else None,
    )
    opened = task.open(task, context)
    names = [metric.name for metric in opened.metrics]
    primary = choice.primary or task.primary or _default_primary(names)
    if primary not in names:
        raise UsageError(f"{task.name} has no metric {primary!r}; it has {', '.join(names)}")
    return PlannedTask(task, opened, primary, choice.limit)


def _relaid(job: Job, backend: Backend, tell: Tell) -> Backend | None:
    """The other batch layout for noise floors, where they were asked for and there is one."""
    if not job.settings.noise_floor:
        return None
    relaid = backend.relaid()
    if relaid is None:
        tell(
            f"{job.spec.name}: no noise floor is measured: the backend {job.settings.backend!r} "
            "has no second batch layout"
        )
    return relaid


def _plans(earlier: str, now: str) -> str:
    """The batches of a run that was begun under one plan and finished under another."""
    before = earlier.split("; then ")
    return earlier if before[-1] == now or not now else "; then ".join(filter(None, [*before, now]))


def _check_same(earlier: Run, now: Run) -> None:
    """Refuse to finish a run with another model or other versions than it was begun with."""
    differences = [
        f"{name} was {getattr(then, name)!r}, is {getattr(today, name)!r}"
        for then, today, names in (
            (earlier.model, now.model, [attribute.name for attribute in fields(ModelRecord)]),
            (earlier.environment, now.environment, ["packages", "device"]),
        )
        for name in names
        if getattr(then, name) != getattr(today, name)
    ]
    if earlier.identity and not differences:  # else it would say the same again
        differences = [
            f"{name} was {earlier.identity.get(name)!r}, is {now.identity.get(name)!r}"
            for name in sorted({*earlier.identity, *now.identity})
            if earlier.identity.get(name) != now.identity.get(name)
        ]
    if differences:
        raise RecordError(
            f"run {earlier.id} cannot be finished as it was begun: {'; '.join(differences)}. "
            "Start a new run instead of --resume"
        )


def _default_primary(metrics: Sequence[str]) -> str:
    """acc_norm where a task has it, else its first metric."""
    normed = [name for name in metrics if name.partition(",")[0] == "acc_norm"]
    return (normed or list(metrics))[0]


def new_run(
    folder: RunFolder,
    job: Job,
    artifact: Artifact,
    ready: Ready,
    command: str,
) -> Run:
    """The record of a run of which nothing is scored yet."""
    from harness.environment import describe_environment

    spec, facts = job.spec, ready.backend.facts
    environment = describe_environment(facts.device)
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
        add_bos=spec.add_bos,
        revision=artifact.revision,
        recipe_id=recipe_id(spec, job.zoo) if spec.step else None,
    )
    return Run(
        id=folder.path.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="running",
        command=command,
        model=model,
        settings=job.settings,
        environment=environment,
        load_seconds=ready.load_seconds,
        results={},
        identity=_identity(ready.backend, environment),
        plan=facts.plan,
    )


def _identity(backend: Backend, environment: Environment) -> dict[str, str]:
    """All that an answer depends on: what the backend names, the device, and what computes."""
    versions = {
        name: environment.packages[name].partition("+")[0] for name in ("torch", "transformers")
    }
    return {"device": environment.device, **versions, **backend.identity}
