"""How far a model is from the one that it was made from: on whole texts, and on a task's choices.

A model may keep its accuracy and still answer otherwise: right docs become wrong and wrong ones
right (Dutta et al. 2024, arXiv 2407.09141).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.metrics.accuracy import mean
from harness.metrics.divergence import (
    AGREEMENT,
    NATS,
    PROBABILITY,
    RMS_PROBABILITY,
    per_token,
    token_quantile,
)
from harness.metrics.metric import Metric
from harness.open_task import OpenTask
from harness.records import DataRecord
from harness.types import (
    Addressed,
    Diverged,
    Divergence,
    Doc,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    Score,
)


@dataclass(frozen=True)
class TextDivergence:
    """KL(parent || model) per token in nats: mean, median and the 1% of tokens that moved most; how
    often both find the same token most probable; and the change of the probability of the token
    that follows: its mean, and its root mean square, which changes both ways do not cancel in.

    The quantities of llama.cpp's ``--kl-divergence`` (tools/perplexity/README.md).

    Args:
        inner: a task that asks for the log-likelihood of whole texts.
    """

    inner: OpenTask
    metrics: Sequence[Metric] = (
        per_token("kl", NATS, higher_is_better=False),
        token_quantile("kl_median", "nats at 50%"),
        token_quantile("kl_99", "nats at 99%"),
        per_token("top_token_agreement", AGREEMENT, higher_is_better=True),
        per_token("probability_change", PROBABILITY, higher_is_better=True),
        per_token("probability_change_rms", RMS_PROBABILITY, higher_is_better=False),
    )
    num_fewshot: int = 0

    @property
    def version(self) -> str:
        """Its own and that of the texts."""
        return f"2 of {self.inner.version}"

    @property
    def docs(self) -> Sequence[Doc]:
        """The texts."""
        return self.inner.docs

    @property
    def data(self) -> Sequence[DataRecord]:
        """What they resolved to."""
        return self.inner.data

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Nothing is asked of the model alone."""
        return ()

    def follow_up(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Addressed]:
        """The text, of both models together."""
        asked = []
        for request in self.inner.requests(doc):
            if not isinstance(request, RollingLogLikelihood):
                raise TypeError(f"a text is asked for by a {type(request).__name__}")
            asked.append(Addressed("pair", Divergence(request.text)))
        return asked

    def target(self, doc: Doc) -> str:
        """A text is its own target."""
        return ""

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """Sums over the text's tokens."""
        (response,) = responses
        if not isinstance(response, Diverged):
            raise TypeError(f"a text got a {type(response).__name__}")
        tokens = float(response.tokens)
        return Score(
            {
                "kl": (response.kl, tokens),
                "kl_median": response.bins,
                "kl_99": response.bins,
                "top_token_agreement": (float(response.agreed), tokens),
                "probability_change": (response.change, tokens),
                "probability_change_rms": (response.squared_change, tokens),
            }
        )


@dataclass(frozen=True)
class ChoiceDivergence:
    """A model's choices against its parent's, doc by doc.

    Each model's log-likelihoods of the choices, as sums over their tokens, are made probabilities
    that add up to 1. ``kl`` is KL(parent || model) of these, in nats; ``flips`` the share of docs
    whose most probable choice is another one (right or wrong); ``gold_probability_change`` the
    model's probability of the right choice minus the parent's.

    Args:
        inner: a task that asks for the log-likelihood of each choice.
    """

    inner: OpenTask
    metrics: Sequence[Metric] = (
        mean("kl", higher_is_better=False, share=False),
        mean("flips", higher_is_better=False),
        mean("gold_probability_change", share=False),
    )

    @property
    def version(self) -> str:
        """Its own and that of the questions."""
        return f"1 of {self.inner.version}"

    @property
    def num_fewshot(self) -> int:
        """Examples in each prompt."""
        return self.inner.num_fewshot

    @property
    def docs(self) -> Sequence[Doc]:
        """The questions."""
        return self.inner.docs

    @property
    def data(self) -> Sequence[DataRecord]:
        """What they resolved to."""
        return self.inner.data

    def requests(self, doc: Doc) -> Sequence[Request]:
        """The log-likelihood of each choice."""
        return self.inner.requests(doc)

    def follow_up(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Addressed]:
        """The same of the parent."""
        return [Addressed("parent", request) for request in self.inner.requests(doc)]

    def target(self, doc: Doc) -> str:
        """The right choice's text."""
        return self.inner.target(doc)

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """What changed from the parent to the model."""
        half = len(responses) // 2
        model, parent = (_log_shares(side) for side in (responses[:half], responses[half:]))
        kl = math.fsum(math.exp(p) * (p - q) for p, q in zip(parent, model, strict=True))
        gold = self._gold(doc)
        return Score(
            {
                "kl": max(0.0, kl),  # rounding may make it -1e-17
                "flips": float(model.index(max(model)) != parent.index(max(parent))),
                "gold_probability_change": math.exp(model[gold]) - math.exp(parent[gold]),
            }
        )

    def _gold(self, doc: Doc) -> int:
        """Place of the right choice; of two choices of one text, which are equally likely, any."""
        texts = [
            request.continuation.strip()
            for request in self.inner.requests(doc)
            if isinstance(request, LogLikelihood)
        ]
        return texts.index(self.inner.target(doc).strip())


def _log_shares(responses: Sequence[Response]) -> list[float]:
    """Log-likelihoods of the choices as logarithms of probabilities that add up to 1."""
    logprobs = []
    for response in responses:
        if not isinstance(response, LogProb):
            raise TypeError(f"a choice got a {type(response).__name__}")
        logprobs.append(response.logprob)
    highest = max(logprobs)
    total = highest + math.log(math.fsum(math.exp(each - highest) for each in logprobs))
    return [each - total for each in logprobs]
