"""The noise floor: what a task's scores owe to the batches in which they were computed.

In bfloat16 a log-probability depends on which questions shared a pass, in any engine. How many
docs change when nothing but that does is the least that a comparison of two models must exceed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from harness.metrics.divergence import MEANS, RMS_PROBABILITY
from harness.records import NoiseFloor, Row
from harness.types import Doc, Statistic

RELATIVE = 1e-5
"""A value has changed if it did by more than this share of itself. Float32 rounds sums to less, so
what is counted is coarser arithmetic, and for zeros and ones every change."""


def spread(docs: Sequence[Doc], count: int) -> list[Doc]:
    """So many docs at even distances, all of them where there are no more."""
    count = min(count, len(docs))
    return [docs[place * len(docs) // count] for place in range(count)]


def compare(
    pairs: Iterable[tuple[Row, Row]], key: str, unit: str, layouts: tuple[str, str]
) -> NoiseFloor:
    """Hold docs' rows in one layout against those in another.

    Args:
        pairs: a doc's two rows.
        key: the statistic of the task's primary metric.
        unit: that metric's.
        layouts: the two, in words.
    """
    docs = changed = unscored = 0
    changes: list[float] = []
    shifts: list[float] = []
    for row, again in pairs:
        if key not in row.scores or key not in again.scores:
            unscored += 1
            continue
        docs += 1
        shifts += [
            abs(new - old)
            for old, new in zip(_logprobs(row, key, unit), _logprobs(again, key, unit), strict=True)
        ]
        old, new = (_value(each.scores[key], unit) for each in (row, again))
        if isinstance(old, float) and isinstance(new, float):
            changes.append(abs(new - old))
            changed += changes[-1] > RELATIVE * max(abs(old), abs(new))
        else:
            changed += old != new
    return NoiseFloor(
        docs=docs,
        changed=changed,
        unscored=unscored,
        largest_change=max(changes, default=None),
        logprob_largest=max(shifts, default=None),
        logprob_mean=sum(shifts) / len(shifts) if shifts else None,
        layouts=layouts,
    )


def _value(statistic: Statistic, unit: str) -> float | bytes:
    """A doc's value as a number; where it is none, as what can be told from another."""
    if isinstance(statistic, int | float):
        return float(statistic)
    if (rate := _rate(statistic, unit)) is not None:
        nats, units = rate
        return nats / units
    return msgspec.json.encode(
        statistic
    )  # a row that was read holds lists where one made has tuples


def _rate(statistic: Statistic, unit: str) -> tuple[float, float] | None:
    """Sum and units, if that is what a doc contributed to a perplexity or a divergence."""
    summed = ("perplexity", "bits/byte", *MEANS, RMS_PROBABILITY)
    if unit not in summed or not isinstance(statistic, tuple):
        return None
    nats, units = statistic
    return (float(nats), float(units)) if units else None


def _logprobs(row: Row, key: str, unit: str) -> tuple[float, ...]:
    """All that the model said of the doc; of a whole text the row has the score alone."""
    if row.logprobs:
        return row.logprobs
    rate = _rate(row.scores[key], unit)
    return rate[:1] if rate is not None else ()
