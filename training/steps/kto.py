"""Kahneman-Tversky optimization: learns from answers marked good or bad, without pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe; optimizer, schedule and adapter default to those of the dpo step, so that the two
    can be compared. The reference model is the parent.

    Attributes:
        data: name of the marked answers; ``default`` is the set shipped with the project,
            ``gsm8k`` is worked solutions and the parent's own wrong answers.
        questions: gsm8k only: how many of its training questions the parent is asked for that;
            ``seed`` draws them, and the answers.
        template: how a prompt is written: ``chat`` with the tokenizer's chat template, ``plain`` as
            lm-eval words GSM8K, ``auto`` with a chat template where there is one.
        beta: strength of the tie to the reference model.
        desirable_weight, undesirable_weight: weights of good and bad answers in the loss; set
            them apart where one kind is rarer.
        method: ``lora`` trains an adapter and merges it at the end, ``full`` all weights.
        lora_r, lora_alpha: rank and scale of the adapter.
        adapter: ``merge`` leaves the merged model only, ``keep`` the adapter beside it, in the
            folder `adapter`.
        precision: what products are computed in; ``auto`` is bfloat16 where the machine has units
            for it. What is trained is float32 always.
        batch_size: answers per batch, at least 2: the loss needs a second answer to estimate the
            divergence from the reference.
        accumulation: batches per optimizer step.
        learning_rate: peak of the schedule.
        schedule: what follows the warm-up.
        warmup_steps: optimizer steps of linear warm-up.
        epochs: passes over the answers.
        max_length: tokens of prompt and answer together; longer ones are left out.
        validation_share: share of the answers that is held out, by prompt.
        patience: how many times in a row the held-out loss may fail to fall, of the five times that
            it is looked at, before training stops; the best weights are kept.
        seed: of shuffling, the split and the adapter's start.
    """

    stage: ClassVar[str] = "kto"
    needs: ClassVar[tuple[str, ...]] = ("peft", "trl")

    data: str = "default"
    questions: int = 256
    template: Literal["auto", "chat", "plain"] = "auto"
    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    method: Literal["lora", "full"] = "lora"
    lora_r: int = 8
    lora_alpha: int = 16
    adapter: Literal["merge", "keep"] = "merge"
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    batch_size: int = 16
    accumulation: int = 8
    learning_rate: float = 5e-5
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 200
    epochs: float = 3.0
    max_length: int = 2048
    validation_share: float = 0.05
    patience: int = 2
    seed: int = 1234

    def __post_init__(self) -> None:
        counts = ("questions", "lora_r", "lora_alpha", "accumulation", "max_length", "patience")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        if self.batch_size < 2:
            raise ValueError(f"batch_size is {self.batch_size}; it is at least 2")
        for name in ("beta", "desirable_weight", "undesirable_weight", "learning_rate", "epochs"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it is at least 0")
        if not 0 <= self.validation_share < 1:
            raise ValueError(
                f"validation_share is {self.validation_share}; it is a share: 0 up to 1"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it is 0 to {2**32 - 1}")
        if self.method == "full" and self.adapter == "keep":
            raise ValueError("adapter is keep, but method: full makes no adapter")


def run(options: Options, work: Work) -> Made:
    """Teach the parent which answers are good.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    from training.quiet import quiet

    with quiet():
        from training.own_pairs import marked
        from training.tuning import Tuning
        from training.unpaired import learn

        weights = {
            name: getattr(options, name)
            for name in ("beta", "desirable_weight", "undesirable_weight")
        }
        tuning = Tuning.of(options)
        loaded = marked(options.data, options.questions, tuning, work)
        return learn(tuning, weights, work, loaded, asdict(options))
