"""The speed probe in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from harness.report.terminal import say, table
from harness.report.wording import ABSENT, clean, size, speed
from harness.speed import Speed

HEAD = (
    "model",
    "dtype",
    "weights",
    "peak\nmemory",
    "prefill,\ntokens/s",
    "times\nthe first",
    "decode,\ntokens/s",
    "times\nthe first",
    "first\ntoken, s",
    "per token,\nms",
)


def print_speed(found: Sequence[Speed], console: Console) -> None:
    """Print a row per model: medians of the rounds."""
    cells = [_row(each) for each in found]
    if console.is_terminal:
        console.print(table(list(HEAD), cells, left={0, 1}))
    else:
        for row in cells:
            say(console, "\t".join(row))
    rounds = len(found[0].looks)
    say(
        console,
        f"medians of {rounds} rounds on {clean(found[0].looks[0].device)}, every model in a "
        "process of its own; ratios are medians over the rounds",
        style="dim",
    )


def _row(each: Speed) -> list[str]:
    look = each.looks[0]
    peaks = [found.peak_memory_bytes for found in each.looks if found.peak_memory_bytes]
    return [
        clean(each.model),
        clean(look.dtype),
        size(look.memory_bytes),
        size(max(peaks, default=None)),
        speed(each.middle(lambda found: found.prefill)),
        f"{each.prefill_ratio:.2f}",
        speed(each.middle(lambda found: found.decode)),
        f"{each.decode_ratio:.2f}",
        _written(each.middle(lambda found: found.first_token), 1, 2),
        _written(each.middle(lambda found: found.per_token), 1000, 1),
    ]


def _written(value: float | None, scale: float, digits: int) -> str:
    return ABSENT if value is None else f"{scale * value:.{digits}f}"
