"""What all judges share: batches of like length, what was loaded, failures doc by doc."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
import transformers

from harness.backends.backend import BackendFacts
from harness.errors import UsageError
from harness.memory import peak_resident, reset_peak_resident
from harness.types import Answer, Question, Request, Resembled, Response, Rewarded, Unanswered

TOKENS_A_PASS = 4096
"""Padding counted: what one batch may hold, unless a single text is longer."""


class Marker(Protocol):
    """One kind of judge.

    Attributes:
        model: the loaded model.
        max_length: tokens that it reads.
        identity: what its marks depend on besides the weights: kind, and how texts are joined.
    """

    model: Any
    max_length: int
    identity: Mapping[str, str]

    def question(self, request: Request) -> Question:
        """The request in tokens, refused where this kind of judge has no answer to it."""
        ...

    def mark(self, questions: Sequence[Question]) -> list[Response]:
        """One response per question, from one batch."""
        ...


class Judge:
    """A Backend over a marker: it answers Reward or Resemblance, and nothing else.

    A response that is not a finite number leaves its doc unscored; the others stand.
    """

    def __init__(self, marker: Marker, weights_id: str) -> None:
        self._marker = marker
        model = marker.model
        parameters = list(model.parameters())
        tensors = [*parameters, *model.buffers()]
        self.facts = BackendFacts(
            dtype=str(model.dtype).removeprefix("torch."),
            device=str(model.device),
            parameters=sum(tensor.numel() for tensor in parameters),
            memory_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
            max_length=marker.max_length,
            plan=f"batches of {TOKENS_A_PASS:,} tokens",
        )
        self.identity: Mapping[str, str] = {
            "class": type(model).__qualname__,
            "weights": weights_id,
            "body": self.facts.dtype,
            "transformers": transformers.__version__,
            "torch": torch.__version__.partition("+")[0],
            **marker.identity,
        }

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Each request in the judge's own tokens."""
        return [self._marker.question(request) for request in requests]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Refusals first, then batches from the longest text to the shortest."""
        asked: list[int] = []
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
            else:
                asked.append(index)
        asked.sort(key=lambda index: -_length(questions[index]))
        while asked:
            longest = max(1, _length(questions[asked[0]]))
            together = asked[: max(1, TOKENS_A_PASS // longest)]
            asked = asked[len(together) :]
            with torch.inference_mode():
                responses = self._marker.mark([questions[index] for index in together])
            for index, response in zip(together, responses, strict=True):
                tokens = sum(len(part) for part in questions[index].tokens)
                yield Answer(index, _finite(response), tokens_in=tokens)

    def relaid(self) -> None:
        """There is no second layout of batches."""

    def tokenize(self, text: str) -> list[int]:
        """A task of token windows cannot be asked of a judge."""
        raise UsageError("a judge marks answers and reads no windows of tokens")

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A judge joins prompt and answer itself."""
        raise UsageError("a judge marks answers and is sent no chats")

    def reset_peak_memory(self) -> None:
        """Begin a new measurement."""
        reset_peak_resident()

    def peak_memory(self) -> int | None:
        """The process's resident memory."""
        return peak_resident()


def _length(question: Question) -> int:
    return max((len(part) for part in question.tokens), default=0)


def _finite(response: Response) -> Response:
    numbers: tuple[float, ...] = ()
    if isinstance(response, Rewarded):
        numbers = (response.value,)
    elif isinstance(response, Resembled):
        numbers = (response.precision, response.recall, response.f1)
    if all(map(math.isfinite, numbers)):
        return response
    return Unanswered("the judge gave no finite number")
