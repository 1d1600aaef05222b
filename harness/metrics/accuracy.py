"""Accuracy and other means over docs: acc, acc_norm, exact_match, and their macro averages."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.metric import Metric, Sample
from harness.stats import (
    UNDEFINED,
    mean_interval,
    mean_stderr,
    stratified_mean_stderr,
    t_quantile,
    wilson_interval,
)
from harness.types import Estimate


def mean(name: str, *, higher_is_better: bool = True, share: bool = True) -> Metric:
    """The mean of a per-doc number over all docs (for grouped tasks: the micro average).

    If every value is 0 or 1 it is a proportion, with Wilson's interval; else it is a score, with
    Student's. The standard error is lm-eval's, so that the two can be compared.

    Args:
        name: its key.
        higher_is_better: its direction.
        share: ``False`` for a number that is 0 or 1 by chance only, and never a proportion.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        values = numbers(samples)
        right = sum(values)
        if share and all(value in (0.0, 1.0) for value in values):
            method, unit = "Wilson score interval over docs", "proportion"
            low, high = wilson_interval(right, len(values))
        else:
            method, unit = "Student's t interval over docs", "score"
            low, high = mean_interval(values)
        stderr = mean_stderr(values)
        value = right / len(values)
        return Estimate(value, low, high, stderr, len(values), method, unit, higher_is_better)

    return Metric(name, "proportion" if share else "score", higher_is_better, estimate)


def macro_mean(name: str, of: str, *, higher_is_better: bool = True) -> Metric:
    """The unweighted mean of the groups' means: every subject counts the same, however large.

    If every value lies between 0 and 1 it is a proportion, and so do the ends of its interval; else
    it is a score.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        strata: dict[str | None, list[float]] = {}
        values = numbers(samples)
        unit = "proportion" if all(0 <= value <= 1 for value in values) else "score"
        for value, (_, group) in zip(values, samples, strict=True):
            strata.setdefault(group, []).append(value)
        centre = sum(sum(group) / len(group) for group in strata.values()) / len(strata)
        stderr = stratified_mean_stderr(list(strata.values()))
        low, high = UNDEFINED
        if stderr:  # without any spread within the groups there is nothing to learn from
            reach = t_quantile(len(samples) - len(strata)) * stderr
            low, high = centre - reach, centre + reach
            if unit == "proportion":
                low, high = max(0.0, low), min(1.0, high)
        method = f"Student's t interval over {len(strata)} groups, docs sampled within each"
        return Estimate(centre, low, high, stderr, len(samples), method, unit, higher_is_better)

    return Metric(name, "proportion", higher_is_better, estimate, of=of)


def numbers(samples: Sequence[Sample]) -> list[float]:
    """The samples' statistics as plain numbers; anything else has no place in a mean."""
    values = []
    for statistic, _ in samples:
        if not isinstance(statistic, int | float):
            raise TypeError(f"a mean takes numbers, got {statistic!r}")
        values.append(float(statistic))
    return values
