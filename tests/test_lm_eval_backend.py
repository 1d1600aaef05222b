"""lm-eval's model behind the Backend protocol: a plain forward pass is the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.backends.backend import Backend, LoadOptions, load_backend
from harness.errors import WeightsError
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
    WindowLogLikelihood,
)


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> Backend:
    return load_backend("lm_eval", LoadOptions(tiny_model, tiny_model, "float32"))


def ask(backend: Backend, requests: Sequence[Request]) -> list[Response]:
    answers = sorted(backend.answer(backend.encode(requests)), key=lambda answer: answer.index)
    assert [answer.index for answer in answers] == list(range(len(requests)))
    return [answer.response for answer in answers]


class Plain:
    """One forward pass per question, no batching, no tricks."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def logprobs(self, ids: list[int]) -> torch.Tensor:
        """Log-probability of every token but the first, given those before it."""
        with torch.no_grad():
            logits = self.model(torch.tensor([ids])).logits[0, :-1].double()
        return torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Plain:
    return Plain(tiny_model)


def test_loglikelihoods_are_those_of_a_plain_forward_pass(backend: Backend, plain: Plain) -> None:
    requests = [
        LogLikelihood(f"Question: what is {number}?\nAnswer:", f" it is {number * 7} things")
        for number in range(40)
    ]
    for request, response in zip(requests, ask(backend, requests), strict=True):
        context = plain.tokenizer(request.context).input_ids
        whole = plain.tokenizer(request.context + request.continuation).input_ids
        expected = float(plain.logprobs(whole)[len(context) - 1 :].sum())
        assert isinstance(response, LogProb)
        assert response.logprob == pytest.approx(expected, abs=1e-4)


def test_an_empty_context_is_conditioned_on_the_first_token(backend: Backend, plain: Plain) -> None:
    (response,) = ask(backend, [LogLikelihood("", "alone")])
    ids = [plain.tokenizer.bos_token_id, *plain.tokenizer("alone").input_ids]
    assert isinstance(response, LogProb)
    assert response.logprob == pytest.approx(float(plain.logprobs(ids).sum()), abs=1e-4)


def test_rolling_covers_every_token_once(backend: Backend, plain: Plain) -> None:
    """1,000 words in a context of 512 tokens: two windows or more; each is conditioned on the
    last token of the one before it, the first on BOS.
    """
    text = " ".join(f"word{number}" for number in range(300))
    ids = plain.tokenizer(text).input_ids
    assert len(ids) > 2 * 512
    expected = float(plain.logprobs([plain.tokenizer.bos_token_id, *ids[:512]]).sum())
    position = 512
    while position < len(ids):
        end = min(position + 512, len(ids))
        # A window shorter than the context looks back as far as the context allows.
        begin = max(0, end - 512 - 1)
        expected += float(plain.logprobs(ids[begin:end])[-(end - position) :].sum())
        position = end
    (response,) = ask(backend, [RollingLogLikelihood(text)])
    assert isinstance(response, RollingLogProb)
    assert response.logprob == pytest.approx(expected, rel=1e-5)


def test_a_window_predicts_all_but_its_first_token(backend: Backend, plain: Plain) -> None:
    tokens = backend.tokenize("some words in a window of their own")
    (response,) = ask(backend, [WindowLogLikelihood(tuple(tokens))])
    assert isinstance(response, RollingLogProb)
    expected = plain.logprobs(tokens)
    assert len(expected) == len(tokens) - 1
    assert response.logprob == pytest.approx(float(expected.sum()), abs=1e-3)


def test_repeats_beyond_a_batch_are_drawn_anew(backend: Backend) -> None:
    requests = [GenerateUntil("Once upon a time", (), 8, 1.0, repeat) for repeat in range(32)]
    texts = ask(backend, requests)
    assert texts[:16] != texts[16:]
    assert texts == ask(backend, requests), "the same the next time"


