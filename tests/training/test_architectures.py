"""Fine-tuning holds for every architecture: the loss that is reported is that of the folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from harness.errors import TrainingError
from tests.engine.architectures import ARCHITECTURES, save_checkpoint
from tests.training.conftest import QUICK
from tests.training.plain import causal
from tests.training.test_dpo import margins
from tests.training.test_sft import validation_loss
from training.step import Work
from training.steps import dpo, kto, reward, sft


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sft(work: Work, sums: str, tmp_path: Path, name: str) -> None:
    """Random wide weights make losses of dozens of nats, so the tolerance is relative."""
    parent = save_checkpoint(tmp_path / "parent", name)
    work = dataclasses.replace(work, parent=parent, tokenizer=parent)
    made = sft.run(sft.Options(data=sums, **(QUICK | {"epochs": 1.0})), work).figures
    before = validation_loss(parent, sums)
    assert made["validation_loss_before"] == pytest.approx(before, rel=1e-4)
    assert made["validation_loss"] == pytest.approx(validation_loss(work.out, sums), rel=1e-3)
    assert made["validation_loss"] < made["validation_loss_before"]
    assert type(causal(work.out)) is type(causal(parent))


@pytest.mark.parametrize("name", ["gpt2", "bloom", "qwen2"])
def test_dpo(work: Work, choices: str, tmp_path: Path, name: str) -> None:
    parent = save_checkpoint(tmp_path / "parent", name)
    work = dataclasses.replace(work, parent=parent, tokenizer=parent)
    options = QUICK | {"epochs": 1.0, "learning_rate": 1e-3}
    made = dpo.run(dpo.Options(data=choices, **options), work).figures
    found = margins(parent, work.out, choices, 0.1)
    assert made["reward_margin"] == pytest.approx(sum(found) / 8, rel=1e-3, abs=1e-3)
    assert made["validation_loss_before"] == pytest.approx(0.693147, abs=1e-5)


@pytest.mark.parametrize("step", [sft, dpo, kto, reward])
def test_rows_longer_than_the_parent_reads_are_refused(
    work: Work, tiny_model: Path, tmp_path: Path, step: Any
) -> None:
    """GPT-2 has an embedding for each of 32 positions, and none for the thirty-third."""
    parent = tmp_path / "parent"
    GPT2LMHeadModel(
        GPT2Config(vocab_size=600, n_embd=32, n_layer=1, n_head=2, n_positions=32)
    ).save_pretrained(parent)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, parent / name)
    work = dataclasses.replace(work, parent=parent, tokenizer=parent)
    sides = {"output": "yes " * 40} if step is sft else {"chosen": "yes " * 40, "rejected": "no"}
    rows = [{"instruction": f"Say {number}", **sides} for number in range(20)]
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    known = {field.name for field in dataclasses.fields(step.Options)}
    options = {name: value for name, value in QUICK.items() if name in known}
    with pytest.raises(TrainingError, match="the parent reads 32 at most: write max_length: 32"):
        step.run(step.Options(data=str(path), **options), work)
