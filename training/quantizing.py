"""What the steps that quantize have in common: reading the parent, and proving the result.

A result is loaded again from its folder, as the engine will load it, and counted: the figures that
a step reports are of what was written, not of what was meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import TrainingError, WeightsError
from harness.quantization import INSTALL, PACKAGES, declared
from training.step import Work


def require(scheme: str) -> None:
    """Raise TrainingError unless the packages of a scheme are installed."""
    import importlib.util

    missing = [name for name in PACKAGES[scheme] if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"the step needs {' and '.join(missing)}, which the extra `quant` brings: {INSTALL}"
        )


def refuse_quantized(parent: Path) -> None:
    """Raise TrainingError for a parent that is quantized already: rounding twice is a mistake."""
    try:
        found = declared(parent)
    except WeightsError as error:
        raise TrainingError(str(error)) from None
    if found is not None:
        raise TrainingError(
            f"the parent in {parent} is quantized already ({found.scheme}): quantize the model "
            "that it was made from"
        )


def load_parent(work: Work, **options: Any) -> Any:
    """The parent as transformers loads it, in its own dtype, on the accelerator if there is one.

    Raises:
        TrainingError: it is quantized already, or cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from harness.engine.model import cannot_load

    refuse_quantized(work.parent)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            work.parent,
            dtype="auto",
            device_map={"": device},
            trust_remote_code=work.trust_remote_code,
            **options,
        )
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        raise TrainingError(str(cannot_load(work.parent, error))) from None
    return model.eval()


def save_tokenizer(work: Work) -> None:
    """Lay the parent's tokenizer beside the result, file by file, as it is."""
    import shutil

    from harness.weights import file_names, tokenizer_files

    for name in tokenizer_files(file_names(work.tokenizer)):
        shutil.copyfile(work.tokenizer / name, work.out / name)


def proven(work: Work, scheme: str) -> dict[str, float]:
    """Load what was written and count it: bytes in memory, bits per weight, layers.

    Raises:
        TrainingError: it cannot be loaded, or is not what it should be.
    """
    from harness.engine.model import load_model

    try:
        loaded = load_model(work.out, "auto", work.trust_remote_code, "float32", scheme)
    except WeightsError as error:
        raise TrainingError(f"{work.name} was quantized, but does not load: {error}") from None
    footprint = loaded.footprint
    return {
        "memory_bytes": footprint.memory_bytes,
        "disk_bytes": sum(path.stat().st_size for path in work.out.glob("*.safetensors")),
        "parameters": footprint.parameters,
        "quantized_layers": sum(footprint.layers.values()),
        "bits_per_weight": footprint.bits or 0.0,
    }
