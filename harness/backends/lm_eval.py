"""lm-eval's own `hf` model behind the Backend protocol: the reference for every other backend.
Any other of its classes, or `hf` with arguments: `harness.backends.lm_eval_class`.

Nothing is computed here that lm-eval does not compute: this module orders the requests by length,
chooses batch sizes that fit into memory, silences progress bars, and counts tokens.
"""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lm_eval
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from harness.backends.backend import Backend, BackendFacts, LmEvalModel, LoadOptions
from harness.chat_template import render_as_lm_eval
from harness.engine.model import free_memory, load_model
from harness.engine.quantized import check, measure
from harness.errors import HarnessError, WeightsError
from harness.memory import peak_resident, reset_peak_resident
from harness.quantization import declared
from harness.types import (
    Answer,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
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

Asked = tuple[int, Question]
"""A question with its place among all."""


class _QuietHFLM(HFLM):  # type: ignore[misc]  # lm-eval ships no types
    """HFLM whose rolling windows draw no progress bar each."""

    def _loglikelihood_tokens(
        self, requests: Any, disable_tqdm: bool = False, override_bs: int | None = None
    ) -> Any:
        return super()._loglikelihood_tokens(requests, True, override_bs)


class LmEvalBackend:
    """A Backend over an `HFLM`."""

    def __init__(self, model: HFLM, weights_id: str = "") -> None:
        self._lm = model
        body = model.model
        footprint = measure(body)
        self.facts = BackendFacts(
            dtype=str(body.dtype).removeprefix("torch."),
            device=str(model.device),
            parameters=footprint.parameters,
            memory_bytes=footprint.memory_bytes,
            max_length=model.max_length,
            plan=f"batches of at most {MAX_BATCH}",
        )
        self.identity: Mapping[str, str] = {
            "backend": f"lm_eval {lm_eval.__version__}",
            "class": type(body).__qualname__,
            "code": "transformers" if body.__module__.startswith("transformers.") else "its own",
            "weights": weights_id,
            "body": self.facts.dtype,
            "head": self.facts.dtype,
            "quantization": repr(getattr(body.config, "quantization_config", None)),
            **({"kernels": footprint.kernels} if footprint.kernels else {}),
        }
        self._vocabulary = int(model.vocab_size)
        self._max_length = int(model.max_length)

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Tokens by lm-eval's own rules, uncut: lm-eval cuts when it answers."""
        return [self._encode(request) for request in requests]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Answer by kind: log-likelihoods, rolling, windows, generations."""
        by_kind: dict[type[Request], list[Asked]] = {}
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
            else:
                by_kind.setdefault(type(question.request), []).append((index, question))
        yield from self._loglikelihoods(by_kind.get(LogLikelihood, []))
        for index, question in by_kind.get(RollingLogLikelihood, []):
            yield self._rolling(index, question)
        for index, question in by_kind.get(WindowLogLikelihood, []):
            yield self._window(index, question)
        yield from self._generations(by_kind.get(GenerateUntil, []))

    def relaid(self) -> None:
        """None: batches are lm-eval's own, so that answers can be held against it."""

    def tokenize(self, text: str) -> list[int]:
        """The tokenizer's own defaults; no warning that a corpus is longer than a context."""
        return list(self._lm.tokenizer(text, verbose=False).input_ids)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The tokenizer's chat template, as lm-eval applies it."""
        return render_as_lm_eval(self._lm.tokenizer, messages, add_generation_prompt)

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

    def _loglikelihoods(self, asked: list[Asked]) -> Iterator[Answer]:
        # lm-eval's own order: longest first, equal contexts side by side.
        asked.sort(
            key=lambda item: (-_length(item[1]), list(item[1].tokens[0] + item[1].tokens[1]))
        )
        start = 0
        while start < len(asked):
            batch = self._batch_size(min(_length(asked[start][1]), self._max_length))
            chunk = asked[start : start + batch * BATCHES_PER_CALL]
            start += len(chunk)
            self._lm.batch_size_per_gpu = batch
            tokens = [
                # lm-eval keys its one-token groups by this pair of texts.
                ((request.context, request.continuation), *map(list, question.tokens))
                for _, question in chunk
                if isinstance(request := question.request, LogLikelihood)
            ]
            results = self._lm._loglikelihood_tokens(tokens)
            for (index, question), (logprob, greedy) in zip(chunk, results, strict=True):
                count = min(_length(question) - 1, self._max_length)
                answer = LogProb(float(logprob), bool(greedy), question.truncated)
                yield Answer(index, _finite(answer), count)

    def _encode(self, request: Request) -> Question:
        if isinstance(request, LogLikelihood):
            return self._encode_pair(request)
        if isinstance(request, GenerateUntil):
            return self._encode_prompt(request)
        if isinstance(request, WindowLogLikelihood):
            refused = None
            if len(request.tokens) > self._max_length:
                refused = (
                    f"a window has {len(request.tokens)} tokens, "
                    f"the model's context {self._max_length}"
                )
            return Question(request, (array("i", request.tokens),), refused=refused)
        if not isinstance(request, RollingLogLikelihood):
            return Question(request, refused="a language model does not judge answers")
        ids = self._lm.tok_encode(request.text)
        refused = None if ids else "the text has no tokens"
        return Question(request, (array("i", [self._lm.prefix_token_id, *ids]),), refused=refused)

    def _encode_pair(self, request: LogLikelihood) -> Question:
        """lm-eval's border between context and continuation, empty contexts included."""
        lm = self._lm
        if request.context:
            context, continuation = lm._encode_pair(request.context, request.continuation)
        else:
            continuation = lm.tok_encode(request.continuation, add_special_tokens=False)
            context = [lm.prefix_token_id]
            if continuation and continuation[0] == lm.prefix_token_id:
                context, continuation = continuation[:1], continuation[1:]
        return Question(
            request,
            (array("i", context), array("i", continuation)),
            truncated=len(context) + len(continuation) > self._max_length + 1,
            refused=self._problem(len(context), len(continuation)),
        )

    def _encode_prompt(self, request: GenerateUntil) -> Question:
        ids = self._lm.tok_encode(request.context)
        room = self._max_length - request.max_new_tokens
        refused = None
        if room <= 0:
            refused = (
                f"{request.max_new_tokens} new tokens leave no room for a prompt in a context "
                f"of {self._max_length}"
            )
        elif not ids:
            refused = "the prompt has no tokens"
        return Question(request, (array("i", ids),), truncated=len(ids) > room, refused=refused)

    def _problem(self, context: int, continuation: int) -> str | None:
        if not context or not continuation:
            return "the prompt has no tokens" if not context else "the continuation has no tokens"
        if continuation > self._max_length:
            return (
                f"the continuation has {continuation} tokens, "
                f"the model's context {self._max_length}"
            )
        return None

    def _rolling(self, index: int, question: Question) -> Answer:
        # One row at a time: lm-eval allocates rows x window x vocabulary in float32, 1.6 GB a row
        # for a window of 8,192 tokens and a vocabulary of 49,152.
        self._lm.batch_size_per_gpu = 1
        assert isinstance(question.request, RollingLogLikelihood)
        instance = _instance(question.request.text)
        (logprob,) = self._lm.loglikelihood_rolling([instance], disable_tqdm=True)
        answer = RollingLogProb(float(logprob))
        return Answer(index, _finite(answer), len(question.tokens[0]) - 1)

    def _window(self, index: int, question: Question) -> Answer:
        tokens = list(question.tokens[0])
        self._lm.batch_size_per_gpu = 1
        ((logprob, _),) = self._lm._loglikelihood_tokens([(None, tokens[:1], tokens[1:])])
        return Answer(index, _finite(RollingLogProb(float(logprob))), len(tokens))

    def _generations(self, asked: list[Asked]) -> Iterator[Answer]:
        groups: dict[Any, list[tuple[int, Question, GenerateUntil]]] = {}
        for index, question in asked:
            request = question.request
            assert isinstance(request, GenerateUntil)
            settings = (request.until, request.max_new_tokens, request.temperature)
            groups.setdefault(settings, []).append((index, question, request))
        for group in groups.values():
            # lm-eval's own order, so that its batches are these batches.
            group.sort(key=lambda item: (-len(item[1].tokens[0]), item[2].context))
            for start in range(0, len(group), MAX_BATCH):
                yield from self._generate_batch(group[start : start + MAX_BATCH])

    def _generate_batch(
        self, batch: Sequence[tuple[int, Question, GenerateUntil]]
    ) -> Iterator[Answer]:
        self._lm.batch_size_per_gpu = MAX_BATCH
        # As lm-eval does before a run: sampled answers are the same the next time. Repeats that
        # fill several batches are not the same in each.
        torch.manual_seed(SEED + batch[0][2].repeat)
        texts = self._lm.generate_until(
            [_instance(request.context, _options(request)) for _, _, request in batch],
            disable_tqdm=True,
        )
        for (index, question, request), text in zip(batch, texts, strict=True):
            tokens = min(len(question.tokens[0]), self._max_length - request.max_new_tokens)
            generated = len(self._lm.tok_encode(text, add_special_tokens=False)) if text else 0
            yield Answer(index, Generation(text, question.truncated), tokens, generated)

    def _batch_size(self, length: int) -> int:
        """Rows of ``length`` tokens whose logits fit into a third of the free memory."""
        free = free_memory(self._lm.device)
        rows = free // 3 // (length * self._vocabulary * LOGIT_BYTES)
        return max(1, min(MAX_BATCH, rows))


def load(options: LoadOptions) -> Backend:
    """Load an ordinary Hugging Face folder into lm-eval's `hf` model, or what else was named.

    Raises:
        UsageError: lm-eval has no such class, or it cannot be asked so.
        WeightsError: transformers or lm-eval cannot load it, with their reason.
    """
    if options.lm_eval != LmEvalModel():
        from harness.backends.lm_eval_class import load_class

        return load_class(options)
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        model = _QuietHFLM(
            pretrained=_quantized(options) or str(options.path),
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
    except HarnessError:
        raise
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"the model in {options.path} cannot be loaded: {reason}") from None
    check(measure(model.model), declared(options.path), options.quantization, options.path)
    return LmEvalBackend(model, options.weights_id)


def _quantized(options: LoadOptions) -> Any:
    """A quantized model as the engine loads it; ``None`` for any other, which lm-eval loads."""
    if declared(options.path) is None:
        return None
    loaded = load_model(
        options.path, options.dtype, options.trust_remote_code, "model", options.quantization
    )
    return loaded.causal


def _length(question: Question) -> int:
    return sum(map(len, question.tokens))


def _finite(response: LogProb | RollingLogProb) -> LogProb | RollingLogProb | Unanswered:
    if math.isfinite(response.logprob):
        return response
    return Unanswered(f"the log-probability is {response.logprob}")


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
