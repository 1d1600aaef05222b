"""What happens when memory runs out: less at a time, the same answers."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.backend import Backend, LoadOptions, load_backend
from harness.backends.hf import EngineBackend
from harness.engine import generation, scoring
from harness.engine.decoding import DecodeLayout
from harness.engine.encoding import Encoder
from harness.engine.head import LinearHead
from harness.engine.model import LoadedModel, free_memory, load_model, load_tokenizer
from harness.engine.selftest import Verdict
from harness.engine.shared import score_shared
from harness.errors import WeightsError
from harness.types import (
    GenerateUntil,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    RollingLogProb,
)

REQUESTS: list[Request] = [
    *(
        LogLikelihood(f"Question number {number}: what comes after that, and why?", choice)
        for number in range(4)
        for choice in (" nothing", " the next number", " a")
    ),
    RollingLogLikelihood("All that is gold does not glitter. " * 8),
]


@pytest.fixture(scope="module")
def backend(checkpoint: Callable[[str], Path]) -> Backend:
    folder = checkpoint("llama")
    return load_backend("hf", LoadOptions(folder, folder, "float32"))


@pytest.fixture(scope="module")
def plain(checkpoint: Callable[[str], Path]) -> EngineBackend:
    """The same model as one that cannot run packed."""
    folder = checkpoint("llama")
    model = load_model(folder, "float32", False, "float32")
    encoder = Encoder(load_tokenizer(folder, None, False), model.causal.config, None)
    return EngineBackend(Verdict(model, "plain", "a test", "a test"), encoder, "", 1024)


def answers(backend: Backend, requests: list[Request]) -> list[Response]:
    found = {answer.index: answer.response for answer in backend.answer(backend.encode(requests))}
    return [found[index] for index in range(len(requests))]


def logprobs(responses: list[Response]) -> list[float]:
    assert all(isinstance(response, LogProb | RollingLogProb) for response in responses)
    return [response.logprob for response in responses]  # type: ignore[union-attr]


def memory_for(tokens: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let passes of more tokens fail; returns the sizes of those that were tried."""
    tried: list[int] = []
    run: Any = LoadedModel.run

    def limited(self: LoadedModel, now: Any, store: Any) -> Any:
        tried.append(now.tokens)
        if now.tokens > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, now, store)

    monkeypatch.setattr(LoadedModel, "run", limited)
    return tried


