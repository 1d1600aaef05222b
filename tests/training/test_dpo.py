"""A tiny model learns preferences for real; margins are held against plain transformers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TrainingError
from tests.training.conftest import QUICK
from tests.training.plain import causal, log_probs, tokenizer_of
from tests.training.test_sft import held_out_rows
from training.preference import judged
from training.step import Work
from training.steps.dpo import Options, run


def margins(parent: Path, made: Path, path: str, beta: float) -> list[float]:
    """By the definition: beta times the difference of two log-ratios, for each held-out pair."""
    before, after, tokenizer = causal(parent), causal(made), tokenizer_of(parent)

    def ratio(question: str, answer: str) -> float:
        now, then = (
            float(log_probs(model, tokenizer, question, answer).sum()) for model in (after, before)
        )
        return now - then

    return [
        beta
        * (ratio(row["instruction"], row["chosen"]) - ratio(row["instruction"], row["rejected"]))
        for row in held_out_rows(path)
    ]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_learns_what_is_preferred(
    work: Work, choices: str, tiny_model: Path, method: str
) -> None:
    """Before the first step policy and reference are one: the loss is -log sigmoid(0) = log 2.

    After it, the reported accuracy, margin and loss are those of the folder against the parent's:
    the loss of a pair is -log sigmoid(margin) = log(1 + exp(-margin)).
    """
    options = QUICK | {"method": method, "learning_rate": 1e-2 if method == "lora" else 1e-3}
    made = run(Options(data=choices, beta=0.2, **options), work).figures
    assert made["validation_loss_before"] == pytest.approx(math.log(2), abs=1e-6)
    found = margins(tiny_model, work.out, choices, 0.2)
    assert len(found) == made["held_out_rows"] == 8
    assert made["reward_margin"] == pytest.approx(sum(found) / 8, abs=1e-3)
    assert made["reward_margin"] > 0.1
    assert made["reward_accuracy"] == sum(margin > 0 for margin in found) / 8
    loss = sum(math.log1p(math.exp(-margin)) for margin in found) / 8
    assert made["validation_loss"] == pytest.approx(loss, abs=1e-3)
    assert made["validation_loss"] < math.log(2) - 0.05


def test_the_chosen_answers_likelihood_is_weighed_in(
    work: Work, choices: str, tiny_model: Path
) -> None:
    """Before the first step: log 2 + 0.5 times the mean of -log p over the tokens of all chosen
    answers held out, which are one batch.
    """
    options = QUICK | {"batch_size": 8, "sft_weight": 0.5}
    made = run(Options(data=choices, **options), work).figures
    model, tokenizer = causal(tiny_model), tokenizer_of(tiny_model)
    found = [
        float(value)
        for row in held_out_rows(choices)
        for value in log_probs(model, tokenizer, row["instruction"], row["chosen"])
    ]
    wanted = math.log(2) - 0.5 * sum(found) / len(found)
    assert made["validation_loss_before"] == pytest.approx(wanted, abs=1e-4)


def test_the_user_is_told_the_reward_accuracy(work: Work, choices: str, told: list[str]) -> None:
    """All 8 held-out pairs are won: 100%, and Wilson's interval begins at 8 / (8 + 3.84)."""
    run(Options(data=choices, **QUICK), work)
    assert told[-1] == ("tiny-made: reward accuracy 100.0% (67.6% to 100.0%) on 8 held-out pairs")


def test_the_curves_tell_accuracy_and_margin(work: Work, choices: str) -> None:
    run(Options(data=choices, **QUICK), work)
    curves = json.loads((work.out / "curves.json").read_text("utf-8"))
    assert [entry["step"] for entry in curves["train"]] == list(range(1, 19))
    assert curves["train"][0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert curves["train"][0]["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert curves["validation"][-1]["reward_accuracy"] > 0.9
    assert (work.out / "curves.svg").read_text("utf-8").count("reward margin") == 1


def test_several_epochs_and_an_odd_batch_use_the_right_reference(
    work: Work, choices: str, tiny_model: Path
) -> None:
    """72 pairs by 7 leave a short batch in the middle of an epoch; the references still fit."""
    options = QUICK | {"batch_size": 7, "accumulation": 2, "epochs": 2.5}
    made = run(Options(data=choices, **options), work).figures
    found = margins(tiny_model, work.out, choices, 0.1)
    assert made["reward_margin"] == pytest.approx(sum(found) / 8, abs=1e-3)
    assert made["steps"] == math.ceil(math.ceil(2.5 * 72 / 7) / 2)


def test_a_resumed_training_ends_with_the_same_weights(
    work: Work, again: Callable[[str], Work], choices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after step 5 (as by a signal: from within a callback), and gone on with."""
    uninterrupted = again("uninterrupted")
    first = run(Options(data=choices, **QUICK), uninterrupted)

    from training.watch import Watch

    def stop(self: Watch, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.watch.SAVE_EVERY_SECONDS", 0.0)
        patch.setattr(Watch, "on_save", stop)
        with pytest.raises(KeyboardInterrupt):
            run(Options(data=choices, **QUICK), work)
    second = run(Options(data=choices, **QUICK), work)
    assert second.figures == first.figures
    one, other = (folder.out / "model.safetensors" for folder in (work, uninterrupted))
    assert one.read_bytes() == other.read_bytes()


def test_pairs_with_a_long_answer_are_left_out(work: Work, tmp_path: Path, told: list[str]) -> None:
    """Of eight pairs, two have a rejected answer of 300 words: cut, it would lose by its end."""
    rows = [
        {"instruction": f"Say {row}", "chosen": "yes", "rejected": "no " * (300 if row < 2 else 2)}
        for row in range(8)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    made = run(
        Options(data=str(path), **(QUICK | {"validation_share": 0.2, "warmup_steps": 0})), work
    )
    assert made.figures["rows"] + made.figures["held_out_rows"] == 6
    assert any("2 are left out" in line for line in told)


def test_nothing_held_out_is_judged_by_nothing(work: Work, choices: str) -> None:
    made = run(Options(data=choices, **(QUICK | {"validation_share": 0.0})), work).figures
    assert made["rows"] == 80
    assert not {"reward_accuracy", "validation_loss", "reward_margin"} & set(made)


def test_one_prompt_cannot_be_split(work: Work, tmp_path: Path) -> None:
    rows = [{"instruction": "Say", "chosen": f"yes {row}", "rejected": "no"} for row in range(8)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(TrainingError, match=r"leaves none of 8 rows \(1 prompts\)"):
        run(Options(data=str(path), **QUICK), work)


def test_accuracy_by_group() -> None:
    """Three of four: 0.75, Wilson (0.30, 0.95) as in Brown, Cai and DasGupta's tables."""
    found = judged([0.5, -0.1, 0.2, 0.1], ["sign", "sign", "unit", "unit"])
    assert found["reward_accuracy"] == 0.75
    assert found["reward_accuracy_low"] == pytest.approx(0.3006, abs=1e-4)
    assert found["reward_accuracy_high"] == pytest.approx(0.9544, abs=1e-4)
    assert found["reward_margin"] == pytest.approx(0.175)
    assert found["reward_accuracy/sign"] == 0.5
    assert found["reward_accuracy/unit"] == 1.0
    assert found["held_out_rows/unit"] == 2
