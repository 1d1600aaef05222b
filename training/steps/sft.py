"""Supervised fine-tuning: the parent learns to give the answers of a mixture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe; the defaults are those of the report ``zephyr-report``.

    Attributes:
        data: name of the mixture to learn from; ``default`` is the one shipped with the project.
        template: how a prompt is written: ``chat`` with the tokenizer's chat template, ``plain`` as
            lm-eval words GSM8K, ``auto`` with a chat template where there is one.
        method: ``lora`` trains an adapter and merges it at the end, ``full`` all weights.
        lora_r, lora_alpha: rank and scale of the adapter.
        adapter: ``merge`` leaves the merged model only, ``keep`` the adapter beside it, in the
            folder `adapter`.
        precision: what products are computed in; ``auto`` is bfloat16 where the machine has units
            for it. What is trained is float32 always.
        batch_size: sequences per batch.
        accumulation: batches per optimizer step.
        learning_rate: peak of the schedule.
        schedule: what follows the warm-up.
        warmup_steps: optimizer steps of linear warm-up.
        epochs: passes over the mixture.
        max_length: tokens per example; longer ones are cut.
        validation_share: share of the mixture that is held out, by prompt.
        patience: how many times in a row the held-out loss may fail to fall, of the five times that
            it is looked at, before training stops; the best weights are kept.
        answer_only: whether the loss leaves the prompt out.
        seed: of shuffling, the split and the adapter's start.
    """

    stage: ClassVar[str] = "sft"
    needs: ClassVar[tuple[str, ...]] = ("peft", "trl")

    data: str = "default"
    template: Literal["auto", "chat", "plain"] = "auto"
    method: Literal["lora", "full"] = "lora"
    lora_r: int = 8
    lora_alpha: int = 16
    adapter: Literal["merge", "keep"] = "merge"
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    batch_size: int = 16
    accumulation: int = 8
    learning_rate: float = 5e-5
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 1000
    epochs: float = 2.0
    max_length: int = 2048
    validation_share: float = 0.05
    patience: int = 2
    answer_only: bool = True
    seed: int = 1234

    def __post_init__(self) -> None:
        counts = ("lora_r", "lora_alpha", "batch_size", "accumulation", "max_length", "patience")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it is above 0")
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it is at least 0")
        if not self.epochs > 0:
            raise ValueError(f"epochs is {self.epochs}; it is above 0")
        if not 0 <= self.validation_share < 1:
            raise ValueError(
                f"validation_share is {self.validation_share}; it is a share: 0 up to 1"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it is 0 to {2**32 - 1}")
        if self.method == "full" and self.adapter == "keep":
            raise ValueError("adapter is keep, but method: full makes no adapter")


def run(options: Options, work: Work) -> Made:
    """Fine-tune the parent on prompts and answers.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    from training.quiet import quiet

    with quiet():
        from training.data import sets
        from training.supervised import learn
        from training.tuning import Tuning

        loaded = sets.examples(options.data, work.data)
        return learn(
            Tuning.of(options), work, loaded, asdict(options), answer_only=options.answer_only
        )
