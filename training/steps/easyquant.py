"""EasyQuant (Tang et al. 2024, arXiv 2403.02775): rounding that needs no calibration data.

Outlier weights stay in full precision; the range of the others is optimized per output channel
so that the reconstruction error is least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe.

    Attributes:
        bits: bits per weight that is not an outlier.
        outlier_sigma: a weight further from the mean of its output channel than this many standard
            deviations is an outlier; of more than 1% of a layer's weights, the furthest are.
        range_steps: turns of rounding the weights and of choosing each channel's scale for them.
    """

    quantization: ClassVar[str] = "easyquant"

    bits: Literal[4, 8] = 4
    outlier_sigma: float = 2.75
    range_steps: int = 8

    def __post_init__(self) -> None:
        if not self.outlier_sigma > 0:
            raise ValueError(f"outlier_sigma is {self.outlier_sigma}; it is above 0")
        if self.range_steps < 1:
            raise ValueError(f"range_steps is {self.range_steps}; it is at least 1")


def run(options: Options, work: Work) -> Made:
    """Round the parent's weights; see `training.easyquant`.

    Raises:
        TrainingError: the parent cannot be loaded, or has no layer that can be rounded.
    """
    from training.quiet import quiet

    with quiet():
        from training.easyquant import quantize

        return quantize(options.bits, options.outlier_sigma, options.range_steps, work)
