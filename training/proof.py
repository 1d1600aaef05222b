"""Loads what a step has quantized, as it will be loaded, and counts what it is."""

from __future__ import annotations

from harness.engine.model import load_model
from harness.errors import TrainingError, WeightsError
from training.step import Work


def proven(work: Work, scheme: str) -> dict[str, float]:
    """Figures of the checkpoint in ``work.out``: of what was written, not of what was meant.

    Returns:
        ``memory_bytes`` of all tensors, ``disk_bytes``, ``parameters``, ``quantized_layers``, and
        ``bits_per_weight`` of those layers, scales and indices counted.

    Raises:
        TrainingError: it cannot be loaded, or is not quantized by ``scheme``.
    """
    try:
        loaded = load_model(work.out, "auto", work.trust_remote_code, "float32", scheme)
    except WeightsError as error:
        raise TrainingError(f"{work.name} was written, but does not load: {error}") from None
    footprint = loaded.footprint
    return {
        "memory_bytes": footprint.memory_bytes,
        "disk_bytes": sum(path.stat().st_size for path in work.out.glob("*.safetensors")),
        "parameters": footprint.parameters,
        "quantized_layers": sum(footprint.layers.values()),
        "bits_per_weight": footprint.bits or 0.0,
    }
