"""What is computed faster on a CPU is what TRL and PEFT compute."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from trl.trainer.utils import add_fused_lm_head

from tests.training.plain import causal
from training.head import project_labels_only
from training.lowrank import spare_copies


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(2, 600, (3, 20))
    labels = ids.clone()
    labels[:, :6] = -100
    mask = torch.ones_like(ids)
    labels[1, 15:], mask[1, 15:] = -100, 0
    labels[2] = -100  # a row of which nothing is learned
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def with_adapter(folder: Path, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    base = causal(folder).to(dtype)
    add_fused_lm_head(base)
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(base, settings)


def learn(model: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    model.zero_grad()
    output = model(**batch(), fused_lm_head=True)
    # Each position counts differently, so that one row's gradient cannot stand in for another's.
    weights = torch.arange(1.0, 20.0)
    (output.log_probs * weights).sum().backward()
    return output, {
        name: weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }


def test_the_spared_head_is_trls_head(tiny_model: Path) -> None:
    model = with_adapter(tiny_model, torch.float32)
    theirs, their_gradients = learn(model)
    assert project_labels_only(model.get_base_model())
    ours, our_gradients = learn(model)
    assert torch.allclose(ours.log_probs, theirs.log_probs, atol=1e-5)
    assert ours.log_probs[0].count_nonzero() == 14
    assert float(ours.loss.detach()) == pytest.approx(float(theirs.loss.detach()), abs=1e-5)
    assert set(our_gradients) == set(their_gradients) != set()
    for name, gradient in our_gradients.items():
        assert torch.allclose(gradient, their_gradients[name], rtol=1e-3, atol=1e-5), name


def test_the_head_in_pieces_is_the_same(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """600 entries and 1,800 logits at a time: three rows a piece, 23 learned tokens."""
    model = with_adapter(tiny_model, torch.float32)
    project_labels_only(model.get_base_model())
    whole, gradients = learn(model)
    monkeypatch.setattr("training.head._PIECE_ELEMENTS", 1800)
    model = with_adapter(tiny_model, torch.float32)
    project_labels_only(model.get_base_model())
    pieces, in_pieces = learn(model)
    assert torch.allclose(whole.log_probs, pieces.log_probs, atol=1e-6)
    for name, gradient in gradients.items():
        # An entry that is small by cancellation is as exact as the largest of its sum.
        slack = 1e-6 * float(gradient.abs().max())
        assert torch.allclose(gradient, in_pieces[name], rtol=1e-4, atol=slack), name


def test_logits_are_still_to_be_had(tiny_model: Path) -> None:
    model = causal(tiny_model).requires_grad_(False)
    before = model(**batch()).logits
    add_fused_lm_head(model)
    project_labels_only(model)
    after = model(**batch())
    assert torch.equal(after.logits, before)
    assert after.loss.isfinite()


def test_heads_that_do_more_are_left_alone(tiny_model: Path) -> None:
    model = causal(tiny_model)
    assert not project_labels_only(model)  # its weights are trained
    model.requires_grad_(False)
    model.config.final_logit_softcapping = 30.0
    assert not project_labels_only(model)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_the_spared_layers_are_pefts_layers(
    tiny_model: Path, dtype: torch.dtype, near: float
) -> None:
    """Equal in float32; in bfloat16 as near as rounding to 8 bits allows, by the norm."""
    model = with_adapter(tiny_model, dtype)
    theirs, their_gradients = learn(model)
    assert spare_copies(model) == 14  # seven in each of two layers
    ours, our_gradients = learn(model)
    error = (ours.log_probs - theirs.log_probs).norm() / theirs.log_probs.norm()
    assert error < near
    assert set(our_gradients) == set(their_gradients)
    for name, gradient in our_gradients.items():
        assert gradient.dtype == torch.float32
        off = (gradient - their_gradients[name]).norm() / their_gradients[name].norm()
        assert off < 3 * near, name


def test_an_adapter_that_is_turned_off_is_off(tiny_model: Path) -> None:
    model = with_adapter(tiny_model, torch.float32)
    plain = copy.deepcopy(causal(tiny_model))
    spare_copies(model)
    ids = batch()["input_ids"]
    with torch.no_grad():
        adapted = model(input_ids=ids).logits
        with model.disable_adapter():
            off = model(input_ids=ids).logits
        assert torch.allclose(off, plain(input_ids=ids).logits, atol=1e-5)
        assert not torch.allclose(adapted, off, atol=1e-2)
