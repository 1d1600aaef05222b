"""What a cluster must offer: workers that take a message and reply, and may be lost at any time."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol


class WorkerLost(Exception):
    """A worker ended, or its machine did, before it replied; the text says how."""


class Worker(Protocol):
    """A process with a `harness.executors.desk.Desk`."""

    def call(self, message: bytes) -> Future[bytes]:
        """Send a message.

        Returns:
            The reply to come; it waits until the worker has its place in the cluster. Its
            exception is `WorkerLost`.
        """
        ...

    def stop(self) -> None:
        """End it, whatever it does."""
        ...


class Pool(Protocol):
    """Makes workers.

    Attributes:
        size: how many there should be.
        driver: the machine that asks, by the name that a worker on it has for its own.
    """

    size: int
    driver: str

    def start(self) -> Worker:
        """Ask for a worker; it may be long in coming."""
        ...

    def close(self) -> None:
        """End everything that was started."""
        ...
