"""Metrics that lm-eval aggregates over the whole corpus: f1, mcc, corpus BLEU and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.metric import Metric, Sample
from harness.stats import bootstrap_interval
from harness.types import Estimate


def corpus(name: str, aggregate: Callable[[list[Any]], float], *, higher_is_better: bool) -> Metric:
    """Lm-eval's own aggregation of the docs' values, with a seeded bootstrap over docs.

    Args:
        name: the metric's key.
        aggregate: lm-eval's aggregation: list of per-doc values to the corpus figure.
        higher_is_better: direction.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        values = [statistic for statistic, _ in samples]

        def of_docs(indices: NDArray[np.intp]) -> float:
            return float(aggregate([values[index] for index in indices]))

        (low, high), stderr = bootstrap_interval(len(values), of_docs, resamples=200)
        value = float(aggregate(values))
        method = "percentile bootstrap over docs, 200 resamples"
        return Estimate(value, low, high, stderr, len(values), method, "score", higher_is_better)

    return Metric(name, "score", higher_is_better, estimate)
