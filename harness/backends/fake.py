"""A backend without a model: answers follow from the request's text. For tests.

It is no entry of `BACKENDS`: no command can score with it by mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.backends.backend import BackendFacts
from harness.metrics.divergence import binned
from harness.types import (
    Answer,
    Diverged,
    Divergence,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Request,
    Resembled,
    Response,
    Reward,
    Rewarded,
    RollingLogLikelihood,
    RollingLogProb,
    WindowLogLikelihood,
)

Script = Callable[[Request], Response | None]


class FakeBackend:
    """Answers by the script, and where the script has no answer by a hash of the request.

    Args:
        script: may answer a request, may raise to stand for a fault, returns ``None`` to pass.
        order: positions in which requests are answered; as given by default.
        other: what stands for this model under another batch layout.
    """

    def __init__(
        self,
        script: Script = lambda request: None,
        order: Callable[[int], Sequence[int]] = range,
        other: FakeBackend | None = None,
    ) -> None:
        self._script, self._order, self._other = script, order, other
        self.facts = BackendFacts("float32", "cpu", 1, 4, 2048, "in order")
        self.identity: Mapping[str, str] = {"backend": "fake"}
        self.asked: list[Request] = []

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """No tokens: the text itself is the question."""
        return [Question(request) for request in requests]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in the order of ``order``."""
        for index in self._order(len(questions)):
            request = questions[index].request
            self.asked.append(request)
            response = self._script(request) or _by_hash(request)
            yield Answer(index, response, tokens_in=1, tokens_out=isinstance(response, Generation))

    def relaid(self) -> FakeBackend | None:
        """The other one, if there is one."""
        return self._other

    def tokenize(self, text: str) -> list[int]:
        """One token per word."""
        return [len(word) for word in text.split()]

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A plain transcript."""
        lines = [f"{message['role']}: {message['content']}" for message in messages]
        return "\n".join([*lines, "assistant:"] if add_generation_prompt else lines)

    def reset_peak_memory(self) -> None:
        """There is nothing to measure."""

    def peak_memory(self) -> int | None:
        """Unknown."""
        return None


def _by_hash(request: Request) -> Response:
    number = int.from_bytes(hashlib.sha256(repr(request).encode()).digest()[:4], "big") / 2**32
    if isinstance(request, LogLikelihood):
        return LogProb(-10 * number - 0.1, number > 0.5)
    if isinstance(request, RollingLogLikelihood):
        return RollingLogProb(-3.0 * len(request.text.split()))
    if isinstance(request, GenerateUntil):
        text = f" The answer is {number:.3f}.\n#### {int(number * 100)}"
        ends = [at for stop in request.until if stop and (at := text.find(stop)) >= 0]
        return Generation(text[: min(ends, default=len(text))])
    if isinstance(request, WindowLogLikelihood):
        return RollingLogProb(-(2.5 + number) * len(request.tokens))
    if isinstance(request, Divergence):
        tokens = len(request.text.split())
        bins = binned([number] * tokens)
        return Diverged(number * tokens, int(number * tokens), tokens, 0.0, 0.0, bins)
    return Rewarded(number) if isinstance(request, Reward) else Resembled(number, number, number)
