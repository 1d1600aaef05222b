"""What looks on while a model is trained: progress, time to save, losses that are no numbers."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.errors import TrainingError
from training.checkpoints import newest
from training.step import Work

TELL_EVERY_SECONDS = 10.0
SAVE_EVERY_SECONDS = 60.0
_WATCHED = {"loss": "loss", "grad_norm": "gradient's norm", "eval_loss": "validation loss"}


class Watch(TrainerCallback):
    """One line of progress every few seconds, a checkpoint every minute, and a stop at NaN.

    A value that is not finite is seen in the step in which it arises, before anything is saved:
    every checkpoint is one from before it.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._told = self._saved = self._started = 0.0
        self._first_step = 0
        self._last = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The clock starts."""
        self._told = self._saved = self._started = time.monotonic()
        self._first_step = state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a checkpoint if the last one is old."""
        if time.monotonic() - self._saved >= SAVE_EVERY_SECONDS:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Remember when."""
        self._saved = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,
    ) -> None:
        """Check what was logged and pass it on.

        Raises:
            TrainingError: a loss or a gradient is NaN or infinite.
        """
        logs: dict[str, float] = others["logs"]
        for key, words in _WATCHED.items():
            value = logs.get(key)
            if value is not None and not math.isfinite(value):
                raise self._diverged(words, value, state, logs)
        if "loss" in logs:
            self._tell_progress(state, logs["loss"])
        elif "eval_loss" in logs:
            line = f"step {state.global_step}: validation loss {logs['eval_loss']:.4f}"
            self._work.tell(f"{self._work.name}: {line}")

    def _tell_progress(self, state: TrainerState, loss: float) -> None:
        now = time.monotonic()
        if now - self._told < TELL_EVERY_SECONDS:
            return
        self._told = now
        done = state.global_step - self._first_step
        left = (now - self._started) / done * (state.max_steps - state.global_step)
        self._work.tell(
            f"{self._work.name}: step {state.global_step} of {state.max_steps}, loss {loss:.4f}, "
            f"about {left / 60:.0f} min left"
            if left >= 90
            else f"{self._work.name}: step {state.global_step} of {state.max_steps}, loss "
            f"{loss:.4f}, about {left:.0f} s left"
        )

    def _diverged(
        self, words: str, value: float, state: TrainerState, logs: dict[str, float]
    ) -> TrainingError:
        if state.global_step == 0:
            return TrainingError(
                f"{self._work.name}: the {words} of the parent is {value}, before anything was "
                f"changed: something is wrong with its weights in {self._work.parent}"
            )
        rates = [entry["learning_rate"] for entry in state.log_history if "learning_rate" in entry]
        rate = logs.get("learning_rate", rates[-1] if rates else math.nan)
        kept = newest(self._work)
        where = f"the last good checkpoint is kept: {kept}" if kept else "no checkpoint was due yet"
        return TrainingError(
            f"{self._work.name}: the {words} is {value} at step {state.global_step} of "
            f"{state.max_steps}, at a learning rate of {rate:g}: training has diverged and was "
            f"stopped; {where}. Lower learning_rate, or raise warmup_steps"
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch or Python failed for want of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
