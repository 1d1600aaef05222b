"""How far a model's own answers are from the references in a judge's marks."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.accuracy import mean, numbers
from harness.metrics.metric import Metric, Sample
from harness.stats import mean_interval
from harness.types import Estimate


def deviation(name: str) -> tuple[Metric, Metric]:
    """Mean mark of the model's answers less that of the references, paired by doc; and its size.

    The report ``stem-assistant`` prints the second, under the name of reward deviation: it says how
    far the answers are from the references, not whether they are better.

    Args:
        name: key of the docs' differences; the second metric is ``<name>_abs``.
    """
    signed = mean(name, share=False)

    def size(samples: Sequence[Sample]) -> Estimate:
        values = numbers(samples)
        value = sum(values) / len(values)
        low, high = mean_interval(values)
        if low is not None and high is not None:
            ends = sorted((abs(low), abs(high)))
            low, high = (0.0 if low <= 0 <= high else ends[0]), ends[1]
        method = "ends of the t interval of the mean difference, without their signs"
        return Estimate(abs(value), low, high, None, len(values), method, "score", False)

    return signed, Metric(f"{name}_abs", "score", False, size, of=name)
