"""Gives the queue's jobs to workers, and loses none of them when a worker is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

from harness import __version__
from harness.executors.executor import Loading
from harness.executors.messages import (
    Failed,
    Hello,
    Loaded,
    Name,
    Reply,
    decode_reply,
    encode,
    load_message,
)
from harness.executors.pool import Pool, Worker, WorkerLost
from harness.executors.queue import STRIKES, Job, JobQueue, SetApart

WAITS = 20.0
"""Seconds without any worker after which the user is told what is waited for."""


@dataclass(eq=False)
class _Hand:
    """A worker as the dispatcher knows it.

    Attributes:
        name: its machine's; empty until it said so, which is when it can be used.
        models: numbers of the models that it has loaded, or is loading.
        job: what it works on, ``None`` where it is free.
        since: when that began.
    """

    worker: Worker
    name: str = ""
    models: set[int] = field(default_factory=set)
    job: Job | None = None
    since: float = 0.0


@dataclass
class _Model:
    """A model that workers load.

    Attributes:
        loading: what it is.
        first: what its first worker said of it, which the others have to agree with.
    """

    loading: Loading
    first: Loaded | None = None


class Dispatcher:
    """A thread that owns the workers. What it is told comes through a queue, what it has to say
    goes out through another: nothing else is shared.

    Args:
        pool: makes the workers.
        tell: takes lines for the user; called in the dispatcher's thread.
    """

    def __init__(self, pool: Pool, tell: Callable[[str], None]) -> None:
        self._pool, self._tell = pool, tell
        self._queue = JobQueue()
        self._models: dict[int, _Model] = {}
        self._gone: set[int] = set()
        self._hands: list[_Hand] = []
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._out: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._broken = ""
        self._failed_starts = 0
        self._lonely_since: float | None = None
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Have a job done; its reply comes out of `deliver_next`."""
        self._events.put(partial(self._take_in, job))

    def register(self, model: int, loading: Loading) -> None:
        """Say what a number stands for, before its first job."""
        self._events.put(partial(self._models.__setitem__, model, _Model(loading)))

    def release(self, model: int) -> None:
        """Drop a model and all that is still to be asked of it."""
        self._events.put(partial(self._let_go, model))

    def revive(self, model: int) -> None:
        """Have a model asked again that was released."""
        self._events.put(partial(self._gone.discard, model))

    def deliver_next(self) -> None:
        """Wait for a reply, and deliver it in this thread."""
        self._out.get()()

    def deliver_waiting(self) -> None:
        """Deliver what has come, in this thread, and wait for nothing."""
        with suppress(Empty):
            while True:
                self._out.get_nowait()()

    def close(self) -> None:
        """End all workers; replies that were not delivered are lost."""
        self._events.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            for _ in range(self._pool.size):
                self._start()
            while (event := self._next()) is not None:
                event()
                self._assign()
        except Exception as error:  # whatever the cluster's library raises
            self._break(f"{type(error).__name__}: {error}")
            while (event := self._events.get()) is not None:
                event()
        for hand in self._hands:
            hand.worker.stop()

    def _next(self) -> Callable[[], None] | None:
        """The next event; while there is no worker, the user is told so once."""
        while True:
            try:
                return self._events.get(timeout=WAITS / 4)
            except Empty:
                self._mind_loneliness()

    def _mind_loneliness(self) -> None:
        if any(hand.name for hand in self._hands) or not len(self._queue):
            self._lonely_since = None
        elif self._lonely_since is None:
            self._lonely_since = time.monotonic()
        elif time.monotonic() - self._lonely_since > WAITS:
            self._lonely_since = float("inf")
            self._tell("ray: no worker is there yet: waiting for room in the cluster")

    def _take_in(self, job: Job) -> None:
        if self._broken:
            self._deliver(job, Failed("HarnessError", self._broken))
        else:
            self._queue.add(job)

    def _let_go(self, model: int) -> None:
        self._gone.add(model)
        self._queue.forget(model)

    def _deliver(self, job: Job, reply: Reply | SetApart) -> None:
        if job.model not in self._gone:
            self._out.put(partial(job.deliver, job, reply))

    def _break(self, reason: str) -> None:
        """Give up: everything that is asked fails with this reason."""
        self._broken = reason
        for job in [*self._queue.empty(), *(hand.job for hand in self._hands if hand.job)]:
            self._deliver(job, Failed("HarnessError", reason))
        for hand in self._hands:
            hand.worker.stop()
        self._hands.clear()

    # Workers come, and may be lost.

    def _start(self) -> None:
        hand = _Hand(self._pool.start())
        self._hands.append(hand)
        self._call(hand, encode(Hello()), partial(self._greeted, hand))

    def _greeted(self, hand: _Hand, reply: Reply) -> None:
        if isinstance(reply, Failed):
            return self._break(reply.text)
        assert isinstance(reply, Name)
        if reply.harness != __version__:
            return self._break(
                f"the worker on {reply.machine} has harness {reply.harness}, this is "
                f"{__version__}: install the same version on every machine of the cluster"
            )
        hand.name = reply.machine
        self._failed_starts = 0

    def _lost(self, hand: _Hand, reason: str) -> None:
        """A worker is gone: its job goes back, and another worker is asked for."""
        if hand not in self._hands:
            return
        self._hands.remove(hand)
        if not hand.name:
            self._failed_starts += 1
            if self._failed_starts >= STRIKES:
                return self._break(f"workers cannot be started: {reason}")
        self._start()
        if (job := hand.job) is not None and job.model not in self._gone:
            job.lost.append(reason)
            if len(job.lost) < STRIKES:
                self._tell(f"ray: a worker on {hand.name} was lost ({reason}); asked elsewhere")
                self._queue.add(job)
            else:
                self._deliver(job, SetApart(f"ended {STRIKES} workers, the last one: {reason}"))

    def _call(self, hand: _Hand, message: bytes, then: Callable[[Reply], None]) -> None:
        """Send a message; what follows is done when the reply is in, in the dispatcher's thread."""

        def replied(future: Future[bytes]) -> None:
            self._events.put(partial(self._replied, hand, future, then))

        hand.worker.call(message).add_done_callback(replied)

    def _replied(self, hand: _Hand, future: Future[bytes], then: Callable[[Reply], None]) -> None:
        if self._broken or hand not in self._hands:
            return
        error = future.exception()
        if isinstance(error, WorkerLost):
            self._lost(hand, str(error))
        elif error is not None:
            self._break(f"{type(error).__name__}: {error}")
        else:
            then(decode_reply(future.result()))

    # Jobs are given out, and come back.

    def _assign(self) -> None:
        """Give every free worker what it should do next."""
        free = [hand for hand in self._hands if hand.name and hand.job is None]
        for hand in sorted(free, key=lambda hand: -len(hand.models)):
            job = self._queue.take(hand.models, self._holders)
            if job is not None:
                self._give(hand, job)

    def _holders(self, model: int) -> int:
        return sum(model in hand.models for hand in self._hands)

    def _give(self, hand: _Hand, job: Job) -> None:
        hand.job, hand.since = job, time.monotonic()
        if job.model in hand.models and not job.loads:
            self._call(hand, job.message, partial(self._done, hand, job))
            return
        dropped = tuple(sorted(hand.models & self._gone))
        hand.models -= self._gone
        hand.models.add(job.model)
        model = self._models[job.model]
        loading = model.loading
        if model.first is not None and model.first.facts is not None and not loading.relaid:
            budget = model.first.facts.budget or None
            loading = replace(loading, options=replace(loading.options, budget=budget))
        message = load_message(job.model, loading, self._pool.driver, dropped)
        self._call(hand, encode(message), partial(self._loaded, hand, job))

    def _loaded(self, hand: _Hand, job: Job, reply: Reply) -> None:
        """A worker has the model: the first one sets what the others must agree with."""
        model = self._models[job.model]
        seconds = time.monotonic() - hand.since
        if isinstance(reply, Failed):
            hand.models.discard(job.model)
        elif isinstance(reply, Loaded):
            if model.first is None:
                model.first = reply
                self._queue.pace[job.model].load_seconds = seconds
            elif apart := disagreement(model.first, reply):
                reply = Failed("WeightsError", f"the worker on {hand.name} has another {apart}")
        if isinstance(reply, Failed) or job.loads:
            self._done(hand, job, reply)
        else:
            hand.since = time.monotonic()
            self._call(hand, job.message, partial(self._done, hand, job))

    def _done(self, hand: _Hand, job: Job, reply: Reply) -> None:
        self._queue.finished(job, time.monotonic() - hand.since)
        hand.job = None
        self._deliver(job, reply)


def disagreement(first: Loaded, other: Loaded) -> str:
    """What makes another worker's model another one; empty where they agree.

    A device's number and the bytes that kernels keep are a machine's own affair.
    """
    for name in sorted({*first.identity, *other.identity}):
        before, now = first.identity.get(name), other.identity.get(name)
        if before != now:
            return f"{name}: {now!r}, where the first had {before!r}"
    if first.facts is None or other.facts is None:
        return "" if first.facts is other.facts else "second layout"
    for name in ("dtype", "parameters", "max_length", "plan"):
        before, now = getattr(first.facts, name), getattr(other.facts, name)
        if before != now:
            return f"{name}: {now!r}, where the first had {before!r}"
    kinds = [facts.device.partition(":")[0] for facts in (first.facts, other.facts)]
    return "" if kinds[0] == kinds[1] else f"device: {kinds[1]!r}, where the first had {kinds[0]!r}"
