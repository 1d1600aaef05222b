"""Checkpoints as auto-gptq and autoawq wrote them, packed here by hand from their formats.

Both packages are archived and do not run on today's torch. Weights are rounded to the nearest of 16
levels per group; what they stand for is returned too, so that a loader can be held to it.

auto-gptq (version 1 of the format): ``qweight`` int32 ``[inputs / 8, outputs]``, eight inputs a
number, the first in the lowest bits; ``qzeros`` ``[groups, outputs / 8]``, zero points less one;
``scales`` float16 ``[groups, outputs]``; ``g_idx`` each input's group.

autoawq (gemm): ``qweight`` int32 ``[inputs, outputs / 8]``, eight outputs a number, from the
lowest bits in the order 0 2 4 6 1 3 5 7; ``qzeros`` ``[groups, outputs / 8]`` likewise, zero points
as they are; ``scales`` float16 ``[groups, outputs]``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

GROUP = 64
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
GPTQ_CONFIG = {
    "bits": 4,
    "group_size": GROUP,
    "damp_percent": 0.01,
    "desc_act": False,
    "static_groups": False,
    "sym": True,
    "true_sequential": True,
    "model_name_or_path": None,
    "model_file_base_name": "model",
}
AWQ_CONFIG = {
    "bits": 4,
    "group_size": GROUP,
    "zero_point": True,
    "version": "gemm",
    "quant_method": "awq",
    "modules_to_not_convert": None,
}

Packer = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]


def rounded(weight: Tensor, *, symmetric: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Levels 0 to 15 ``[outputs, inputs]``, zero points and scales ``[groups, outputs]``, and what
    they stand for. A symmetric zero point is 8.
    """
    outputs = len(weight)
    rows = weight.float().view(outputs, -1, GROUP)
    if symmetric:
        scale = rows.abs().amax(-1) / 7
        zero = torch.full_like(scale, 8)
    else:
        low, high = rows.amin(-1).clamp(max=0), rows.amax(-1).clamp(min=0)
        scale = (high - low) / 15
        zero = (-low / scale).round().clamp(0, 15)
    scale = scale.half().float()
    levels = ((rows / scale[..., None]).round() + zero[..., None]).clamp(0, 15)
    meant = (levels - zero[..., None]) * scale[..., None]
    return levels.view(weight.shape), zero.T, scale.T, meant.view(weight.shape)


def packed(numbers: Tensor, order: tuple[int, ...] = tuple(range(8))) -> Tensor:
    """Eight numbers of 4 bits along the last axis in one of 32."""
    eights = numbers.long().view(*numbers.shape[:-1], -1, 8)[..., list(order)]
    return (eights << torch.arange(0, 32, 4)).sum(-1).to(torch.int32)


def gptq_tensors(levels: Tensor, zero: Tensor, scale: Tensor) -> dict[str, Tensor]:
    return {
        "qweight": packed(levels).T.contiguous(),
        "qzeros": packed(zero - 1),
        "scales": scale.half(),
        "g_idx": torch.arange(levels.shape[1], dtype=torch.int32) // GROUP,
    }


def awq_tensors(levels: Tensor, zero: Tensor, scale: Tensor) -> dict[str, Tensor]:
    return {
        "qweight": packed(levels.T, AWQ_ORDER),
        "qzeros": packed(zero, AWQ_ORDER),
        "scales": scale.half(),
    }


def write(method: str, parent: Path, folder: Path, *, beside: bool = False) -> Path:
    """Round a Llama's layers and write the folder; the same weights unpacked into ``folder-plain``.

    Args:
        method: ``gptq`` or ``awq``.
        parent: the model.
        folder: where to.
        beside: whether the quantization stands in a file of its own, as before transformers knew
            the method, instead of in config.json.
    """
    plain = folder.with_name(f"{folder.name}-plain")
    for copy in (folder, plain):
        shutil.copytree(parent, copy)
    tensors = load_file(parent / "model.safetensors")
    full, short = dict(tensors), dict(tensors)
    pack: Packer = gptq_tensors if method == "gptq" else awq_tensors
    for name, weight in tensors.items():
        if "proj" in name:
            levels, zero, scale, meant = rounded(weight, symmetric=method == "gptq")
            full[name] = meant
            del short[name]
            module = name.removesuffix("weight")
            short |= {module + kind: each for kind, each in pack(levels, zero, scale).items()}
    save_file(full, plain / "model.safetensors", {"format": "pt"})
    short = {name: tensor.contiguous() for name, tensor in short.items()}
    save_file(short, folder / "model.safetensors", {"format": "pt"})
    config = GPTQ_CONFIG if method == "gptq" else AWQ_CONFIG
    if beside and method == "gptq":
        (folder / "quantize_config.json").write_text(json.dumps(config), "utf-8")
    elif beside:
        own = {"zero_point": True, "q_group_size": GROUP, "w_bit": 4, "version": "GEMM"}
        (folder / "quant_config.json").write_text(json.dumps(own), "utf-8")
    else:
        written = json.loads((folder / "config.json").read_text("utf-8"))
        written["quantization_config"] = {"quant_method": method, **config}
        (folder / "config.json").write_text(json.dumps(written), "utf-8")
    return folder
