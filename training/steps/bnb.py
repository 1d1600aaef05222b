"""bitsandbytes: weights rounded as they are loaded, without calibration data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe.

    Attributes:
        scheme: ``nf4`` (4 bits, levels of a normal distribution) or ``int8`` (8 bits, outlier
            columns in half precision).
        double_quantization: nf4 only: whether the scales are rounded too.
    """

    needs: ClassVar[tuple[str, ...]] = ("bitsandbytes",)

    scheme: Literal["nf4", "int8"] = "nf4"
    double_quantization: bool = False

    def __post_init__(self) -> None:
        if self.double_quantization and self.scheme != "nf4":
            raise ValueError(f"double_quantization is for nf4; the scheme is {self.scheme}")

    @property
    def quantization(self) -> str:
        """What the result is: the scheme."""
        return self.scheme


def run(options: Options, work: Work) -> Made:
    """Round the parent's weights.

    Raises:
        TrainingError: the parent cannot be loaded, or has no layer that can be rounded.
    """
    from training.quiet import quiet

    with quiet():
        from training.rounding import round_with_bitsandbytes

        return round_with_bitsandbytes(options.scheme, options.double_quantization, work)
