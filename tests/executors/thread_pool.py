"""A cluster of threads: workers that can be lost, without processes and without Ray."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread

from harness.executors.desk import Desk
from harness.executors.pool import Worker, WorkerLost
from tests.executors.scripted import make_desk


class _End(BaseException):
    """What stands for the end of a process."""


def _end() -> None:
    raise _End


class ThreadWorker:
    """A desk in a thread; once it has ended it answers nothing any more."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: SimpleQueue[tuple[bytes, Future[bytes]] | None] = SimpleQueue()
        self.messages: list[bytes] = []
        self.lost = False
        Thread(target=self._run, daemon=True).start()

    def call(self, message: bytes) -> Future[bytes]:
        """Queue a message."""
        reply: Future[bytes] = Future()
        self._waiting.put((message, reply))
        return reply

    def stop(self) -> None:
        """End the thread after what it does."""
        self._waiting.put(None)

    def kill(self) -> None:
        """Be lost, after the message that is worked on."""
        self.lost = True

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            message, reply = item
            self.messages.append(message)
            try:
                content = self._desk.handle(message)
            except _End:
                self.lost = True
                content = b""
            if self.lost:
                reply.set_exception(WorkerLost("its process ended"))
            else:
                reply.set_result(content)


class ThreadPool:
    """Makes workers of threads.

    Args:
        size: how many.
        failing: how many of those that are started are lost at once.
        make: makes a worker's desk; given what ends its worker.
    """

    driver = ""

    def __init__(
        self,
        size: int = 2,
        failing: int = 0,
        make: Callable[[Callable[[], None]], Desk] = make_desk,
    ) -> None:
        self.size, self._failing, self._make = size, failing, make
        self.started: list[ThreadWorker] = []
        self.closed = False

    def start(self) -> Worker:
        """A new worker."""
        worker = ThreadWorker(self._make(_end))
        worker.lost = len(self.started) < self._failing
        self.started.append(worker)
        return worker

    def close(self) -> None:
        """Note it."""
        self.closed = True
