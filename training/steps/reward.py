"""A reward model: the parent with one linear output that scores an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


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
        batch_size: pairs per optimizer step.
        learning_rate: peak of the schedule (AdamW).
        warmup_share: share of the steps that warms up linearly.
        clip: largest norm of the gradient.
        epochs: passes over the pairs, at most; the best epoch on the held-out pairs is kept.
        max_length: tokens of prompt and answer together.
        validation_share: share of the pairs that is held out.
        seed: of shuffling, the split and the new output's start.
    """

    stage: ClassVar[str] = "reward"
    needs: ClassVar[tuple[str, ...]] = ("peft", "trl")

    data: str = "default"
    template: Literal["auto", "chat", "plain"] = "auto"
    penalty: Literal["centring", "weight_decay"] = "centring"
    penalty_weight: float = 0.001
    batch_size: int = 4
    learning_rate: float = 1e-5
    warmup_share: float = 0.2
    clip: float = 1.0
    epochs: float = 2.0
    max_length: int = 512
    validation_share: float = 0.05
    seed: int = 1234

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_length"):
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
