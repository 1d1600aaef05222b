"""How candidate answers are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """Several answers to each question.

    Attributes:
        answers: to each question.
        temperature: 0 gives the same answer each time.
        seed: of the first answer; each further one has the next.
        max_tokens: of an answer, at most.
    """

    answers: int
    temperature: float
    seed: int
    max_tokens: int

    def of(self, number: int) -> dict[str, Any]:
        """The settings of one of the answers, as they are kept with it."""
        return {
            "temperature": self.temperature,
            "seed": self.seed + number,
            "max_tokens": self.max_tokens,
        }
