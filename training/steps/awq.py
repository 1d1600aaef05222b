"""AWQ: weights scaled by how active their inputs are, then rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe.

    Attributes:
        bits: bits per weight.
        group_size: input weights that share one scale; ``auto`` is the largest of 128, 64 and 32
            that divides the width of every quantized layer's input.
        calibration: the text that shows how active the weights are: ``wikitext2``, or ``sft``, the
            questions and answers of the step sft, which also stand in where WikiText-2 is not.
        calibration_texts: how many pieces of it.
        calibration_length: tokens per piece.
        seed: which pieces.
    """

    quantization: ClassVar[str] = "awq"
    needs: ClassVar[tuple[str, ...]] = ("gptqmodel", "optimum")

    bits: Literal[4] = 4
    group_size: int | Literal["auto"] = "auto"
    calibration: Literal["wikitext2", "sft"] = "wikitext2"
    calibration_texts: int = 16
    calibration_length: int = 256
    seed: int = 1234

    def __post_init__(self) -> None:
        if self.group_size not in ("auto", 32, 64, 128):
            raise ValueError(f"group_size is {self.group_size}; it is auto, 32, 64 or 128")
        # Of a piece, each token but the first is told from those before it.
        for name, least in (("calibration_texts", 1), ("calibration_length", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least {least}")


def run(options: Options, work: Work) -> Made:
    """Round the parent's weights; see `training.calibrated`.

    Raises:
        TrainingError: the group size fits no layer, the architecture is unknown to the quantizer,
            or the result is no better than noise.
    """
    from training.quiet import quiet

    with quiet():
        from training.calibrated import Recipe, quantize

        recipe = Recipe(
            options.bits,
            options.group_size,
            options.calibration,
            options.calibration_texts,
            options.calibration_length,
            options.seed,
        )
        return quantize("awq", recipe, work)
