"""Loading a judge's weights: what of them is missing, and how long a text it reads."""

from __future__ import annotations

from typing import Any

import torch

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError

_UNSTATED = 2048
"""Tokens that a model is taken to read where its configuration says nothing."""


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
            use_safetensors=True,
            trust_remote_code=options.trust_remote_code,
            output_loading_info=True,
        )
    except Exception as error:  # transformers, safetensors and custom code raise many kinds
        raise WeightsError(f"{options.path} cannot be loaded as {what}: {error}") from None
    return model.eval(), sorted(info["missing_keys"])


def readable_tokens(model: Any) -> int:
    """Tokens that a model has positions for."""
    embeddings = getattr(model.base_model, "embeddings", None)
    positions = getattr(embeddings, "position_embeddings", None)
    if isinstance(positions, torch.nn.Embedding):
        # RoBERTa begins to count behind its padding token.
        begin = 0 if positions.padding_idx is None else positions.padding_idx + 1
        return positions.num_embeddings - begin
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None) or _UNSTATED
