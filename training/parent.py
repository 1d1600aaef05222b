"""Loading what a step starts from, in the precision it is trained in."""

from __future__ import annotations

import json
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
)

from harness.errors import TrainingError
from harness.weights import file_names
from training.step import Work


def device() -> torch.device:
    """Where models are trained."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def precision(wanted: Literal["auto", "bfloat16", "float32"]) -> torch.dtype:
    """What products are computed in: for ``auto``, bfloat16 where the machine has units for it."""
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    has = torch.cpu.get_capabilities()
    units = ("amx_tile", "avx512_bf16", "sve_bf16")
    return torch.bfloat16 if any(has.get(unit, False) for unit in units) else torch.float32


def load_causal(work: Work, dtype: torch.dtype, *, nf4: bool = False, eager: bool = False) -> Any:
    """The parent as a causal model, on the device that trains.

    Args:
        work: the step.
        dtype: of its weights.
        nf4: whether the linear layers' weights are rounded to 4 bits as they are loaded
            (bitsandbytes; scales rounded too, as in the QLoRA paper, arXiv 2305.14314).
        eager: whether attention is computed without a fused kernel.

    Raises:
        TrainingError: it is an adapter, is quantized, or transformers cannot load it.
    """
    check_parent(work)
    options: dict[str, Any] = {"dtype": dtype, "device_map": {"": device()}}
    if eager:
        options["attn_implementation"] = "eager"
    if nf4:
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = _load(AutoModelForCausalLM, work, options)
    if nf4:
        _keep_differentiable(model)
    return model


def load_classifier(work: Work) -> Any:
    """The parent with a new linear output for a reward, in float32.

    Raises:
        TrainingError: as `load_causal`, or the architecture has no such form.
    """
    check_parent(work)
    return _load(
        AutoModelForSequenceClassification, work, {"dtype": torch.float32, "num_labels": 1}
    )


def check_parent(work: Work) -> None:
    """Refuse a parent that is no model with weights of its own.

    Raises:
        TrainingError: it is an adapter, or it is quantized.
    """
    names = file_names(work.parent)
    if "adapter_config.json" in names:
        written = json.loads((work.parent / "adapter_config.json").read_text("utf-8"))
        base = written.get("base_model_name_or_path") or "a model that it does not name"
        raise TrainingError(
            f"{work.name}: its parent {work.parent} is an adapter of {base}, not a model: adapters "
            "fit no base but their own. Merge it into that base, and name the folder that "
            "results as the parent"
        )
    if "config.json" in names:
        config = json.loads((work.parent / "config.json").read_text("utf-8"))
        if config.get("quantization_config"):
            raise TrainingError(
                f"{work.name}: its parent {work.parent} is quantized "
                f"({config['quantization_config'].get('quant_method', 'unknown method')}), and "
                "rounded weights cannot be trained: train its parent, and quantize the result"
            )


def _keep_differentiable(model: Any) -> None:
    """Forbid bitsandbytes to repack 4-bit weights at the first look at the held-out rows.

    On CPUs with bfloat16 units, a layer that is run in evaluation mode packs its weights for a
    kernel without a backward pass, and keeps them so: all later training steps would lose the
    gradients of the layers below.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def own_dtype(work: Work) -> torch.dtype:
    """What the parent's weights are stored in, by its config; float32 if it does not say."""
    config = AutoConfig.from_pretrained(work.parent, trust_remote_code=work.trust_remote_code)
    dtype = getattr(config, "dtype", None)
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def _load(kind: Any, work: Work, options: dict[str, Any]) -> Any:
    try:
        return kind.from_pretrained(
            work.parent, trust_remote_code=work.trust_remote_code, local_files_only=True, **options
        )
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{work.name}: its parent in {work.parent} cannot be loaded: {reason}"
        ) from None
