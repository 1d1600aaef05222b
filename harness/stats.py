"""Intervals for one model's scores: pure functions of numbers, no knowledge of tasks.

All intervals are two-sided 95%. Where an interval is undefined (one observation, no spread to
learn from) its ends are ``None``: never NaN, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95
Z = float(ndtri(0.5 + CONFIDENCE / 2))

Interval = tuple[float | None, float | None]
UNDEFINED: Interval = (None, None)


def wilson_interval(successes: float, n: int) -> Interval:
    """Wilson's score interval for a proportion (Wilson 1927).

    Unlike ``p +- z * stderr`` it stays within [0, 1] and keeps its coverage for few docs and for
    proportions near 0 or 1.

    Args:
        successes: number of right answers, 0 to n.
        n: number of docs.
    """
    if n == 0:
        return UNDEFINED
    p = successes / n
    centre = p + Z**2 / (2 * n)
    spread = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def mean_of_shares_interval(shares: Sequence[tuple[float, int]]) -> Interval:
    """Interval for the unweighted mean of independent proportions, from Wilson's of each.

    The squared distances from each proportion to its own limit add up (Newcombe 1998, method 10,
    for two; Zou, Huang and Zhang 2009 for any linear function).

    Args:
        shares: right answers and docs of each.
    """
    centre = below = above = 0.0
    for successes, n in shares:
        low, high = wilson_interval(successes, n)
        if low is None or high is None:
            return UNDEFINED
        centre += successes / n
        below += (successes / n - low) ** 2
        above += (high - successes / n) ** 2
    if not shares:
        return UNDEFINED
    count = len(shares)
    low, high = (centre - math.sqrt(below)) / count, (centre + math.sqrt(above)) / count
    return max(0.0, low), min(1.0, high)


def mean_stderr(values: Sequence[float]) -> float | None:
    """Standard error of a mean with the sample's (n - 1) deviation, as lm-eval prints it."""
    n = len(values)
    if n < 2:
        return None
    return float(np.std(np.asarray(values, dtype=np.float64), ddof=1)) / math.sqrt(n)


def mean_interval(values: Sequence[float]) -> Interval:
    """Student's t interval for the mean of ``values``."""
    stderr = mean_stderr(values)
    if not stderr:  # one value, or values without any spread to learn from
        return UNDEFINED
    centre = float(np.mean(values))
    reach = t_quantile(len(values) - 1) * stderr
    return centre - reach, centre + reach


def t_quantile(degrees: int) -> float:
    """The two-sided 95% quantile of Student's t."""
    return float(stdtrit(degrees, 0.5 + CONFIDENCE / 2))


def ratio_stderr(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64]
) -> float | None:
    """Standard error of ``sum(numerators) / sum(denominators)`` by linearization.

    With r the ratio, each unit's residual is ``numerator - r * denominator``; the ratio's variance
    is that of their sum over the squared total of the denominators (Cochran, Sampling Techniques,
    3rd ed., section 6.3).
    """
    n = len(numerators)
    total = float(denominators.sum())
    if n < 2 or total <= 0:
        return None
    residuals = numerators - numerators.sum() / total * denominators
    return math.sqrt(n / (n - 1) * float(residuals @ residuals)) / total


def stratified_mean_stderr(strata: Sequence[Sequence[float]]) -> float | None:
    """Standard error of the unweighted mean of the strata's means (macro average).

    Strata are fixed, docs within them sampled: the variances of the strata's means add up, divided
    by the squared number of strata. ``None`` if any stratum has fewer than two docs.
    """
    errors = [mean_stderr(stratum) for stratum in strata]
    known = [error for error in errors if error is not None]
    if not errors or len(known) < len(errors):
        return None
    return math.sqrt(sum(error**2 for error in known)) / len(errors)


def bootstrap_interval(
    n: int,
    statistic: Callable[[NDArray[np.intp]], float],
    *,
    resamples: int = 1000,
    seed: int = 1234,
) -> tuple[Interval, float | None]:
    """Percentile bootstrap over docs, for metrics that are no mean and no ratio.

    Args:
        n: number of docs.
        statistic: the metric of the docs with the given indices.
        resamples: bootstrap samples.
        seed: the same seed gives the same interval.

    Returns:
        The interval and the standard error.
    """
    if n < 2:
        return UNDEFINED, None
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(rng.integers(0, n, size=n)) for _ in range(resamples)])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return UNDEFINED, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return (float(low), float(high)), float(np.std(drawn, ddof=1))
