"""The judge: one forward pass per question, no batching, no cache, no shared prefixes.

Deliberately slow and short. What a question means, in tokens, is lm-eval's (`TemplateLM` in
lm_eval/api/model.py and `HFLM` in lm_eval/models/huggingface.py, 0.4.13), written down once more so
that an engine and its judge cannot be wrong together.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
)

TIE = 1e-4
"""Logits nearer than this may change places when the sums are done in another order."""


class Plain:
    """A transformers model with its default attention, in float32.

    Attributes:
        context: tokens that the model sees at most.
    """

    def __init__(self, folder: Path, context: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.context = context
        self.logits = cache(self._logits)

    def _logits(self, ids: tuple[int, ...]) -> torch.Tensor:
        assert 0 < len(ids) <= self.context
        with torch.no_grad():
            logits: torch.Tensor = self.model(torch.tensor([ids])).logits[0]
        return logits.double()

    @cached_property
    def prefix(self) -> int:
        """What an empty context stands for."""
        return int(self.tokenizer.bos_token_id)

    def encode(self, text: str) -> list[int]:
        """Token ids, with BOS where the tokenizer adds it and the text does not begin with it."""
        special = not text.startswith(self.tokenizer.bos_token)
        return list(self.tokenizer.encode(text, add_special_tokens=special))

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """The border is where the context's own tokens end; its trailing spaces move over it."""
        if not context:
            ids = list(self.tokenizer.encode(continuation, add_special_tokens=False))
            return (ids[:1], ids[1:]) if ids[:1] == [self.prefix] else ([self.prefix], ids)
        kept = context.rstrip()
        before = self.encode(kept)
        return before, self.encode(kept + context[len(kept) :] + continuation)[len(before) :]

    def predictions(self, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """For every token but the first: its log-probability, and whether it is the argmax.

        The last token of ``ids`` is only predicted, so ``ids`` may be one longer than the context.
        """
        logits = self.logits(tuple(ids[:-1]))
        targets = torch.tensor(ids[1:])
        logprobs = torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]
        return logprobs, logits.argmax(-1) == targets

    def loglikelihood(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        """Of the continuation; the context loses tokens on the left where both are too long."""
        logprobs, best = self.predictions((context + continuation)[-(self.context + 1) :])
        size = len(continuation)
        return float(logprobs[-size:].sum()), bool(best[-size:].all())

    def rolling(self, text: str) -> float:
        """Every token once; the last window, mostly shorter, looks back as far as it can."""
        ids = [self.prefix, *self.encode(text)]
        total, done = 0.0, 1
        while done < len(ids):
            end = min(done + self.context, len(ids))
            logprobs, _ = self.predictions(ids[max(0, end - self.context - 1) : end])
            total += float(logprobs[-(end - done) :].sum())
            done = end
        return total

    def greedy(self, request: GenerateUntil) -> tuple[str, float]:
        """The text before the first stop string, and the narrowest lead of a chosen token."""
        ids = self.encode(request.context)[-(self.context - request.max_new_tokens) :]
        stops = [stop for stop in (*request.until, self.tokenizer.eos_token) if stop]
        made: list[int] = []
        text, lead = "", float("inf")
        while len(made) < request.max_new_tokens:
            best = self.logits((*ids, *made))[-1].topk(2)
            lead = min(lead, float(best.values[0] - best.values[1]))
            if int(best.indices[0]) == self.tokenizer.eos_token_id:
                break
            made.append(int(best.indices[0]))
            text = self.tokenizer.decode(made, skip_special_tokens=True)
            if any(stop in text for stop in stops):
                break
        for stop in stops:
            text = text.split(stop)[0]
        return text, lead

    def answer(self, request: Request) -> Response:
        """What a backend should answer, but for the wording of a refusal.

        A sampled generation is not for a judge.
        """
        if isinstance(request, LogLikelihood):
            context, continuation = self.encode_pair(request.context, request.continuation)
            if not context or not continuation or len(continuation) > self.context:
                return Unanswered("")
            truncated = len(context) + len(continuation) > self.context + 1
            return LogProb(*self.loglikelihood(context, continuation), truncated)
        if isinstance(request, RollingLogLikelihood):
            return RollingLogProb(self.rolling(request.text))
        if isinstance(request, GenerateUntil):
            assert request.temperature == 0
            room = self.context - request.max_new_tokens
            truncated = len(self.encode(request.context)) > room
            return Generation(self.greedy(request)[0], truncated)
        return RollingLogProb(float(self.predictions(list(request.tokens))[0].sum()))
