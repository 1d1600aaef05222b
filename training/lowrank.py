"""LoRA layers on a CPU without copies: PEFT's arithmetic in the base's own dtype.

Beside a bfloat16 base PEFT keeps adapters in float32, and copies what each layer reads and writes
to float32 and back: on two cores that took longer than the base model itself. Here the adapter's
factors are rounded to the base's dtype for the product (as autocast would), and their product is
added where the base's product is written. The factors stay float32 for the optimizer. Held
equal to PEFT's layer by a test.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor


class _LowRank(torch.autograd.Function):
    """``x @ weight.T + bias + scale * (x @ down.T) @ up.T``; the base's weight is frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
    ) -> Tensor:
        """X ``[..., in]``, weight ``[out, in]``, down ``[rank, in]``, up ``[out, rank]``."""
        rows = x.reshape(-1, x.shape[-1])
        down, up = down.to(x.dtype), (up * scale).to(x.dtype)
        low = rows @ down.T
        y = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
        y.addmm_(low, up.T)
        ctx.save_for_backward(rows, low, weight, down, up)
        ctx.scale, ctx.shape = scale, x.shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for x and the two factors."""
        rows, low, weight, down, up = ctx.saved_tensors
        of_y = gradients[0].reshape(-1, gradients[0].shape[-1])
        of_low = of_y @ up
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (of_y @ weight).addmm_(of_low, down).view(ctx.shape)
        of_down = (of_low.T @ rows).float()
        of_up = (of_y.T @ low).float() * ctx.scale
        return of_x, None, None, of_down, of_up, None


def spare_copies(model: Any) -> int:
    """Give a PEFT model's LoRA layers this arithmetic where it is theirs: on a CPU, plain LoRA on
    plain linear layers that are not quantized.

    Returns:
        How many layers were given it.
    """
    plain = [layer for layer in model.modules() if _is_plain(layer)]
    for layer in plain:
        _give(layer)
    return len(plain)


def _is_plain(layer: Any) -> bool:
    if type(layer) is not LoraLinear or type(layer.base_layer) is not torch.nn.Linear:
        return False
    (adapter,) = layer.active_adapters
    return (
        layer.base_layer.weight.device.type == "cpu"
        and not layer.base_layer.weight.requires_grad
        and adapter not in layer.lora_variant
        and isinstance(layer.lora_dropout[adapter], torch.nn.Identity)
        and layer.lora_A[adapter].weight.dtype == torch.float32
        and layer.lora_B[adapter].bias is None
    )


def _give(layer: Any) -> None:
    (adapter,) = layer.active_adapters
    before = layer.forward

    def forward(x: Tensor, *arguments: Any, **others: Any) -> Tensor:
        if layer.disable_adapters or layer.merged or arguments or others:
            return before(x, *arguments, **others)  # type: ignore[no-any-return]
        base = layer.base_layer
        if x.dtype != base.weight.dtype:
            return before(x)  # type: ignore[no-any-return]
        return _LowRank.apply(  # type: ignore[no-any-return, no-untyped-call]
            x,
            base.weight,
            base.bias,
            layer.lora_A[adapter].weight,
            layer.lora_B[adapter].weight,
            layer.scaling[adapter],
        )

    layer.forward = forward
