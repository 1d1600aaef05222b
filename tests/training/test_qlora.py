"""Adapters learned beside 4-bit weights, merged into the parent's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from harness.step_options import options_class
from tests.training.conftest import QUICK
from tests.training.plain import causal
from training.parent import load_causal
from training.step import Work

pytest.importorskip("bitsandbytes")

from training.steps.qlora import Options, run


@pytest.mark.parametrize(("objective", "before"), [("sft", None), ("dpo", 0.693147)])
def test_it_learns_and_leaves_an_ordinary_folder(
    work: Work, sums: str, choices: str, tiny_model: Path, objective: Any, before: float | None
) -> None:
    data = sums if objective == "sft" else choices
    options = Options(data=data, objective=objective, adapter="keep", **QUICK)
    made = run(options, work).figures
    fall = made["validation_loss_before"] - made["validation_loss"]
    assert fall > (0.3 if objective == "sft" else 0.05)
    if before is not None:
        assert made["validation_loss_before"] == pytest.approx(before, abs=1e-5)
    config = json.loads((work.out / "config.json").read_text("utf-8"))
    assert "quantization_config" not in config
    merged, parent = causal(work.out), causal(tiny_model)
    ids = torch.arange(2, 60)[None]
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(parent, work.out / "adapter")(input_ids=ids).logits
        assert (merged(input_ids=ids).logits - adapted).abs().max() < 1e-4


def test_a_look_at_held_out_rows_does_not_cut_the_gradients(work: Work) -> None:
    """Bitsandbytes packs weights for a kernel without a backward pass when they are evaluated.

    The gradient of the lowest adapter flows through every layer above: it must be the same before
    and after an evaluation.
    """
    model = load_causal(work, torch.float32, nf4=True)
    torch.manual_seed(0)
    model = get_peft_model(
        model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    ids = torch.arange(2, 40)[None]

    def gradient() -> torch.Tensor:
        model.train()
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        lowest = model.base_model.model.model.layers[0].self_attn.q_proj.lora_A["default"]
        return lowest.weight.grad.clone()

    before = gradient()
    assert before.abs().max() > 0
    model.eval()
    with torch.no_grad():
        model(input_ids=ids)
    assert torch.allclose(gradient(), before, rtol=1e-4, atol=1e-7)


def test_the_stage_is_the_objective() -> None:
    assert options_class("qlora")(objective="dpo").stage == "dpo"
    assert options_class("qlora")().stage == "sft"
