"""The nouns of an evaluation: what is asked, what came back, what it scored, how sure that is.

Frozen dataclasses of the standard library only. The names are lm-eval's wherever it has one.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Tokens: TypeAlias = "array[int]"
"""Token ids, four bytes each: a million prompts of a list of Python integers would not fit."""

Statistic = float | str | tuple[Any, ...] | dict[str, Any]
"""What one doc contributes to a metric: a number to average (0/1 for accuracy); a pair
``(numerator, denominator)`` for a ratio of sums, such as ``(log-likelihood, words)``; the counts of
n-grams that add up to corpus BLEU; or whatever
JSON value a corpus metric of lm-eval aggregates, such as ``(reference, prediction)``."""


Verdict = Literal["better", "worse", "changed", "no difference seen", "not tested"]
"""What a paired test says of a difference; ``changed`` where neither end of a metric is the better
one."""
SURE: tuple[Verdict, ...] = ("better", "worse", "changed")
"""Verdicts of a difference that is surely there."""


@dataclass(frozen=True, slots=True)
class Doc:
    """One row of a benchmark.

    Attributes:
        id: hash of the row's content and its occurrence number among equal rows (MMLU has exact
            duplicates), so that two runs can be paired doc by doc.
        index: position in the task's evaluation split (for grouped tasks: in the whole task).
        fields: the row, as the task's prompts read it.
        group: MMLU's subject, a source; ``None`` where the task has no groups.
        cluster: names the document or passage that it may share with other docs, ``None`` where
            there is none, or it is not known.
    """

    id: str
    index: int
    fields: Mapping[str, Any]
    group: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """Ask for log P(continuation | context), in nats, summed over the continuation's tokens."""

    context: str
    continuation: str


@dataclass(frozen=True, slots=True)
class RollingLogLikelihood:
    """Ask for log P(text): every token predicted once, in disjoint windows of the model's context,
    each token conditioned on all earlier ones of its window (lm-eval's ``loglikelihood_rolling``).
    """

    text: str


@dataclass(frozen=True, slots=True)
class WindowLogLikelihood:
    """Ask for log P(tokens[1:] | tokens[0]), in nats: the first token of a window is given.

    Token ids of the model's own tokenizer, because where a window ends depends on it.
    """

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GenerateUntil:
    """Ask for text that continues ``context`` up to a stop string or ``max_new_tokens``.

    ``temperature`` 0 is greedy decoding; otherwise ``repeat`` tells apart several samples of one
    prompt.
    """

    context: str
    until: tuple[str, ...]
    max_new_tokens: int
    temperature: float = 0.0
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Reward:
    """Ask a judge how good ``response`` is as an answer to ``prompt``, both as plain text: the
    judge joins them in its own way.
    """

    prompt: str
    response: str


@dataclass(frozen=True, slots=True)
class Resemblance:
    """Ask a judge how much ``text`` means what ``reference`` means (BERTScore)."""

    text: str
    reference: str


@dataclass(frozen=True, slots=True)
class Divergence:
    """Ask two models, the scored one and its parent, how far apart their predictions of ``text``
    are, token by token, in windows as `RollingLogLikelihood` has them.
    """

    text: str


Request = (
    LogLikelihood
    | RollingLogLikelihood
    | WindowLogLikelihood
    | GenerateUntil
    | Reward
    | Resemblance
    | Divergence
)


@dataclass(frozen=True, slots=True)
class Addressed:
    """A request of a doc's second round, which does not go to the model that is scored.

    Attributes:
        to: ``reference``, ``parent``, ``pair`` (the scored model and its parent together), or a
            judge's name in the registry.
        request: what is asked of it.
    """

    to: str
    request: Request


@dataclass(frozen=True, slots=True)
class LogProb:
    """Answer to LogLikelihood: sum of log-probabilities in nats, and whether the continuation is
    what greedy decoding would have produced. ``truncated``: the context lost tokens on the left.
    """

    logprob: float
    is_greedy: bool
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class RollingLogProb:
    """Answer to RollingLogLikelihood and WindowLogLikelihood: sum of log-probabilities in nats."""

    logprob: float


