"""Log-probabilities of the learned tokens only: TRL's vocabulary projection, spared on a CPU.

TRL's trainers ask a model for ``fused_lm_head=True``: log-probabilities of the labels instead of
logits. On a GPU TRL projects the labelled positions only; elsewhere all of them, prompts and
padding included, and it computes entropies and ranks that nobody reads here. This stands in for
that projection where the vocabulary's weights are not trained. A test holds it equal to TRL's.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

from training.tokens import IGNORED

_PIECE_ELEMENTS = 1 << 24
"""Logits that are held at a time: 64 MB, and as much for their softmax."""
_RESHAPED_BY = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
)


class _Pieces:
    """Memory for logits and their softmax, kept from one piece to the next.

    Asked anew of the system for each, its pages alone took longer than the products.
    """

    def __init__(self, vocabulary: int) -> None:
        self.rows = max(1, _PIECE_ELEMENTS // vocabulary)
        self._logits = torch.empty(self.rows, vocabulary)
        self._shares = torch.empty(self.rows, vocabulary)

    def take(self, rows: int) -> tuple[Tensor, Tensor]:
        """Two matrices of so many rows, with anything in them."""
        return self._logits[:rows], self._shares[:rows]


class _LogProbs(torch.autograd.Function):
    """``log softmax(states @ weight.T + bias)[targets]`` and its gradient for ``states``.

    The gradient of a log-probability, ``weight[target] - softmax @ weight``, is computed while the
    softmax is at hand, so that logits are neither kept nor computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        pieces: _Pieces,
    ) -> Tensor:
        """States ``[rows, width]``, weight ``[vocabulary, width]``, targets ``[rows]``."""
        found = torch.empty(len(states), dtype=torch.float32, device=states.device)
        slopes = torch.empty_like(states, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        for start in range(0, len(states), pieces.rows):
            piece = slice(start, start + pieces.rows)
            logits, shares = pieces.take(len(states[piece]))
            torch.mm(states[piece].float(), weight.T, out=logits)
            if bias is not None:
                logits += bias
            wanted = logits.gather(1, targets[piece, None])[:, 0]
            highest = logits.amax(1)
            torch.softmax(logits, 1, out=shares)
            # The most likely token's share is 1 / sum(exp(logits - highest)).
            found[piece] = wanted - highest + shares.amax(1).log()
            if slopes is not None:
                slopes[piece] = weight[targets[piece]] - shares @ weight
        if slopes is not None:
            ctx.save_for_backward(slopes)
        ctx.dtype = states.dtype
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The gradient for the states alone."""
        (slopes,) = ctx.saved_tensors
        return (gradients[0][:, None] * slopes).to(ctx.dtype), None, None, None, None


def project_labels_only(causal: Any) -> bool:
    """Give a model that a TRL trainer has prepared this projection, if it can use it.

    Args:
        causal: a transformers causal model (without PEFT's wrapper).

    Returns:
        Whether it was done: on a CPU, for a plain linear head that is not trained.
    """
    layer = causal.get_output_embeddings()
    config = causal.config.get_text_config()
    if (
        type(layer) is not torch.nn.Linear
        or layer.weight.device.type != "cpu"
        or layer.weight.requires_grad
        or not layer.weight.is_floating_point()
        or getattr(config, "output_router_logits", False)
        or any(getattr(config, name, None) not in (None, 1.0) for name in _RESHAPED_BY)
    ):
        return False
    before = causal.forward
    weight, pieces = layer.weight.detach().float(), _Pieces(len(layer.weight))
    bias = None if layer.bias is None else layer.bias.detach().float()

    @functools.wraps(before)
    def forward(
        *arguments: Any, fused_lm_head: bool = False, labels: Tensor | None = None, **others: Any
    ) -> Any:
        if not fused_lm_head or labels is None:
            if labels is not None:
                others["labels"] = labels
            return before(*arguments, fused_lm_head=fused_lm_head, **others)
        items = others.pop("num_items_in_batch", None)
        others["use_cache"] = False
        states = causal.base_model(*arguments, **others).last_hidden_state[:, :-1]
        mask = labels[:, 1:] != IGNORED
        found = _LogProbs.apply(  # type: ignore[no-untyped-call]
            states[mask], weight, bias, labels[:, 1:][mask], pieces
        )
        log_probs = found.new_zeros(mask.shape).masked_scatter(mask, found)
        nothing = log_probs.new_zeros(mask.shape)
        return FusedCausalLMOutput(
            loss=-log_probs.sum() / (mask.sum().clamp(min=1) if items is None else items),
            log_probs=log_probs,
            entropy=nothing,
            mean_logits=nothing,
            is_top1=nothing.bool(),
            label_mask=mask,
        )

    causal.forward = forward
    return True
