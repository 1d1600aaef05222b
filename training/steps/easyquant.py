"""EasyQuant (Tang et al. 2024, arXiv 2403.02775): rounding that needs no calibration data.

Outlier weights stay in full precision; the range of the others is optimized per output channel
so that the reconstruction error is least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Options:
    """A recipe.

    Attributes:
        bits: bits per weight that is not an outlier.
        outlier_sigma: a weight further from its tensor's mean than this many standard deviations
            is an outlier; the paper keeps under 1% of the weights so.
        range_steps: steps of the optimization of each channel's range.
    """

    quantization: ClassVar[str] = "easyquant"

    bits: Literal[4, 8] = 4
    outlier_sigma: float = 3.0
    range_steps: int = 100

    def __post_init__(self) -> None:
        if not self.outlier_sigma > 0:
            raise ValueError(f"outlier_sigma is {self.outlier_sigma}; it is above 0")
        if self.range_steps < 1:
            raise ValueError(f"range_steps is {self.range_steps}; it is at least 1")
