"""Several at a time: never more than that, and every one once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from harness.openai_api.at_once import at_once


def supply(items: list[int]) -> Callable[[], int | None]:
    rest = iter(items)
    return lambda: next(rest, None)


def test_every_item_is_done_once() -> None:
    found = list(at_once(supply(list(range(50))), lambda item: item * item, 4))
    assert sorted(found) == [(item, item * item) for item in range(50)]


def test_as_many_at_a_time_as_was_said() -> None:
    """All three must be under way together for the first to end, and a fourth never is."""
    together = threading.Barrier(3, timeout=20)
    under_way, most = [0], [0]
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        together.wait()
        with lock:
            under_way[0] -= 1
        return item

    assert len(list(at_once(supply(list(range(9))), work, 3))) == 9
    assert most == [3]


def test_what_comes_late_is_asked_for_again_while_something_is_under_way() -> None:
    """A supply that has nothing at present is not at its end."""
    done: list[int] = []
    given: list[int] = []

    def next_item() -> int | None:
        if len(given) == 1 and not done:
            return None  # the second waits for the first
        if len(given) == 2:
            return None
        given.append(len(given))
        return given[-1]

    for item, _ in at_once(next_item, lambda item: item, 2):
        done.append(item)
    assert done == [0, 1]


def test_what_work_raises_is_raised_here() -> None:
    def work(item: int) -> int:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 7"):
        list(at_once(supply([7]), work, 2))


def test_what_is_under_way_comes_before_what_was_raised() -> None:
    """A reply that was paid for must not be lost because another request failed."""
    failed = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            failed.set()
            raise ValueError("item 0")
        assert failed.wait(20)
        return item

    coming = at_once(supply([0, 1, 2, 3, 4]), work, 3)
    assert sorted([next(coming)[0], next(coming)[0]]) == [1, 2]
    with pytest.raises(ValueError, match="item 0"):
        next(coming)  # and nothing new was begun


def test_nothing_to_do() -> None:
    assert list(at_once(supply([]), lambda item: item, 2)) == []
