"""How far a run has come: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from harness.credentials import struck_out
from harness.pace import Pace, in_words
from harness.plain_text import printable
from harness.records import TaskResult


def note(message: str) -> None:
    """One line for the user; standard output stays free for results."""
    print(printable(struck_out(message)), file=sys.stderr, flush=True)


class BarProgress:
    """One bar per task, for a terminal."""

    def __init__(self) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("requests"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=Console(stderr=True),
        )
        self._current = self._bars.add_task("", visible=False)
        self._total = self._stored = 0
        self._title = ""

    def __enter__(self) -> BarProgress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, task: str, docs: int, requests: int) -> None:
        """A task begins, or its next round."""
        if self._stored:  # a round that was stored whole: its bar would stay unfinished
            self._leave_out_stored()
        self._title, self._total, self._stored = f"{task} ({docs:,} docs)", requests, 0
        self._current = self._bars.add_task(self._title, total=requests)

    def advance(self, requests: int, stored: bool = False) -> None:
        """So many more requests were answered; the bar is of those that the model is asked."""
        if stored:
            self._stored += requests
            return
        if self._stored:
            self._leave_out_stored()
        self._bars.advance(self._current, requests)

    def finish(self, result: TaskResult) -> None:
        """The bar is full already, unless the model was not asked at all."""
        if self._stored:
            self._leave_out_stored()

    def _leave_out_stored(self) -> None:
        # They come first and at once: as progress they would promise an early end.
        self._total -= self._stored
        title = f"{self._title}, {self._stored:,} from the journal"
        self._bars.update(self._current, description=title, total=self._total)
        self._stored = 0


class LineProgress:
    """A line at the start and end of a task and every few seconds, for logs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._task, self._total, self._done, self._stored = "", 0, 0, 0
        self._pace = Pace(0)

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def start(self, task: str, docs: int, requests: int) -> None:
        """A task begins."""
        self._task, self._total, self._done, self._stored = task, requests, 0, 0
        self._pace = Pace(requests)
        self._line(f"{task}: {docs:,} docs, {requests:,} requests")

    def advance(self, requests: int, stored: bool = False) -> None:
        """So many more requests were answered."""
        self._done += requests
        if stored:
            self._stored += requests
            self._pace.skip(requests)
        elif self._pace.advance(requests):
            share = 100 * self._done / self._total
            self._line(
                f"{self._task}: {self._done:,} of {self._total:,} ({share:.0f}%){self._pace.left()}"
            )

    def finish(self, result: TaskResult) -> None:
        """The task is scored."""
        took = in_words(result.cost.seconds + result.cost.others_seconds)
        total, stored = f"{self._total:,}", f"{self._stored:,}"
        journal = f", {stored} of {total} requests answered from the journal"
        self._line(f"{result.task}: done in {took}{journal if self._stored else ''}")

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def open_progress() -> BarProgress | LineProgress:
    """Bars if standard error is a terminal, else lines."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
