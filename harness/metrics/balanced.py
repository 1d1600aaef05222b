"""The mean of two kinds' shares, each counted the same: balanced accuracy, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.metrics.accuracy import numbers
from harness.metrics.metric import Metric, Sample
from harness.stats import mean_of_shares_interval, stratified_mean_stderr, wilson_interval
from harness.types import Estimate


def balanced(name: str, kind_of: Callable[[str | None], str]) -> Metric:
    """The unweighted mean of the shares of right docs of each kind.

    The interval adds up the distances of the kinds' Wilson intervals, so that it is there too where
    a model does the same with all docs of a kind, as with one that never refuses.

    Args:
        name: its key; per doc 0 or 1.
        kind_of: the kind that a doc's group belongs to.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        kinds: dict[str, list[float]] = {}
        for value, (_, group) in zip(numbers(samples), samples, strict=True):
            kinds.setdefault(kind_of(group), []).append(value)
        shares = [(sum(values), len(values)) for values in kinds.values()]
        value = sum(right / n for right, n in shares) / len(shares)
        stderr = stratified_mean_stderr(list(kinds.values()))
        if len(shares) == 1:
            low, high = wilson_interval(*shares[0])
            method = "Wilson score interval over docs"
        else:
            low, high = mean_of_shares_interval(shares)
            method = f"Wilson score intervals of {len(shares)} kinds of docs, squared and added"
        return Estimate(value, low, high, stderr, len(samples), method, "proportion", True)

    return Metric(name, "proportion", True, estimate)
