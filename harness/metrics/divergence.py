"""Divergences. A doc contributes ``(sum over its tokens, number of tokens)``, and for the quantiles
over all tokens how many of its tokens lie in each of fixed bins: both add up over docs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.metrics.metric import Metric, Sample
from harness.resampling import SEED, bootstrap
from harness.stats import UNDEFINED, ratio_stderr, t_quantile
from harness.types import Estimate
from harness.units import AGREEMENT, PROBABILITY, QUANTILES, RMS_PROBABILITY

Floats = NDArray[np.float64]

_EDGES = np.concatenate([[0.0], 10.0 ** np.linspace(-8, 3, 11 * 32 + 1)])
BINS = len(_EDGES) - 1
"""A divergence below 1e-8 nats counts as none; from there bins are 7.5% wide, up to 1,000 nats."""


def binned(kl: ArrayLike) -> tuple[int, ...]:
    """How many tokens' divergences lie in each bin."""
    places = np.searchsorted(_EDGES, np.asarray(kl, dtype=np.float64), side="right") - 1
    return tuple(np.bincount(places.clip(0, BINS - 1), minlength=BINS).tolist())


def binned_quantile(counts: Floats, share: float) -> Floats:
    """The value below which such a share of the tokens lies, at most a bin (7.5%) off.

    Args:
        counts: tokens in each bin; shape (resamples, BINS).
        share: 0.5 for the median.

    Returns:
        Shape (resamples,); within a bin tokens are taken to lie evenly on a logarithmic scale.
    """
    below = np.cumsum(counts, axis=1)
    wanted = share * below[:, -1]
    place = (below < wanted[:, None]).sum(axis=1)
    rows = np.arange(len(counts))
    inside = counts[rows, place]
    missing = wanted - (below[rows, place] - inside)
    part = np.divide(missing, inside, out=np.zeros_like(missing), where=inside > 0)
    low, high = np.maximum(_EDGES[place], _EDGES[1]), _EDGES[place + 1]
    return np.where(place == 0, 0.0, low * (high / low) ** part)


def per_token(name: str, unit: str, *, higher_is_better: bool) -> Metric:
    """Sum over all tokens divided by their number; for `RMS_PROBABILITY` the root of that.

    Tokens of one document resemble one another, so the document is the sampling unit of the
    interval, whose error is that of a ratio of sums. The root's interval is the root of its ends.

    Args:
        name: the metric's key.
        unit: one of `harness.units`, but for the quantiles'.
        higher_is_better: direction.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        pairs = [statistic for statistic, _ in samples if isinstance(statistic, tuple)]
        sums = np.array([pair[0] for pair in pairs], dtype=np.float64)
        tokens = np.array([pair[1] for pair in pairs], dtype=np.float64)
        value = float(sums.sum() / tokens.sum())
        error = ratio_stderr(sums, tokens)
        low, high = UNDEFINED
        if error:
            reach = t_quantile(len(pairs) - 1) * error
            low, high = value - reach, value + reach
            # Neither a divergence nor a share is below 0, and no share is above 1.
            low = low if unit == PROBABILITY else max(0.0, low)
            high = min(1.0, high) if unit == AGREEMENT else high
        if unit == RMS_PROBABILITY:
            value = value**0.5
            low, high = (None if end is None else end**0.5 for end in (low, high))
            error = error / (2 * value) if error else None
        method = "Student's t interval over docs, each with all its tokens"
        return Estimate(value, low, high, error, len(pairs), method, unit, higher_is_better)

    return Metric(name, unit, higher_is_better, estimate)


def token_quantile(name: str, unit: str) -> Metric:
    """A quantile of the divergence over all tokens, with a bootstrap over docs.

    Args:
        name: the metric's key.
        unit: one of QUANTILES.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        counts = np.array([statistic for statistic, _ in samples], dtype=np.float64)
        value = float(binned_quantile(counts.sum(axis=0)[None, :], QUANTILES[unit])[0])
        found = bootstrap(counts, lambda sums: binned_quantile(sums, QUANTILES[unit]))
        low, high = found.interval
        method = f"percentile bootstrap over docs, {found.resamples:,} resamples, seed {SEED}"
        return Estimate(value, low, high, found.stderr, len(counts), method, unit, False)

    return Metric(name, unit, False, estimate)
