"""A tiny reward model is trained for real, from a causal parent and from an encoder."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    LlamaForSequenceClassification,
)

from tests.training.conftest import QUICK
from tests.training.plain import tokenizer_of
from tests.training.test_sft import held_out_rows
from training.step import Work
from training.steps.reward import Options, run

QUICK_REWARD: dict[str, Any] = {
    name: value for name, value in QUICK.items() if name not in ("accumulation", "warmup_steps")
} | {"learning_rate": 3e-3}


def rewards(folder: Path, path: str) -> list[tuple[float, float]]:
    """Of the chosen and the rejected answer of each held-out pair, one text at a time."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = tokenizer_of(folder)

    def reward(question: str, answer: str) -> float:
        ids = tokenizer(f"Question: {question}\nAnswer: {answer}")["input_ids"]
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([[*ids, tokenizer.eos_token_id]])).logits
        assert scores.shape == (1, 1)
        return float(scores)

    return [
        (reward(row["instruction"], row["chosen"]), reward(row["instruction"], row["rejected"]))
        for row in held_out_rows(path)
    ]


def loss(pairs: list[tuple[float, float]], centring: float) -> float:
    """-log sigmoid(w - l) + c (w + l)^2; for w = 2, l = 0.5, c = 0.001: 0.2014 + 0.00625."""
    return sum(
        math.log1p(math.exp(low - high)) + centring * (high + low) ** 2 for high, low in pairs
    ) / len(pairs)


def test_the_loss_by_hand() -> None:
    assert loss([(2.0, 0.5)], 0.001) == pytest.approx(0.20141 + 0.00625, abs=1e-5)


@pytest.mark.parametrize(("penalty", "centring"), [("centring", 0.05), ("weight_decay", 0.0)])
def test_it_learns_to_score(work: Work, choices: str, penalty: Any, centring: float) -> None:
    """What is reported is what the folder gives; weight decay is no part of the loss."""
    options = Options(data=choices, penalty=penalty, penalty_weight=0.05, **QUICK_REWARD)
    made = run(options, work).figures
    pairs = rewards(work.out, choices)
    assert len(pairs) == made["held_out_rows"] == 8
    assert made["validation_loss"] == pytest.approx(loss(pairs, centring), abs=1e-4)
    assert made["reward_accuracy"] == sum(high > low for high, low in pairs) / 8 == 1.0
    assert made["reward_margin"] == pytest.approx(
        sum(high - low for high, low in pairs) / 8, abs=1e-4
    )
    assert made["validation_loss"] < made["validation_loss_before"] - 0.2
    model: Any = AutoModelForSequenceClassification.from_pretrained(work.out)
    assert type(model) is LlamaForSequenceClassification
    curves = json.loads((work.out / "curves.json").read_text("utf-8"))
    assert curves["validation"][-1]["reward_accuracy"] == 1.0


def test_the_rate_climbs_over_a_fifth_of_the_steps_and_falls(work: Work, choices: str) -> None:
    """20 steps warm up over 4: 1/4, 2/4, 3/4, 1 of the peak (the first step has the first of these
    after it), then fall to 0; 80 pairs in batches of 4 are 20 steps.
    """
    options = QUICK_REWARD | {"batch_size": 4, "epochs": 1.0, "validation_share": 0.0}
    run(Options(data=choices, **options), work)
    curves = json.loads((work.out / "curves.json").read_text("utf-8"))
    rates = [entry["learning_rate"] / 3e-3 for entry in curves["train"]]
    assert len(rates) == 20
    assert rates[:5] == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert rates[-1] == pytest.approx(1 / 16)


def test_an_encoder_can_be_the_parent(
    work: Work, choices: str, tiny_model: Path, tmp_path: Path
) -> None:
    parent = tmp_path / "encoder"
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=600,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
        )
    ).save_pretrained(parent)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, parent / name)
    work = dataclasses.replace(work, parent=parent, tokenizer=parent)
    made = run(Options(data=choices, **QUICK_REWARD), work).figures
    assert made["reward_accuracy"] == 1.0
    pairs = rewards(work.out, choices)
    assert made["validation_loss"] == pytest.approx(loss(pairs, 0.001), abs=1e-4)
