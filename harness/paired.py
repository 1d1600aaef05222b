"""Two models on the same docs: tests and intervals of a difference, and what could have been seen.

Pure functions of counts and arrays. A difference is always "model minus base". Intervals are
two-sided, 95% unless told otherwise; every p-value comes from inverting the very test that made
its interval, so p < 0.05 exactly when 0 lies outside. What is undefined is ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

from harness.stats import CONFIDENCE, UNDEFINED, Interval, Z

POWER = 0.8
LEAST_DESIGN_EFFECT = 0.5
"""Strata take away at most half of a variance: a group's own is learned from few docs, and a group
in which every doc turned the same way would seem to have none."""

LEAST_FREEDOM = 30
"""Of fewer degrees of freedom nothing is learned of what strata take away."""

_Z_POWER = float(ndtri(POWER))
_BISECTIONS = 80
_POWER_BISECTIONS = 30
"""To 1e-9: finer than a power is known, and each one sums over hundreds of outcomes."""
_MANY_CHANGES = 100
"""From so many on, Connor's power is within a point of the test's own."""


def tango_statistic(
    ups: ArrayLike, downs: ArrayLike, n: ArrayLike, delta: ArrayLike
) -> NDArray[np.float64]:
    """Tango's score statistic for "the difference of the paired proportions is ``delta``".

    (ups - downs - n delta) / sqrt(n (2 q + delta (1 - delta))), with q the most likely probability
    of a fall under that hypothesis: the root of 2n q^2 + B q + C with
    B = -(ups + downs) + (2n - ups + downs) delta and C = -downs delta (1 - delta) (Tango 1998,
    Statistics in Medicine 17:891, equations 24 to 26, with the sign of his margin turned). At
    delta = 0 it is McNemar's (ups - downs) / sqrt(ups + downs). It falls as ``delta`` grows. All
    arguments broadcast; counts need not be whole (see `design_effect`).

    Args:
        ups: docs that rose from 0 to 1.
        downs: docs that fell from 1 to 0.
        n: docs.
        delta: the hypothesis, -1 to 1.

    Returns:
        Standard normal under the hypothesis; infinite where that is impossible, 0 where it holds
        exactly.
    """
    up, down, count, shift = (np.asarray(x, dtype=np.float64) for x in (ups, downs, n, delta))
    linear = -(up + down) + (2 * count - up + down) * shift
    constant = -down * shift * (1 - shift)
    root = np.sqrt(np.maximum(linear**2 - 8 * count * constant, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Two forms of one root: each is free of cancellation where it is taken.
        fall = np.where(linear > 0, -2 * constant / (root + linear), (root - linear) / (4 * count))
        variance = np.maximum(count * (2 * fall + shift * (1 - shift)), 0.0)
        distance = up - down - count * shift
        statistic = distance / np.sqrt(variance)
    return np.asarray(np.where(distance == 0, 0.0, statistic), dtype=np.float64)


def tango_p(ups: float, downs: float, n: float) -> float:
    """Two-sided p-value of "no difference" by Tango's score test; 1 where no doc changed."""
    return 2 * float(ndtr(-abs(float(tango_statistic(ups, downs, n, 0.0)))))


