"""Divergence of two models: arithmetic by hand, then against logits that are held whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.engine.divergence import Predictor, WindowDivergence, divergences, predictor
from harness.engine.head import ModelLogits
from harness.engine.model import LoadedModel, load_model
from harness.engine.selftest import examine
from harness.errors import HarnessError
from tests.engine.architectures import CONTEXT, WORDS, save_checkpoint


def table(*rows: Sequence[float]) -> Predictor:
    """A model that predicts ``rows[token]``, probabilities of the next token, after ``token``."""
    logits = torch.tensor(rows, dtype=torch.float64).log()
    return Predictor(lambda tokens: torch.tensor(list(tokens))[:, None], lambda h: logits[h[:, 0]])


def one(base: Predictor, candidate: Predictor, window: Sequence[int]) -> WindowDivergence:
    (result,) = divergences(base, candidate, [window])
    return result


def test_by_hand() -> None:
    """Three words, two predictions.

    After word 0 the base says (1/2, 1/4, 1/4), the candidate (1/4, 1/4, 1/2):

    KL = 1/2 log(1/2 / 1/4) + 1/4 log(1/4 / 1/4) + 1/4 log(1/4 / 1/2)
       = 1/2 log 2 + 0 - 1/4 log 2 = 1/4 log 2 = 0.1733 nats.

    The base prefers word 0, the candidate word 2: no agreement. Word 2 follows, whose probability
    goes from 1/4 to 1/2. After word 2 both say (1/8, 1/8, 3/4): KL 0, agreement; word 1 follows.
    """
    base = table((1 / 2, 1 / 4, 1 / 4), (1, 1, 1), (1 / 8, 1 / 8, 3 / 4))
    candidate = table((1 / 4, 1 / 4, 1 / 2), (1, 1, 1), (1 / 8, 1 / 8, 3 / 4))
    result = one(base, candidate, (0, 2, 1))
    assert result.kl == pytest.approx([math.log(2) / 4, 0.0])
    assert result.agrees.tolist() == [False, True]
    assert result.base_logprob == pytest.approx([math.log(1 / 4), math.log(1 / 8)])
    assert result.candidate_logprob == pytest.approx([math.log(1 / 2), math.log(1 / 8)])
    assert result.change == pytest.approx([1 / 4, 0.0])
    assert all(len(values) == 2 for values in (result.kl, result.agrees, result.change))


def test_the_direction_matters() -> None:
    """KL((1/2, 1/2, 0) || (1/4, 1/4, 1/2)) = log 2, though the base rules the last word out: it
    adds 0. The other way round a word that happens is ruled out: infinite.
    """
    half, quarter = table((1 / 2, 1 / 2, 0)), table((1 / 4, 1 / 4, 1 / 2))
    assert one(half, quarter, (0, 0)).kl == pytest.approx([math.log(2)])
    assert one(quarter, half, (0, 0)).kl.tolist() == [math.inf]
    assert one(half, half, (0, 0)).kl.tolist() == [0.0]


def test_vocabularies_of_different_size_are_refused() -> None:
    with pytest.raises(HarnessError, match="base predicts over 3 tokens, the candidate over 2"):
        one(table((1 / 2, 1 / 4, 1 / 4)), table((1 / 2, 1 / 2)), (0, 0))


@pytest.mark.parametrize("window", [(), (0,)])
def test_a_window_that_predicts_nothing_is_refused(window: tuple[int, ...]) -> None:
    model = table((1 / 2, 1 / 2))
    with pytest.raises(HarnessError, match="at least two"):
        one(model, model, window)


def test_rows_are_bounded_and_bodies_run_once() -> None:
    """Ten tokens in chunks of four rows: 4, 4 and 1; what is held never depends on the window."""
    seen: list[int] = []
    runs: list[int] = []

    def states(tokens: Sequence[int]) -> Tensor:
        runs.append(len(tokens))
        return torch.zeros(len(tokens), 2)

    def logits(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return torch.zeros(len(rows), 3)

    model = Predictor(states, logits)
    (result,) = divergences(model, model, [(0,) * 10], rows=4)
    assert seen == [4, 4, 4, 4, 1, 1] and runs == [9, 9]
    assert len(result.kl) == 9


def test_windows_are_read_one_at_a_time_and_leave_no_mode_behind() -> None:
    """A corpus is streamed, and the caller may train between two windows."""
    read: list[int] = []

    def windows() -> Iterator[tuple[int, int]]:
        for number in range(3):
            read.append(number)
            yield (0, 1)

    model = table((1 / 2, 1 / 2), (1 / 2, 1 / 2))
    results = divergences(model, model, windows())
    assert read == []
    next(results)
    assert read == [0] and not torch.is_inference_mode_enabled()


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma2", "granite", "phi"])
def pair(
    request: pytest.FixtureRequest,
    checkpoint: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[LoadedModel, LoadedModel]:
    """A model, and the same with all its weights a little off, as quantization leaves them."""

    def shake(model: torch.nn.Module) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 0.05 * torch.randn_like(parameter))

    other = save_checkpoint(tmp_path_factory.mktemp("shaken") / "model", request.param, shake)
    folders = (checkpoint(request.param), other)
    base, candidate = (load_model(folder, "float32", False, "float32") for folder in folders)
    return base, candidate


def corpus() -> list[list[int]]:
    """Windows of two, nine and as many tokens as the context allows."""
    generator = torch.Generator().manual_seed(5)
    return [
        torch.randint(WORDS, (size,), generator=generator).tolist() for size in (2, 9, CONTEXT, 40)
    ]


def test_a_model_and_itself(pair: tuple[LoadedModel, LoadedModel]) -> None:
    base = predictor(pair[0])
    for result in divergences(base, base, corpus(), rows=16):
        assert not result.kl.any() and result.agrees.all() and not result.change.any()


def test_against_logits_that_are_held_whole(pair: tuple[LoadedModel, LoadedModel]) -> None:
    base, candidate = pair
    results = list(divergences(predictor(base), predictor(candidate), corpus(), rows=16))
    for window, result in zip(corpus(), results, strict=True):
        with torch.no_grad():
            p, q = (
                torch.log_softmax(model.causal(torch.tensor([window])).logits[0, :-1].double(), -1)
                for model in pair
            )
        expected = (p.exp() * (p - q)).sum(-1)
        assert result.kl == pytest.approx(expected.numpy(), abs=1e-5)
        assert (result.agrees == (p.argmax(-1) == q.argmax(-1)).numpy()).all()
        positions = torch.arange(len(window) - 1)
        of_base, of_candidate = p[positions, window[1:]], q[positions, window[1:]]
        assert result.base_logprob == pytest.approx(of_base.numpy(), abs=1e-5)
        assert result.candidate_logprob == pytest.approx(of_candidate.numpy(), abs=1e-5)
        change = (of_candidate.exp() - of_base.exp()).numpy()
        assert result.change == pytest.approx(change, abs=1e-5)
    kl = np.concatenate([result.kl for result in results])
    assert 0.001 < kl.mean() < 3, "the two models are too near or too far to test anything"


def test_a_model_that_was_set_to_run_packed(
    pair: tuple[LoadedModel, LoadedModel],
) -> None:
    base, candidate = pair
    packed = load_model(Path(candidate.causal.name_or_path), "float32", False, "float32")
    if examine(packed, CONTEXT).plan != "packed":
        pytest.skip("this architecture does not run packed")
    for one_way, other in zip(
        divergences(predictor(base), predictor(candidate), corpus()),
        divergences(predictor(base), predictor(packed), corpus()),
        strict=True,
    ):
        assert one_way.kl == pytest.approx(other.kl, abs=1e-5)


def test_a_head_that_is_not_linear_gives_the_same(pair: tuple[LoadedModel, LoadedModel]) -> None:
    """Where the head is the model's own affair, what is cut into rows are its logits."""
    base, candidate = pair
    without = replace(candidate, head=ModelLogits("float32"))
    for one_way, other in zip(
        divergences(predictor(base), predictor(candidate), corpus()),
        divergences(predictor(base), predictor(without), corpus()),
        strict=True,
    ):
        assert one_way.kl == pytest.approx(other.kl, abs=1e-5)
