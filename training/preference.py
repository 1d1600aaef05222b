"""Direct preference optimization on pairs (Rafailov et al. 2023, arXiv 2305.18290)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trl

from harness.stats import wilson_interval
from training import finetune
from training.data.rows import Pair
from training.data.sets import Loaded
from training.lessons import Row, prepare
from training.step import Made, Work
from training.tokens import TextEncoder, load_tokenizer
from training.trainers import PreferenceTrainer
from training.tuning import Tuning


@dataclass(frozen=True)
class Preference:
    """What is minimized.

    Attributes:
        beta: strength of the tie to the reference, which is the parent.
        sft_weight: weight of the chosen answer's mean negative log-likelihood beside DPO's loss.
    """

    beta: float
    sft_weight: float = 0.0

    def arguments(self) -> dict[str, Any]:
        """As TRL calls them."""
        losses = {"sigmoid": 1.0} | ({"sft": self.sft_weight} if self.sft_weight else {})
        return {
            "beta": self.beta,
            "loss_type": list(losses),
            "loss_weights": list(losses.values()),
            "precompute_ref_log_probs": True,
        }


def learn(
    tuning: Tuning,
    preference: Preference,
    work: Work,
    loaded: Loaded[Pair],
    options: Mapping[str, Any],
    *,
    nf4: bool = False,
) -> Made:
    """Teach the parent to prefer chosen answers, tied to itself, and write the result.

    Args:
        tuning: the recipe.
        preference: the objective.
        work: the step.
        loaded: the pairs.
        options: all of the step's options; a checkpoint made with others is not resumed from.
        nf4: whether the adapter is learned beside weights rounded to 4 bits.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    tokenizer = load_tokenizer(work)
    encoder = TextEncoder(tokenizer, tuning.template, work.name)
    rows = [_row(number, pair, encoder, tuning) for number, pair in enumerate(loaded.rows)]
    lessons = prepare(rows, tuning, work)
    work.tell(f"{work.name}: computes the parent's log-probabilities of all pairs, then trains")
    trainer, curves = finetune.fit(
        finetune.Objective(PreferenceTrainer, trl.DPOConfig, preference.arguments(), sequences=2),
        finetune.load_base(tuning, work, lessons, nf4=nf4),
        tuning,
        work,
        lessons,
        tokenizer,
        {**options, "sha256": loaded.sha256},
    )
    margins = trainer.margins() if lessons.held is not None else []
    figures = judged(margins, lessons.groups)
    if margins:
        work.tell(f"{work.name}: {in_words(figures, len(margins))}")
    finetune.write_causal(trainer, tuning, work)
    curves.write(work.out, work.name)
    return Made(
        {loaded.name: loaded.sha256},
        {**lessons.figures(), **curves.figures(), **figures},
        finetune.chosen(tuning, tokenizer),
    )


def judged(margins: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    """Reward accuracy on held-out pairs: how often the chosen answer's reward is the higher one.

    Args:
        margins: the chosen answer's reward less the rejected one's, of each pair.
        groups: the pairs' groups.

    Returns:
        ``reward_accuracy`` with its Wilson interval of 95%, ``reward_margin`` (the mean), and the
        accuracy of each group where there are several; nothing if there are no pairs.
    """
    if not margins:
        return {}
    won = sum(margin > 0 for margin in margins)
    low, high = wilson_interval(won, len(margins))
    found = {
        "reward_accuracy": won / len(margins),
        "reward_margin": sum(margins) / len(margins),
    }
    if low is not None and high is not None:
        found |= {"reward_accuracy_low": low, "reward_accuracy_high": high}
    by_group: dict[str, list[bool]] = {}
    for margin, group in zip(margins, groups, strict=True):
        by_group.setdefault(group, []).append(margin > 0)
    if len(by_group) > 1:
        for group, wins in sorted(by_group.items()):
            found[f"reward_accuracy/{group}"] = sum(wins) / len(wins)
            found[f"held_out_rows/{group}"] = len(wins)
    return found


def in_words(figures: Mapping[str, float], pairs: int) -> str:
    """The reward accuracy with its interval, as `judged` gives it, for the terminal."""
    low, high = figures["reward_accuracy_low"], figures["reward_accuracy_high"]
    return (
        f"reward accuracy {figures['reward_accuracy']:.1%} ({low:.1%} to {high:.1%}) on "
        f"{pairs:,} held-out pairs"
    )


def _row(number: int, pair: Pair, encoder: TextEncoder, tuning: Tuning) -> Row | None:
    """Ids of a pair; ``None`` where one answer would be cut, as the other would win by its end."""
    prompt, (chosen, rejected) = encoder.answers(pair.prompt, pair.chosen, pair.rejected)
    tokens = len(prompt) + max(len(chosen), len(rejected))
    if tokens > tuning.max_length:
        return None
    columns = {
        "row": number,
        "prompt_ids": prompt,
        "chosen_ids": chosen,
        "rejected_ids": rejected,
    }
    return Row(columns, pair.prompt, pair.group, tokens)