def tango_interval(ups: float, downs: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Tango's score interval for a difference of paired proportions: his test, inverted.

    It is defined where no doc changed, -z^2/(n + z^2) to z^2/(n + z^2), and never leaves [-1, 1].
    """
    if n <= 0:
        return UNDEFINED
    z = float(ndtri(0.5 + confidence / 2))
    centre = (ups - downs) / n
    return _solved(ups, downs, n, z, -1.0, centre), _solved(ups, downs, n, -z, centre, 1.0)


def _solved(ups: float, downs: float, n: float, wanted: float, low: float, high: float) -> float:
    """Where the statistic, which falls, passes the wanted value."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if float(tango_statistic(ups, downs, n, middle)) > wanted:
            low = middle
        else:
            high = middle
    # The statistic is 0 at the centre; rounding must not put an end on its wrong side.
    return low if wanted > 0 else high


def exact_mcnemar_p(ups: int, downs: int) -> float:
    """McNemar's exact test: of the docs that changed, half rose and half fell by chance."""
    changed = ups + downs
    return min(1.0, 2 * float(bdtr(min(ups, downs), changed, 0.5))) if changed else 1.0


def design_effect(
    differences: NDArray[np.float64],
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
) -> float:
    """Variance of a mean difference, relative to as many docs drawn one by one from one pool.

    Dividing ups, downs and n by it carries it into Tango's test and interval as an effective
    sample size does into any score interval (Korn and Graubard 1998, Survey Methodology 24:193).

    Fixed strata take variance away. Strata of one doc are taken together; 1 where there is too
    little to learn it from; never below `LEAST_DESIGN_EFFECT`. Clusters add to it: docs of one
    passage are answered alike (Miller 2024, arXiv 2411.00640). Never below what the strata give,
    and widened to Student's t, because few clusters tell little of their spread.

    Args:
        differences: per doc, model minus base; shape (n,).
        strata: per doc, what it was drawn within.
        clusters: per doc, what it was drawn with.
    """
    effect = 1.0 if strata is None else _of_strata(differences, strata)
    if clusters is None:
        return effect
    return max(effect, _of_clusters(differences, strata or [None] * len(differences), clusters))


def _of_strata(differences: NDArray[np.float64], strata: Sequence[Hashable]) -> float:
    codes, sizes = _coded(strata)
    if (sizes == 1).any():
        codes = np.where(sizes[codes] == 1, len(sizes), codes)
        _, codes, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    freedom = len(differences) - len(sizes)
    pooled = _pooled_variance(differences) if freedom > 0 else 0.0
    if len(sizes) < 2 or freedom < LEAST_FREEDOM or pooled == 0 or (sizes < 2).any():
        return 1.0
    within, _ = _sum_variances(differences, codes, sizes)
    return max(LEAST_DESIGN_EFFECT, float(within.sum()) / pooled)


def _of_clusters(
    differences: NDArray[np.float64], strata: Sequence[Hashable], clusters: Sequence[Hashable]
) -> float:
    codes, sizes = _coded(strata)
    variances, counts = _sum_variances(differences, codes, sizes, clusters)
    if (counts < 2).any():  # a stratum of one cluster says nothing of how clusters differ
        codes, sizes = np.zeros_like(codes), np.array([len(codes)])
        variances, counts = _sum_variances(differences, codes, sizes, clusters)
    freedom, pooled = int(counts.sum()) - len(sizes), _pooled_variance(differences)
    if freedom < 1:
        return float(len(differences))
    if pooled == 0:  # nothing tells how alike the docs of a cluster are: each is taken as one
        return len(differences) / int(counts.sum())
    return (
        float(variances.sum()) / pooled * (float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) / Z) ** 2
    )


def macro_difference(
    differences: NDArray[np.float64],
    strata: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
) -> tuple[float, float | None, int]:
    """Unweighted mean of the strata's mean differences.

    Returns:
        The mean; its standard error, strata fixed and docs (or clusters of them) sampled within
        them, ``None`` where a stratum has one of these or nothing varies; its degrees of freedom.
    """
    codes, sizes = _coded(strata)
    value = float((np.bincount(codes, differences) / sizes).mean())
    variances, counts = _sum_variances(differences, codes, sizes, clusters)
    freedom = int(counts.sum()) - len(sizes)
    if (counts < 2).any():
        return value, None, freedom
    error = math.sqrt(float((variances / sizes**2).sum())) / len(sizes)
    return value, error or None, freedom


def t_interval(value: float, stderr: float, freedom: int) -> Interval:
    """Student's t interval around a value."""
    reach = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * stderr
    return value - reach, value + reach


def t_p(value: float, stderr: float, freedom: int) -> float:
    """Two-sided p-value of "the value is 0", from the test that `t_interval` inverts."""
    return 2 * float(stdtr(freedom, -abs(value) / stderr))


