"""Loads what a step has quantized, as it will be loaded, and counts what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from harness.engine.model import load_model
from harness.errors import TrainingError, WeightsError
from training.step import Work


def proven(work: Work, scheme: str, windows: Sequence[Sequence[int]] = ()) -> dict[str, float]:
    """Figures of the checkpoint in ``work.out``: of what was written, not of what was meant.

    Args:
        work: the step.
        scheme: what it must be quantized by.
        windows: tokens to measure its loss on, if any.

    Returns:
        ``memory_bytes`` of all tensors, ``disk_bytes``, ``parameters``, ``quantized_layers``, and
        ``bits_per_weight`` of those layers, scales and indices counted; ``loss`` in nats a token.

    Raises:
        TrainingError: it cannot be loaded, or is not quantized by ``scheme``.
    """
    try:
        loaded = load_model(work.out, "auto", work.trust_remote_code, "float32", scheme)
    except WeightsError as error:
        raise TrainingError(f"{work.name} was written, but does not load: {error}") from None
    footprint = loaded.footprint
    figures = {
        "memory_bytes": footprint.memory_bytes,
        "disk_bytes": sum(path.stat().st_size for path in work.out.glob("*.safetensors")),
        "parameters": footprint.parameters,
        "quantized_layers": sum(footprint.layers.values()),
        "bits_per_weight": footprint.bits or 0.0,
    }
    return figures | ({"loss": loss(loaded.causal, windows)} if windows else {})


@torch.inference_mode()
def loss(causal: Any, windows: Sequence[Sequence[int]]) -> float:
    """Of every token of some windows but the first, in nats, on average."""
    total = torch.zeros((), dtype=torch.float64)
    for window in windows:
        ids = torch.tensor([list(window)], device=causal.device)
        logits = causal(input_ids=ids, use_cache=False).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").cpu()
    return float(total) / sum(len(window) - 1 for window in windows)
