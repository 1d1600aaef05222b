"""The one queue of all models and tasks: what a free worker does next. Decides, runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field

from harness.executors.messages import Reply

STRIKES = 3
"""Workers that a job may end before it is set apart."""


@dataclass(frozen=True)
class SetApart:
    """In place of a reply: the job ended too many workers."""

    reason: str


@dataclass(eq=False)
class Job:
    """Something that a worker is asked.

    Attributes:
        model: the model's number.
        message: what is sent, as bytes.
        loads: whether it is the loading itself.
        cost: tokens that it runs, roughly; 0 for what somebody waits for, which goes first.
        deliver: given the reply, in the thread that waits for one.
        lost: how each worker ended that worked on it.
    """

    model: int
    message: bytes
    loads: bool
    cost: int
    deliver: Callable[[Job, Reply | SetApart], None]
    lost: list[str] = field(default_factory=list)


@dataclass
class Pace:
    """How fast a model is, as far as it was seen.

    Attributes:
        load_seconds: of its first loading.
        cost, seconds: of the jobs that were finished.
    """

    load_seconds: float = 0.0
    cost: int = 0
    seconds: float = 0.0


class JobQueue:
    """Jobs that wait, by model."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Job]] = {}
        self.pace: dict[int, Pace] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, job: Job) -> None:
        """Put a job behind those that go before it: what somebody waits for, then the costliest."""
        self.pace.setdefault(job.model, Pace())
        waiting = self._waiting.setdefault(job.model, [])
        place = len(waiting)
        while place and _rank(waiting[place - 1]) > _rank(job):
            place -= 1
        waiting.insert(place, job)

    def forget(self, model: int) -> None:
        """Drop a model's jobs: nobody wants the replies."""
        self._waiting.pop(model, None)

    def empty(self) -> list[Job]:
        """Take all jobs out."""
        jobs = [job for waiting in self._waiting.values() for job in waiting]
        self._waiting.clear()
        return jobs

    def take(self, held: Set[int], holders: Callable[[int], int]) -> Job | None:
        """The job that a free worker should do; ``None`` where it should wait.

        Of the models that it holds, what goes first. Else the model that has the most waiting for
        each of its holders, if what waits is worth loading it once more.

        Args:
            held: the models that this worker has loaded.
            holders: how many workers hold a model, or are loading it.
        """
        own = [jobs[0] for model, jobs in self._waiting.items() if jobs and model in held]
        if own:
            return self._out(min(own, key=_rank))
        best: tuple[bool, float, int] | None = None
        for model, jobs in self._waiting.items():
            if not jobs or not self._worth_loading(model, holders(model)):
                continue
            waiting = sum(job.cost for job in jobs) / (holders(model) + 1)
            best = max(best or (False, -1.0, 0), (jobs[0].cost == 0, waiting, model))
        return self._out(self._waiting[best[2]][0]) if best is not None else None

    def finished(self, job: Job, seconds: float) -> None:
        """Note how long a job took; one of no cost was a loading or the like."""
        pace = self.pace[job.model]
        pace.cost += job.cost
        pace.seconds += seconds if job.cost else 0.0

    def _out(self, job: Job) -> Job:
        self._waiting[job.model].remove(job)
        return job

    def _worth_loading(self, model: int, holders: int) -> bool:
        """Whether those who hold a model would be at it for longer than loading it takes."""
        pace = self.pace[model]
        if not holders or not pace.cost:
            return True
        waiting = sum(job.cost for job in self._waiting[model])
        return waiting * pace.seconds / pace.cost / holders > pace.load_seconds


def _rank(job: Job) -> tuple[bool, int]:
    return job.cost > 0, -job.cost
