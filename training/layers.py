"""The layers that a quantizer rounds: all linear ones but the vocabulary projection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from harness.engine.easyquant import features
from harness.errors import TrainingError

GROUP_SIZES = (128, 64, 32)


def linear_layers(model: Any) -> dict[str, Any]:
    """Name to layer.

    Raises:
        TrainingError: there is none.
    """
    head = model.get_output_embeddings()
    found = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    }
    if not found:
        raise TrainingError(
            "there is no layer to round: linear layers of torch and transformers can be"
        )
    return found


def input_widths(folder: Path, trust_remote_code: bool) -> set[int]:
    """Of the linear layers of a checkpoint; its weights are not read."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(config, trust_remote_code=trust_remote_code)
    return {features(layer)[0] for layer in linear_layers(model).values()}


def choose_group_size(asked: int | str, widths: set[int]) -> int:
    """How many of a row's weights share a scale: what was asked, or the largest that fits.

    Args:
        asked: a size, or ``auto``.
        widths: input widths of the layers; the size must divide all of them.

    Raises:
        TrainingError: it does not, or no size does.
    """
    fitting = [size for size in GROUP_SIZES if all(width % size == 0 for width in widths)]
    if asked == "auto" and fitting:
        return fitting[0]
    if asked in fitting:
        return int(asked)
    wide = " and ".join(str(width) for width in sorted(widths))
    valid = (
        f"valid here: auto, {', '.join(map(str, fitting))}"
        if fitting
        else ("none of 128, 64 and 32 does; quantize it with the step bnb or easyquant")
    )
    raise TrainingError(
        f"group_size: {asked} does not divide the widths of all layers' inputs ({wide}); {valid}"
    )
