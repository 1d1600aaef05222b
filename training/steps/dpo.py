"""Direct preference optimization: the parent learns to prefer chosen answers to rejected ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe; the defaults are those of the report ``zephyr-report``. The reference model is
    the parent.

    Attributes:
        data: name of the preference pairs; ``default`` is the set shipped with the project,
            ``gsm8k`` makes pairs of worked solutions and the parent's own wrong answers.
        questions: gsm8k only: how many of its training questions the parent is asked for that;
            ``seed`` draws them, and the answers.
        template: how a prompt is written: ``chat`` with the tokenizer's chat template, ``plain`` as
            lm-eval words GSM8K, ``auto`` with a chat template where there is one.
        beta: strength of the tie to the reference model.
        sft_weight: weight of the chosen answer's mean negative log-likelihood, added to DPO's loss
            (Pang et al. 2024, arXiv 2404.19733). DPO alone may make both answers of a pair less
            likely, the more so the more alike they are; this keeps the chosen one likely.
        method: ``lora`` trains an adapter and merges it at the end, ``full`` all weights.
        lora_r, lora_alpha: rank and scale of the adapter.
        adapter: ``merge`` leaves the merged model only, ``keep`` the adapter beside it, in the
            folder `adapter`.
        precision: what products are computed in; ``auto`` is bfloat16 where the machine has units
            for it. What is trained is float32 always.
        batch_size: pairs per batch.
        accumulation: batches per optimizer step.
        learning_rate: peak of the schedule.
        schedule: what follows the warm-up.
        warmup_steps: optimizer steps of linear warm-up.
        epochs: passes over the pairs.
        max_length: tokens of prompt and answer together; pairs with a longer one are left out.
        validation_share: share of the pairs that is held out, by prompt.
        patience: how many times in a row the held-out loss may fail to fall, of the five times that
            it is looked at, before training stops; the best weights are kept.
        seed: of shuffling, the split and the adapter's start.
    """

    stage: ClassVar[str] = "dpo"
    needs: ClassVar[tuple[str, ...]] = ("peft", "trl")

    data: str = "default"
    questions: int = 256
    template: Literal["auto", "chat", "plain"] = "auto"
    beta: float = 0.1
    sft_weight: float = 0.0
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
        counts = ("questions", "lora_r", "lora_alpha", "batch_size", "accumulation")
        for name in (*counts, "max_length", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        for name in ("beta", "learning_rate", "epochs"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")
        for name in ("warmup_steps", "sft_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 0")
        if not 0 <= self.validation_share < 1:
            raise ValueError(
                f"validation_share is {self.validation_share}; it is a share: 0 up to 1"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it is 0 to {2**32 - 1}")
        if self.method == "full" and self.adapter == "keep":
            raise ValueError("adapter is keep, but method: full makes no adapter")


def run(options: Options, work: Work) -> Made:
    """Teach the parent preferences.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    from training.quiet import quiet

    with quiet():
        from training.own_pairs import pairs
        from training.preference import Preference, learn
        from training.tuning import Tuning

        tuning = Tuning.of(options)
        loaded = pairs(options.data, options.questions, tuning, work)
        objective = Preference(options.beta, options.sft_weight)
        return learn(tuning, objective, work, loaded, asdict(options))
