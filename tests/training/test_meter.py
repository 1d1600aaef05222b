"""How far work on data has come, as a log and a terminal show it."""

from __future__ import annotations

import io
import sys

import pytest

from training.meter import BarMeter, LineMeter, open_meter


def test_lines_say_how_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr("harness.pace.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    with LineMeter(stream) as lines:
        lines.start("reading", 4_000, "rows")
        for _ in range(3):
            lines.advance(1_000)
    # The second thousand took 10 s: 20 s for the two that are left. The first line comes too
    # soon, and the third one too.
    assert stream.getvalue() == "reading: 4,000 rows\nreading: 2,000 of 4,000 rows, 20 s left\n"


def test_bytes_are_written_as_sizes() -> None:
    stream = io.StringIO()
    LineMeter(stream).start("looking", 2_500_000, "bytes")
    assert stream.getvalue() == "looking: 2.50 MB\n"


def test_bars_end_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    found = open_meter()
    assert isinstance(found, BarMeter)
    with found:
        for title in ("reading", "writing"):
            found.start(title, 10, "rows")
            for _ in range(10):
                found.advance(1)
    assert [(bar.completed, bar.fields["done"]) for bar in found._bars.tasks] == [
        (10, "10 of 10 rows")
    ] * 2
