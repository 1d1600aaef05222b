"""A reward model on preference pairs (Bradley-Terry, with a penalty)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import trl
from transformers import set_seed

from training import finetune
from training.data.rows import Pair
from training.data.sets import Loaded
from training.held_out import optimizer_steps
from training.lessons import Lessons, Row, prepare
from training.parent import load_classifier
from training.preference import judged
from training.step import Made, Work
from training.tokens import TextEncoder, check_readable, load_tokenizer
from training.trainers import RewardTrainer
from training.tuning import Tuning


def learn(
    tuning: Tuning,
    warmup_share: float,
    centring: float,
    work: Work,
    loaded: Loaded[Pair],
    options: Mapping[str, Any],
) -> Made:
    """Teach the parent, with one linear output, to score chosen answers higher.

    The weights stay float32 in the folder, too: rewards are compared by small differences.

    Args:
        tuning: the recipe, without its warm-up.
        warmup_share: share of the steps that warms up.
        centring: weight of (r_chosen + r_rejected)^2 in the loss.
        work: the step.
        loaded: the pairs.
        options: all of the step's options; a checkpoint made with others is not resumed from.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    tokenizer = load_tokenizer(work)
    encoder = TextEncoder(tokenizer, tuning.template, work.name)
    lessons = prepare([_row(pair, encoder, tuning) for pair in loaded.rows], tuning, work)
    steps = optimizer_steps(len(lessons.train), tuning.batch_size, tuning.accumulation)
    tuning = replace(tuning, warmup_steps=int(warmup_share * steps))
    set_seed(tuning.seed)  # the new output starts at random
    own = {"center_rewards_coefficient": centring or None}
    trainer, curves = finetune.fit(
        finetune.Objective(RewardTrainer, trl.RewardConfig, own, sequences=2),
        classifier(work, lessons),
        tuning,
        work,
        lessons,
        tokenizer,
        {**options, "sha256": loaded.sha256},
    )
    margins = trainer.margins() if lessons.held is not None else []
    trainer.model.save_pretrained(work.out)
    finetune.copy_tokenizer(work)
    curves.write(work.out, work.name)
    return Made(
        {loaded.name: loaded.sha256},
        {**lessons.figures(), **curves.figures(), **judged(margins, lessons.groups)},
        finetune.chosen(tuning, tokenizer),
    )


def classifier(work: Work, lessons: Lessons) -> Any:
    """The parent with its new output; refused if it cannot read the rows."""
    model = load_classifier(work)
    check_readable(lessons.highest, lessons.longest, model, work.name)
    return model


def _row(pair: Pair, encoder: TextEncoder, tuning: Tuning) -> Row | None:
    chosen, rejected = (
        encoder.whole(pair.prompt, answer) for answer in (pair.chosen, pair.rejected)
    )
    tokens = max(len(chosen), len(rejected))
    if tokens > tuning.max_length:
        return None
    return Row({"chosen_ids": chosen, "rejected_ids": rejected}, pair.prompt, pair.group, tokens)
