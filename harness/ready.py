"""From a job to loaded models and built prompts.

The order is that of growing cost, so that a mistake is told before anything is paid for: weights,
then prompts, and only then is torch imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ancestry import check_ancestry
from harness.backends.backend import (
    ELSEWHERE,
    Backend,
    CannotBeAsked,
    Lacking,
    LmEvalModel,
    LoadOptions,
    ServedOptions,
    load_backend,
)
from harness.errors import UsageError, WeightsError
from harness.executors.executor import Executor, Loading
from harness.executors.local import LOCAL
from harness.job import Job
from harness.open_task import OpenTask, TaskContext
from harness.others import REFERENCE, Loaded, Other, Others
from harness.records import Environment, Settings
from harness.runner import PlannedTask
from harness.served import served_artifact
from harness.sources import Artifact, resolve
from harness.task import Task, TaskChoice
from harness.types import Request
from harness.zoo import ModelSpec

if TYPE_CHECKING:
    from harness.openai_api.terms import Terms

Tell = Callable[[str], None]
"""Takes one line for the user."""


@dataclass(frozen=True)
class Ready:
    """A loaded model and the tasks that it will be asked.

    Attributes:
        refused: tasks that could not even be made of what the model gives, with the reason.
    """

    backend: Backend
    planned: Sequence[PlannedTask]
    load_seconds: float
    refused: Mapping[str, str] = field(default_factory=dict)


def obtain_weights(job: Job, tell: Tell) -> Artifact:
    """Get and check the model's files, and tell what a user should know of them."""
    spec = job.spec
    tell(f"{spec.name}: {', '.join(task.name for task, _ in job.choices)}")
    if job.left_out:
        tell(f"{spec.name}: no parent to be held against, without {', '.join(job.left_out)}")
    if job.terms is not None:
        artifact = served_artifact(spec.name, job.terms.server.url, job.terms.server.model)
        tell(f"{spec.name}: asks {job.terms.server}")
    elif spec.served:
        how = job.settings
        artifact = served_artifact(spec.name, f"lm-eval {how.lm_eval_model}", how.lm_eval_args)
    else:
        check_ancestry(spec, job.zoo, job.models_dir)
        artifact = resolve(spec, job.zoo, job.models_dir, tell)
    for remark in artifact.notes:
        tell(f"{spec.name}: {remark}")
    if spec.trust_remote_code:
        tell(f"{spec.name}: runs the checkpoint's own code (trust_remote_code in the registry)")
    return artifact


def make_ready(job: Job, artifact: Artifact, tell: Tell, executor: Executor = LOCAL) -> Ready:
    """Build the prompts of every task, and load the model, where the executor has it."""
    lazy = _LazyBackend(job, artifact, tell, executor)
    planned, refused = [], {}
    for task, choice in job.choices:
        try:
            planned.append(_open(task, choice, job, lazy))
        except CannotBeAsked as error:
            refused[task.name] = str(error)
    started = time.perf_counter()
    backend = lazy.get()
    return Ready(backend, planned, time.perf_counter() - started, refused)


def answerable(ready: Ready, job: Job, tell: Tell) -> Ready:
    """Without the tasks that a model of another program cannot be asked, if a suite brought them;
    those that were named are refused, all at once, before any is asked.

    Raises:
        UsageError: names them, each with the reason, and what is left.
        HarnessError: the program cannot be reached.
    """
    asked = {plan.task.name: _kinds(plan.opened) for plan in ready.planned}
    refused = dict(ready.refused)
    if asked and isinstance(ready.backend, Lacking):
        lacking = ready.backend.cannot(set().union(*asked.values()))
        for task, kinds in asked.items():
            if found := kinds & set(lacking):
                refused[task] = lacking[found.pop()]
    if not refused:
        return ready
    lines = []
    for reason in dict.fromkeys(refused.values()):
        tasks = [task for task, why in refused.items() if why == reason]
        lines.append(f"{', '.join(tasks)}: {reason}")
    left = [plan for plan in ready.planned if plan.task.name not in refused]
    if job.settings.suite and left:
        for line in lines:
            tell(f"{job.spec.name}: without {line}")
        return replace(ready, planned=left)
    lines = [f"{job.spec.name} cannot be asked everything:", *(f"  {line}" for line in lines)]
    names = ",".join(plan.task.name for plan in left)
    lines.append(f"What is left: --tasks {names}" if left else "No task is left")
    raise UsageError("\n".join(lines))


