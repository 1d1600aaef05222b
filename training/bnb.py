"""bitsandbytes: transformers rounds the weights while it loads them, and saves them rounded."""

from __future__ import annotations

from typing import Any

from training.quantizing import load_parent, proven, require, save_tokenizer
from training.step import Made, Work


def quantize(scheme: str, double_quantization: bool, work: Work) -> Made:
    """Write the parent in nf4 or int8 into ``work.out``.

    Args:
        scheme: ``nf4`` or ``int8``.
        double_quantization: nf4 only: whether the scales are rounded too.
        work: the step.

    Raises:
        TrainingError: bitsandbytes is missing, or the parent cannot be loaded.
    """
    require(scheme)
    from harness.engine.quantized import quiet

    quiet()
    load_parent(work, quantization_config=_config(scheme, double_quantization)).save_pretrained(
        work.out
    )
    save_tokenizer(work)
    return Made(figures=proven(work, scheme))


def _config(scheme: str, double_quantization: bool) -> Any:
    import torch
    import transformers

    config: Any = transformers.BitsAndBytesConfig
    if scheme == "int8":
        return config(load_in_8bit=True)
    return config(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=double_quantization,
    )
