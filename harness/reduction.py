"""From two runs' paired rows to the numbers that a test takes.

A record names its metrics and their units, and holds what each doc contributed. From these follows
how the docs make the metric; it is believed only if it gives both recorded values again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.choices import statistic_of
from harness.metrics.divergence import BINS, binned_quantile
from harness.metrics.overlap import BLEU_UNIT, COUNTS, OF_100, corpus_bleu
from harness.paired import macro_difference
from harness.pairing import Pair, ScoredDoc, clusters_of, groups_of
from harness.types import Estimate, Statistic
from harness.units import MEANS, QUANTILES, RMS_PROBABILITY

Floats = NDArray[np.float64]
Kind = Literal["zero or one", "number", "sums", "macro"]


@dataclass(frozen=True)
class OfSums:
    """How a metric follows from sums over docs.

    Attributes:
        length: how many numbers a doc contributes.
        value: sums of shape (resamples, length) to metrics of shape (resamples,).
    """

    length: int
    value: Callable[[Floats], Floats]


SUMMED: Mapping[str, OfSums] = {
    "perplexity": OfSums(2, lambda sums: np.exp(-sums[:, 0] / sums[:, 1])),
    "bits/byte": OfSums(2, lambda sums: -sums[:, 0] / sums[:, 1] / math.log(2)),
    **{unit: OfSums(2, lambda sums: sums[:, 0] / sums[:, 1]) for unit in MEANS},
    RMS_PROBABILITY: OfSums(2, lambda sums: np.sqrt(sums[:, 0] / sums[:, 1])),
    **{
        unit: OfSums(BINS, partial(binned_quantile, share=share))
        for unit, share in QUANTILES.items()
    },
    BLEU_UNIT: OfSums(COUNTS, corpus_bleu),
}
"""The metrics that are functions of sums, by their unit."""

_ALIKE = 1e-6
"""A value that is computed again may differ from the recorded one by this share of it."""


@dataclass(frozen=True)
class Reduced:
    """A metric over the docs that both sides scored.

    Attributes:
        kind: what a doc contributes: 0 or 1; a number; sums (log-likelihood and units, counts of
            n-grams); or a number to a mean over groups.
        base, model: what each doc contributes; shape (n, 1), of sums (n, their length).
        values: the metric of each side; not finite where it is undefined.
        groups: per doc, where the task has groups.
        clusters: per doc, where some share a document or passage.
        pairs: the docs.
    """

    kind: Kind
    base: Floats
    model: Floats
    values: tuple[float, float]
    groups: list[str | None] | None
    clusters: list[str] | None
    pairs: list[Pair]


def scored_pairs(metric: str, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs in which both docs have a value for the metric."""
    key, _ = _key(metric, pairs)
    return [pair for pair in pairs if all(key in doc.scores for doc in pair)]


def is_of_docs(metric: str, pairs: Sequence[Pair]) -> bool:
    """Whether docs of both sides have values of the metric's name. A figure of a side that has none
    is of something else, or of texts that a baseline does not keep.
    """
    key, _ = _key(metric, pairs)
    return all(any(key in pair[side].scores for pair in pairs) for side in (0, 1))


def reduced(
    metric: str, recorded: tuple[Estimate, Estimate], pairs: Sequence[Pair]
) -> Reduced | None:
    """Reduce a metric of two runs; ``None`` where the docs do not give the recorded values.

    Args:
        metric: its name in the records.
        recorded: the two runs' estimates.
        pairs: all docs, at least one of them scored on both sides.
    """
    key, macro = _key(metric, pairs)
    unit = recorded[0].unit
    for side, estimate in enumerate(recorded):
        docs = [pair[side] for pair in pairs if key in pair[side].scores]
        if not all(_fits(unit, doc.scores[key]) for doc in docs):
            return None
        if not _equal(_value(_columns(docs, key), unit, macro, docs), estimate.value):
            return None
    scored = scored_pairs(metric, pairs)
    sides = [[pair[side] for pair in scored] for side in (0, 1)]
    base, model = (_columns(docs, key) for docs in sides)
    kind: Kind = "number"
    if unit in SUMMED:
        kind = "sums"
    elif macro:
        kind = "macro"
    elif unit != OF_100 and all(((side == 0) | (side == 1)).all() for side in (base, model)):
        kind = "zero or one"
    values = (_value(base, unit, macro, sides[0]), _value(model, unit, macro, sides[1]))
    groups, clusters = groups_of(scored), clusters_of(scored)
    return Reduced(kind, base, model, values, groups, clusters, scored)


def _key(metric: str, pairs: Sequence[Pair]) -> tuple[str, bool]:
    """Which of the docs' statistics a metric reduces, and whether it is a macro average of it."""
    key = statistic_of(metric, {key for pair in pairs for doc in pair for key in doc.scores})
    return key, key != metric


def _fits(unit: str, statistic: Statistic) -> bool:
    """Whether a doc's statistic is of the form that the metric's unit promises."""
    if unit in SUMMED:
        return isinstance(statistic, tuple) and len(statistic) == SUMMED[unit].length
    return isinstance(statistic, int | float)


def _columns(docs: Sequence[ScoredDoc], key: str) -> Floats:
    array = np.array([doc.scores[key] for doc in docs], dtype=np.float64)
    return array if array.ndim == 2 else array[:, None]


def _value(columns: Floats, unit: str, macro: bool, docs: Sequence[ScoredDoc]) -> float:
    if unit in SUMMED:
        with np.errstate(all="ignore"):
            return float(SUMMED[unit].value(columns.sum(axis=0, keepdims=True))[0])
    if macro:
        groups: list[Hashable] = [doc.group for doc in docs]
        return macro_difference(columns[:, 0], groups)[0]
    return float(columns[:, 0].mean())


def _equal(again: float, recorded: float | None) -> bool:
    if recorded is None:
        return not math.isfinite(again)
    return math.isclose(again, recorded, rel_tol=_ALIKE, abs_tol=1e-9)
