"""QLoRA: an adapter that is learned beside weights rounded to 4 bits (arXiv 2305.14314)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe; the defaults are those of the sft step.

    While it is trained, the parent's linear layers hold 4-bit weights (nf4, their scales rounded
    too), so that a large parent fits into little memory. The result is an ordinary folder in the
    parent's own dtype: the adapter is added to the parent's unrounded weights, not to those
    that it was learned beside. What it learned to make up for rounding is in there too; a bnb step
    after this one rounds the sum anew.

    Attributes:
        objective: ``sft`` or ``dpo``.
        data: name of a mixture (sft) or of preference pairs (dpo); ``default`` is the one shipped.
        template: how a prompt is written: ``chat`` with the tokenizer's chat template, ``plain`` as
            lm-eval words GSM8K, ``auto`` with a chat template where there is one.
        beta: dpo only: strength of the tie to the reference model, the rounded parent.
        lora_r, lora_alpha: rank and scale of the adapter.
        adapter: ``merge`` leaves the merged model only, ``keep`` the adapter beside it, in the
            folder `adapter`.
        precision: what products are computed in; ``auto`` is bfloat16 where the machine has units
            for it. What is trained is float32 always.
        batch_size: rows per batch.
        accumulation: batches per optimizer step.
        learning_rate: peak of the schedule.
        schedule: what follows the warm-up.
        warmup_steps: optimizer steps of linear warm-up.
        epochs: passes over the data.
        max_length: tokens of prompt and answer together.
        validation_share: share of the data that is held out, by prompt.
        patience: how many times in a row the held-out loss may fail to fall, of the five times that
            it is looked at, before training stops; the best weights are kept.
        answer_only: sft only: whether the loss leaves the prompt out.
        seed: of shuffling, the split and the adapter's start.
    """

    needs: ClassVar[tuple[str, ...]] = ("bitsandbytes", "peft", "trl")

    objective: Literal["sft", "dpo"] = "sft"
    data: str = "default"
    template: Literal["auto", "chat", "plain"] = "auto"
    beta: float = 0.1
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
        for name in ("beta", "learning_rate", "epochs"):
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
        if self.objective == "dpo" and self.data == "gsm8k":
            raise ValueError(
                "data is gsm8k, which has no wrong answers to set against its solutions: the steps "
                "dpo and kto ask their parent for some, this one does not"
            )

    @property
    def stage(self) -> str:
        """The stage that the step leads to: its objective."""
        return self.objective


def run(options: Options, work: Work) -> Made:
    """Learn an adapter beside 4-bit weights, and merge it into the parent's own.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    from training.quiet import quiet

    with quiet():
        from training import preference, supervised
        from training.data import sets
        from training.tuning import Tuning

        tuning = Tuning.of(options)
        written = asdict(options)
        if options.objective == "dpo":
            pairs = sets.pairs(options.data, work.data)
            objective = preference.Preference(options.beta)
            return preference.learn(tuning, objective, work, pairs, written, nf4=True)
        examples = sets.examples(options.data, work.data)
        return supervised.learn(
            tuning, work, examples, written, answer_only=options.answer_only, nf4=True
        )
