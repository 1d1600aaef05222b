"""The options that every step which trains has, apart from what it learns from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True)
class Tuning:
    """How weights are changed, whatever the objective; see `training.steps.sft`."""

    precision: Literal["auto", "bfloat16", "float32"]
    template: Literal["auto", "chat", "plain"]
    batch_size: int
    accumulation: int
    learning_rate: float
    schedule: Literal["cosine", "constant", "linear"]
    warmup_steps: int
    epochs: float
    max_length: int
    validation_share: float
    patience: int
    seed: int
    method: Literal["lora", "full"] = "lora"
    lora_r: int = 8
    lora_alpha: int = 16
    adapter: Literal["merge", "keep"] = "merge"
    clip: float = 1.0
    weight_decay: float = 0.0

    @staticmethod
    def of(options: Any) -> Tuning:
        """Take these options out of a step's."""
        names = {field.name for field in fields(Tuning)}
        return Tuning(**{name: getattr(options, name) for name in names if hasattr(options, name)})
