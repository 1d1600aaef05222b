"""lm-eval's own `hf` model behind the Backend protocol: the reference for every other backend.

Nothing is computed here that lm-eval does not compute: this module orders the requests by length,
chooses batch sizes that fit into memory, silences progress bars, and counts tokens.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from harness.backends.backend import Answer, BackendFacts, LoadOptions
from harness.errors import WeightsError
from harness.memory import peak_resident, reset_peak_resident
from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
    WindowLogLikelihood,
)

MAX_BATCH = 16
BATCHES_PER_CALL = 4
SEED = 1234
LOGIT_BYTES = 8
"""Per token and vocabulary entry: lm-eval holds the logits and a float32 log-softmax of them."""

TokenPair = tuple[list[int], list[int]]


class _QuietHFLM(HFLM):  # type: ignore[misc]  # lm-eval ships no types
    """HFLM whose rolling windows draw no progress bar each."""

    def _loglikelihood_tokens(
        self, requests: Any, disable_tqdm: bool = False, override_bs: int | None = None
    ) -> Any:
        return super()._loglikelihood_tokens(requests, True, override_bs)


class LmEvalBackend:
    """A Backend over an `HFLM`."""

    def __init__(self, model: HFLM) -> None:
        self._lm = model
        body = model.model
        tensors = [*body.parameters(), *body.buffers()]
        self.facts = BackendFacts(
            dtype=str(body.dtype).removeprefix("torch."),
            device=str(model.device),
            parameters=sum(parameter.numel() for parameter in body.parameters()),
            memory_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
            max_length=model.max_length,
        )
        self._vocabulary = int(model.vocab_size)

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer by kind: log-likelihoods, rolling, windows, generations."""
        by_kind: dict[type[Request], list[tuple[int, Any]]] = {}
        for index, request in enumerate(requests):
            by_kind.setdefault(type(request), []).append((index, request))
        yield from self._loglikelihoods(by_kind.get(LogLikelihood, []))
        for index, request in by_kind.get(RollingLogLikelihood, []):
            yield self._rolling(index, request)
        for index, request in by_kind.get(WindowLogLikelihood, []):
            yield self._window(index, request)
        yield from self._generations(by_kind.get(GenerateUntil, []))

    def tokenize(self, text: str) -> list[int]:
        """The tokenizer's own defaults; no warning that a corpus is longer than a context."""
        return list(self._lm.tokenizer(text, verbose=False).input_ids)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The tokenizer's chat template, as lm-eval applies it."""
        if self._lm.tokenizer.chat_template is None:
            raise WeightsError(
                f"{self._lm.tokenizer.name_or_path}: the tokenizer has no chat template; set "
                "`chat_template: false` in the model's registry entry"
            )
        return str(self._lm.apply_chat_template(messages, add_generation_prompt))

    def reset_peak_memory(self) -> None:
        """Begin a new measurement."""
        if self._lm.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._lm.device)
        reset_peak_resident()

    def peak_memory(self) -> int | None:
        """Device memory on an accelerator, else the process's resident memory."""
        if self._lm.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._lm.device))
        return peak_resident()

    def _loglikelihoods(self, asked: Sequence[tuple[int, LogLikelihood]]) -> Iterator[Answer]:
        encoded: list[tuple[int, LogLikelihood, TokenPair]] = []
        for index, request in asked:
            pair = self._encode(request)
            problem = self._problem(pair)
            if problem:
                yield Answer(index, Unanswered(problem))
            else:
                encoded.append((index, request, pair))
        # lm-eval's own order: longest first, equal contexts side by side.
        encoded.sort(key=lambda item: (-_length(item[2]), item[2][0] + item[2][1]))
        start = 0
        while start < len(encoded):
            batch = self._batch_size(min(_length(encoded[start][2]), self.facts.max_length))
            chunk = encoded[start : start + batch * BATCHES_PER_CALL]
            start += len(chunk)
            self._lm.batch_size_per_gpu = batch
            tokens = [
                ((request.context, request.continuation), *pair) for _, request, pair in chunk
            ]
            results = self._lm._loglikelihood_tokens(tokens)
            for (index, _, pair), (logprob, greedy) in zip(chunk, results, strict=True):
                yield self._logprob_answer(index, pair, float(logprob), bool(greedy))

    def _logprob_answer(self, index: int, pair: TokenPair, logprob: float, greedy: bool) -> Answer:
        tokens = min(_length(pair) - 1, self.facts.max_length)
        if not math.isfinite(logprob):
            return Answer(index, Unanswered(f"the log-probability is {logprob}"), tokens)
        truncated = _length(pair) > self.facts.max_length + 1
        return Answer(index, LogProb(logprob, greedy, truncated), tokens)

    def _encode(self, request: LogLikelihood) -> TokenPair:
        """lm-eval's border between context and continuation, empty contexts included."""
        lm = self._lm
        if request.context:
            context, continuation = lm._encode_pair(request.context, request.continuation)
            return list(context), list(continuation)
        continuation = lm.tok_encode(request.continuation, add_special_tokens=False)
        if continuation and continuation[0] == lm.prefix_token_id:
            return continuation[:1], continuation[1:]
        return [lm.prefix_token_id], continuation

    def _problem(self, pair: TokenPair) -> str | None:
        context, continuation = pair
        if not context or not continuation:
            return "the prompt has no tokens" if not context else "the continuation has no tokens"
        if len(continuation) > self.facts.max_length:
            return (
                f"the continuation has {len(continuation)} tokens, "
                f"the model's context {self.facts.max_length}"
            )
        return None

    def _rolling(self, index: int, request: RollingLogLikelihood) -> Answer:
        # One row at a time: lm-eval allocates rows x window x vocabulary in float32, 1.6 GB a row
        # for a window of 8,192 tokens and a vocabulary of 49,152.
        self._lm.batch_size_per_gpu = 1
        tokens = len(self._lm.tok_encode(request.text))
        if tokens == 0:
            return Answer(index, Unanswered("the text has no tokens"))
        (logprob,) = self._lm.loglikelihood_rolling([_instance(request.text)], disable_tqdm=True)
        if not math.isfinite(logprob):
            return Answer(index, Unanswered(f"the log-probability is {logprob}"), tokens)
        return Answer(index, RollingLogProb(float(logprob)), tokens)

    def _window(self, index: int, request: WindowLogLikelihood) -> Answer:
        tokens = list(request.tokens)
        if len(tokens) > self.facts.max_length:
            reason = (
                f"a window has {len(tokens)} tokens, the model's context {self.facts.max_length}"
            )
            return Answer(index, Unanswered(reason))
        self._lm.batch_size_per_gpu = 1
        ((logprob, _),) = self._lm._loglikelihood_tokens([(None, tokens[:1], tokens[1:])])
        if not math.isfinite(logprob):
            return Answer(index, Unanswered(f"the log-probability is {logprob}"), len(tokens))
        return Answer(index, RollingLogProb(float(logprob)), len(tokens))

    def _generations(self, asked: Sequence[tuple[int, GenerateUntil]]) -> Iterator[Answer]:
        sized: list[tuple[int, GenerateUntil, int]] = []
        for index, request in asked:
            if request.max_new_tokens >= self.facts.max_length:
                reason = (
                    f"{request.max_new_tokens} new tokens leave no room for a prompt in a context "
                    f"of {self.facts.max_length}"
                )
                yield Answer(index, Unanswered(reason))
            else:
                sized.append((index, request, len(self._lm.tok_encode(request.context))))
        # lm-eval's own order, so that its batches are these batches.
        sized.sort(key=lambda item: (-item[2], item[1].context))
        groups: dict[Any, list[tuple[int, GenerateUntil, int]]] = {}
        for item in sized:
            groups.setdefault(
                (item[1].until, item[1].max_new_tokens, item[1].temperature), []
            ).append(item)
        for group in groups.values():
            for start in range(0, len(group), MAX_BATCH):
                yield from self._generate_batch(group[start : start + MAX_BATCH])

    def _generate_batch(self, batch: Sequence[tuple[int, GenerateUntil, int]]) -> Iterator[Answer]:
        self._lm.batch_size_per_gpu = MAX_BATCH
        # As lm-eval does before a run: sampled answers are the same the next time.
        torch.manual_seed(SEED)
        texts = self._lm.generate_until(
            [_instance(request.context, _options(request)) for _, request, _ in batch],
            disable_tqdm=True,
        )
        for (index, request, tokens), text in zip(batch, texts, strict=True):
            room = self.facts.max_length - request.max_new_tokens
            generated = len(self._lm.tok_encode(text, add_special_tokens=False)) if text else 0
            yield Answer(index, Generation(text, tokens > room), min(tokens, room), generated)

    def _batch_size(self, length: int) -> int:
        """Rows of ``length`` tokens whose logits fit into a third of the free memory."""
        free = psutil.virtual_memory().available
        if self._lm.device.type == "cuda":
            free = torch.cuda.mem_get_info(self._lm.device)[0]
        rows = free // 3 // (length * self._vocabulary * LOGIT_BYTES)
        return max(1, min(MAX_BATCH, int(rows)))


