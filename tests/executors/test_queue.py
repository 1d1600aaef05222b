"""What a free worker does next."""

from __future__ import annotations

from harness.executors.messages import Reply
from harness.executors.queue import Job, JobQueue, SetApart


def _nobody(job: Job, reply: Reply | SetApart) -> None:
    raise AssertionError("nothing is delivered here")


def job(model: int, cost: int) -> Job:
    return Job(model, b"", False, cost, _nobody)


def filled(*jobs: tuple[int, int]) -> JobQueue:
    queue = JobQueue()
    for model, cost in jobs:
        queue.add(job(model, cost))
    return queue


def taken(queue: JobQueue, held: set[int], counts: dict[int, int]) -> tuple[int, int] | None:
    found = queue.take(held, lambda model: counts.get(model, 0))
    return (found.model, found.cost) if found else None


def test_what_somebody_waits_for_goes_first_then_the_costliest() -> None:
    queue = filled((1, 5), (1, 9), (1, 0), (1, 7))
    assert [taken(queue, {1}, {1: 1}) for _ in range(5)] == [(1, 0), (1, 9), (1, 7), (1, 5), None]


def test_a_worker_stays_with_the_models_that_it_has() -> None:
    queue = filled((1, 5), (2, 100))
    assert taken(queue, {1}, {1: 1}) == (1, 5)
    assert taken(queue, {1}, {1: 1}) == (2, 100)


def test_a_new_worker_goes_where_most_waits_for_each() -> None:
    queue = filled((1, 30), (1, 30), (2, 40))
    # 60 for two workers, 40 for one.
    assert taken(queue, set(), {1: 1}) == (2, 40)
    # 60 for two, nothing else waits.
    assert taken(queue, set(), {1: 1, 2: 1}) == (1, 30)


def test_nothing_is_loaded_for_less_than_it_takes() -> None:
    queue = filled((1, 10), (1, 10))
    queue.pace[1].load_seconds = 4.0
    queue.finished(job(1, 100), 10.0)  # 0.1 s each
    # 20 waiting: 2 s for the one who has it, loading takes 4.
    assert taken(queue, set(), {1: 1}) is None
    queue.add(job(1, 30))
    assert taken(queue, set(), {1: 1}) == (1, 30)
    # Who had it was lost: somebody has to.
    assert taken(queue, set(), {}) == (1, 10)


def test_what_nobody_wants_any_more_is_gone() -> None:
    queue = filled((1, 5), (2, 6))
    queue.forget(1)
    assert len(queue) == 1
    assert [each.model for each in queue.empty()] == [2] and len(queue) == 0
