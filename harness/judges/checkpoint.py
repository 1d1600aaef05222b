"""Loading a judge's weights, and what of them is missing."""

from __future__ import annotations

from typing import Any

import torch

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError


def load_checkpoint(kind: Any, options: LoadOptions, what: str) -> tuple[Any, list[str]]:
    """A judge in float32, because marks are compared by small differences, and what it lacks.

    Args:
        kind: the auto class of transformers that loads it.
        options: where it is.
        what: ``reward model``, for errors.

    Returns:
        The model, ready to be asked, and the names of the weights that the checkpoint lacks.

    Raises:
        WeightsError: it cannot be loaded as one.
    """
    try:
        model, info = kind.from_pretrained(
            options.path,
            dtype=torch.float32,
            trust_remote_code=options.trust_remote_code,
            output_loading_info=True,
        )
    except Exception as error:  # transformers, safetensors and custom code raise many kinds
        raise WeightsError(f"{options.path} cannot be loaded as {what}: {error}") from None
    return model.eval(), sorted(info["missing_keys"])
