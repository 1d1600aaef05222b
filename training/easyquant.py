"""EasyQuant (Tang et al. 2024, arXiv 2403.02775): rounding without calibration data.

Weights that lie more than n standard deviations off are outliers and stay as they are. The others
are rounded to integers times a scale s, one per output channel, and s is chosen so that the
channel's reconstruction error E(s) = sum (s q - w)^2, with q = round(w / s) clipped, is least. The
paper follows the gradient dE/ds = 2 sum (s q - w) q. For fixed q that is zero where s is
sum w q / sum q^2; so here q and s are taken in turns, each the best for the other, from the best of
some starting ranges: no step can raise the error, and there is no learning rate.

Four choices are ours. Deviations are measured within an output channel, as ranges are: an outlier
is what would stretch its own channel's range. Outliers are fewer than `MOST` of a layer's weights,
the furthest ones, however many lie beyond n sigma. Where two are further apart than a byte can say,
a weight between them is kept too. And s may be negative, which puts the longer end of the levels
(-8 to 7) on the side where it serves better.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from harness.engine.easyquant import (
    LONGEST_GAP,
    EasyQuantConfig,
    EasyQuantLinear,
    Packed,
    features,
    gaps,
)
from harness.errors import TrainingError
from training.finetune import copy_tokenizer
from training.layers import linear_layers
from training.parent import check_parent, device
from training.proof import proven
from training.step import Made, Work

MOST = 0.01
"""The share of a layer's weights that outliers stay below."""
STARTS = tuple(0.5 + 0.05 * step for step in range(11))
"""Ranges that are tried first, as parts of a channel's largest weight that is no outlier; the whole
of it is round-to-nearest's."""


def quantize(bits: int, outlier_sigma: float, range_steps: int, work: Work) -> Made:
    """Write the parent with the linear layers of its body rounded into ``work.out``.

    Raises:
        TrainingError: the parent cannot be loaded, or has no linear layer.
    """
    check_parent(work)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            work.parent,
            dtype="auto",
            device_map={"": device()},
            use_safetensors=True,
            trust_remote_code=work.trust_remote_code,
            local_files_only=True,
        )
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{work.name}: its parent in {work.parent} cannot be loaded: {reason}"
        ) from None
    layers = linear_layers(model)
    outliers: dict[str, int] = {}
    weights, lost, energy = 0, 0.0, 0.0
    for name, layer in layers.items():
        weight = (layer.weight.T if isinstance(layer, Conv1D) else layer.weight).detach()
        packed = pack(weight, bits, outlier_sigma, range_steps)
        outliers[name] = int(packed.outliers.sum())
        new = EasyQuantLinear(*features(layer), bits, outliers[name], layer.bias is not None)
        new.fill(packed, layer.bias)
        weights += weight.numel()
        lost += float((new.unpacked(torch.float32) - weight).square().sum())
        energy += float(weight.float().square().sum())
        model.set_submodule(name, new)
    model.config.quantization_config = EasyQuantConfig(bits, outliers)
    model.save_pretrained(work.out)
    copy_tokenizer(work)
    figures = {
        "outlier_share": sum(outliers.values()) / weights,
        "reconstruction_error": lost / energy,
    }
    return Made(figures=proven(work, "easyquant") | figures)


@torch.no_grad()
def pack(weight: Tensor, bits: int, outlier_sigma: float, range_steps: int) -> Packed:
    """Round one matrix, ``[outputs, inputs]``.

    Args:
        weight: in the dtype that scales and outliers are stored in.
        bits: 4 or 8.
        outlier_sigma: standard deviations of its channel beyond which a weight is an outlier.
        range_steps: turns of rounding and of choosing the scale.
    """
    given = weight.float()
    outliers = outliers_of(given, outlier_sigma)
    rest = given.masked_fill(outliers, 0.0)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def rounded(scale: Tensor) -> Tensor:
        return (rest / scale).round_().clamp_(low, high)

    def error(scale: Tensor, levels: Tensor) -> Tensor:
        return (levels * scale - rest).square_().sum(1, keepdim=True)

    # A channel of zeros has no range of its own: any scale will do.
    largest = rest.abs().amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny * 2**20)
    starts = [sign * part * largest / high for part in STARTS for sign in (1, -1)]
    tried = torch.cat([error(start, rounded(start)) for start in starts], 1)
    best = tried.argmin(1, keepdim=True)
    scale = torch.cat(starts, 1).gather(1, best)
    for _ in range(range_steps):
        levels = rounded(scale)
        squares = levels.square().sum(1, keepdim=True)
        found = (levels * rest).sum(1, keepdim=True) / squares
        scale = torch.where((squares > 0) & (found != 0), found, scale)
    scale = scale.to(weight.dtype)
    levels = rounded(scale.float())
    return Packed(levels.to(torch.int8), scale[:, 0], outliers, weight)


def outliers_of(weight: Tensor, sigma: float) -> Tensor:
    """Which weights lie more than ``sigma`` standard deviations from their channel's mean.

    If they are not fewer than `MOST` of all, the furthest that are; with those between them that
    keep every gap within `LONGEST_GAP`.
    """
    spread = weight.std(1, keepdim=True, correction=0)
    apart = (weight - weight.mean(1, keepdim=True)).abs() / spread.clamp(min=1e-30)
    most = math.ceil(MOST * weight.numel()) - 1
    count = min(int((apart > sigma).sum()), most)
    furthest = apart.flatten().topk(count).indices
    while True:
        chosen = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
        chosen[furthest[:count]] = True
        _bridge(chosen)
        excess = int(chosen.sum()) - most
        if excess <= 0 or count == 0:
            return chosen.view_as(apart)
        count = max(0, count - excess)


def _bridge(chosen: Tensor) -> None:
    """Choose a place every `LONGEST_GAP` between two chosen ones that are further apart."""
    places, apart = chosen.nonzero()[:, 0], gaps(chosen)
    between = (apart - 1) // LONGEST_GAP
    starts = (places - apart).repeat_interleave(between)
    ends = between.cumsum(0)
    number = torch.arange(len(starts), device=chosen.device)
    number = number - (ends - between).repeat_interleave(between) + 1
    chosen[starts + number * LONGEST_GAP] = True
