"""How far one model's predictions are from another's, token by token, from one pass of both.

For a quantized model this says more than its perplexity: a perplexity can stay where it is while
single predictions change both ways (Dutta et al. 2024, "Accuracy is Not All You Need",
https://arxiv.org/abs/2407.09141: answers flip both ways at equal accuracy, and KL divergence says
how many). The
quantities are those of llama.cpp's ``--kl-divergence`` (tools/perplexity/README.md), which reads
the base model's logits from a file of several gigabytes; here both models run side by side, and the
logits of a few rows at a time are all that exists of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.engine.attention import NAME
from harness.engine.model import LoadedModel
from harness.engine.passes import KeyValues, Pass
from harness.engine.trie import Node
from harness.errors import HarnessError

ROWS = 128
"""Rows whose logits are held at a time: with a vocabulary of 150,000, 77 MB for each model in
float32 and twice that in float64."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictor:
    """A language model as a body and a head, so that the head can be applied to a few rows.

    Attributes:
        states: token ids of one window to what the head reads, ``[tokens, width]``, causal.
        logits: such rows, ``[rows, width]``, to logits ``[rows, vocabulary]``.
    """

    states: Callable[[Sequence[int]], Tensor]
    logits: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class WindowDivergence:
    """What two models predicted in one window of T tokens, for each of the T - 1 after the first.

    A figure is infinite where the candidate rules out what the base does not, and not a number
    where a model's own logits are not: a broken model is for the caller to report.

    Attributes:
        kl: KL(base || candidate) over the vocabulary, in nats, ``[T - 1]``.
        agrees: whether both find the same token most probable, ``[T - 1]``.
        base_logprob: log-probability that the base gives the token that follows, nats, ``[T - 1]``.
        candidate_logprob: the candidate's, ``[T - 1]``.
    """

    kl: Floats
    agrees: npt.NDArray[np.bool_]
    base_logprob: Floats
    candidate_logprob: Floats

    @property
    def change(self) -> Floats:
        """The candidate's probability of the token that follows minus the base's, ``[T - 1]``."""
        return np.exp(self.candidate_logprob) - np.exp(self.base_logprob)


def divergences(
    base: Predictor,
    candidate: Predictor,
    windows: Iterable[Sequence[int]],
    *,
    rows: int = ROWS,
) -> Iterator[WindowDivergence]:
    """Run both models over the same tokens, each body once per window.

    Memory beyond the models' own: the states of one window, and logits of ``rows`` rows of
    both models with their float64 log-probabilities.

    Args:
        base: the model that is compared to, mostly the one before quantization.
        candidate: the model that is compared.
        windows: token ids, at least two in each, the first of which is given, not predicted.
        rows: rows whose logits are held at a time.

    Yields:
        One result per window, in order, before the next window is read.

    Raises:
        HarnessError: the models' vocabularies differ in size, or a window is too short.
    """
    for window in windows:
        yield _window(base, candidate, window, rows)


def predictor(model: LoadedModel) -> Predictor:
    """A loaded model as body and head, whether or not it was set to run packed."""

    def states(tokens: Sequence[int]) -> Tensor:
        if model.causal.config._attn_implementation == NAME:
            window = Pass((Node(array("i", tokens), None, 0),), (), (), ())
            return model.run(window, KeyValues())[0]
        return model.states(torch.tensor([list(tokens)], dtype=torch.long))[0]

    return Predictor(states, model.head.logits)


# Not around the generator: between two windows, the caller's own code must not find itself in it.
@torch.inference_mode()
def _window(
    base: Predictor, candidate: Predictor, window: Sequence[int], rows: int
) -> WindowDivergence:
    if len(window) < 2:
        raise HarnessError(
            f"a window of {len(window)} tokens predicts nothing: its first token is given, "
            "so it needs at least two"
        )
    # The last token is only predicted.
    of_base, of_candidate = base.states(window[:-1]), candidate.states(window[:-1])
    targets = torch.tensor(list(window[1:]), dtype=torch.long)
    chunks = [
        _chunk(
            base.logits(of_base[low : low + rows]),
            candidate.logits(of_candidate[low : low + rows]),
            targets[low : low + rows],
        )
        for low in range(0, len(targets), rows)
    ]
    kl, agrees, base_logprob, candidate_logprob = (
        torch.cat(parts).cpu().numpy() for parts in zip(*chunks, strict=True)
    )
    return WindowDivergence(kl, agrees, base_logprob, candidate_logprob)


def _chunk(
    base: Tensor, candidate: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four figures of some rows: two of ``[rows, vocabulary]`` and ``[rows]`` to ``[rows]``s.

    In float64, because the divergence of a good 8-bit model, some 1e-4 nats, is a sum over the
    vocabulary of terms of either sign.
    """
    if base.shape[1] != candidate.shape[1]:
        raise HarnessError(
            f"the base predicts over {base.shape[1]} tokens, the candidate over "
            f"{candidate.shape[1]}: a divergence needs one vocabulary; compare a model with its "
            "own descendants"
        )
    targets = targets.to(base.device)[:, None]
    agrees = base.argmax(1) == candidate.to(base.device).argmax(1)
    p = torch.log_softmax(base, 1, dtype=torch.float64)
    q = torch.log_softmax(candidate.to(base.device), 1, dtype=torch.float64)
    of_base, of_candidate = p.gather(1, targets)[:, 0], q.gather(1, targets)[:, 0]
    # What the base rules out adds nothing, even where the candidate rules it out too: 0 x log(0/0).
    terms = torch.where(p == -torch.inf, 0.0, p.exp() * (p - q))
    # A divergence is never negative; rounding may make it so, by 1e-17.
    return terms.sum(1).clamp_(min=0.0), agrees, of_base, of_candidate
