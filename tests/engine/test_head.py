"""The vocabulary projection: float32 whatever the model's dtype, unless asked otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.backends.backend import LoadOptions, load_backend
from harness.engine import head as heads
from harness.engine.head import LinearHead
from harness.types import LogLikelihood, LogProb

CHUNK, ROWS = 7, 5


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of rows and vocabulary, none of which divides what it cuts."""
    monkeypatch.setattr(heads, "VOCABULARY_CHUNK", CHUNK)
    monkeypatch.setattr(heads, "ROWS", ROWS)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("scale", "softcap"), [(1.0, None), (0.25, None), (2.0, 3.0)])
def test_chunks_add_up_to_the_whole(
    dtype: torch.dtype, bias: bool, scale: float, softcap: float | None
) -> None:
    """Against a log-softmax over all logits in float64."""
    torch.manual_seed(0)
    weight, states = torch.randn(31, 16).to(dtype), torch.randn(12, 16).to(dtype)
    offset = torch.randn(31).to(dtype) if bias else None
    rows = torch.arange(12).repeat_interleave(3)
    targets = torch.randint(0, 31, (36,))
    logits = states.double() @ weight.double().T
    if offset is not None:
        logits += offset.double()
    logits *= scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    truth = torch.log_softmax(logits, 1)[rows, targets]

    logprobs, greedy = LinearHead(weight, offset, scale, softcap).score(states, rows, targets)

    torch.testing.assert_close(logprobs.double(), truth, atol=2e-5, rtol=0)
    assert greedy.tolist() == (logits.argmax(1)[rows] == targets).tolist()


def test_a_token_without_a_row_cannot_follow() -> None:
    """Not 0 minus the log-sum, which would be a plausible number."""
    torch.manual_seed(0)
    head = LinearHead(torch.randn(31, 16))
    logprobs, greedy = head.score(torch.randn(1, 16), torch.tensor([0, 0]), torch.tensor([30, 31]))
    assert logprobs.isfinite().tolist() == [True, False] and logprobs[1] == -torch.inf
    assert not greedy[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_shortlist_finds_what_float32_finds(dtype: torch.dtype) -> None:
    """Also where 16-bit logits tie: 40 near-equal columns are more than the shortlist holds."""
    torch.manual_seed(1)
    weight, states = torch.randn(400, 64).to(dtype), torch.randn(50, 64).to(dtype)
    near = weight[:1] * 4 + torch.randn(40, 64).to(dtype) * 0.004
    weight[100:140] = near
    states[:10] = weight[100] * 2
    head = LinearHead(weight)
    assert head.greedy(states).tolist() == head.logits(states).argmax(1).tolist()


def test_the_models_own_head_is_a_setting_and_another_identity(
    checkpoint: Callable[[str], Path],
) -> None:
    """In bfloat16 the two heads differ by rounding, and answers of one are not the other's."""
    folder = checkpoint("llama")
    requests = [LogLikelihood("The cat sat on", choice) for choice in (" the mat", " a hat")]
    answers, identities = [], []
    for head in ("float32", "model"):
        backend = load_backend("hf", LoadOptions(folder, folder, "bfloat16", head=head))
        responses = [answer.response for answer in backend.answer(backend.encode(requests))]
        assert all(isinstance(response, LogProb) for response in responses)
        answers.append([r.logprob for r in responses if isinstance(r, LogProb)])
        identities.append(backend.identity["head"])
    assert identities == ["float32", "bfloat16"]
    assert answers[0] != answers[1]
    assert answers[0] == pytest.approx(answers[1], abs=0.5)