def load(options: LoadOptions) -> LmEvalBackend:
    """Load an ordinary Hugging Face folder into lm-eval's `hf` model.

    Raises:
        WeightsError: transformers or lm-eval cannot load it, with their reason.
    """
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        model = _QuietHFLM(
            pretrained=str(options.path),
            tokenizer=str(options.tokenizer),
            dtype=options.dtype,
            # lm-eval's default sums log-probabilities in the model's dtype: in bfloat16 a window of
            # -2,704 nats is then off by up to 8.
            softmax_dtype="float32",
            batch_size=MAX_BATCH,
            device=device,
            add_bos_token=options.add_bos,
            trust_remote_code=options.trust_remote_code,
        )
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"the model in {options.path} cannot be loaded: {reason}") from None
    return LmEvalBackend(model)


def _length(pair: TokenPair) -> int:
    return len(pair[0]) + len(pair[1])


def _instance(*arguments: Any) -> Instance:
    return Instance(request_type="generate_until", doc={}, arguments=arguments, idx=0)


def _options(request: GenerateUntil) -> dict[str, Any]:
    options: dict[str, Any] = {
        "until": list(request.until),
        "max_gen_toks": request.max_new_tokens,
        "do_sample": request.temperature > 0,
    }
    if request.temperature > 0:
        options["temperature"] = request.temperature
    return options
