"""GPTQ: weights rounded one column at a time, the rest corrected for the error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Options:
    """A recipe.

    Attributes:
        bits: bits per weight.
        group_size: input weights that share one scale; ``auto`` is 128, else the largest of 64
            and 32 that divides the model's width.
        calibration: the text that shows how active the weights are.
        calibration_texts: how many pieces of it.
        calibration_length: tokens per piece.
        seed: which pieces.
    """

    quantization: ClassVar[str] = "gptq"
    needs: ClassVar[tuple[str, ...]] = ("gptqmodel", "optimum")

    bits: Literal[4, 8] = 4
    group_size: int | Literal["auto"] = "auto"
    calibration: Literal["wikitext2", "sft"] = "wikitext2"
    calibration_texts: int = 128
    calibration_length: int = 512
    seed: int = 1234

    def __post_init__(self) -> None:
        if self.group_size not in ("auto", 32, 64, 128):
            raise ValueError(f"group_size is {self.group_size}; it is auto, 32, 64 or 128")
        for name in ("calibration_texts", "calibration_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
