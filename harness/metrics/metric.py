"""The Metric type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.types import Estimate, Statistic

Sample = tuple[Statistic, str | None]
"""One scored unit: its statistic and its group (MMLU's subject), or ``None``."""


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


def nothing_scored(unit: str, higher_is_better: bool) -> Estimate:
    """The estimate of a metric for which not one doc could be scored."""
    return Estimate(None, None, None, None, 0, "no doc was scored", unit, higher_is_better)
