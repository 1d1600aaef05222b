"""Perplexities. A doc contributes ``(log-likelihood in nats, number of units)``.

Three are never mixed up: ``word_perplexity`` and ``byte_perplexity`` (lm-eval: per word or byte of
the original document, every token predicted), and ``token_perplexity`` (per predicted token, in
disjoint windows of a stated length: the GPTQ papers' figure).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from harness.metrics.metric import Metric, Sample
from harness.stats import ratio_stderr, t_quantile
from harness.types import Estimate


def perplexity(name: str) -> Metric:
    """exp(-sum of log-likelihoods / sum of units): lm-eval's ``weighted_perplexity``."""
    return _of_rate(name, "perplexity", _exp, lambda value: value)


def bits_per_unit(name: str) -> Metric:
    """-sum of log-likelihoods / sum of units / ln 2: lm-eval's ``bits_per_byte``."""
    return _of_rate(name, "bits/byte", lambda nats: nats / math.log(2), lambda _: 1 / math.log(2))


def _exp(nats: float) -> float | None:
    """E to the nats, or ``None`` where no float is large enough (above 709 nats per unit)."""
    try:
        return math.exp(nats)
    except OverflowError:
        return None


def _of_rate(
    name: str,
    unit: str,
    scale: Callable[[float], float | None],
    slope: Callable[[float], float],
) -> Metric:
    """A monotone function of the mean negative log-likelihood per unit.

    The interval is made on that mean, where errors are near normal, and carried through ``scale``;
    ``slope`` is the derivative of ``scale`` as a function of its value, for the standard error.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        pairs = [statistic for statistic, _ in samples if isinstance(statistic, tuple)]
        nats = -np.array([pair[0] for pair in pairs], dtype=np.float64)
        units = np.array([pair[1] for pair in pairs], dtype=np.float64)
        rate = float(nats.sum() / units.sum())
        value = scale(rate)
        error = ratio_stderr(nats, units)
        low = high = stderr = None
        if error and value is not None:
            reach = t_quantile(len(pairs) - 1) * error
            low, high, stderr = scale(rate - reach), scale(rate + reach), slope(value) * error
        method = "t interval of the mean log-likelihood, docs as units"
        return Estimate(value, low, high, stderr, len(pairs), method, unit, False)

    return Metric(name, unit, False, estimate)
