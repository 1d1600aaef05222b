"""Loading what a step starts from, in the precision it is trained in."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
)

from harness.engine.model import free_memory
from harness.errors import TrainingError
from harness.weights import file_names, folder_files
from training.step import Work

_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16}
"""As safetensors names them; all others are trained and written in float32."""
_NF4_BYTES = 0.52
"""Of a weight: four bits, and its share of a scale."""


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


def load_causal(
    work: Work,
    dtype: torch.dtype,
    *,
    nf4: bool = False,
    where: torch.device | None = None,
) -> Any:
    """The parent as a causal model.

    Args:
        work: the step.
        dtype: of its weights.
        nf4: whether the linear layers' weights are rounded to 4 bits as they are loaded
            (bitsandbytes; scales rounded too, as in the QLoRA paper, arXiv 2305.14314).
        where: the device; without one, that which trains.

    Raises:
        TrainingError: it does not fit into memory, is an adapter, is quantized, lacks weights (a
            reward model has no vocabulary head), or transformers cannot load it.
    """
    check_parent(work)
    _check_room(work, dtype, where or device(), nf4=nf4)
    options: dict[str, Any] = {"dtype": dtype, "device_map": {"": where or device()}}
    if nf4:
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model, missing = _load(AutoModelForCausalLM, work, options)
    if missing:
        raise TrainingError(
            f"{work.name}: its parent {work.parent} is no whole language model: it holds no "
            f"{', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}"
        )
    if nf4:
        _keep_differentiable(model)
    return model


def load_classifier(work: Work) -> Any:
    """The parent with a new linear output for a reward, in float32.

    Raises:
        TrainingError: as `load_causal`, or the architecture has no such form.
    """
    check_parent(work, may_judge=True)
    _check_room(work, torch.float32, torch.device("cpu"))
    options = {"dtype": torch.float32, "num_labels": 1}
    model, _ = _load(AutoModelForSequenceClassification, work, options)
    return model


def check_parent(work: Work, *, may_judge: bool = False) -> None:
    """Refuse a parent that is no model with weights of its own, or gives no answers.

    Args:
        work: the step.
        may_judge: whether it may be a reward model.

    Raises:
        TrainingError: it is an adapter, it is quantized, or it is a reward model.
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
        # Where embeddings are tied, a reward model lacks no weight of a language model.
        made = str(next(iter(config.get("architectures") or []), ""))
        if made.endswith("ForSequenceClassification") and not may_judge:
            raise TrainingError(
                f"{work.name}: its parent {work.parent} is a {made}, which scores answers and "
                "gives none: make it from the model that it was trained from"
            )


def write_attention_out(model: Any, ids: Sequence[int]) -> bool:
    """Let attention be computed without a fused kernel, if that computes the same.

    On a CPU the fused kernel's backward pass takes two to three times as long for short rows. But
    transformers holds two versions of some models' attention that do not agree (Falcon's ALiBi), so
    both are tried on one row first.

    Args:
        model: a causal model.
        ids: the row, of some twenty tokens.

    Returns:
        Whether it was done.
    """
    before = model.config._attn_implementation
    near = 0.05 if model.dtype == torch.bfloat16 else 1e-3
    row = torch.tensor([list(ids)], device=model.device)
    model.eval()
    try:
        with torch.no_grad():
            fused = model(input_ids=row).logits.float()
            model.set_attn_implementation("eager")
            written = model(input_ids=row).logits.float()
    except (ValueError, NotImplementedError):
        model.set_attn_implementation(before)
        return False
    if (written - fused).norm() <= near * fused.norm():
        return True
    model.set_attn_implementation(before)
    return False


def _keep_differentiable(model: Any) -> None:
    """Forbid bitsandbytes to repack 4-bit weights at the first look at the held-out rows.

    On CPUs with bfloat16 units, a layer that is run in evaluation mode packs its weights for a
    kernel without a backward pass, and keeps them so: all later training steps would lose the
    gradients of the layers below.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def _stored(work: Work) -> list[tuple[str, list[int]]]:
    """Dtype, as safetensors names it, and shape of each of the parent's tensors."""
    found: list[tuple[str, list[int]]] = []
    for name in folder_files(work.parent):
        if name.endswith(".safetensors"):
            with safe_open(work.parent / name, "pt") as tensors:
                slices = [tensors.get_slice(key) for key in tensors.keys()]  # noqa: SIM118
                found += [(part.get_dtype(), part.get_shape()) for part in slices]
    return found


def _check_room(work: Work, dtype: torch.dtype, where: torch.device, *, nf4: bool = False) -> None:
    """Refuse a parent that the system would end the process for while it is loaded."""
    try:
        weights = sum(math.prod(shape) for _, shape in _stored(work))
    except (OSError, SafetensorError):
        return  # what is wrong is said by who loads it
    width, free = _NF4_BYTES if nf4 else dtype.itemsize, free_memory(where)
    if weights * width > free:
        raise TrainingError(
            f"{work.name}: too little memory: the {weights:,} weights of its parent take "
            f"{weights * width / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: at most "
            f"{int(free / width):,} weights would fit"
        )


def own_dtype(work: Work) -> torch.dtype:
    """What the parent's weights are stored in: most of its matrices, counted in its files."""
    counts = Counter(dtype for dtype, shape in _stored(work) if len(shape) > 1)
    return _DTYPES.get(counts.most_common(1)[0][0] if counts else "", torch.float32)


def _load(kind: Any, work: Work, options: dict[str, Any]) -> tuple[Any, list[str]]:
    """The model, and the names of the weights that its files lack: they begin at random."""
    try:
        model, found = kind.from_pretrained(
            work.parent,
            use_safetensors=True,
            trust_remote_code=work.trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
        return model, sorted(found["missing_keys"])
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{work.name}: its parent in {work.parent} cannot be loaded: {reason}"
        ) from None
