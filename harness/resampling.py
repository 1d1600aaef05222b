"""Resampling docs of two runs together: sign flips for per-doc values, a bootstrap for sums.

Pure functions of arrays, seeded, without a Python loop per resample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from harness.stats import CONFIDENCE, UNDEFINED, Interval

Floats = NDArray[np.float64]

SEED = 1234
FLIPS = 9_999
EXACT_DOCS = 14
"""Up to so many docs all 2^n flips are taken: 16,384, no more than are drawn for more docs."""

_ALPHA = 1 - CONFIDENCE
_BYTE_DOCS = 8
_FLIP_DOCS = 1_024
_WEIGHT_DOCS = 512
_NUMBERS = 4_000_000
"""So many sums are held at once: 32 MB."""


@dataclass(frozen=True)
class Resampled:
    """A difference as resampling sees it.

    Attributes:
        interval: 95%; ends that are undefined are ``None``.
        p: two-sided, below 0.05 exactly when 0 lies outside the interval; ``None`` if undefined.
        stderr: standard error, ``None`` if undefined.
        resamples: how many.
    """

    interval: Interval
    p: float | None
    stderr: float | None
    resamples: int


def sign_flip(
    differences: Floats, sizes: Floats | None = None, *, flips: int = FLIPS, seed: int = SEED
) -> Resampled:
    """Sign-flip permutation test of "the mean difference is 0", with the interval it implies.

    If base and model could be swapped on any doc, every pattern of signs is as likely as the one
    seen. p is the share of patterns whose mean is at least as far from 0 as the one seen, the one
    seen among them. Tested against a shift m, the pattern that flips the docs A counts exactly if
    m lies between the means of A and of the other docs. So the interval that inverts the test is
    made of quantiles of those means, without a search (Hartigan 1969, JASA 64:1303, on the means
    of subsamples as limits): the same patterns give p and interval, and they cannot disagree.

    Args:
        differences: per doc, model minus base; shape (n,). Of docs that belong together, the sum
            over each cluster: it is flipped as a whole, and counts with its size in the means.
        sizes: docs in each cluster; shape (n,).
        flips: patterns drawn at random, where not all are taken.
        seed: the same seed gives the same result.
    """
    n = len(differences)
    if n == 0:
        return Resampled(UNDEFINED, None, None, 0)
    docs = np.ones(n) if sizes is None else sizes
    both = np.stack([differences, docs], axis=1)
    sums, counts = (_all_flips(both) if n <= EXACT_DOCS else _drawn(both, flips, seed)).T
    total, all_docs = float(differences.sum()), float(docs.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        of_flipped, of_others = sums / counts, (total - sums) / (all_docs - counts)
    low, high = np.minimum(of_flipped, of_others), np.maximum(of_flipped, of_others)
    whole = (counts == 0) | (counts == all_docs)  # the pattern that was seen, or its mirror
    low[whole], high[whole] = -np.inf, np.inf
    # Means of rounded values miss 0 by a rounding error; p and the interval must both count them.
    rounding = 1e-12 * float(np.abs(differences / docs).max())
    low[np.abs(low) <= rounding] = high[np.abs(high) <= rounding] = 0.0
    p = float(((low <= 0) & (high >= 0)).mean())
    residuals = differences - docs * total / all_docs
    if n < 2 or np.ptp(differences / docs) == 0:
        return Resampled(UNDEFINED, p, None, len(sums))
    # p(m) < alpha exactly below the k-th smallest of the lower means, k = ceil(alpha * patterns).
    place = int(np.ceil(_ALPHA * len(sums) - 1e-9)) - 1
    ends = float(np.partition(low, place)[place]), float(-np.partition(-high, place)[place])
    interval = ends if np.isfinite(ends).all() else UNDEFINED
    stderr = float(np.sqrt(n / (n - 1) * (residuals @ residuals))) / all_docs
    return Resampled(interval, p, stderr, len(sums))


def _all_flips(values: Floats) -> Floats:
    """Sums over every subset of the docs; shape (2^n, 2)."""
    n = len(values)
    member = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    return np.asarray(member @ values, dtype=np.float64)


def _drawn(values: Floats, flips: int, seed: int) -> Floats:
    """Sums over random subsets, after those of the empty one, the pattern that was seen.

    A random byte stands for eight docs: it picks the sums of a subset of them from a table.
    """
    rng = np.random.Generator(np.random.SFC64(seed))
    member = ((np.arange(256)[:, None] >> np.arange(_BYTE_DOCS)) & 1).astype(np.float64)
    sums = np.zeros((2, flips + 1))
    for start in range(0, len(values), _FLIP_DOCS):
        block = values[start : start + _FLIP_DOCS]
        padded = np.zeros((-(-len(block) // _BYTE_DOCS) * _BYTE_DOCS, 2))
        padded[: len(block)] = block
        tables = [side.reshape(-1, _BYTE_DOCS) @ member.T for side in padded.T]  # (groups, 256)
        drawn = rng.integers(0, 256, size=(len(tables[0]), flips), dtype=np.uint8)
        for side, of_side in zip(sums, tables, strict=True):
            for table, bytes_ in zip(of_side, drawn, strict=True):
                side[1:] += table[bytes_]
    return sums.T


def paired_bootstrap(
    base: Floats,
    model: Floats,
    value: Callable[[Floats], Floats],
    *,
    resamples: int | None = None,
    seed: int = SEED,
) -> Resampled:
    """Bootstrap of the difference of two metrics that are functions of sums over the same docs.

    A doc weighs the same on both sides. Otherwise as `bootstrap`.

    Args:
        base: what each doc adds to the sums of the base; shape (n, k).
        model: the same of the model.
        value: sums of shape (resamples, k) to metrics of shape (resamples,).
        resamples: as for `bootstrap`.
        seed: likewise.
    """
    width = base.shape[1]
    return bootstrap(
        np.hstack([base, model]),
        lambda sums: value(sums[:, width:]) - value(sums[:, :width]),
        resamples=resamples,
        seed=seed,
    )


def bootstrap(
    statistics: Floats,
    value: Callable[[Floats], Floats],
    *,
    resamples: int | None = None,
    seed: int = SEED,
) -> Resampled:
    """Bootstrap over docs of a figure that is a function of sums over them.

    A doc weighs as often as it is among n drawn with replacement. For
    more than a few hundred docs these numbers are taken to be independent, Poisson(1), so that
    docs can be weighed block by block (Hanley and MacGibbon 2006, Computer Methods and Programs in
    Biomedicine 83:57). The interval is the percentile interval, its tails widened from the normal
    to Student's so that few docs do not make it too short (Hesterberg 2015, American Statistician
    69:371, section 5.3); p inverts it.

    Args:
        statistics: what each doc adds to the sums; shape (n, k).
        value: sums of shape (resamples, k) to figures of shape (resamples,).
        resamples: by default as many as take seconds: 100,000 for up to 50 docs, 10,000 for up to
            50,000, fewer of wide sums, no fewer than 2,000. p cannot be less than they can tell.
        seed: the same seed gives the same result.
    """
    n, width = statistics.shape
    if n < 2:
        return Resampled(UNDEFINED, None, None, 0)
    count = resamples or _affordable(n, width)
    sums = _weighted_sums(statistics, count, seed)
    with np.errstate(all="ignore"):
        drawn = value(sums)
    drawn = drawn[np.isfinite(drawn)]
    # What is undefined in some resamples has no interval that the others could speak for.
    if len(drawn) < count or np.ptp(drawn) == 0:
        return Resampled(UNDEFINED, None, None, count)
    widening = float(np.sqrt(n / (n - 1)))
    tail = float(ndtr(-widening * stdtrit(n - 1, 0.5 + CONFIDENCE / 2)))
    drawn.sort()
    # The k-th of m + 1 gaps, so that p, which counts whole resamples, falls on the same side.
    place = int(np.floor(tail * (count + 1)))
    stderr = float(np.std(drawn, ddof=1))
    smaller = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    share = (smaller + 1) / (count + 1)
    p = min(1.0, 2 * float(stdtr(n - 1, ndtri(share) / widening))) if share < 0.5 else 1.0
    if place < 1:
        return Resampled(UNDEFINED, p, stderr, count)
    return Resampled((float(drawn[place - 1]), float(drawn[-place])), p, stderr, count)


def _affordable(n: int, width: int) -> int:
    """Resamples of n docs; for few docs many, whose small p-values must outlast an adjustment."""
    count = max(min(100_000, 5_000_000 // n), min(10_000, max(2_000, 500_000_000 // n)))
    return max(2_000, min(count, _NUMBERS // width))


def _weighted_sums(statistics: Floats, count: int, seed: int) -> Floats:
    """Sums of the docs' statistics, each doc weighed anew in every resample; shape (count, k)."""
    if len(statistics) <= _WEIGHT_DOCS:
        return _times_drawn(len(statistics), count, seed) @ statistics
    random, table = np.random.SFC64(seed), _poisson_table()
    sums = np.zeros((count, statistics.shape[1]))
    weights = np.empty(count * _WEIGHT_DOCS)
    for start in range(0, len(statistics), _WEIGHT_DOCS):
        block = statistics[start : start + _WEIGHT_DOCS]
        # Sixteen random bits for each weight, four weights to a number.
        size = count * len(block)
        drawn = random.random_raw(-(-size // 4)).view(np.uint16)[:size]
        weighed = np.take(table, drawn, out=weights[:size], mode="clip")
        sums += weighed.reshape(count, len(block)) @ block
    return sums


def _times_drawn(n: int, count: int, seed: int) -> Floats:
    """How often each doc is among n drawn with replacement; shape (count, n)."""
    drawn = np.random.Generator(np.random.SFC64(seed)).integers(0, n, size=(count, n))
    drawn += n * np.arange(count)[:, None]
    times = np.bincount(drawn.ravel(), minlength=count * n)
    return times.reshape(count, n).astype(np.float64)


def _poisson_table() -> Floats:
    """Poisson(1) as 65,536 equally likely numbers: a table look-up costs a tenth of a draw.

    Shares are right to 2^-16; mean and variance to 1e-4.
    """
    chances = np.cumsum(np.exp(-1) / np.cumprod([1.0, *range(1, 12)]))
    return np.searchsorted(chances, (np.arange(2**16) + 0.5) / 2**16).astype(np.float64)
