"""How fast work is going, as a log tells it: a line now and then, with the time that is left."""

from __future__ import annotations

import math
import time

LINE_EVERY_SECONDS = 15.0


def in_words(seconds: float) -> str:
    """Write a finite duration: ``8.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


class Pace:
    """When a line is due, and how long the rest will take at the speed of what is done.

    The speed is measured from the end of the first thing done: until then the requests are put
    in order and the model is warmed up, once, and as a speed that would promise months.
    """

    def __init__(self, total: int) -> None:
        self._left = total
        self._timed = 0
        self._first: float | None = None
        self._line = self._now = time.monotonic()

    def skip(self, count: int) -> None:
        """So much more is done, which took no time to speak of."""
        self._left -= count

    def advance(self, count: int) -> bool:
        """So much more is done; whether a line is due: some time after the last, and unfinished."""
        self._left -= count
        self._now = time.monotonic()
        if self._first is None:
            self._first = self._now
        else:
            self._timed += count
        due = self._now - self._line >= LINE_EVERY_SECONDS and self._left > 0
        if due:
            self._line = self._now
        return due

    def left(self) -> str:
        """Write the time left, as the end of a line; nothing while the speed is not known."""
        if self._first is None or not self._timed:
            return ""
        seconds = math.ceil((self._now - self._first) / self._timed * self._left)
        return f", {in_words(seconds) if seconds >= 60 else f'{seconds} s'} left"