def visible_proportion(discordance: float, n: float) -> float | None:
    """The smallest difference of paired proportions that n docs show with 80% power.

    By Tango's test, two-sided at 5%, with d the share of docs that change. Where many do, it solves
    n = (z_a sqrt(d) + z_b sqrt(d - delta^2))^2 / delta^2 (Connor 1987, Biometrics 43:207) for
    delta. Where few do, that takes up to 1.4 times too much: there the power is summed over all
    outcomes. A difference cannot be larger than d, so a larger effect would have had to bring its
    own changes, all one way: then d = delta. ``None`` where not even a difference of 1 would show.

    Args:
        discordance: share of docs that changed, either way.
        n: docs, or their effective number.
    """
    if n < Z**2:
        return None
    if n * discordance >= _MANY_CHANGES:
        rest = math.sqrt(n + _Z_POWER**2 - Z**2)
        reach = Z * math.sqrt(n) + _Z_POWER * rest
        return math.sqrt(discordance) * reach / (n + _Z_POWER**2)
    low, high = 0.0, min(1.0, 2 * _MANY_CHANGES / n)
    for _ in range(_POWER_BISECTIONS):
        delta = (low + high) / 2
        if _power(max(discordance, delta), delta, round(n)) < POWER:
            low = delta
        else:
            high = delta
    return high


def _power(discordance: float, delta: float, n: int) -> float:
    """How often n docs, of which so many change, give a McNemar statistic beyond z."""
    changed = np.arange(min(n, 4 * _MANY_CHANGES) + 1)
    chance = np.diff(bdtr(changed, n, discordance), prepend=0.0)
    # Of k changed docs the rarer direction has at most so many where the test sees a difference.
    rarer = np.ceil((changed - Z * np.sqrt(changed)) / 2) - 1
    rises = (discordance + delta) / (2 * discordance)
    tails = sum(bdtr(np.maximum(rarer, 0), changed, share) for share in (rises, 1 - rises))
    return float(chance @ np.where(rarer >= 0, tails, 0.0))


def visible_mean(stderr: float, freedom: float) -> float:
    """The smallest mean difference that a t test shows with 80% power, two-sided at 5%.

    (t_{0.975} + t_{0.8}) standard errors: the usual approximation to the noncentral t (Lachin
    1981, Controlled Clinical Trials 2:93).
    """
    reach = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) + float(stdtrit(freedom, POWER))
    return reach * stderr


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979): each at most 5% with the family's error at 5%.

    The i-th smallest of m is multiplied by m - i + 1, and made no smaller than the one before it.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _coded(strata: Sequence[Hashable]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Strata as numbers from 0: each doc's number, docs per number."""
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(stratum, len(numbers)) for stratum in strata], np.intp)
    return codes, np.bincount(codes, minlength=len(numbers))


def _pooled_variance(differences: NDArray[np.float64]) -> float:
    """Variance of the sum of docs drawn from one pool."""
    return float(np.var(differences, ddof=1)) * len(differences) if len(differences) > 1 else 0.0


def _sum_variances(
    differences: NDArray[np.float64],
    codes: NDArray[np.intp],
    sizes: NDArray[np.intp],
    clusters: Sequence[Hashable] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Variance of the sum of each stratum's differences, and its number of clusters.

    With C clusters, whose residuals add up to z: C / (C - 1) times the sum of z^2. A doc without
    clusters is one of its own.
    """
    means = np.bincount(codes, differences) / sizes
    residuals = differences - means[codes]
    cells, owners = np.arange(len(codes)), codes
    if clusters is not None:
        cells, members = _coded(list(zip(codes.tolist(), clusters, strict=True)))
        owners = np.zeros(len(members), np.intp)
        owners[cells] = codes
    totals = np.bincount(cells, residuals)
    counts = np.bincount(owners, minlength=len(sizes))
    squares = np.bincount(owners, totals**2, minlength=len(sizes))
    return squares * counts / np.maximum(counts - 1, 1), counts
