"""What transformers needs, and leaves to be done, when it loads a quantized checkpoint."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch

from harness.engine.quantized import scheme_of
from harness.quantization import Declared, declared, require

BY_GPTQMODEL = {"gptq": "gptq_torch", "awq": "torch_awq"}
"""Scheme to gptqmodel's kernel that unpacks and is exact, as transformers calls it."""


def prepare(path: Path, dtype: str, device: torch.device) -> tuple[Declared | None, str]:
    """Make a checkpoint's loader ready; what it is said to be, and the dtype to load it in.

    Args:
        path: the checkpoint's folder.
        dtype: ``auto`` or the name of a torch dtype. On a CPU ``auto`` is bfloat16 for GPTQ and
            AWQ, most of whose checkpoints say float16, for which CPUs have slow units or none.
        device: where it will run.

    Raises:
        WeightsError: the method is unknown, or its package is not installed.
    """
    quiet()
    found = declared(path)
    if found is None:
        return None, dtype
    require(found, path)
    if found.scheme == "easyquant":
        import harness.engine.easyquant  # noqa: F401  # registers its loader with transformers
    if found.scheme in BY_GPTQMODEL:
        import_gptqmodel()
        if dtype == "auto" and device.type == "cpu":
            dtype = "bfloat16"
    return found, dtype


def quiet() -> None:
    """Silence the packages that load quantized models, torchao's search for GPUs among them."""
    for name in ("bitsandbytes", "torchao", "gptqmodel", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"bitsandbytes|gptqmodel|optimum|defuser")
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")


def import_gptqmodel() -> None:
    """Import it without its banner, with its lines silenced, and able to start on few cores."""
    # Read while it is imported: with one worker its first task waits for a second for ever.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import gptqmodel  # noqa: F401
        from logbar import LogBar
    LogBar.shared().setLevel(logging.ERROR)


def loader_config(found: Declared, dtype: str, device: torch.device) -> dict[str, Any]:
    """The ``quantization_config`` to load by: the checkpoint's own, with the kernel to compute by.

    gptqmodel's own choice on a CPU computes in bfloat16 whatever the model's dtype. For smol it
    took 0.12 s of one core on 32 tokens and 7.1 s on 2,048; the kernels that unpack, GPTQ 0.5 and
    1.8 s, AWQ 1.4 and 2.5 s. So GPTQ unpacks, and AWQ where float32 is asked for.
    """
    config = dict(found.config)
    if device.type == "cpu" and (found.scheme == "gptq" or dtype == "float32"):
        config |= {"backend": BY_GPTQMODEL[found.scheme]} if found.scheme in BY_GPTQMODEL else {}
    return config


def tune(causal: Any, dtype: str) -> None:
    """Mend what the packages leave of a quantized model.

    What bitsandbytes' 4-bit models hold besides packed weights is loaded in the checkpoint's dtype,
    whatever is asked for; and their layers compute in one of their own. On CPUs with AVX512-BF16
    they would take a fused kernel, which rounds their scales and took five times as long on 512
    tokens (as long on 32): they unpack instead.

    gptqmodel's layers would compile their unpacking: half a minute, and a C++ compiler needed, for
    a third less time on few tokens.
    """
    layers = list(causal.modules())
    if dtype != "auto" and any(scheme_of(layer) in ("nf4", "fp4") for layer in layers):
        for parameter in causal.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(getattr(torch, dtype))
    for layer in layers:
        if type(layer).__name__ == "Linear4bit":
            layer.support_avx512bf16_for_cpu = False
            layer.compute_dtype = causal.dtype
            layer.compute_type_is_set = True
        elif scheme_of(layer) in BY_GPTQMODEL:
            vars(layer).pop("dequantize_weight", None)  # the compiled one, in front of the class's
