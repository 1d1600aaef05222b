"""Scores an earlier run's answers again, as they stand in the journal; no model is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.backends.backend import Backend
from harness.errors import RecordError
from harness.job import Job
from harness.journal import Journal, journal_path
from harness.others import Loaded, Others, obtain
from harness.ready import Tell, make_others, make_ready, obtain_weights
from harness.records import Run
from harness.run_folder import RunFolder
from harness.runner import Progress, evaluate
from harness.scoring import new_run
from harness.types import Answer, Question, Request, Unanswered


def rescore(
    job: Job,
    folder: RunFolder,
    earlier: Run,
    journals: Path,
    command: str,
    ask: str,
    open_progress: Callable[[], Progress],
    tell: Tell,
) -> Run:
    """Score an earlier run's answers again, as they stand in the journal; no model is run.

    Args:
        job: what the earlier run scored.
        folder: where the new run is kept.
        earlier: the run whose answers are scored.
        journals: folder of the journals.
        command: what repeats it, for the record.
        ask: the command that asks the model, for the error if an answer is missing.
        open_progress: makes the progress display.
        tell: takes lines for the user.

    Raises:
        RecordError: the weights are not those of the earlier run, or an answer is not stored.
    """
    path = journal_path(journals, earlier.identity)
    if not path.exists():
        raise RecordError(
            f"the answers of run {earlier.id} are not here: there is no {path}. Ask them: {ask}"
        )
    artifact = obtain_weights(job, tell)
    if artifact.weights_id != earlier.model.weights_id:
        raise RecordError(
            f"{job.spec.name} is not the model of run {earlier.id}: its weights were "
            f"{earlier.model.weights_id}, are {artifact.weights_id}"
        )
    known = obtain(job.others, job.zoo, job.models_dir, tell)
    _check_others(job, Others(known), earlier)
    ready = make_ready(job, artifact, tell)
    run = new_run(folder, job, artifact, ready, command)
    run = replace(
        run,
        model=earlier.model,
        identity=earlier.identity,
        plan=earlier.plan,
        rescored_from=earlier.id,
    )
    if job.settings.noise_floor:
        tell(f"{job.spec.name}: no noise floor is measured, because no model is run")
    backend = _NeverAsked(ready.backend, path, ask)

    def never_asked(loaded: Loaded) -> Backend:
        other, identity = loaded
        return _NeverAsked(other, journal_path(journals, identity), ask)

    with Journal(journals, earlier.identity, tell) as journal, ExitStack() as held:
        others = make_others(
            job, known, ready.backend, run.environment, journals, held, tell, never_asked
        )
        progress = open_progress()
        return evaluate(run, folder, backend, ready.planned, progress, journal, others=others)


def _check_others(job: Job, others: Others, earlier: Run) -> None:
    """Refuse to score answers of another reference, parent or judge than the earlier run's."""
    for task, _ in job.choices:
        now, then = others.names(task), earlier.results[task.name].others
        if now != then:
            raise RecordError(
                f"{task.name}: run {earlier.id} asked {_named(then)}, the registry now names "
                f"{_named(now)}: score the model again"
            )


def _named(others: Mapping[str, str]) -> str:
    return ", ".join(f"the {name} {who}" for name, who in sorted(others.items())) or "nobody else"


class _NeverAsked:
    """A Backend that encodes as its model does and leaves every answer to the journal."""

    def __init__(self, backend: Backend, journal: Path, ask: str) -> None:
        self._backend, self._journal, self._ask = backend, journal, ask
        self.facts, self.identity = backend.facts, backend.identity

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        return self._backend.encode(requests)

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        missing = sum(question.refused is None for question in questions)
        if missing:
            raise RecordError(
                f"{missing:,} answers are not in {self._journal}: prompts have changed, lines of "
                f"it were lost, or the model had no answer. Ask for them: {self._ask}"
            )
        for index, question in enumerate(questions):
            yield Answer(index, Unanswered(question.refused or ""))

    def relaid(self) -> None:
        return None

    def tokenize(self, text: str) -> list[int]:
        return self._backend.tokenize(text)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self._backend.render_chat(messages, add_generation_prompt)

    def reset_peak_memory(self) -> None:
        self._backend.reset_peak_memory()

    def peak_memory(self) -> int | None:
        return self._backend.peak_memory()
