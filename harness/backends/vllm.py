"""vLLM behind the Backend protocol, for GPUs: the extra ``[vllm]``.

Tokens are the engine's own (`harness.engine.encoding`); vLLM is given ids. Not run on hardware by
this project so far: what is tested is the translation, with a stand-in for the package.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.backends.backend import BackendFacts, LoadOptions
from harness.chat_template import render_as_lm_eval
from harness.checkout import how_to_install
from harness.errors import UsageError, WeightsError
from harness.types import (
    Answer,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Request,
    Response,
    RollingLogProb,
    Unanswered,
)

VERSION = "1"
TOGETHER = 256
"""Requests of one call: what a kill loses at most."""
MOST_CHOICES = 128
"""Tokens whose log-probabilities vLLM 0.30 gives in one place."""
SEED = 1234


class VllmBackend:
    """A Backend over a `vllm.LLM`.

    Args:
        model: the loaded model.
        params: `vllm.SamplingParams`.
        encoder: makes tokens; `harness.engine.encoding.Encoder`.
        identity: all that its answers depend on.
    """

    def __init__(self, model: Any, params: Any, encoder: Any, identity: Mapping[str, str]) -> None:
        self._llm, self._params, self._encoder, self.identity = model, params, encoder, identity
        self.facts = BackendFacts(
            dtype=identity["body"],
            device="cuda:0",
            parameters=None,
            memory_bytes=None,
            max_length=encoder.max_length,
            plan=f"vLLM's own batches, {TOGETHER} requests a call, prefix caching on",
        )

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Tokens by lm-eval's rules."""
        return [self._fitting(question) for question in self._encoder.encode(requests)]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Refusals, one-token choices by context, other log-likelihoods, generations."""
        choices: dict[bytes, list[int]] = {}
        scored: list[int] = []
        generated: list[int] = []
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
            elif isinstance(question.request, GenerateUntil):
                generated.append(index)
            elif isinstance(question.request, LogLikelihood) and len(question.tokens[1]) == 1:
                choices.setdefault(question.tokens[0].tobytes(), []).append(index)
            else:
                scored.append(index)
        yield from self._choices(questions, list(choices.values()))
        yield from self._scored(questions, scored)
        yield from self._generated(questions, generated)

    def relaid(self) -> None:
        """None: batches are vLLM's own."""

    def tokenize(self, text: str) -> list[int]:
        """The tokenizer's own defaults."""
        return list(self._encoder.tokenizer(text, verbose=False).input_ids)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The tokenizer's chat template, as lm-eval applies it."""
        return render_as_lm_eval(self._encoder.tokenizer, messages, add_generation_prompt)

    def reset_peak_memory(self) -> None:
        """There is nothing to measure: vLLM takes a share of the device, used or not."""

    def peak_memory(self) -> int | None:
        """Unknown."""
        return None

    def _choices(
        self, questions: Sequence[Question], groups: Sequence[Sequence[int]]
    ) -> Iterator[Answer]:
        """One token after each context, with the log-probabilities of all its choices.

        The token that is written is the likeliest. Contexts that begin alike share the cache.
        """
        parts = [
            group[at : at + MOST_CHOICES]
            for group in groups
            for at in range(0, len(group), MOST_CHOICES)
        ]
        for start in range(0, len(parts), TOGETHER):
            part = parts[start : start + TOGETHER]
            prompts = [list(questions[group[0]].tokens[0]) for group in part]
            params = [
                self._params(
                    max_tokens=1,
                    temperature=0.0,
                    detokenize=False,
                    logprob_token_ids=sorted({questions[i].tokens[1][0] for i in group}),
                )
                for group in part
            ]
            for group, output in zip(part, self._ask(prompts, params), strict=True):
                (written,) = output.outputs
                for index in group:
                    token = questions[index].tokens[1][0]
                    logprob = written.logprobs[0][token].logprob
                    greedy = written.token_ids[0] == token
                    response = _finite(logprob, greedy, questions[index].truncated)
                    yield Answer(index, response, len(questions[index].tokens[0]))

    def _scored(self, questions: Sequence[Question], places: Sequence[int]) -> Iterator[Answer]:
        """Log-probabilities of a prompt's own tokens; vLLM computes these without its cache."""
        for start in range(0, len(places), TOGETHER):
            part = places[start : start + TOGETHER]
            rows = [_row(questions[index]) for index in part]
            params = self._params(
                max_tokens=1, temperature=0.0, detokenize=False, prompt_logprobs=1
            )
            outputs = self._ask([ids for ids, _ in rows], params)
            for index, (ids, given), output in zip(part, rows, outputs, strict=True):
                found = list(zip(ids, output.prompt_logprobs, strict=True))[given:]
                total = math.fsum(at[token].logprob for token, at in found)
                response: Response = _finite(
                    total, all(at[token].rank == 1 for token, at in found), False
                )
                if isinstance(response, LogProb):
                    response = (
                        LogProb(response.logprob, response.is_greedy, questions[index].truncated)
                        if isinstance(questions[index].request, LogLikelihood)
                        else RollingLogProb(response.logprob)
                    )
                yield Answer(index, response, len(ids))

    def _generated(self, questions: Sequence[Question], places: Sequence[int]) -> Iterator[Answer]:
        for start in range(0, len(places), TOGETHER):
            part = places[start : start + TOGETHER]
            params = [self._sampling(questions[index].request) for index in part]
            prompts = [list(questions[index].tokens[0]) for index in part]
            for index, output in zip(part, self._ask(prompts, params), strict=True):
                (written,) = output.outputs
                response = Generation(written.text, questions[index].truncated)
                tokens = len(questions[index].tokens[0]), len(written.token_ids)
                yield Answer(index, response, *tokens)

    def _fitting(self, question: Question) -> Question:
        """VLLM writes a token after every prompt: one that fills the context is refused."""
        length = sum(map(len, question.tokens))
        alone = isinstance(question.request, LogLikelihood) and len(question.tokens[1]) == 1
        if question.refused is None and length - alone >= self._encoder.max_length:
            why = f"vLLM needs room for one more token than its {length} in a context"
            return replace(question, refused=f"{why} of {self._encoder.max_length}")
        return question

    def _sampling(self, request: Request) -> Any:
        assert isinstance(request, GenerateUntil)
        return self._params(
            max_tokens=request.max_new_tokens,
            temperature=request.temperature,
            stop=[stop for stop in request.until if stop],
            seed=SEED + request.repeat,
        )

    def _ask(self, prompts: Sequence[list[int]], params: Any) -> Sequence[Any]:
        asked = [{"prompt_token_ids": ids} for ids in prompts]
        outputs: Sequence[Any] = self._llm.generate(asked, params, use_tqdm=False)
        return outputs


