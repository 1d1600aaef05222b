"""Roughly how long a step takes: as long as the last of its kind took here, size for size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.lineage import Lineage

SECONDS_PER_GB: Mapping[str, float] = {
    "sft": 1320.0,
    "dpo": 3760.0,
    "kto": 9770.0,
    "qlora": 1990.0,
    "reward": 11900.0,
    "bnb": 10.0,
    "easyquant": 46.0,
    "gptq": 310.0,
    "awq": 300.0,
}
"""For a kind that was never done on this machine: seconds per GB of the parent (and per epoch, for
one that has epochs), as measured on two CPU cores with the recipes of `smol`.
"""


def estimate(
    kind: str, options: Mapping[str, Any], parent_bytes: int | None, past: Sequence[Lineage]
) -> float | None:
    """Seconds that a step will take, or ``None`` where nothing is known that would tell.

    Time is taken to grow with the parent's bytes and the epochs; how many rows the data has is
    only known by its name, so another name is no guide.

    Args:
        kind: the kind of step.
        options: all of its options.
        parent_bytes: size of the parent, or of the nearest ancestor that is here.
        past: what was built here before, oldest first.
    """
    if not parent_bytes:
        return None
    work = parent_bytes * options.get("epochs", 1.0)
    for earlier in reversed(past):
        alike = earlier.kind == kind and earlier.options.get("data") == options.get("data")
        if alike and not earlier.resumed and earlier.parent_bytes:
            done = earlier.parent_bytes * earlier.options.get("epochs", 1.0)
            return float(earlier.seconds * work / done)
    rate = SECONDS_PER_GB.get(kind)
    shipped = str(options.get("data", "default")).startswith("default")
    return rate * work / 1e9 if rate is not None and shipped else None


def roughly(seconds: float | None) -> str:
    """The estimate in words, no more exact than it is."""
    if seconds is None:
        return "nothing tells how long"
    if seconds < 45:
        return "under a minute"
    if seconds < 5400:
        minutes = round(seconds / 60)
        return f"about {minutes} minute{'' if minutes == 1 else 's'}"
    return f"about {round(seconds / 3600)} hours"
