"""The two sides, each as its own users run it; imported in a child only.

`EngineSide` is a backend of the harness. `LmEvalSide` is lm-eval's `HFLM` itself, not the harness's
backend of that name, which orders, batches and sums in ways of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from harness.backends.backend import LoadOptions, load_backend
from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    RollingLogLikelihood,
    RollingLogProb,
)
from tests.bench.messages import Setup, Value
from tests.bench.necessary import Needed, needed
from tests.bench.works import KINDS

WARM_UP_REQUESTS = 4
WARM_UP_TOKENS = 8
WARM_UP_CHARACTERS = 2_000


class Side(Protocol):
    """Answers requests, from texts to values."""

    model: Any

    def answer(self, requests: Sequence[Request], batch: int) -> list[Value]:
        """All requests, in order."""
        ...


class EngineSide:
    """A backend of the harness, asked as the runner asks it."""

    def __init__(self, setup: Setup) -> None:
        loaded: Any = load_backend(
            setup.backend,
            LoadOptions(
                path=Path(setup.path),
                tokenizer=Path(setup.tokenizer),
                dtype=setup.dtype,
                add_bos=setup.add_bos,
                trust_remote_code=setup.trust_remote_code,
                weights_id=setup.weights_id,
            ),
        )
        self._backend, self.model = loaded, loaded.model

    def answer(self, requests: Sequence[Request], batch: int) -> list[Value]:
        """The backend chooses its batches itself."""
        values: list[Value] = [None] * len(requests)
        for answer in self._backend.answer(self._backend.encode(requests)):
            response = answer.response
            if isinstance(response, LogProb | RollingLogProb):
                values[answer.index] = response.logprob
            elif isinstance(response, Generation):
                values[answer.index] = response.text
        return values


class LmEvalSide:
    """lm-eval's `hf` model with its defaults."""

    def __init__(self, setup: Setup) -> None:
        import torch
        import transformers
        from lm_eval.models.huggingface import HFLM

        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        self._lm: Any = HFLM(
            pretrained=setup.path,
            tokenizer=setup.tokenizer,
            dtype=setup.dtype,
            device="cuda:0" if torch.cuda.is_available() else "cpu",
            add_bos_token=setup.add_bos,
            trust_remote_code=setup.trust_remote_code,
        )
        self.model = self._lm.model

    def answer(self, requests: Sequence[Request], batch: int) -> list[Value]:
        """All of a kind in one call, as lm-eval's evaluator does."""
        self._lm.batch_size_per_gpu = batch
        kind = KINDS[type(requests[0])]
        answers = getattr(self._lm, kind)(_instances(requests), disable_tqdm=True)
        if kind == "loglikelihood":
            return [float(logprob) for logprob, _ in answers]
        return [text if isinstance(text, str) else float(text) for text in answers]

    def needed(self, requests: Sequence[Request], texts: Sequence[str]) -> Needed:
        """What the requests need, counted in lm-eval's own tokens; no model is run."""
        if isinstance(requests[0], GenerateUntil):
            return needed(
                ((self._prompt(request), 1) for request in requests),
                [self._generated(*pair) for pair in zip(requests, texts, strict=True)],
            )
        caught: list[Any] = []

        def catch(requests: Any, **_: Any) -> list[tuple[float, bool]]:
            caught.extend(requests)
            return [(0.0, False)] * len(requests)

        self._lm._loglikelihood_tokens = catch
        try:
            getattr(self._lm, KINDS[type(requests[0])])(_instances(requests), disable_tqdm=True)
        finally:
            del self._lm._loglikelihood_tokens
        longest = self._lm.max_length + 1
        return needed(
            ((context + continuation)[-longest:][:-1], len(continuation))
            for _, context, continuation in caught
        )

    def _prompt(self, request: Request) -> list[int]:
        assert isinstance(request, GenerateUntil)
        ids: list[int] = self._lm.tok_encode(request.context)
        return ids[-(self._lm.max_length - request.max_new_tokens) :]

    def _generated(self, request: Request, text: str) -> int:
        """Tokens of a text, at least the one that ended it and at most what was allowed: it may be
        cut into more tokens than it was made of.
        """
        assert isinstance(request, GenerateUntil)
        ids = self._lm.tok_encode(text, add_special_tokens=False) if text else []
        return max(1, min(len(ids), request.max_new_tokens))


def load_side(setup: Setup) -> Side:
    """Load what a child was told to."""
    return LmEvalSide(setup) if setup.backend == "lm_eval" else EngineSide(setup)


def warm_up_requests(requests: Sequence[Request]) -> list[Request]:
    """A few requests of the same size as the first ones and with none of their prefixes, so that
    nothing which is timed later has been seen: the words are turned round.
    """
    return [_turned(request) for request in requests[:WARM_UP_REQUESTS]]


def _turned(request: Request) -> Request:
    if isinstance(request, LogLikelihood):
        return replace(request, context=_backwards(request.context))
    if isinstance(request, RollingLogLikelihood):
        return replace(request, text=_backwards(request.text[:WARM_UP_CHARACTERS]))
    assert isinstance(request, GenerateUntil)
    return replace(
        request,
        context=_backwards(request.context),
        max_new_tokens=min(WARM_UP_TOKENS, request.max_new_tokens),
    )


def _backwards(text: str) -> str:
    return " ".join(reversed(text.split()))


def _instances(requests: Sequence[Request]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type=KINDS[type(request)], doc={}, arguments=_arguments(request), idx=0)
        for request in requests
    ]


def _arguments(request: Request) -> tuple[Any, ...]:
    if isinstance(request, LogLikelihood):
        return (request.context, request.continuation)
    if isinstance(request, RollingLogLikelihood):
        return (request.text,)
    assert isinstance(request, GenerateUntil)
    options = {
        "until": list(request.until),
        "max_gen_toks": request.max_new_tokens,
        "do_sample": request.temperature > 0,
        "temperature": request.temperature,
    }
    return (request.context, options)
