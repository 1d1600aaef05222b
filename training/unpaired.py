"""Kahneman-Tversky optimization on marked answers (Ethayarajh et al. 2024, arXiv 2402.01306)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import trl
from datasets import Dataset

from training import finetune
from training.data.rows import Marked
from training.data.sets import Loaded
from training.lessons import Row, prepare
from training.step import Made, Work
from training.tokens import TextEncoder, load_tokenizer
from training.trainers import UnpairedTrainer
from training.tuning import Tuning


def learn(
    tuning: Tuning,
    weights: Mapping[str, float],
    work: Work,
    loaded: Loaded[Marked],
    options: Mapping[str, Any],
) -> Made:
    """Teach the parent to raise good answers and lower bad ones, tied to itself.

    Args:
        tuning: the recipe.
        weights: ``beta``, ``desirable_weight``, ``undesirable_weight``.
        work: the step.
        loaded: the marked answers.
        options: all of the step's options; a checkpoint made with others is not resumed from.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    tokenizer = load_tokenizer(work)
    encoder = TextEncoder(tokenizer, tuning.template, work.name)
    rows = [_row(marked, encoder, tuning) for marked in loaded.rows]
    # Rows of like length would stand beside the other answer to their own prompt too often.
    lessons = prepare(rows, tuning, work, grouped=False)
    lessons = replace(
        lessons,
        train=mismatched(lessons.train, tuning.batch_size, lessons.longest),
        held=lessons.held and mismatched(lessons.held, tuning.batch_size, lessons.longest),
    )
    trainer, curves = finetune.fit(
        finetune.Objective(UnpairedTrainer, trl.KTOConfig, weights, sequences=2, least=2),
        finetune.load_base(tuning, work, lessons),
        tuning,
        work,
        lessons,
        tokenizer,
        {**options, "sha256": loaded.sha256},
    )
    finetune.write_causal(trainer, tuning, work)
    curves.write(work.out, work.name)
    return Made(
        {loaded.name: loaded.sha256},
        {**lessons.figures(), **curves.figures()},
        finetune.chosen(tuning, tokenizer),
    )


def mismatched(dataset: Dataset, batch_size: int, longest: int) -> Dataset:
    """Give each row another row's answer, by which the divergence from the parent is estimated.

    As TRL does it: within a batch, each row takes the answer of the row before it, the first that
    of the last. An answer is cut where the row would be longer than the longest of the data.
    """
    answers = list(dataset["completion_ids"])
    taken: list[list[int]] = []
    for start in range(0, len(answers), batch_size):
        batch = answers[start : start + batch_size]
        taken += [batch[-1], *batch[:-1]]
    cut = [
        answer[: longest - len(prompt)]
        for answer, prompt in zip(taken, dataset["prompt_ids"], strict=True)
    ]
    return dataset.add_column("KL_completion_ids", cut)


def _row(marked: Marked, encoder: TextEncoder, tuning: Tuning) -> Row | None:
    prompt, (answer,) = encoder.answers(marked.prompt, marked.answer)
    if len(prompt) + len(answer) > tuning.max_length:
        return None
    columns = {"prompt_ids": prompt, "completion_ids": answer, "label": marked.good}
    return Row(columns, marked.prompt, marked.group, len(prompt) + len(answer))
