"""The self-test: what is broken on purpose is not used, what is right is not refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.backend import Backend, LoadOptions, load_backend
from harness.backends.hf import EngineBackend
from harness.engine import decoding, generation, passes, scoring, selftest
from harness.engine.model import LoadedModel, load_model
from harness.errors import WeightsError
from harness.types import Answer, GenerateUntil, Generation, LogLikelihood, Request, Unanswered
from tests.engine.architectures import CONTEXT
from tests.engine.plain import Plain

DTYPES = ("float32", "bfloat16")


def model(folder: Path, dtype: str) -> LoadedModel:
    return load_model(folder, dtype, False, "float32")


def texts(backend: Backend, requests: list[Request]) -> list[str]:
    found = {a.index: a.response for a in backend.answer(backend.encode(requests))}
    responses = [found[index] for index in range(len(requests))]
    assert all(isinstance(response, Generation) for response in responses)
    return [response.text for response in responses if isinstance(response, Generation)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral", "qwen3"])
def test_a_right_plan_is_taken(name: str, dtype: str, checkpoint: Callable[[str], Path]) -> None:
    verdict = selftest.examine(model(checkpoint(name), dtype), CONTEXT)
    assert (verdict.plan, verdict.reason, verdict.generates) == ("packed", "", "")


def _siblings_see_each_other(call: Any, mask: torch.Tensor) -> torch.Tensor:
    distance = call.position[0][:, :, None] - call.position[1][:, None, :]
    return torch.where((distance >= 0)[:, None], 0, mask)


def _each_sees_the_next(call: Any, mask: torch.Tensor) -> torch.Tensor:
    distance = call.position[0][:, :, None] - call.position[1][:, None, :]
    return torch.where((distance == -1)[:, None], 0, mask)


def _blind_to_itself(call: Any, mask: torch.Tensor) -> torch.Tensor:
    distance = call.position[0][:, :, None] - call.position[1][:, None, :]
    return torch.where((distance == 0)[:, None], torch.finfo(mask.dtype).min, mask)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "broken", [_siblings_see_each_other, _each_sees_the_next, _blind_to_itself]
)
def test_a_wrong_mask_is_found(
    broken: Callable[[Any, torch.Tensor], torch.Tensor],
    dtype: str,
    checkpoint: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the model is left with the attention that it came with."""
    right: Any = passes._Call.mask
    monkeypatch.setattr(passes._Call, "mask", lambda self, *a: broken(self, right(self, *a)))
    examined = model(checkpoint("llama"), dtype)
    verdict = selftest.examine(examined, CONTEXT)
    assert verdict.plan != "packed"
    assert "nats" in verdict.reason or "greedy" in verdict.reason
    assert examined.causal.config._attn_implementation == examined.attention


