"""What is asked of vLLM and read out of its answers, with a stand-in; not the package itself."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.backends.backend import LoadOptions, load_backend
from harness.backends.hf import EngineBackend
from harness.backends.vllm import VllmBackend
from harness.errors import UsageError, WeightsError
from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
)


@dataclass
class StandIn:
    """A `vllm.LLM` for which token t has the log-probability -t/100, and 7 is the likeliest."""

    asked: list[tuple[Any, Any]] = field(default_factory=list)

    def generate(self, prompts: Any, params: Any, use_tqdm: bool) -> list[Any]:
        each = params if isinstance(params, list) else [params] * len(prompts)
        self.asked += zip(prompts, each, strict=True)
        return [
            self._output(prompt["prompt_token_ids"], one)
            for prompt, one in zip(prompts, each, strict=True)
        ]

    def _output(self, ids: list[int], params: SimpleNamespace) -> Any:
        def at(token: int) -> Any:
            return SimpleNamespace(logprob=-token / 100, rank=1 if token == 7 else 2)

        wanted = [7, *getattr(params, "logprob_token_ids", [])]
        written = SimpleNamespace(
            text=" written", token_ids=[7], logprobs=[{token: at(token) for token in wanted}]
        )
        return SimpleNamespace(
            outputs=[written], prompt_logprobs=[None, *({token: at(token)} for token in ids[1:])]
        )


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Any:
    backend = load_backend("hf", LoadOptions(tiny_model, tiny_model, "float32"))
    assert isinstance(backend, EngineBackend)
    return backend._encoder


def test_one_token_choices_of_a_context_are_one_request_with_the_cache(encoder: Any) -> None:
    llm = StandIn()
    backend = VllmBackend(llm, SimpleNamespace, encoder, {"body": "auto"})
    requests = [LogLikelihood("a", letter) for letter in "xzq"]
    questions = backend.encode(requests)
    assert [len(question.tokens[1]) for question in questions] == [1, 1, 1]
    answers = list(backend.answer(questions))
    tokens = [question.tokens[1][0] for question in questions]
    assert [answer.response for answer in answers] == [
        LogProb(-token / 100, token == 7) for token in tokens
    ]
    ((prompt, params),) = llm.asked
    assert prompt == {"prompt_token_ids": list(questions[0].tokens[0])}
    assert params.logprob_token_ids == sorted(tokens)
    assert (params.max_tokens, params.temperature) == (1, 0.0)
    assert not hasattr(params, "prompt_logprobs"), "it would go past the cache"


def test_longer_continuations_and_texts_are_read_off_the_prompt(encoder: Any) -> None:
    llm = StandIn()
    backend = VllmBackend(llm, SimpleNamespace, encoder, {"body": "auto"})
    questions = backend.encode(
        [LogLikelihood("a", " many more words"), RollingLogLikelihood("some words")]
    )
    pair, text = (answer.response for answer in backend.answer(questions))
    assert isinstance(pair, LogProb) and isinstance(text, RollingLogProb)
    assert pair.logprob == pytest.approx(-sum(questions[0].tokens[1]) / 100)
    assert text.logprob == pytest.approx(-sum(questions[1].tokens[0][1:]) / 100)
    assert not pair.is_greedy
    assert [params.prompt_logprobs for _, params in llm.asked] == [1, 1]


def test_generations_and_what_does_not_fit(encoder: Any) -> None:
    llm = StandIn()
    backend = VllmBackend(llm, SimpleNamespace, encoder, {"body": "auto"})
    questions = backend.encode(
        [
            GenerateUntil("Once", ("\n", ""), 9, 0.5, repeat=2),
            LogLikelihood("long " * 3000, " end of it"),
        ]
    )
    answers = sorted(backend.answer(questions), key=lambda answer: answer.index)
    assert answers[0].response == Generation(" written") and answers[0].tokens_out == 1
    assert isinstance(answers[1].response, Unanswered)
    ((_, params),) = llm.asked
    assert vars(params) == {"max_tokens": 9, "temperature": 0.5, "stop": ["\n"], "seed": 1236}


def test_chats_are_rendered_with_bounds(tiny_model: Path) -> None:
    hf = load_backend("hf", LoadOptions(tiny_model, tiny_model, "float32"))
    assert isinstance(hf, EngineBackend)
    backend = VllmBackend(StandIn(), SimpleNamespace, hf._encoder, {"body": "auto"})
    tokenizer = hf._encoder.tokenizer
    with pytest.raises(WeightsError, match="chat_template: false"):
        backend.render_chat([{"role": "user", "content": "hello"}])
    tokenizer.chat_template = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    assert backend.render_chat([{"role": "user", "content": "hello"}]) == "<hello>"
    tokenizer.chat_template = "{{ 'x' * 99999999 }}"
    with pytest.raises(WeightsError, match="chat template cannot be used"):
        backend.render_chat([{"role": "user", "content": "hello"}])


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_without_the_package_the_error_says_how_to_install_it(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match=r"pip install -e '\.\[vllm\]'"):
        load_backend("vllm", LoadOptions(tiny_model, tiny_model))
