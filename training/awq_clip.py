"""AWQ's search for where to clip weights, without a pass over the inputs for every candidate.

gptqmodel 7.6.0 multiplies up to 1,023 inputs with every weight of a group for each of ten bounds,
element by element; most of AWQ's time goes there. The error that it sums over the inputs, (x . d)^2
for the change d of a group's weights, is d' (X' X) d: the inputs' products are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def fast_clip() -> Iterator[None]:
    """Let gptqmodel's AWQ search this way while this is open."""
    from gptqmodel.looper.awq_processor import AWQProcessor

    before = AWQProcessor._compute_best_clip
    AWQProcessor._compute_best_clip = best_clip
    try:
        yield
    finally:
        AWQProcessor._compute_best_clip = before


@torch.inference_mode()
def best_clip(
    processor: Any,
    weight: Tensor,
    inputs: Tensor,
    n_grid: int = 20,
    max_shrink: float = 0.5,
    n_sample_token: int = 512,
) -> Tensor:
    """The bound on each group's weights that changes the outputs least once they are rounded.

    Args:
        processor: gptqmodel's `AWQProcessor`, which rounds.
        weight: ``[outputs, inputs]``.
        inputs: ``[..., inputs]``: what flowed into the layer.
        n_grid: bounds are the group's largest weight less 0, 1, 2, ... of so many parts.
        max_shrink: the share of it that they stop at.
        n_sample_token: of so many tokens, or up to twice as many, the error is summed.

    Returns:
        ``[outputs, groups, 1]``.
    """
    size = processor.qcfg.group_size if processor.qcfg.group_size > 0 else weight.shape[1]
    tokens = inputs.reshape(-1, weight.shape[1] // size, size)
    tokens = tokens[:: max(1, len(tokens) // n_sample_token)].to(weight.device).float()
    products = torch.einsum("tgi,tgj->gij", tokens, tokens)
    groups = weight.reshape(weight.shape[0], -1, size)
    largest = groups.abs().amax(-1, keepdim=True)
    best, least = largest.clone(), torch.full_like(largest, torch.inf, dtype=torch.float32)
    rounded = torch.empty_like(groups)
    for step in range(int(max_shrink * n_grid)):
        bound = largest * (1 - step / n_grid)
        processor._pseudo_quantize_tensor_into(groups.clamp(-bound, bound), rounded)
        change = (rounded.float() - groups.float()).transpose(0, 1)
        error = ((change @ products) * change).sum(-1).T[..., None]
        better = error < least
        least, best = torch.where(better, error, least), torch.where(better, bound, best)
    return best