@pytest.mark.parametrize("dtype", DTYPES)
def test_wrong_positions_are_found(
    dtype: str, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    states: Any = LoadedModel.states

    def shifted(self: LoadedModel, ids: Any, **options: Any) -> Any:
        if "position_ids" in options and len(ids) == 1:
            options["position_ids"] = options["position_ids"] // 2
        return states(self, ids, **options)

    monkeypatch.setattr(LoadedModel, "states", shifted)
    assert selftest.examine(model(checkpoint("llama"), dtype), CONTEXT).plan != "packed"


@pytest.mark.parametrize("dtype", DTYPES)
def test_wrong_decoding_leaves_generations_to_the_model(
    dtype: str, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Any = decoding.DecodeLayout._mask
    monkeypatch.setattr(
        decoding.DecodeLayout, "_mask", lambda self, *a: torch.zeros_like(right(self, *a))
    )
    verdict = selftest.examine(model(checkpoint("llama"), dtype), CONTEXT)
    assert verdict.plan == "packed"
    assert "nats" in verdict.generates or "greedy" in verdict.generates


def test_silence_is_no_agreement(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*arguments: Any) -> Iterator[Answer]:
        return (a for a in scoring.score_packed(*arguments) if a.index % 2)

    monkeypatch.setattr(selftest, "score_packed", half)
    assert "incomplete" in selftest.examine(model(checkpoint("llama"), "float32"), CONTEXT).reason


def test_a_window_in_a_mask_of_its_own_is_noticed(tmp_path: Path) -> None:
    """Qwen2-MoE hides its window from the attention function, and the probes are shorter."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    torch.manual_seed(0)
    config = Qwen2MoeConfig(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=32,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        num_experts=2,
        num_experts_per_tok=1,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        use_sliding_window=True,
        sliding_window=256,
        max_window_layers=0,
    )
    Qwen2MoeForCausalLM(config).save_pretrained(tmp_path)
    assert selftest.examine(model(tmp_path, "float32"), 1024).plan != "packed"


def test_generation_settings_that_are_not_followed_here(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    """`no_repeat_ngram_size` changes what a model says: its own `generate` says it."""
    import shutil

    folder = shutil.copytree(checkpoint("llama"), tmp_path / "llama")
    settings = json.loads((folder / "generation_config.json").read_text("utf-8"))
    (folder / "generation_config.json").write_text(
        json.dumps(settings | {"no_repeat_ngram_size": 1}), "utf-8"
    )
    backend = load_backend("hf", LoadOptions(folder, folder, "float32"))
    assert "no_repeat_ngram_size" in backend.facts.plan
    requests: list[Request] = [GenerateUntil(f"{word} and", (), 12) for word in ("one", "so")]
    generated = texts(backend, requests)
    plain = Plain(folder, CONTEXT)
    for request, text in zip(requests, generated, strict=True):
        assert isinstance(request, GenerateUntil)
        ids = plain.tokenizer(request.context, return_tensors="pt").input_ids
        output = plain.model.generate(ids, max_new_tokens=12, do_sample=False)
        expected = plain.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        assert text == expected.split("</s>")[0]
    # Log-likelihoods still run packed afterwards.
    pair = [LogLikelihood("one and", " two"), LogLikelihood("one and", " three")]
    assert len(list(backend.answer(backend.encode(pair)))) == 2


def test_rows_outgrow_their_room_while_prompts_wait(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint("llama")
    backend = load_backend("hf", LoadOptions(folder, folder, "float32"))
    requests: list[Request] = [
        GenerateUntil(f"Number {number} said", (), 3 + 5 * (number % 4)) for number in range(9)
    ]
    expected = texts(backend, requests)
    monkeypatch.setattr(decoding, "GROWTH", 7)
    monkeypatch.setitem(generation.SLOTS, "cpu", 2)
    assert texts(backend, requests) == expected


def test_slow_passes_that_predict_nothing_are_waited_for(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preamble can take longer than answers are held back."""
    folder = checkpoint("llama")
    backend = load_backend("hf", LoadOptions(folder, folder, "float32"))
    assert isinstance(backend, EngineBackend)
    backend.budget = 8
    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    preamble = "These are questions and answers about many things of this world. " * 2
    requests = [LogLikelihood(preamble + f"Number {n}:", f" {n}") for n in range(4)]
    assert len(list(backend.answer(backend.encode(requests)))) == 4


def test_a_tokenizer_with_nothing_to_begin_with(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    import shutil

    folder = shutil.copytree(checkpoint("llama"), tmp_path / "llama")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings = {k: v for k, v in settings.items() if k not in ("bos_token", "eos_token")}
    path.write_text(json.dumps(settings), "utf-8")
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(WeightsError, match="neither a BOS nor an EOS"):
        load_backend("hf", LoadOptions(folder, folder, "float32"))


def test_nothing_to_generate_is_refused(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("llama")
    backend = load_backend("hf", LoadOptions(folder, folder, "float32"))
    (answer,) = backend.answer(backend.encode([GenerateUntil("Once", (), 0)]))
    assert isinstance(answer.response, Unanswered)
    assert "0 new tokens" in answer.response.reason


def test_a_model_that_contradicts_itself_is_refused(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = model(checkpoint("llama"), "float32")
    noisy = replace(examined, causal=_Noisy(examined.causal))
    with pytest.raises(WeightsError, match="asked the same twice"):
        selftest.examine(noisy, CONTEXT)


class _Noisy:
    """A model whose logits change by whole nats from call to call."""

    def __init__(self, causal: Any) -> None:
        self._causal = causal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._causal, name)

    def __call__(self, **inputs: Any) -> Any:
        output = self._causal(**inputs)
        output.logits = output.logits + torch.randn_like(output.logits) * 3
        return output