@dataclass(frozen=True, slots=True)
class Generation:
    """Answer to GenerateUntil: the text before the first stop string."""

    text: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Rewarded:
    """Answer to Reward: the judge's own number, on its own scale (a reward, a logit)."""

    value: float


@dataclass(frozen=True, slots=True)
class Resembled:
    """Answer to Resemblance: precision, recall and their harmonic mean; ``truncated``: the end of
    the text or of the reference was not read.
    """

    precision: float
    recall: float
    f1: float
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Diverged:
    """Answer to Divergence, summed over the tokens that were predicted.

    Attributes:
        kl: KL(parent || model) over the vocabulary, in nats.
        agreed: tokens for which both find the same one most probable.
        tokens: tokens that were predicted.
        change: the model's probability of the token that follows minus the parent's.
        squared_change: the square of that.
        bins: tokens by their divergence, see `harness.metrics.divergence.binned`.
    """

    kl: float
    agreed: int
    tokens: int
    change: float
    squared_change: float
    bins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The request could not be answered; the doc is counted as unscored, with this reason."""

    reason: str


Response = LogProb | RollingLogProb | Generation | Rewarded | Resembled | Diverged | Unanswered


@dataclass(frozen=True, slots=True)
class Question:
    """A request as one model is given it, made once by `Backend.encode`.

    Attributes:
        request: what is asked, in text.
        tokens: token ids as the model sees them, already cut to its context. LogLikelihood:
            ``(context, continuation)``; GenerateUntil: ``(prompt,)``; RollingLogLikelihood and
            WindowLogLikelihood: ``(ids,)``, the first of which is given, not predicted. Divergence:
            the same ids cut into the model's context, each part's first one given. Reward:
            ``(ids,)`` of both texts as the judge joins them; Resemblance: ``(text, reference)``.
            Empty for a server that takes text.
        truncated: whether tokens were cut off: on the left, or on the right for Resemblance.
        refused: why it cannot be asked of this model, else ``None``.
    """

    request: Request
    tokens: tuple[Tokens, ...] = ()
    truncated: bool = False
    refused: str | None = None

    def digest(self) -> bytes:
        """16 bytes that are equal for two questions exactly when the answers must be.

        Covers the kind of request, the token ids (the text, where there are none) and the settings
        of a generation. The model is not part of it: see `Backend.identity`.
        """
        digest = hashlib.blake2b(type(self.request).__name__.encode(), digest_size=16)
        for part in self.tokens:
            digest.update(struct.pack("<q", len(part)))
            digest.update(part.tobytes())
        if not self.tokens:
            digest.update(repr(self.request).encode())
        elif isinstance(self.request, GenerateUntil):
            request = self.request
            sample = request.repeat if request.temperature > 0 else 0
            settings = (request.until, request.max_new_tokens, request.temperature, sample)
            digest.update(repr(settings).encode())
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with its place among the questions and what it took.

    Attributes:
        index: position of the question in the sequence that was given to `Backend.answer`.
        response: of the kind that the request asks for, or `Unanswered`.
        tokens_in: tokens of the question, shared ones included, padding not.
        tokens_out: tokens that were generated, a stop string's included.
        stored: whether it was read from the journal: no model was run.
        seconds: of a worker elsewhere that it took; 0 where the asker's own clock counts.
    """

    index: int
    response: Response
    tokens_in: int = 0
    tokens_out: int = 0
    stored: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """What one doc scored.

    Attributes:
        values: metric name to statistic; empty when unscored.
        unscored: why no value could be computed, else ``None``.
        note: what a reader of the row should know, such as the rule that found an answer.
    """

    values: Mapping[str, Statistic]
    unscored: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value with its uncertainty.

    Attributes:
        value: the estimate, in ``unit``; ``None`` when no doc was scored.
        low, high: ends of the 95% interval, ``None`` where it is undefined (one doc, say).
        stderr: standard error as lm-eval prints it, ``None`` where undefined.
        n: sampling units that entered.
        method: how the interval was made, in words.
        unit: ``proportion``, ``perplexity``, ``bits/byte``, ``bleu``, ``of 100``, ``score``, or one
            of `harness.units`.
        higher_is_better: direction of the metric.
    """

    value: float | None
    low: float | None
    high: float | None
    stderr: float | None
    n: int
    method: str
    unit: str
    higher_is_better: bool
