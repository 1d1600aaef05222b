"""The Metric type, and which metrics have a better end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.types import Estimate, Statistic

Sample = tuple[Statistic, str | None]
"""One scored unit: its statistic and its group (MMLU's subject), or ``None``."""

_AIM_BETWEEN = ("pct_stereotype", "amb_bias_score", "disamb_bias_score")


@dataclass(frozen=True)
class Metric:
    """How a named statistic is reduced over docs.

    Attributes:
        name: key in `Score.values`, unless ``of`` says otherwise, and in the record.
        unit: as in `harness.types.Estimate`.
        higher_is_better: direction.
        estimate: samples to Estimate; called with at least one sample.
        of: key in `Score.values` that is reduced, when one statistic feeds two metrics
            (``acc_macro`` averages over subjects what ``acc`` averages over docs).
    """

    name: str
    unit: str
    higher_is_better: bool
    estimate: Callable[[Sequence[Sample]], Estimate]
    of: str | None = None

    @property
    def key(self) -> str:
        """The key in `Score.values` that this metric reduces."""
        return self.of or self.name


def is_ordered(metric: str) -> bool:
    """Whether more, or less, of a metric is better, by its key; of a bias score both ends are bad.

    BBQ's scores of one category and means over groups are named after their metric.
    """
    return not metric.startswith(_AIM_BETWEEN)


def nothing_scored(unit: str, higher_is_better: bool) -> Estimate:
    """The estimate of a metric for which not one doc could be scored."""
    return Estimate(None, None, None, None, 0, "no doc was scored", unit, higher_is_better)
