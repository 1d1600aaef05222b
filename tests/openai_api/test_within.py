"""Work that comes in time, late, or to nothing."""

from __future__ import annotations

import threading

import pytest

from harness.openai_api.within import within


def test_what_comes_in_time_is_given() -> None:
    assert within(20.0, lambda: 7) == 7


def test_what_it_raises_is_raised_here() -> None:
    def work() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        within(20.0, work)


def test_what_is_late_is_not_waited_for() -> None:
    over = threading.Event()
    try:
        with pytest.raises(TimeoutError, match=r"not done within 0\.05 s"):
            within(0.05, over.wait)
    finally:
        over.set()
