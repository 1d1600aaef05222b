"""The harness's own engine behind the Backend protocol: any causal model of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import transformers

from harness.backends.backend import BackendFacts, LoadOptions
from harness.chat_template import render_as_lm_eval
from harness.engine.budget import measured_budget
from harness.engine.encoding import Encoder
from harness.engine.generation import generate_packed
from harness.engine.model import (
    LoadedModel,
    embedding_rows,
    is_out_of_memory,
    load_model,
    load_tokenizer,
)
from harness.engine.plain import generate_plain, score_plain
from harness.engine.quantized import measure
from harness.engine.scoring import score_packed
from harness.engine.selftest import Plan, Score, Verdict, examine
from harness.engine.shared import score_shared
from harness.errors import WeightsError
from harness.memory import give_back_free_memory, peak_resident, reset_peak_resident
from harness.types import Answer, GenerateUntil, Question, Request, Unanswered

VERSION = "1"
"""Of the engine: answers of another version are not taken for this one's."""

SCORE: Mapping[Plan, Score] = {
    "packed": score_packed,
    "shared": score_shared,
    "plain": score_plain,
    "unpadded": partial(score_plain, pad=False),
}

SLOWER: Mapping[Plan, str] = {
    "shared": "runs each long context once and the rest in plain batches",
    "plain": "runs in plain batches",
    "unpadded": "runs in batches of rows of one length",
}
"""What the user is told of a plan that is not the fast one."""


class EngineBackend:
    """A Backend over a transformers model."""

    def __init__(self, verdict: Verdict, encoder: Encoder, weights_id: str, budget: int) -> None:
        self._verdict, self._encoder = verdict, encoder
        self._loaded = verdict.model
        self.budget = budget
        causal = self.model
        # Counted again: some kernels lay their weights out anew when they are first used.
        footprint = measure(causal)
        self.facts = BackendFacts(
            dtype=str(causal.dtype).removeprefix("torch."),
            device=str(self._loaded.device),
            parameters=footprint.parameters,
            memory_bytes=footprint.memory_bytes,
            max_length=encoder.max_length,
            plan=_in_words(verdict, budget),
            remark=_remark(verdict),
            budget=budget,
            packed=verdict.plan == "packed",
        )
        self.identity: Mapping[str, str] = {
            "backend": f"hf {VERSION}",
            "class": type(causal).__qualname__,
            "code": "transformers" if causal.__module__.startswith("transformers.") else "its own",
            "weights": weights_id,
            "body": self.facts.dtype,
            "head": self._loaded.head.dtype,
            "quantization": repr(getattr(causal.config, "quantization_config", None)),
            "transformers": transformers.__version__,
            "torch": torch.__version__.partition("+")[0],
            **({"kernels": footprint.kernels} if footprint.kernels else {}),
        }

    @property
    def model(self) -> Any:
        """The transformers model."""
        return self._loaded.causal

    @property
    def loaded(self) -> LoadedModel:
        """The model as body and head, for two that are run side by side."""
        return self._loaded

    @property
    def max_length(self) -> int:
        """Context in tokens."""
        return self._encoder.max_length

    def vocabulary(self) -> Mapping[str, int]:
        """Every token's id."""
        vocabulary: Mapping[str, int] = self._encoder.tokenizer.get_vocab()
        return vocabulary

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Tokens by lm-eval's rules."""
        return self._encoder.encode(requests)

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Refusals first, then log-likelihoods of all kinds together, then generations.

        Raises:
            WeightsError: memory does not suffice, as little as is asked at a time.
        """
        try:
            yield from self._answer(questions)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).splitlines()[0]
            raise WeightsError(
                f"out of memory, with as little at a time as can be: {said}; free some on "
                f"{self.facts.device}, or ask a smaller or a quantized model"
            ) from None

    def _answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        scored: dict[int, Question] = {}
        generated: dict[int, Question] = {}
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
            elif isinstance(question.request, GenerateUntil):
                generated[index] = question
            else:
                scored[index] = question
        tokenizer, length = self._encoder.tokenizer, self.max_length
        if scored:
            score = SCORE[self._verdict.plan]
            yield from score(self._loaded, scored, length, self.budget)
        if generated and not self._verdict.generates:
            yield from generate_packed(self._loaded, tokenizer, generated, self.budget)
        elif generated:
            pad = self._verdict.plan != "unpadded"
            yield from generate_plain(self._loaded, tokenizer, generated, pad=pad)

    def relaid(self) -> EngineBackend:
        """The same model with half as many tokens a pass."""
        half = max(1, self.budget // 2)
        return EngineBackend(self._verdict, self._encoder, self.identity["weights"], half)

    def tokenize(self, text: str) -> list[int]:
        """The tokenizer's own defaults; no warning that a corpus is longer than a context."""
        return list(self._encoder.tokenizer(text, verbose=False).input_ids)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The tokenizer's chat template, as lm-eval applies it."""
        return render_as_lm_eval(self._encoder.tokenizer, messages, add_generation_prompt)

    def reset_peak_memory(self) -> None:
        """Begin a new measurement."""
        if self._loaded.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._loaded.device)
        reset_peak_resident()

    def peak_memory(self) -> int | None:
        """Device memory on an accelerator, else the process's resident memory."""
        if self._loaded.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._loaded.device))
        return peak_resident()


def _in_words(verdict: Verdict, budget: int) -> str:
    """``packed, 1,024 tokens a pass``; another plan with the reason."""
    words = f"{verdict.plan}, {budget:,} tokens a pass"
    if verdict.reason:
        return f"{words}: {verdict.reason}"
    own = f"; generations by its own `generate`: {verdict.generates}"
    return words + own if verdict.generates else words


def _remark(verdict: Verdict) -> str:
    """That a model is slower than others, and why; empty where it is not."""
    if verdict.plan == "packed":
        own = f"generates with its own `generate`, slower: {verdict.generates}"
        return own if verdict.generates else ""
    return f"{SLOWER[verdict.plan]}, slower: {verdict.reason}"


def load(options: LoadOptions) -> EngineBackend:
    """Load an ordinary Hugging Face folder, test how it can be run, and measure how much at once.

    Raises:
        WeightsError: transformers cannot load it, with its reason, or it is not quantized as it
            should be.
    """
    model: LoadedModel = load_model(
        options.path,
        options.dtype,
        options.trust_remote_code,
        options.head,
        options.quantization,
        spread=options.spread,
    )
    tokenizer = load_tokenizer(options.tokenizer, options.add_bos, options.trust_remote_code)
    rows = embedding_rows(model.causal)
    encoder = Encoder(tokenizer, model.causal.config, options.add_bos, rows)
    verdict = examine(model, encoder.max_length)
    budget = options.budget or measured_budget(verdict, encoder.max_length)
    give_back_free_memory()
    return EngineBackend(verdict, encoder, options.weights_id, budget)
