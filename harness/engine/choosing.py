"""Which token comes next, by the request and the model's own generation settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness.types import GenerateUntil, Question, Tokens

TOP_K = 50
"""What `model.generate` draws from where a model names no number, and so what lm-eval does."""


HONOURED = frozenset(
    (
        *("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version"),
        *("do_sample", "temperature", "top_k", "top_p", "repetition_penalty"),
        *("max_length", "max_new_tokens", "use_cache", "cache_implementation"),
    )
)
"""Generation settings that are followed here, or overridden by a request, or without effect."""


def unusual_settings(config: Any) -> list[str]:
    """Generation settings of a model that only its own `generate` follows."""
    named = config.to_diff_dict() if config is not None else {}
    return sorted(
        name
        for name, value in named.items()
        if name not in HONOURED and not name.startswith(("_", "output_", "return_")) and value
    )


@dataclass(frozen=True)
class Chooser:
    """Chooses the tokens of one row.

    Attributes:
        processors: what is done to the logits; those of `model.generate`, in its order.
        generator: draws samples; ``None`` takes the best token.
    """

    processors: LogitsProcessorList
    generator: torch.Generator | None

    @property
    def greedy(self) -> bool:
        """Whether the largest logit is all that counts."""
        return self.generator is None and not self.processors

    @classmethod
    def for_question(cls, question: Question, config: Any) -> Chooser:
        """The chooser for a question.

        A sample is drawn from a generator of its own, seeded with the question: it does not depend
        on what else is in the batch.
        """
        request = question.request
        assert isinstance(request, GenerateUntil)
        steps: list[Any] = []
        penalty = getattr(config, "repetition_penalty", None)
        if penalty is not None and penalty != 1.0:
            steps.append(RepetitionPenaltyLogitsProcessor(penalty))
        if request.temperature == 0:
            return cls(LogitsProcessorList(steps), None)
        steps.append(TemperatureLogitsWarper(request.temperature))
        top_k = getattr(config, "top_k", None)
        if top_k != 0:
            steps.append(TopKLogitsWarper(TOP_K if top_k is None else top_k))
        top_p = getattr(config, "top_p", None)
        if top_p is not None and top_p < 1.0:
            steps.append(TopPLogitsWarper(top_p))
        seed = int.from_bytes(question.digest()[:8], "big") >> 1
        return cls(LogitsProcessorList(steps), torch.Generator().manual_seed(seed))

    def choose(self, prompt: Tokens, generated: Sequence[int], logits: Tensor) -> int:
        """The next token.

        Args:
            prompt: token ids of the prompt.
            generated: those generated so far.
            logits: ``[vocabulary]``.
        """
        ids: Any = torch.tensor([[*prompt, *generated]], device=logits.device)
        scores = self.processors(ids, logits[None].clone())
        if self.generator is None:
            return int(scores.argmax())
        probabilities = torch.softmax(scores[0], -1).cpu()
        return int(torch.multinomial(probabilities, 1, generator=self.generator))
