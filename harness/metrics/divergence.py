"""Divergences. A doc contributes ``(sum over its tokens, number of tokens)``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.metrics.metric import Metric, Sample
from harness.stats import UNDEFINED, ratio_stderr, t_quantile
from harness.types import Estimate

PER_TOKEN = ("nats/token", "share of tokens")


def per_token(name: str, unit: str, *, higher_is_better: bool) -> Metric:
    """Sum over all tokens divided by their number.

    Tokens of one document resemble one another, so the document is the sampling unit of the
    interval, whose error is that of a ratio of sums.

    Args:
        name: the metric's key.
        unit: one of PER_TOKEN.
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
            # Neither a divergence nor a share is below 0, and no share is above 1.
            low, high = max(0.0, value - reach), value + reach
            high = min(1.0, high) if unit == "share of tokens" else high
        method = "Student's t interval over docs, each with all its tokens"
        return Estimate(value, low, high, error, len(pairs), method, unit, higher_is_better)

    return Metric(name, unit, higher_is_better, estimate)
