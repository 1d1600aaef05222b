"""Fine-tuning holds for every architecture: the loss that is reported is that of the folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.engine.architectures import ARCHITECTURES, save_checkpoint
from tests.training.conftest import QUICK
from tests.training.plain import causal
from tests.training.test_dpo import margins
from tests.training.test_sft import validation_loss
from training.step import Work
from training.steps import dpo, sft


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
