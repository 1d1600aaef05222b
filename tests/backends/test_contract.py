"""What every backend promises, asked of all that can be run here, on the same tiny weights."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.backends.backend import (
    BACKENDS,
    Backend,
    LmEvalModel,
    LoadOptions,
    ServedOptions,
    load_backend,
)
from harness.backends.fake import FakeBackend
from harness.openai_api.client import Patience
from harness.openai_api.server import Server
from harness.openai_api.terms import Terms
from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    Unanswered,
)
from tests.backends.served import serving_tiny


@dataclass(frozen=True)
class Promise:
    """What one backend promises.

    Attributes:
        near: nats by which a log-probability may differ from hf's; ``None``: it has no model.
        cuts: whether it cuts what is too long, and says so; else it refuses it.
        empty: whether it answers where the context is empty.
    """

    near: float | None
    cuts: bool = True
    empty: bool = True


PROMISES = {
    "hf": Promise(0.0),
    "lm_eval": Promise(1e-4),
    "lm_eval class": Promise(1e-4),
    "vllm": Promise(5e-2),
    "api": Promise(1e-4, cuts=False, empty=False),
    "fake": Promise(None),
}
"""By backend; ``lm_eval class`` is `hf` of lm-eval as any other class of its."""


def test_every_backend_has_its_promise() -> None:
    assert set(PROMISES) == {*BACKENDS, "fake", "lm_eval class"}


@pytest.fixture(scope="module")
def server_url(tiny_model: Path) -> Iterator[str]:
    with serving_tiny(tiny_model) as server:
        yield server.url


@pytest.fixture(scope="module", params=PROMISES)
def named(request: pytest.FixtureRequest, tiny_model: Path) -> tuple[str, Backend]:
    name: str = request.param
    options = LoadOptions(tiny_model, tiny_model, "float32", weights_id="tiny")
    if name == "fake":
        return name, FakeBackend()
    if name == "vllm" and importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    if name == "lm_eval class":
        arguments = LmEvalModel("hf", "batch_size=4,device=cpu,softmax_dtype=float32")
        return name, load_backend("lm_eval", replace(options, lm_eval=arguments))
    if name == "api":
        url = request.getfixturevalue("server_url")
        terms = Terms(Server(url, "tiny"), Patience(20.0, 2, 0.001, 0.002), 3)
        return name, load_backend("api", ServedOptions(**vars(options), terms=terms, chat=False))
    return name, load_backend(name, options)


@pytest.fixture(scope="module")
def judge(tiny_model: Path) -> Backend:
    return load_backend("hf", LoadOptions(tiny_model, tiny_model, "float32"))


TAKES_BOS = ("hf", "lm_eval", "lm_eval class")
"""The backends that run a model here and put BOS in front of its prompts, or not."""


def with_bos(name: str, folder: Path, add_bos: bool | None) -> Backend:
    options = LoadOptions(folder, folder, "float32", add_bos, weights_id="tiny")
    if name == "lm_eval class":
        options = replace(options, lm_eval=LmEvalModel("hf", "batch_size=4,softmax_dtype=float32"))
    return load_backend("hf" if name == "hf" else "lm_eval", options)


def ask(backend: Backend, requests: Sequence[Request]) -> list[Response]:
    """One answer to each, put in order by its index."""
    answers = sorted(backend.answer(backend.encode(requests)), key=lambda answer: answer.index)
    assert [answer.index for answer in answers] == list(range(len(requests)))
    return [answer.response for answer in answers]


SCORED: list[Request] = [
    LogLikelihood(f"Question: what is {number}?\nAnswer:", f" it is {number * 7} things")
    for number in range(12)
]
UNICODE: list[Request] = [
    LogLikelihood("Der Käse kostet 3 €, sagt 李雷:", " こんにちは 🙂 naïve"),
    LogLikelihood("🙂🙂", " yes"),
    LogLikelihood("A line\n\nand\tanother ", "word"),
]
WRITTEN: list[Request] = [
    GenerateUntil("Once upon a time", (), 12),
    GenerateUntil("Größe: 李", (), 8),
    *(GenerateUntil(f"The answer to {number} is", (), 6) for number in range(4)),
]


def test_the_same_answers_in_their_places(named: tuple[str, Backend], judge: Backend) -> None:
    name, backend = named
    near = PROMISES[name].near
    mixed = [each for pair in zip(SCORED, WRITTEN * 2, strict=True) for each in pair] + UNICODE
    found, expected = ask(backend, mixed), ask(judge, mixed)
    for request, ours, theirs in zip(mixed, found, expected, strict=True):
        assert type(ours) is type(theirs), request
        if near is None:
            continue
        if isinstance(ours, LogProb) and isinstance(theirs, LogProb):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=near or 1e-9), request
            assert ours.is_greedy == theirs.is_greedy
        else:
            assert ours == theirs


def test_a_generation_ends_before_its_first_stop_string(named: tuple[str, Backend]) -> None:
    _, backend = named
    (free,) = ask(backend, [GenerateUntil("Once", (), 20)])
    assert isinstance(free, Generation) and len(free.text) > 4
    stops = (free.text[3:5], "never", "ever", "at", free.text[1:3])
    (stopped,) = ask(backend, [GenerateUntil("Once", stops, 20)])
    assert isinstance(stopped, Generation)
    if not isinstance(backend, FakeBackend):  # its answers follow from the request
        assert stopped.text == free.text[: min(free.text.find(s) for s in stops if s in free.text)]
    assert not any(stop in stopped.text for stop in stops)


def test_what_is_too_long_is_cut_and_said_or_refused(
    named: tuple[str, Backend], judge: Backend
) -> None:
    name, backend = named
    if name == "fake":
        pytest.skip("it has no context")
    request = LogLikelihood("long " * 3000, " end")
    (answer,), (expected,) = ask(backend, [request]), ask(judge, [request])
    assert isinstance(expected, LogProb) and expected.truncated
    if PROMISES[name].cuts:
        assert isinstance(answer, LogProb)
        assert answer.logprob == pytest.approx(expected.logprob, abs=1e-3)
    else:
        assert isinstance(answer, Unanswered) and "400" in answer.reason


def test_what_is_empty(named: tuple[str, Backend], judge: Backend) -> None:
    """An empty continuation or prompt is refused with a reason, and the others are answered."""
    name, backend = named
    if name == "fake":
        pytest.skip("it answers everything")
    requests: list[Request] = [
        LogLikelihood("a", ""),
        GenerateUntil("", (), 4),
        LogLikelihood("", "alone"),
        LogLikelihood("a", " b"),
    ]
    nothing, unasked, alone, other = ask(backend, requests)
    assert isinstance(nothing, Unanswered) and "continuation" in nothing.reason
    assert isinstance(unasked, Unanswered) and "prompt" in unasked.reason
    assert isinstance(other, LogProb)
    (expected,) = ask(judge, requests[2:3])
    if PROMISES[name].empty:
        assert isinstance(alone, LogProb) and isinstance(expected, LogProb)
        assert alone.logprob == pytest.approx(expected.logprob, abs=1e-3)
    else:
        assert isinstance(alone, Unanswered) and "empty" in alone.reason


def test_a_kind_that_cannot_be_asked_is_refused_alone(named: tuple[str, Backend]) -> None:
    name, backend = named
    found = ask(backend, [RollingLogLikelihood("some words"), LogLikelihood("a", " b")])
    assert isinstance(found[0], Unanswered) == (name == "api")
    assert isinstance(found[1], LogProb)


def test_closing_half_way_leaves_nothing_behind(named: tuple[str, Backend]) -> None:
    _, backend = named
    before = set(threading.enumerate())
    answers = backend.answer(backend.encode(SCORED))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 20
    while left := [
        thread
        for thread in set(threading.enumerate()) - before
        if "process_request_thread" not in thread.name  # the local server's, not the backend's
    ]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
    assert len(ask(backend, SCORED)) == len(SCORED), "and it can be asked again"


@pytest.mark.parametrize("add_bos", [None, True, False])
@pytest.mark.parametrize("name", TAKES_BOS)
def test_what_stands_in_front_of_prompts_is_the_registrys_word(
    name: str, add_bos: bool | None, tiny_model: Path
) -> None:
    requests: list[Request] = [*SCORED[:3], GenerateUntil("Once upon", (), 5)]
    expected = ask(
        load_backend("hf", LoadOptions(tiny_model, tiny_model, "float32", add_bos)), requests
    )
    for ours, theirs in zip(
        ask(with_bos(name, tiny_model, add_bos), requests), expected, strict=True
    ):
        if isinstance(ours, LogProb) and isinstance(theirs, LogProb):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        else:
            assert ours == theirs


@pytest.mark.parametrize("name", TAKES_BOS)
def test_models_with_and_without_bos_share_no_answer(name: str, tiny_model: Path) -> None:
    request = LogLikelihood("a", " b")
    keys = set()
    for add_bos in (True, False):
        backend = with_bos(name, tiny_model, add_bos)
        (question,) = backend.encode([request])
        keys.add((tuple(sorted(backend.identity.items())), question.digest()))
    assert len(keys) == 2
