"""A reward model: the parent with one linear output that scores an answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from training.step import Made, Work


@dataclass(frozen=True)
class Options:
    """A recipe; the defaults are those of the report ``stem-assistant``, whose loss is
    -log sigmoid(r_chosen - r_rejected) plus an L2 penalty.

    Attributes:
        data: name of the preference pairs; ``default`` is the set shipped with the project.
        template: how a prompt is written: ``chat`` with the tokenizer's chat template, ``plain`` as
            lm-eval words GSM8K, ``auto`` with a chat template where there is one.
        penalty: what the L2 penalty is on, which the report does not say: ``centring`` is
            (r_chosen + r_rejected)^2, ``weight_decay`` the weights.
        penalty_weight: weight of the penalty.
        precision: what products are computed in; ``auto`` is bfloat16 where the machine has units
            for it. The weights are float32 always.
        batch_size: pairs per optimizer step.
        learning_rate: peak of the schedule (AdamW).
        warmup_share: share of the steps that warms up linearly; the others cool down linearly.
        clip: largest norm of the gradient.
        epochs: passes over the pairs, at most.
        max_length: tokens of prompt and answer together; pairs with a longer one are left out.
        validation_share: share of the pairs that is held out, by prompt.
        patience: how many times in a row the held-out loss may fail to fall, of the five times that
            it is looked at, before training stops; the best weights are kept.
        seed: of shuffling, the split and the new output's start.
    """

    stage: ClassVar[str] = "reward"
    needs: ClassVar[tuple[str, ...]] = ("peft", "trl")

    data: str = "default"
    template: Literal["auto", "chat", "plain"] = "auto"
    penalty: Literal["centring", "weight_decay"] = "centring"
    penalty_weight: float = 0.001
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    batch_size: int = 4
    learning_rate: float = 1e-5
    warmup_share: float = 0.2
    clip: float = 1.0
    epochs: float = 2.0
    max_length: int = 512
    validation_share: float = 0.05
    patience: int = 2
    seed: int = 1234

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_length", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        for name in ("learning_rate", "clip", "epochs"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")
        if self.penalty_weight < 0:
            raise ValueError(f"penalty_weight is {self.penalty_weight}; it is at least 0")
        for name in ("warmup_share", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share: 0 up to 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it is 0 to {2**32 - 1}")
        if self.data == "gsm8k":
            raise ValueError(
                "data is gsm8k, which has no wrong answers to set against its solutions: the steps "
                "dpo and kto ask their parent for some, this one does not"
            )


def run(options: Options, work: Work) -> Made:
    """Teach the parent to score answers.

    Raises:
        TrainingError: no rows, a parent that cannot be trained, a diverging loss, no memory.
    """
    from training.quiet import quiet

    with quiet():
        from training.data import sets
        from training.reward import learn
        from training.tuning import Tuning

        centring = options.penalty == "centring"
        tuning = Tuning(
            method="full",
            precision=options.precision,
            template=options.template,
            batch_size=options.batch_size,
            accumulation=1,
            learning_rate=options.learning_rate,
            schedule="linear",
            warmup_steps=0,
            epochs=options.epochs,
            max_length=options.max_length,
            validation_share=options.validation_share,
            patience=options.patience,
            seed=options.seed,
            clip=options.clip,
            weight_decay=0.0 if centring else options.penalty_weight,
        )
        return learn(
            tuning,
            options.warmup_share,
            options.penalty_weight if centring else 0.0,
            work,
            sets.pairs(options.data, work.data),
            asdict(options),
        )
