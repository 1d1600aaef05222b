"""Round-to-nearest, the comparison for EasyQuant: what it gives, and how many bits it takes.

Scales take 16 bits, zero points 4, as GPTQ's format stores them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric(weight: Tensor, group: int | None = None, levels: int = 16) -> Tensor:
    """Levels -8 to 7 times a scale; the largest weight of a group is level 7 or -7."""
    rows = _groups(weight, group)
    most = levels // 2 - 1
    scale = (rows.abs().amax(1, keepdim=True) / most).bfloat16().float()
    return ((rows / scale).round().clamp(-most - 1, most) * scale).view_as(weight)


def asymmetric(weight: Tensor, group: int | None = None) -> Tensor:
    """Levels 0 to 15 less a whole zero point, times a scale, from the least to the largest."""
    rows = _groups(weight, group)
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    scale = ((high - low) / 15).bfloat16().float()
    zero = (-low / scale).round().clamp(0, 15)
    return (((rows / scale).round() + zero).clamp(0, 15) - zero).mul(scale).view_as(weight)


def bits(weight: Tensor, group: int | None = None, *, zero: bool = False) -> int:
    """Of a whole matrix."""
    groups = weight.numel() // (group or weight.shape[1])
    return 4 * weight.numel() + groups * (16 + (4 if zero else 0))


def _groups(weight: Tensor, group: int | None) -> Tensor:
    return weight.float().reshape(-1, group or weight.shape[1])


def error(weight: Tensor, rounded: Tensor) -> float:
    """Squared, as a part of the weights' own squares."""
    weight = weight.float()
    return float((rounded.float() - weight).square().sum() / weight.square().sum())


def heavy_tailed(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Weights as trained ones are: normal, one in two hundred four times as wide."""
    torch.manual_seed(seed)
    weight = torch.randn(rows, columns)
    wide = torch.rand(rows, columns) < 0.005
    return torch.where(wide, weight * 4, weight) * 0.02
