"""From a job to a finished run, or to the rest of one that was begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.asking import ask_about
from harness.backends.backend import Backend, Remote
from harness.data_card import card_digest
from harness.errors import RecordError
from harness.executors.executor import Executor
from harness.executors.local import LOCAL
from harness.job import Job
from harness.journal import Journal, open_journal
from harness.learned import keep_cards, learned_from
from harness.others import Others, obtain
from harness.ready import (
    Ready,
    Tell,
    answerable,
    identity_of,
    make_others,
    make_ready,
    obtain_weights,
)
from harness.recipe import recipe_id
from harness.records import ModelRecord, Run
from harness.run_folder import RunFolder
from harness.runner import PlannedTask, Progress, evaluate
from harness.sources import Artifact


@dataclass(frozen=True)
class Begun:
    """A run whose model is loaded and whose prompts are built."""

    run: Run
    folder: RunFolder
    backend: Backend
    planned: Sequence[PlannedTask]
    journal: Journal | None
    relaid: Backend | None
    others: Others


def score(
    job: Job,
    folder: RunFolder,
    earlier: Run | None,
    journals: Path | None,
    command: str,
    open_progress: Callable[[], Progress],
    tell: Tell,
    executor: Executor = LOCAL,
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
        executor: loads models, here or elsewhere.

    Raises:
        RecordError: model, versions or machine are not those of the earlier run.
        HarnessError: of many kinds; finished tasks and the answers in the journal are kept.
    """
    with ExitStack() as held:
        begun = begin(job, folder, earlier, journals, command, tell, executor, held)
        return finish(begun, open_progress())


def begin(
    job: Job,
    folder: RunFolder,
    earlier: Run | None,
    journals: Path | None,
    command: str,
    tell: Tell,
    executor: Executor,
    held: ExitStack,
) -> Begun:
    """All that comes before the first answer; the arguments and errors are those of `score`.

    An executor that gains from it is told here what will be asked. What is open until the run is
    finished is in ``held``.
    """
    artifact = obtain_weights(job, tell)
    known = obtain(job.others, job.zoo, job.models_dir, tell)
    ready = make_ready(job, artifact, tell, executor)
    backend = ready.backend
    held.callback(executor.release, backend)
    ready = answerable(ready, job, tell)
    if backend.facts.remark:
        tell(f"{job.spec.name}: {backend.facts.remark}")
    run = new_run(folder, job, artifact, ready, command)
    if earlier is not None:
        _check_same(earlier, run, tell)
        run = replace(earlier, identity=run.identity, plan=_plans(earlier.plan, run.plan))
    keep_cards(folder.path, learned_from(job.spec, job.zoo))
    run = replace(run, status="running")
    relaid = _relaid(job, backend, tell)
    if relaid is not None:
        held.callback(executor.release, relaid)
    journal = held.enter_context(open_journal(journals, run.identity, tell))
    # Once more, as what goes first: until then answers are written into the journal.
    held.callback(executor.release, backend)
    others = make_others(
        job, known, backend, run.environment, journals, held, tell, executor=executor
    )
    held.callback(others.release, executor.release)
    if isinstance(backend, Remote):
        held.callback(lambda: tell(f"{job.spec.name}: {backend.spent()}"))
    planned = ready.planned
    if executor.ahead:
        planned = [
            plan if plan.task.name in run.results else _foreseen(plan, backend, executor, journal)
            for plan in planned
        ]
    return Begun(run, folder, backend, planned, journal, relaid, others)


def _foreseen(
    plan: PlannedTask, backend: Backend, executor: Executor, journal: Journal | None
) -> PlannedTask:
    """A task with its requests made, which the executor begins to answer."""
    asked = ask_about(plan.opened, plan.opened.docs)
    requests = [request for each in asked for request in each.requests]
    executor.foresee(backend, requests, journal)
    return replace(plan, asked=asked)


def finish(begun: Begun, progress: Progress) -> Run:
    """Ask and score every task; the errors are those of `score`."""
    return evaluate(
        begun.run,
        begun.folder,
        begun.backend,
        begun.planned,
        progress,
        begun.journal,
        begun.relaid,
        begun.others,
    )


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
    # A worker's GPU has the name that the worker gave it: this machine may have another, or none.
    device = ready.backend.identity.get("device", environment.device)
    environment = replace(environment, device=device)
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
        data_cards={name: card_digest(card) for name, card in learned_from(spec, job.zoo).items()},
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
        identity=identity_of(ready.backend, environment),
        plan=facts.plan,
    )


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


def _check_same(earlier: Run, now: Run, tell: Tell) -> None:
    """Refuse to finish a run with another model or other versions than it was begun with.

    Another commit of the same version is told: not every commit changes what is scored.
    """
    differences = [
        f"{name} was {getattr(then, name)!r}, is {getattr(today, name)!r}"
        for then, today, names in (
            (earlier.model, now.model, [attribute.name for attribute in fields(ModelRecord)]),
            (earlier.environment, now.environment, ["harness", "packages", "device"]),
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
    commits = [run.environment.git_commit or "no commit" for run in (earlier, now)]
    if commits[0] != commits[1]:
        tell(
            f"run {earlier.id} was begun with the harness at {commits[0]}, which its record keeps; "
            f"the rest is scored at {commits[1]}"
        )
