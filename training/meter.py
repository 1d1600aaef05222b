"""How far work on data has come: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from harness.pace import Pace
from harness.report.wording import size

BYTES = "bytes"
SHOW_EVERY_SECONDS = 0.1


class BarMeter:
    """A bar for each part of the work."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TextColumn("left:"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=Console(stderr=True),
        )
        self._current: TaskID | None = None
        self._unit, self._done, self._total = "", 0, 0
        self._shown = 0.0

    def __enter__(self) -> BarMeter:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show()
        self._bars.stop()

    def start(self, title: str, total: int, unit: str) -> None:
        """A part of the work begins."""
        self._show()
        self._unit, self._done, self._total = unit, 0, total
        self._current = self._bars.add_task(title, total=total, done="")

    def advance(self, count: int) -> None:
        """So much more of it is done."""
        self._done += count
        if time.monotonic() - self._shown > SHOW_EVERY_SECONDS:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._current is not None:
            done = _words(self._done, self._total, self._unit)
            self._bars.update(self._current, completed=self._done, done=done)


class LineMeter:
    """A line as a part begins, and every few seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._title, self._unit, self._done, self._total = "", "", 0, 0
        self._pace = Pace(0)

    def __enter__(self) -> LineMeter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def start(self, title: str, total: int, unit: str) -> None:
        """A part of the work begins."""
        self._title, self._unit, self._done, self._total = title, unit, 0, total
        self._pace = Pace(total)
        amount = size(total) if unit == BYTES else f"{total:,} {unit}"
        print(f"{title}: {amount}", file=self._stream, flush=True)

    def advance(self, count: int) -> None:
        """So much more of it is done."""
        self._done += count
        if self._pace.advance(count):
            done = _words(self._done, self._total, self._unit)
            print(f"{self._title}: {done}{self._pace.left()}", file=self._stream, flush=True)


def open_meter() -> BarMeter | LineMeter:
    """Bars if standard error is a terminal, else lines."""
    return BarMeter() if sys.stderr.isatty() else LineMeter()


def _words(done: int, total: int, unit: str) -> str:
    if unit == BYTES:
        return f"{size(done)} of {size(total)}"
    return f"{done:,} of {total:,} {unit}"
