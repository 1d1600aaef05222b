"""Scores several models by one call: one after the other, or all out of one queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.environment import describe_command
from harness.errors import HarnessError
from harness.executors.executor import Executor
from harness.job import Job
from harness.progress import note, open_progress
from harness.records import Run
from harness.run_folder import RunFolder, held
from harness.scoring import Begun, begin, finish


@dataclass
class Attempt:
    """One model's run, and what became of it.

    Attributes:
        job: what is scored.
        folder: where the run is kept.
        earlier: the run to finish; ``None`` for a new one.
        begun: the run whose model is loaded.
        finished: the run with all results.
        error: why it has not all.
    """

    job: Job
    folder: RunFolder
    earlier: Run | None
    begun: Begun | None = None
    finished: Run | None = None
    error: HarnessError | None = None


def score_all(attempts: Sequence[Attempt], executor: Executor, journals: Path | None) -> None:
    """Score every model. One that fails does not keep the others from being scored.

    An executor that has workers is told of all models' requests before the first answer is waited
    for; one that has none loads one model after the other, and holds one at a time.
    """
    with ExitStack() as opened:
        owned = [(attempt, opened.enter_context(ExitStack())) for attempt in attempts]
        # All of them before the first model is asked: a folder that nobody holds and nothing was
        # written into is removed by another command once it is an hour old.
        for attempt, own in owned:
            with _noted(attempt):
                own.enter_context(held(attempt.folder.path))
        free = [(attempt, own) for attempt, own in owned if attempt.error is None]
        if executor.ahead:
            for attempt, own in free:
                _begin(attempt, executor, journals, own)
        for attempt, own in free:
            if not executor.ahead:
                _begin(attempt, executor, journals, own)
            _finish(attempt, several=len(attempts) > 1)
            own.close()


def _begin(attempt: Attempt, executor: Executor, journals: Path | None, own: ExitStack) -> None:
    with _noted(attempt):
        attempt.begun = begin(
            attempt.job,
            attempt.folder,
            attempt.earlier,
            journals,
            describe_command(),
            note,
            executor,
            own,
        )
    if attempt.error is not None:
        own.close()


def _finish(attempt: Attempt, *, several: bool) -> None:
    if attempt.begun is None:
        return
    if several:
        note(f"{attempt.job.spec.name}: scoring {attempt.job.title}")
    with _noted(attempt), open_progress() as progress:
        attempt.finished = finish(attempt.begun, progress)
    attempt.begun = None  # its model may go


@contextmanager
def _noted(attempt: Attempt) -> Iterator[None]:
    try:
        yield
    except HarnessError as error:
        attempt.error = error
