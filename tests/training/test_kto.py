"""A tiny model learns from marked answers for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import Dataset

from tests.training.conftest import QUICK
from tests.training.plain import causal, log_probs, tokenizer_of
from tests.training.test_sft import held_out_rows
from training.step import Work
from training.steps.kto import Options, run
from training.unpaired import mismatched


def test_good_answers_rise_and_bad_ones_fall(work: Work, choices: str, tiny_model: Path) -> None:
    """Before the first step all ratios are 0: the loss is 1 - sigmoid(0) = 0.5 for each row."""
    made = run(Options(data=choices, **QUICK), work).figures
    assert made["validation_loss_before"] == pytest.approx(0.5, abs=1e-6)
    assert made["validation_loss"] < 0.46
    assert made["rows"] == 144
    assert made["held_out_rows"] == 16
    before, after, tokenizer = causal(tiny_model), causal(work.out), tokenizer_of(tiny_model)

    def moved(side: str) -> float:
        rows = held_out_rows(choices)
        return sum(
            float(
                (
                    log_probs(after, tokenizer, row["instruction"], row[side])
                    - log_probs(before, tokenizer, row["instruction"], row[side])
                ).sum()
            )
            for row in rows
        ) / len(rows)

    assert moved("chosen") > 0.5
    assert moved("chosen") - moved("rejected") > 1.0
    curves = json.loads((work.out / "curves.json").read_text("utf-8"))
    assert curves["validation"][-1]["reward_margin"] > 0.1


def test_each_row_takes_its_neighbours_answer() -> None:
    """Five rows by three: 1 2 3 | 4 5 become 3 1 2 | 5 4."""
    rows = Dataset.from_dict({"prompt_ids": [[0]] * 5, "completion_ids": [[1], [2], [3], [4], [5]]})
    assert mismatched(rows, 3, 9)["KL_completion_ids"][:] == [[3], [1], [2], [5], [4]]


def test_a_neighbours_answer_makes_no_row_longer_than_the_longest() -> None:
    """Rows of 6 and 4 tokens: the prompt of five leaves one of the other answer's three."""
    rows = Dataset.from_dict(
        {"prompt_ids": [[7] * 5, [7]], "completion_ids": [[1], [2, 3, 4]]},
    )
    assert mismatched(rows, 2, 6)["KL_completion_ids"][:] == [[2], [1]]
