"""Asks several questions at a time, and gives the answers in the order in which they come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Done(Generic[Item, Result]):
    item: Item
    result: Result | None
    error: BaseException | None


def at_once(
    supply: Callable[[], Item | None], work: Callable[[Item], Result], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Do ``work`` on items in a bounded number of threads.

    Nothing is taken ahead: an item is asked for when a thread is free, in the caller's thread, so
    ``supply`` may look at what has come so far. The threads do not keep the program alive.

    Args:
        supply: the next item; ``None`` for none at present. The end is where it has none while
            nothing is under way.
        work: called in another thread.
        workers: how many items are under way at most.

    Raises:
        Exception: whatever ``work`` raised first, once all that is under way has come.
    """
    todo: SimpleQueue[Item | None] = SimpleQueue()
    done: SimpleQueue[_Done[Item, Result]] = SimpleQueue()

    def run() -> None:
        while (item := todo.get()) is not None:
            try:
                done.put(_Done(item, work(item), None))
            except BaseException as error:
                done.put(_Done(item, None, error))

    started, under_way = 0, 0
    error: BaseException | None = None
    try:
        while True:
            while error is None and under_way < workers and (item := supply()) is not None:
                todo.put(item)
                under_way += 1
                if under_way > started:
                    threading.Thread(target=run, daemon=True).start()
                    started += 1
            if not under_way:
                if error is not None:
                    raise error
                return
            found = done.get()
            under_way -= 1
            if found.error is not None:
                error = error or found.error
                continue
            yield found.item, found.result  # type: ignore[misc]
    finally:
        for _ in range(started):
            todo.put(None)