def load(options: LoadOptions) -> VllmBackend:
    """Load an ordinary Hugging Face folder into vLLM.

    Raises:
        UsageError: vllm is not installed; says how it is.
        WeightsError: vLLM cannot load it, with its reason.
    """
    try:
        from vllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise UsageError(
            "the backend vllm needs the package vllm, which is not installed: "
            f"{how_to_install('vllm')} (it pins torch itself)"
        ) from None
    from transformers import AutoConfig

    from harness.engine.encoding import Encoder
    from harness.engine.model import load_tokenizer

    tokenizer = load_tokenizer(options.tokenizer, options.add_bos, options.trust_remote_code)
    config = AutoConfig.from_pretrained(options.path, trust_remote_code=options.trust_remote_code)
    encoder = Encoder(tokenizer, config, options.add_bos)
    try:
        model = LLM(
            model=str(options.path),
            tokenizer=str(options.tokenizer),
            dtype=options.dtype,
            trust_remote_code=options.trust_remote_code,
            enable_prefix_caching=True,
            seed=SEED,
        )
    except Exception as error:  # of many kinds, and of many processes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"vLLM cannot load {options.path}: {reason}") from None
    identity = {
        "backend": f"vllm {VERSION}",
        "vllm": importlib.metadata.version("vllm"),
        "weights": options.weights_id,
        "body": options.dtype,
        "quantization": str(options.quantization),
    }
    return VllmBackend(model, SamplingParams, encoder, identity)


def _row(question: Question) -> tuple[list[int], int]:
    """A question's ids as one prompt, and how many of them are given."""
    ids = [token for part in question.tokens for token in part]
    if len(question.tokens) == 2:
        return ids, len(question.tokens[0])
    return ids, 1


def _finite(logprob: float, greedy: bool, truncated: bool) -> LogProb | Unanswered:
    if math.isfinite(logprob):
        return LogProb(logprob, greedy, truncated)
    return Unanswered(f"the log-probability is {logprob}")
