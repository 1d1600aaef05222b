"""Rows that grow by one token a step: their keys and values, and attention over them."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.engine.attention import sdpa

GROWTH = 256
"""Tokens by which the rows' room grows."""


class DecodeLayout:
    """Keys and values of the rows that are being generated, as an attention layout.

    Rows fill the slots from the first on, and each row's tokens its slot from the left end on.

    Args:
        slots: rows at most.
        device: where the model runs.
    """

    def __init__(self, slots: int, device: torch.device) -> None:
        self._slots, self._device = slots, device
        self._room = 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._lengths = torch.zeros(slots, dtype=torch.long)

    @torch.inference_mode()
    def fill(self, slot: int, parts: list[dict[int, tuple[Tensor, Tensor]]], length: int) -> None:
        """Give a slot to a new row.

        Args:
            slot: its number.
            parts: by layer, the keys and values of consecutive parts of its prompt.
            length: tokens of the prompt; parts may hold more.
        """
        self._reserve(length, parts[0])
        for layer, kept in self._kept.items():
            for side in (0, 1):
                place = 0
                for part in parts:
                    piece = part[layer][side][: length - place]
                    kept[side][slot, :, place : place + len(piece)] = piece.transpose(0, 1)
                    place += len(piece)
        self._lengths[slot] = length

    @torch.inference_mode()
    def step(self, rows: int) -> Tensor:
        """Begin a step in which the first ``rows`` rows get one token each: its positions."""
        positions = self._lengths[:rows].clone()
        self._lengths[:rows] += 1
        self._keys = int(positions.max()) + 1
        self._reserve(self._keys)
        self._rows = torch.arange(rows, device=self._device)
        self._places = positions.to(self._device)
        self._masks: dict[tuple[int | None, torch.dtype], Tensor] = {}
        return positions

    def take_back(self, rows: int) -> None:
        """Undo `step`, which could not be carried out."""
        self._lengths[:rows] -= 1

    @torch.inference_mode()
    def shrink(self, slots: int) -> None:
        """Give up the slots behind the first so many."""
        self._slots = slots
        for layer, (keys, values) in self._kept.items():
            self._kept[layer] = (keys[:slots].clone(), values[:slots].clone())

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Move a row to another slot."""
        length = int(self._lengths[source])
        for kept in self._kept.values():
            for tensor in kept:
                tensor[target, :, :length] = tensor[source, :, :length]
        self._lengths[target] = length

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """See `harness.engine.attention.Layout`; token ``i`` is row ``i``'s newest."""
        keys, values = self._kept[layer]
        keys[self._rows, :, self._places] = key[0].transpose(0, 1)
        values[self._rows, :, self._places] = value[0].transpose(0, 1)
        keys, values = (kept[: len(self._rows), :, : self._keys] for kept in (keys, values))
        _, heads, rows, width = query.shape
        # Query heads that share a key-value head are queries of one head: keys are read once.
        shared = query[0].transpose(0, 1).reshape(rows, keys.shape[1], -1, width)
        mask = self._mask(window, query.dtype).expand(-1, -1, shared.shape[2], -1)
        out = sdpa(shared, keys, values, scale, mask=mask)
        return out.reshape(1, rows, heads, -1)

    def _mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """``[rows, 1, 1, keys]``."""
        if (window, dtype) not in self._masks:
            behind = self._places[:, None] - torch.arange(self._keys, device=self._device)
            seen = behind >= 0
            if window is not None:
                seen &= behind < window
            mask = torch.zeros(seen.shape, dtype=dtype, device=self._device)
            mask.masked_fill_(~seen, torch.finfo(dtype).min)
            self._masks[window, dtype] = mask[:, None, None]
        return self._masks[window, dtype]

    def _reserve(self, length: int, like: dict[int, tuple[Tensor, Tensor]] | None = None) -> None:
        if length <= self._room:
            return
        room = -(-length // GROWTH) * GROWTH
        if like is not None and not self._kept:
            self._kept = {
                layer: (self._empty(key, 0), self._empty(value, 0))
                for layer, (key, value) in like.items()
            }
        for layer, (keys, values) in self._kept.items():
            self._kept[layer] = (self._grown(keys, room), self._grown(values, room))
        self._room = room

    def _empty(self, like: Tensor, room: int) -> Tensor:
        # Zeros, because what the mask hides is still multiplied by zero: it must be finite.
        _, heads, width = like.shape
        return like.new_zeros(self._slots, heads, room, width)

    def _grown(self, tensor: Tensor, room: int) -> Tensor:
        slots, heads, _, width = tensor.shape
        grown = tensor.new_zeros(slots, heads, room, width)
        grown[:, :, : tensor.shape[2]] = tensor
        return grown