@pytest.mark.parametrize("tokens", [40, 7, 1])
def test_a_pass_that_does_not_fit_is_halved(
    backend: Backend, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down to parts of one text: its second half attends to the first's keys and values."""
    plenty = answers(backend, REQUESTS)
    tried = memory_for(tokens, monkeypatch)
    little = answers(backend, REQUESTS)
    assert logprobs(little) == pytest.approx(logprobs(plenty), abs=1e-4)
    assert max(tried) > tokens
    # Carried on with what fits: the larger sizes are not tried again and again.
    assert sum(size > tokens for size in tried) <= 12


def test_no_memory_at_all_is_an_error_and_not_an_endless_loop(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_for(0, monkeypatch)
    with pytest.raises(WeightsError, match="out of memory"):
        answers(backend, REQUESTS)


def fail_above(
    rows: int, owner: Any, name: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """Let calls fail whose argument at ``place`` has more rows; returns how many were tried."""
    tried: list[int] = []
    original: Any = getattr(owner, name)

    def limited(*arguments: Any) -> Any:
        tried.append(len(arguments[place]))
        if tried[-1] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(*arguments)

    monkeypatch.setattr(owner, name, limited)
    return tried


@pytest.mark.parametrize(
    ("owner", "name"), [(scoring._Unprojected, "add"), (scoring, "score_rows")]
)
def test_states_that_do_not_fit_beside_a_pass_are_taken_in_parts(
    backend: Backend, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = answers(backend, REQUESTS)
    tried = fail_above(7, owner, name, 1, monkeypatch)
    assert logprobs(answers(backend, REQUESTS)) == pytest.approx(logprobs(plenty), abs=1e-4)
    assert max(tried) > 7


def test_no_memory_for_a_single_state_is_an_error(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_above(0, scoring, "score_rows", 1, monkeypatch)
    with pytest.raises(WeightsError, match="out of memory"):
        answers(backend, REQUESTS)


def test_other_failures_are_not_taken_for_want_of_memory(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(LoadedModel, "run", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        answers(backend, REQUESTS)


PROMPTS: list[Request] = [
    GenerateUntil(f"Once upon a time there were {number}", (".",), 8) for number in range(6)
]


@pytest.mark.parametrize("tokens", [9, 1])
def test_a_prompt_that_does_not_fit_is_cut(
    backend: Backend, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a lone one: its second half attends to the first's keys and values."""
    plenty = answers(backend, PROMPTS)
    tried = memory_for(tokens, monkeypatch)
    assert answers(backend, PROMPTS) == plenty
    assert max(tried) > tokens


def rows_for(rows: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let steps of more rows fail, after their first layer; returns how many were tried."""
    tried: list[int] = []
    attend: Any = DecodeLayout.attend

    def limited(self: DecodeLayout, layer: int, query: Any, *rest: Any) -> Any:
        if layer == 1:
            tried.append(query.shape[2])
            if query.shape[2] > rows:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return attend(self, layer, query, *rest)

    monkeypatch.setattr(DecodeLayout, "attend", limited)
    return tried


@pytest.mark.parametrize("rows", [4, 1])
def test_rows_that_do_not_fit_begin_anew_later(
    backend: Backend, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that failed half-way leaves nothing behind in the rows that go on."""
    plenty = answers(backend, PROMPTS)
    tried = rows_for(rows, monkeypatch)
    assert answers(backend, PROMPTS) == plenty
    assert max(tried) > rows


def test_rows_that_begin_anew_do_so_when_the_others_are_gone(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their keys and values would else lie beside those of the batch that had no room."""
    layouts: weakref.WeakSet[DecodeLayout] = weakref.WeakSet()
    alive: list[int] = []
    fill: Any = DecodeLayout.fill

    def counted(self: DecodeLayout, *rest: Any) -> None:
        layouts.add(self)
        alive.append(len(layouts))
        fill(self, *rest)

    monkeypatch.setattr(DecodeLayout, "fill", counted)
    rows_for(1, monkeypatch)
    answers(backend, PROMPTS)
    assert len(alive) > len(PROMPTS) and max(alive) == 1


@pytest.mark.parametrize(("temperature", "head"), [(0.0, "greedy"), (0.8, "logits")])
def test_rows_whose_projection_does_not_fit_begin_anew_later(
    backend: Backend, temperature: float, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sample is drawn twice: the rows that go on say what they would have said."""
    prompts: list[Request] = [
        GenerateUntil(f"Once upon a time there were {number}", (".",), 8, temperature)
        for number in range(6)
    ]
    plenty = answers(backend, prompts)
    tried = fail_above(2, LinearHead, head, 1, monkeypatch)
    assert answers(backend, prompts) == plenty
    assert max(tried) > 2


def generations_of(
    rows: int, plain: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[int, str]]:
    """Let the model's own `generate` fail for more rows; returns how many were tried, and how."""
    tried: list[tuple[int, str]] = []
    generate: Any = plain.model.generate

    def limited(**options: Any) -> Any:
        tried.append((len(options["input_ids"]), plain.model.config._attn_implementation))
        if tried[-1][0] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**options)

    monkeypatch.setattr(plain.model, "generate", limited)
    return tried


def test_prompts_that_do_not_fit_together_are_generated_by_fewer(
    plain: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = answers(plain, PROMPTS)
    tried = generations_of(4, plain, monkeypatch)
    assert answers(plain, PROMPTS) == plenty
    assert [rows for rows, _ in tried] == [6, 3, 3]


def test_no_memory_for_a_single_plain_row_is_an_error(
    plain: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the model is left as it was: one that scores packed has another attention."""
    before = plain.model.config._attn_implementation
    tried = generations_of(0, plain, monkeypatch)
    monkeypatch.setattr(plain.model.config, "_attn_implementation_internal", "eager")
    with pytest.raises(WeightsError, match="out of memory"):
        answers(plain, PROMPTS)
    assert tried[-1] == (1, before) and plain.model.config._attn_implementation == "eager"

    def states(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LoadedModel, "states", states)
    with pytest.raises(WeightsError, match="out of memory"):
        answers(plain, REQUESTS)


def test_a_row_whose_prompt_does_not_fit_beside_the_others_waits(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = answers(backend, PROMPTS)
    fill: Any = DecodeLayout.fill

    def limited(self: DecodeLayout, slot: int, *rest: Any) -> None:
        if slot == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        fill(self, slot, *rest)

    monkeypatch.setattr(DecodeLayout, "fill", limited)
    assert answers(backend, PROMPTS) == plenty


def test_no_memory_for_a_single_row_is_an_error(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_for(0, monkeypatch)
    with pytest.raises(WeightsError, match="not one row"):
        answers(backend, PROMPTS)


@pytest.mark.parametrize("rows", [2, 0])
def test_choices_that_do_not_fit_beside_a_shared_cache(
    backend: Backend,
    checkpoint: Callable[[str], Path],
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fewer choices at a time; where there is room for none, plain rows."""
    model = load_model(checkpoint("llama"), "float32", False, "float32")
    questions = dict(enumerate(backend.encode(REQUESTS[:12])))
    run: Any = LoadedModel.cached_states

    def limited(self: LoadedModel, ids: Any, cache: Any) -> Any:
        if cache is not None and len(ids) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, ids, cache)

    def asked() -> dict[int, float]:
        found = score_shared(model, questions, 64, 1024, long=1)
        return {answer.index: answer.response.logprob for answer in found}  # type: ignore[union-attr]

    plenty = asked()
    monkeypatch.setattr(LoadedModel, "cached_states", limited)
    little = asked()
    assert little == pytest.approx(plenty, abs=1e-4)


def test_rows_side_by_side_are_as_many_as_memory_holds(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for hardly a row they are generated one after another, to the same texts."""
    together = answers(backend, PROMPTS)
    monkeypatch.setattr(generation, "free_memory", lambda device: 0)
    assert answers(backend, PROMPTS) == together


def test_what_torch_keeps_of_freed_tensors_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 10)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 4)
    assert free_memory(torch.device("cuda:0")) == 7
