"""Supervised fine-tuning on prompts and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trl

from training import finetune
from training.data.rows import Example
from training.data.sets import Loaded
from training.lessons import Row, prepare
from training.step import Made, Work
from training.tokens import TextEncoder, labelled, load_tokenizer
from training.trainers import SupervisedTrainer
from training.tuning import Tuning


def learn(
    tuning: Tuning,
    work: Work,
    loaded: Loaded[Example],
    options: Mapping[str, Any],
    *,
    answer_only: bool = True,
    nf4: bool = False,
) -> Made:
    """Fine-tune the parent and write the result.

    Args:
        tuning: the recipe.
        work: the step.
        loaded: the rows.
        options: all of the step's options; a checkpoint made with others is not resumed from.
        answer_only: whether the loss leaves the prompts out.
        nf4: whether the adapter is learned beside weights rounded to 4 bits.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    tokenizer = load_tokenizer(work)
    encoder = TextEncoder(tokenizer, tuning.template, work.name)
    rows = [_row(example, encoder, tuning, answer_only) for example in loaded.rows]
    lessons = prepare(rows, tuning, work)
    trainer, curves = finetune.fit(
        finetune.Objective(SupervisedTrainer, trl.SFTConfig),
        finetune.load_base(tuning, work, lessons, nf4=nf4),
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


def _row(example: Example, encoder: TextEncoder, tuning: Tuning, answer_only: bool) -> Row | None:
    prompt, (answer,) = encoder.answers(example.prompt, example.answer)
    columns = labelled(prompt, answer, tuning.max_length, answer_only)
    if columns is None:
        return None
    return Row(columns, example.prompt, example.group, len(columns["input_ids"]))
