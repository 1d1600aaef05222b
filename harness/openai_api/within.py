"""Bounds how long something may take as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What ``work`` returns, if it does so in time; it runs in a thread of its own.

    The time-out of a connection begins anew with every byte, and none holds for looking up a
    name. Work that is late is left to itself; its thread does not keep the program alive.

    Raises:
        TimeoutError: it is late.
        Exception: whatever ``work`` raised.
    """
    done: SimpleQueue[Callable[[], Result]] = SimpleQueue()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            failure = error

            def raised() -> Result:
                raise failure

            done.put(raised)
        else:
            done.put(lambda: result)

    threading.Thread(target=run, daemon=True).start()
    try:
        outcome = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"not done within {seconds:g} s") from None
    return outcome()
