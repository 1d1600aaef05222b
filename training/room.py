"""Whether a training fits into memory, and what would if it does not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch

from harness.errors import TrainingError
from harness.memory import available_memory
from training.step import Work
from training.tuning import Tuning

_RESERVE = 512 << 20
"""For the vocabulary projection's pieces, the optimizer's scratch and the libraries."""


@dataclass(frozen=True)
class Demand:
    """What decides how much memory a training takes, in numbers of elements.

    Attributes:
        frozen_bytes: of the weights as they are loaded.
        trained: weights that are trained.
        layers, width, inner: of the model's body; inner is the feed-forward width.
        element: bytes of an activation.
        adapted: whether an adapter keeps a float32 copy of what each layer reads.
    """

    frozen_bytes: int
    trained: int
    layers: int
    width: int
    inner: int
    element: int
    adapted: bool

    def bytes(self, tokens: int, checkpointing: bool) -> int:
        """Memory for so many tokens side by side, padding included.

        A trained weight takes 12 bytes besides its own: a gradient and Adam's two averages. A
        layer keeps about 16 values of its width and 6 of its inner width for the backward
        pass of a token; with checkpointing one value of its width, and one layer at a time all.
        """
        values = 16 * self.width + 6 * self.inner
        kept = self.element * values
        if self.adapted:
            kept += 4 * (6 * self.width + self.inner)
        layer = tokens * kept
        activations = (
            tokens * self.layers * self.width * self.element + layer
            if checkpointing
            else self.layers * layer
        )
        return self.frozen_bytes + 12 * self.trained + activations + _RESERVE


def demand(model: Any, tuning: Tuning) -> Demand:
    """Read a model's demand off its configuration and its weights."""
    config = model.config.get_text_config()
    width = int(getattr(config, "hidden_size", 0) or getattr(config, "n_embd", 0) or 1024)
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
    element = 2 if tuning.method == "lora" and model.dtype == torch.bfloat16 else 4
    sizes = [parameter.numel() * parameter.element_size() for parameter in model.parameters()]
    trained = sum(parameter.numel() for parameter in model.parameters())
    layers = int(getattr(config, "num_hidden_layers", 12))
    if tuning.method == "lora":
        trained = layers * tuning.lora_r * 14 * width  # seven layers, two factors each
    return Demand(
        sum(sizes),
        trained,
        layers,
        width,
        int(inner or 4 * width),
        element,
        tuning.method == "lora",
    )


@dataclass(frozen=True)
class Load:
    """What is put into memory at a time, and what a recipe can do about it.

    Attributes:
        tokens: of the largest batch, all sequences, padding included.
        sequences: how many a row has.
        least: the fewest rows that can be learned from at a time.
        options: names of the recipe's options.
    """

    tokens: int
    options: Collection[str]
    sequences: int = 1
    least: int = 1

    def smaller(self, tuning: Tuning) -> list[tuple[int, str]]:
        """Smaller batches, largest first, each in words, with as many rows a step where the recipe
        can say so.
        """
        rows = range(tuning.batch_size - 1, self.least - 1, -1)
        return [
            (count, self._words(count, tuning)) for count in rows if not tuning.batch_size % count
        ]

    def _words(self, rows: int, tuning: Tuning) -> str:
        if "accumulation" not in self.options:
            return f"batch_size: {rows}"
        accumulation = tuning.accumulation * tuning.batch_size // rows
        return f"batch_size: {rows} with accumulation: {accumulation}"


def make_room(
    need: Demand, tuning: Tuning, load: Load, work: Work, already: int = 0, free: int | None = None
) -> bool:
    """Decide whether activations are computed twice to save memory (checkpointing).

    Args:
        need: the model's demand.
        tuning: the recipe.
        load: the largest batch.
        work: the step.
        already: bytes of the demand that are taken already: the loaded weights.
        free: bytes of memory; measured if not given.

    Raises:
        TrainingError: not even so would it fit; names what would.
    """
    memory, tokens = (_free() if free is None else free) + already, load.tokens
    if need.bytes(tokens, False) <= memory:
        return False
    if need.bytes(tokens, True) <= memory:
        work.tell(
            f"{work.name}: memory is short, so activations are computed twice (about a third "
            "slower)"
        )
        return True
    raise TrainingError(
        f"{work.name}: too little memory: about {_giga(need.bytes(tokens, True))} GB are needed, "
        f"{_giga(memory)} GB are free. {_what_fits(need, tuning, load, memory)}"
    )


def _what_fits(need: Demand, tuning: Tuning, load: Load, memory: int) -> str:
    for rows, words in load.smaller(tuning):
        if need.bytes(load.tokens * rows // tuning.batch_size, True) <= memory:
            return f"{words} would fit"
    length = load.tokens // tuning.batch_size // load.sequences
    while length > 32:
        length //= 2
        if need.bytes(length * load.sequences * load.least, True) <= memory:
            return f"batch_size: {load.least} with max_length: {length} would fit"
    lora = "method" in load.options and tuning.method != "lora"
    return f"Only a smaller parent{' or method: lora' if lora else ''} would fit"


def _free() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return available_memory()


def _giga(count: int) -> str:
    return f"{count / 1e9:.1f}"