def _kinds(opened: OpenTask) -> set[type[Request]]:
    """The kinds of requests that a task makes of the model, as the first doc has them about which
    it is asked anything.
    """
    asked = (requests for doc in opened.docs if (requests := opened.requests(doc)))
    return {type(request) for request in next(asked, ())}


class _LazyBackend:
    """Loads the model when a task needs its tokenizer or chat template, else after the prompts."""

    def __init__(self, job: Job, artifact: Artifact, tell: Tell, executor: Executor) -> None:
        self._job, self._artifact, self._tell = job, artifact, tell
        self._executor = executor
        self._backend: Backend | None = None

    def get(self) -> Backend:
        """The backend, loaded on the first call."""
        if self._backend is None:
            job = self._job
            self._backend = _load(
                job.settings, job.spec, self._artifact, self._tell, self._executor, job.terms
            )
        return self._backend

    def tokenize(self, text: str) -> Sequence[int]:
        """The text's token ids."""
        return self.get().tokenize(text)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages in the model's chat template."""
        return self.get().render_chat(messages, add_generation_prompt)


def load_options(settings: Settings, spec: ModelSpec, artifact: Artifact) -> LoadOptions:
    """How a model's files are loaded, by the registry and the settings."""
    return LoadOptions(
        path=artifact.path,
        dtype=settings.dtype,
        head=settings.head,
        tokenizer=artifact.tokenizer_path,
        add_bos=spec.add_bos,
        trust_remote_code=spec.trust_remote_code,
        weights_id=artifact.weights_id,
        quantization=spec.quantization,
        lm_eval=LmEvalModel(settings.lm_eval_model, settings.lm_eval_args),
    )


def _load(
    settings: Settings,
    spec: ModelSpec,
    artifact: Artifact,
    tell: Tell,
    executor: Executor,
    terms: Terms | None = None,
) -> Backend:
    """Load a language model into the backend that was asked for, or a judge as what it is; a
    server's is asked from here, whoever loads the others.
    """
    options = load_options(settings, spec, artifact)
    if terms is not None:
        served = ServedOptions(**vars(options), terms=terms, chat=spec.chat_template)
        return load_backend(settings.backend, served)
    kind = f"{spec.judge.kind} judge" if spec.judge is not None else settings.backend
    what = artifact.source if spec.served else artifact.path
    tell(f"{spec.name}: loading {what} ({kind})")
    loading = Loading(
        backend=settings.backend,
        options=options,
        judge=spec.judge,
        files=tuple(sorted(artifact.files.items())),
    )
    try:
        return executor.load(loading)
    except WeightsError as error:
        notes = f"\nThe registry says of {spec.name}: {spec.notes}" if spec.notes else ""
        raise WeightsError(f"{error}{notes}") from None


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


def _default_primary(metrics: Sequence[str]) -> str:
    """acc_norm where a task has it, else its first metric."""
    normed = [name for name in metrics if name.partition(",")[0] == "acc_norm"]
    return (normed or list(metrics))[0]


def make_others(
    job: Job,
    known: Mapping[str, Other],
    scored: Backend,
    environment: Environment,
    journals: Path | None,
    held: ExitStack,
    tell: Tell,
    guard: Callable[[Loaded], Backend] = lambda loaded: loaded[0],
    executor: Executor = LOCAL,
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
        executor: loads them.
    """

    def load(spec: ModelSpec, artifact: Artifact) -> Loaded:
        backend = _load(job.settings, spec, artifact, tell, executor)
        return backend, identity_of(backend, environment)

    def beside(parent: Backend) -> Loaded:
        pair = executor.beside(scored, parent)
        return pair, identity_of(pair, environment)

    return Others(known, load, beside, journals, held, tell, guard)


def identity_of(backend: Backend, environment: Environment) -> dict[str, str]:
    """All that an answer depends on: what the backend names, the device, and what computes."""
    if backend.facts.device == ELSEWHERE:  # nothing of this machine decides
        return dict(backend.identity)
    versions = {
        name: environment.packages[name].partition("+")[0] for name in ("torch", "transformers")
    }
    return {"device": environment.device, **versions, **backend.identity}
