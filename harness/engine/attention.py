"""Attention over packed tokens, as transformers models call it.

`NAME` is registered with transformers' attention interface. A model set to it gives every layer's
queries, keys and values to the layout that is active: `harness.engine.passes` lays out sequences
that share tokens, `harness.engine.generation` rows that grow by one token a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

NAME = "harness_packed"


class Unsupported(Exception):
    """This model's attention does something that packed attention does not."""


class Layout(Protocol):
    """Knows which of the packed tokens sees which."""

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """Attention of one layer.

        Args:
            layer: its number.
            query: ``[1, heads, tokens, head_dim]``.
            key: ``[1, key-value heads, tokens, head_dim]``.
            value: of the keys' shape.
            scale: factor of the logits.
            window: how many tokens back a token sees, itself included; ``None`` for all.

        Returns:
            ``[1, tokens, heads, head_dim]``.
        """
        ...


_active: list[Layout] = []

windows_seen: set[int] = set()
"""Sliding windows that layers asked for; the self-test compares them with the configuration's."""


@contextmanager
def using(layout: Layout) -> Iterator[None]:
    """Run the model's forward pass with this layout."""
    _active.append(layout)
    try:
        yield
    finally:
        _active.pop()


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function in transformers' own signature.

    Raises:
        Unsupported: soft-capped logits, attention sinks, a mask of the model's own (ALiBi), or
            more than one row.
    """
    if softcap is not None or s_aux is not None or attention_mask is not None or len(query) != 1:
        raise Unsupported(type(module).__name__)
    if sliding_window is not None:
        windows_seen.add(sliding_window)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer: int = module.layer_idx  # type: ignore[assignment]
    return _active[-1].attend(layer, query, key, value, scale, sliding_window), None


def sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Torch's attention, for query heads in groups that share a key-value head.

    Args:
        query: ``[rows, heads, queries, head_dim]``.
        key: ``[rows, key-value heads, keys, head_dim]``.
        value: of the keys' shape.
        scale: factor of the logits.
        mask: added to the logits, broadcast to ``[rows, heads, queries, keys]``.
        causal: query ``i`` sees keys ``0..i``.

    Returns:
        ``[rows, heads, queries, head_dim]``.
    """
    grouped = query.shape[1] != key.shape[1]
    if grouped and query.device.type != "cpu":
        # The fast CUDA kernels take a mask or grouped heads, not both.
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        grouped = False
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=grouped
    )


AttentionInterface.register(NAME, packed_attention)