def test_greedy_generation_is_the_argmax(backend: Backend, plain: Plain) -> None:
    prompts = ["Once upon a time", "The answer to the question of why the sky is blue is"]
    requests = [GenerateUntil(prompt, (), 12) for prompt in prompts]
    for prompt, response in zip(prompts, ask(backend, requests), strict=True):
        ids = list(plain.tokenizer(prompt).input_ids)
        start = len(ids)
        for _ in range(12):
            with torch.no_grad():
                best = int(plain.model(torch.tensor([ids])).logits[0, -1].argmax())
            if best == plain.tokenizer.eos_token_id:
                break
            ids.append(best)
        assert response == Generation(plain.tokenizer.decode(ids[start:]))


def test_generation_ends_before_the_first_stop_string(backend: Backend) -> None:
    (free,) = ask(backend, [GenerateUntil("Once", (), 20)])
    assert isinstance(free, Generation) and len(free.text) > 3
    stop = free.text[2:4]
    (stopped,) = ask(backend, [GenerateUntil("Once", (stop,), 20)])
    assert isinstance(stopped, Generation)
    assert stopped.text == free.text[: free.text.index(stop)]


def test_what_cannot_be_asked_is_unanswered_and_the_rest_stands(backend: Backend) -> None:
    responses = ask(
        backend,
        [
            LogLikelihood("a", ""),
            LogLikelihood("a", " b"),
            LogLikelihood("a", " long" * 3000),
            RollingLogLikelihood(""),
            WindowLogLikelihood((5,) * 4096),
            GenerateUntil("a", (), 512),
        ],
    )
    reasons = [
        response.reason if isinstance(response, Unanswered) else None for response in responses
    ]
    assert reasons[0] == "the continuation has no tokens"
    assert reasons[1] is None
    assert "the continuation has" in str(reasons[2]) and "context 512" in str(reasons[2])
    assert reasons[3] == "the text has no tokens"
    assert reasons[4] == "a window has 4096 tokens, the model's context 512"
    assert "no room for a prompt" in str(reasons[5])


def test_a_context_that_is_too_long_is_cut_on_the_left(backend: Backend, plain: Plain) -> None:
    request = LogLikelihood("before " * 400 + "the end", " is near")
    (response,) = ask(backend, [request])
    whole = plain.tokenizer(request.context + request.continuation).input_ids[-513:]
    length = len(plain.tokenizer(request.continuation).input_ids)
    # A context of 512 sees the last 512 tokens before the last one.
    expected = float(plain.logprobs(whole)[-length:].sum())
    assert isinstance(response, LogProb) and response.truncated
    assert response.logprob == pytest.approx(expected, abs=1e-3)


def test_order_does_not_depend_on_kind_or_length(backend: Backend) -> None:
    requests: list[Request] = [
        GenerateUntil("a", (), 3),
        LogLikelihood("a b c d e", " f"),
        RollingLogLikelihood("some text"),
        LogLikelihood("a", " much longer continuation than the other one"),
    ]
    kinds = [type(response) for response in ask(backend, requests)]
    assert kinds == [Generation, LogProb, RollingLogProb, LogProb]


def test_facts_are_measured(backend: Backend, plain: Plain) -> None:
    parameters = sum(parameter.numel() for parameter in plain.model.parameters())
    assert backend.facts.parameters == parameters
    assert backend.facts.memory_bytes >= 4 * parameters
    assert backend.facts.dtype == "float32" and backend.facts.max_length == 512


def test_a_folder_that_transformers_cannot_load_is_explained(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_backend("lm_eval", LoadOptions(tmp_path, tmp_path))


def test_custom_code_does_not_run_unless_the_registry_says_so(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (tmp_path / "config.json").write_text(
        '{"model_type": "evil", "auto_map": '
        '{"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}'
    )
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_backend("lm_eval", LoadOptions(tmp_path, tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.smol
def test_smol_knows_the_capital_of_france(smol_path: Path) -> None:
    backend = load_backend("lm_eval", LoadOptions(smol_path, smol_path))
    assert backend.facts.dtype == "bfloat16" and backend.facts.parameters == 134_515_008
    prompt = backend.render_chat([{"role": "user", "content": "What is the capital of France?"}])
    plain_prompt = "The capital of France is"
    chat, continued = ask(
        backend,
        [GenerateUntil(prompt, ("<|im_end|>",), 16), GenerateUntil(plain_prompt, (".",), 8)],
    )
    assert isinstance(chat, Generation) and "Paris" in chat.text
    assert isinstance(continued, Generation) and "Paris" in continued.text
