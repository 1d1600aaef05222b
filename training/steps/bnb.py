"""bitsandbytes: weights rounded as they are loaded, without calibration data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


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
