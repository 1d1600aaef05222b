"""Log-probabilities from hidden states: the vocabulary projection in float32.

Only rows that predict a wanted token are projected. The vocabulary is taken in chunks that stay in
the cache, with a running maximum and sum, so the logits of a batch are never held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

ROWS = 1024
"""Rows projected at a time."""
VOCABULARY_CHUNK = 4096
"""Vocabulary entries projected at a time, of those rows."""
SHORTLIST = 32
"""Tokens that 16-bit logits leave to be told apart in float32."""


class Head(Protocol):
    """From the last states of some tokens to log-probabilities of what follows them.

    Attributes:
        dtype: of the logits.
    """

    @property
    def dtype(self) -> str: ...  # noqa: D102

    def logits(self, states: Tensor) -> Tensor:
        """All logits of some rows: ``[rows, width]`` to float32 ``[rows, vocabulary]``."""
        ...

    def greedy(self, states: Tensor) -> Tensor:
        """The most probable next token of each row: ``[rows, width]`` to ``[rows]``."""
        ...

    def score(self, states: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of some tokens.

        Args:
            states: ``[rows, width]``.
            rows: which row predicts, ascending, ``[k]``, on the host.
            targets: which token, ``[k]``, on the host.

        Returns:
            On the model's device: log-probabilities in nats, float32 ``[k]``, and whether no token
            is more probable, bool ``[k]``.
        """
        ...


@dataclass(frozen=True)
class LinearHead:
    """A linear vocabulary projection of hidden states, in float32.

    Attributes:
        weight: ``[vocabulary, hidden]`` in the model's dtype.
        bias: ``[vocabulary]`` or ``None``.
        scale: factor of the logits (Cohere, Granite).
        softcap: logits become ``softcap * tanh(logits / softcap)`` (Gemma 2).
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    @property
    def dtype(self) -> str:
        """Dtype of the logits."""
        return "float32"

    def logits(self, states: Tensor) -> Tensor:
        """See `Head`."""
        with exact_products(states, self.weight):
            return self._logits(states.float(), 0, len(self.weight))

    def greedy(self, states: Tensor) -> Tensor:
        """See `Head`; in 16 bits a shortlist is projected again in float32.

        Decoding projects few rows at a time, and turning the whole weight into float32 for them
        would take longer than the rest of the step.
        """
        simple = self.bias is None and self.scale == 1.0 and self.softcap is None
        if self.weight.dtype == torch.float32 or len(self.weight) <= SHORTLIST or not simple:
            return self.logits(states).argmax(1)
        rough = (states @ self.weight.T).float()
        best, tokens = rough.topk(SHORTLIST, 1)
        # Two logits this far apart are in the same order in float32: each is rounded to 8 bits
        # (float16: 11).
        margin = best[:, 0].abs() * 2**-6
        if not bool((best[:, 0] - best[:, -1] > margin).all()):
            return self.logits(states).argmax(1)
        # Ascending, so that equal logits give the first token, as argmax over all would.
        tokens = tokens.sort(1).values
        weight = self.weight[tokens.flatten()].float().view(*tokens.shape, -1)
        exact = torch.einsum("rd,rkd->rk", states.float(), weight)
        return tokens.gather(1, exact.argmax(1, keepdim=True))[:, 0]

    def score(self, states: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Head`."""
        with exact_products(states, self.weight):
            return _by_rows(self._score, states, rows, targets)

    def _score(self, states: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        inputs = states.float()
        best = torch.full((len(states),), -torch.inf, device=states.device)
        total = torch.zeros(len(states), device=states.device)
        # What no chunk holds stays so: a token without a row cannot follow.
        target = torch.full((len(rows),), -torch.inf, device=states.device)
        for low in range(0, len(self.weight), VOCABULARY_CHUNK):
            high = min(low + VOCABULARY_CHUNK, len(self.weight))
            logits = self._logits(inputs, low, high)
            inside = (targets >= low) & (targets < high)
            found = logits[rows, (targets - low).clamp(0, high - low - 1)]
            target = torch.where(inside, found, target)
            peak = torch.maximum(best, logits.amax(1))
            total = total * (best - peak).exp() + logits.sub_(peak[:, None]).exp_().sum(1)
            best = peak
        logprobs = target - (best + total.log())[rows]
        return logprobs.clamp_(max=0.0), target >= best[rows]

    def _logits(self, inputs: Tensor, low: int, high: int) -> Tensor:
        logits = inputs @ self.weight[low:high].float().T
        return self._finish(logits, None if self.bias is None else self.bias[low:high])

    def _finish(self, logits: Tensor, bias: Tensor | None) -> Tensor:
        """What the model does to the product of states and weight."""
        if bias is not None:
            logits = logits + bias.to(logits.dtype)
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


@dataclass(frozen=True)
class ModelLogits:
    """The model's own head, for one that is not linear: its states are the logits already.

    Attributes:
        dtype: of the model.
    """

    dtype: str

    def logits(self, states: Tensor) -> Tensor:
        """See `Head`."""
        return states.float()

    def greedy(self, states: Tensor) -> Tensor:
        """See `Head`."""
        return states.argmax(1)

    def score(self, states: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Head`."""
        return _by_rows(self._score, states, rows, targets)

    @staticmethod
    def _score(states: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = states.float()
        target = logits[rows, targets]
        return target - logits.logsumexp(1)[rows], target >= logits.amax(1)[rows]


def _by_rows(
    score: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    states: Tensor,
    rows: Tensor,
    targets: Tensor,
) -> tuple[Tensor, Tensor]:
    """Score some rows at a time."""
    parts: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(states), ROWS):
        low, high = torch.searchsorted(rows, torch.tensor([start, start + ROWS])).tolist()
        if low < high:
            wanted = (rows[low:high] - start).to(states.device)
            aims = targets[low:high].to(states.device)
            parts.append(score(states[start : start + ROWS], wanted, aims))
    logprobs, greedy = zip(*parts, strict=True)
    return torch.cat(logprobs), torch.cat(greedy)


@contextmanager
def exact_products(hidden: Tensor, weight: Tensor) -> Iterator[None]:
    """Let float32 products of bfloat16 values use the bfloat16 units, which lose nothing of them.

    A product of two bfloat16 values is exact in float32, and sums are kept in float32 either way.
    """
    both = hidden.dtype == weight.dtype == torch.bfloat16
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if both else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
