"""Metrics that lm-eval aggregates over the whole corpus: f1, mcc, corpus BLEU and the like."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.metric import Metric, Sample
from harness.stats import UNDEFINED, bootstrap_interval
from harness.types import Estimate

RESAMPLES = 200


def corpus(
    name: str,
    aggregate: Callable[[list[Any]], float],
    *,
    higher_is_better: bool,
    resample: bool = True,
) -> Metric:
    """Lm-eval's own aggregation of the docs' values, with a seeded bootstrap over docs.

    An aggregation is foreign code and may fail on few or odd docs: the metric then has no value,
    with the reason as its method, and the others stand.

    Args:
        name: the metric's key.
        aggregate: lm-eval's aggregation: list of per-doc values to the corpus figure.
        higher_is_better: direction.
        resample: whether the aggregation is cheap enough to be called two hundred times more.
    """

    def estimate(samples: Sequence[Sample]) -> Estimate:
        values = [statistic for statistic, _ in samples]
        n = len(values)

        def of_docs(indices: NDArray[np.intp]) -> float:
            return float(aggregate([values[index] for index in indices]))

        try:
            value = float(aggregate(values))
        except Exception as error:
            reason = f"lm-eval's aggregation failed: {type(error).__name__}: {error}"
            return Estimate(None, None, None, None, n, reason, "score", higher_is_better)
        if not math.isfinite(value):
            reason = "lm-eval's aggregation gives no number for these docs"
            return Estimate(None, None, None, None, n, reason, "score", higher_is_better)
        method = f"percentile bootstrap over docs, {RESAMPLES} resamples"
        interval, stderr = UNDEFINED, None
        try:
            if resample:
                interval, stderr = bootstrap_interval(n, of_docs, resamples=RESAMPLES)
        except Exception as error:
            method = f"no interval: a resample failed with {type(error).__name__}"
        return Estimate(value, *interval, stderr, n, method, "score", higher_is_better)

    return Metric(name, "score", higher_is_better, estimate)
