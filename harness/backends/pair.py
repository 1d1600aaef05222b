"""Two models asked together: how far the scored one's predictions are from its parent's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.backends.backend import Backend
from harness.backends.hf import EngineBackend
from harness.engine.divergence import WindowDivergence, divergences, predictor
from harness.errors import UsageError
from harness.metrics.divergence import binned
from harness.types import (
    Answer,
    Diverged,
    Divergence,
    Question,
    Request,
    Response,
    RollingLogLikelihood,
    Tokens,
    Unanswered,
)

VERSION = "2"


class PairBackend:
    """A Backend that answers Divergence, and nothing else; both models stay loaded.

    Raises:
        UsageError: their tokenizers differ: a token of one is no token of the other.
    """

    def __init__(self, scored: EngineBackend, parent: EngineBackend) -> None:
        if scored.vocabulary() != parent.vocabulary():
            raise UsageError(
                "the model and what it is held against have different tokenizers, so that their "
                "predictions cannot be compared token by token: name a model of its own lineage"
            )
        self._scored, self._parent = scored, parent
        self.facts = scored.facts
        self._room = min(scored.max_length, parent.max_length)
        self.identity: Mapping[str, str] = {
            "backend": f"pair {VERSION}",
            "weights": f"{scored.identity['weights']} and {parent.identity['weights']}",
            "room": str(self._room),
            **{f"model's {name}": value for name, value in scored.identity.items()},
            **{f"parent's {name}": value for name, value in parent.identity.items()},
        }
        if not (scored.identity["weights"] and parent.identity["weights"]):
            self.identity = {**self.identity, "weights": ""}

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Texts in the model's own tokens, cut to what both models take at once."""
        texts = [request for request in requests if isinstance(request, Divergence)]
        rolling = self._scored.encode([RollingLogLikelihood(each.text) for each in texts])
        encoded = {
            text: Question(text, _windows(question, self._room), refused=question.refused)
            for text, question in zip(texts, rolling, strict=True)
        }
        return [
            encoded[request]
            if isinstance(request, Divergence)
            else Question(request, refused="two models together are asked for divergences only")
            for request in requests
        ]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One text after the other."""
        base, candidate = predictor(self._parent.loaded), predictor(self._scored.loaded)
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
                continue
            windows = list(divergences(base, candidate, question.tokens))
            yield Answer(index, _summed(windows), tokens_in=sum(len(each.kl) for each in windows))

    def relaid(self) -> None:
        """Both models are run on one window at a time: there is no second layout."""

    def tokenize(self, text: str) -> list[int]:
        """The scored model's token ids."""
        return self._scored.tokenize(text)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The scored model's chat template."""
        return self._scored.render_chat(messages, add_generation_prompt)

    def reset_peak_memory(self) -> None:
        """Begin a new measurement."""
        self._scored.reset_peak_memory()

    def peak_memory(self) -> int | None:
        """Of both."""
        return self._scored.peak_memory()


def _summed(windows: Sequence[WindowDivergence]) -> Response:
    """The figures of one text's windows; `Unanswered` where they are no finite numbers."""
    if not windows:
        return Diverged(0.0, 0, 0, 0.0, 0.0, binned([]))
    kl = np.concatenate([window.kl for window in windows])
    change = np.concatenate([window.change for window in windows])
    if not (np.isfinite(kl).all() and np.isfinite(change).all()):
        return Unanswered("a model's predictions are no finite numbers")
    return Diverged(
        kl=float(kl.sum()),
        agreed=sum(int(window.agrees.sum()) for window in windows),
        tokens=len(kl),
        change=float(change.sum()),
        squared_change=float(change @ change),
        bins=binned(kl),
    )


def make_pair(scored: Backend, parent: Backend) -> PairBackend:
    """Put two loaded models side by side.

    Raises:
        UsageError: one was not loaded into the harness's own engine, or their tokenizers differ.
    """
    if not isinstance(scored, EngineBackend) or not isinstance(parent, EngineBackend):
        raise UsageError(
            "only the engine runs two models side by side: leave --backend out, or name hf"
        )
    return PairBackend(scored, parent)


def _windows(question: Question, room: int) -> tuple[Tokens, ...]:
    """Disjoint windows of predicted tokens; each begins with the token before, which is given."""
    if question.refused is not None:
        return ()
    (ids,) = question.tokens
    return tuple(ids[start : start + room + 1] for start in range(0, len(ids) - 1, room))
