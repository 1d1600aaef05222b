"""What the steps that train have in common: arguments, the adapter, the training, the result."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel
from transformers import EarlyStoppingCallback

from harness.errors import TrainingError
from harness.weights import file_names, tokenizer_files
from training import checkpoints
from training.curves import Curves, read_history
from training.data.template import choose
from training.held_out import optimizer_steps
from training.lessons import Lessons
from training.lowrank import spare_copies
from training.parent import device, load_causal, own_dtype, precision, write_attention_out
from training.room import Load, demand, make_room
from training.step import Work
from training.tokens import check_readable
from training.tuning import Tuning
from training.watch import Watch, is_out_of_memory


@dataclass(frozen=True)
class Objective:
    """What is learned.

    Attributes:
        trainer: one of `training.trainers`.
        config: TRL's class of its arguments.
        own: the arguments that only this objective has.
        sequences: how many a row adds to a batch.
        least: the fewest rows that it can learn from at a time.
    """

    trainer: Any
    config: Any
    own: Mapping[str, Any] = field(default_factory=dict)
    sequences: int = 1
    least: int = 1


_SCHEDULES = {"cosine": "cosine", "constant": "constant_with_warmup", "linear": "linear"}
EAGER_TOKENS = 512
"""The longest rows for which attention is written out on a CPU: its memory grows by the square."""
EVALUATIONS = 5
"""How often the held-out rows are looked at during a training, besides its start."""


def _adapter(tuning: Tuning) -> LoraConfig | None:
    """LoRA on all linear layers of the body; ``None`` if all weights are trained."""
    if tuning.method == "full":
        return None
    return LoraConfig(
        r=tuning.lora_r,
        lora_alpha=tuning.lora_alpha,
        target_modules="all-linear",
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _arguments(
    objective: Objective, tuning: Tuning, work: Work, lessons: Lessons, resumed: bool, short: bool
) -> Any:
    steps = optimizer_steps(len(lessons.train), tuning.batch_size, tuning.accumulation)
    validated = lessons.held is not None
    _check_warmup(tuning, steps, work)
    every = max(1, -(-steps // EVALUATIONS))
    return objective.config(
        output_dir=str(work.scratch / checkpoints.FOLDER),
        per_device_train_batch_size=tuning.batch_size,
        per_device_eval_batch_size=tuning.batch_size,
        gradient_accumulation_steps=tuning.accumulation,
        num_train_epochs=1,  # the rows of all epochs are laid out one after the other
        train_sampling_strategy="sequential",
        learning_rate=tuning.learning_rate,
        lr_scheduler_type=_SCHEDULES[tuning.schedule],
        warmup_steps=tuning.warmup_steps,
        weight_decay=tuning.weight_decay,
        max_grad_norm=tuning.clip,
        # Adapters are float32 beside a base in `dtype`; full weights are float32 and cast.
        bf16=tuning.method == "full" and precision(tuning.precision) == torch.bfloat16,
        use_cpu=device().type == "cpu",
        eval_strategy="steps" if validated else "no",
        eval_steps=every,
        eval_on_start=validated and not resumed,
        load_best_model_at_end=validated,
        metric_for_best_model="eval_loss" if validated else None,
        greater_is_better=False if validated else None,
        gradient_checkpointing=short,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        restore_callback_states_from_checkpoint=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        seed=tuning.seed,
        data_seed=tuning.seed,
        dataloader_pin_memory=device().type == "cuda",
        max_length=None,  # rows are cut before
        **objective.own,
    )


def _check_warmup(tuning: Tuning, steps: int, work: Work) -> None:
    """Say that a training is over before its warm-up; refuse it if nothing would be learned.

    The first step of a warm-up has the rate 0, the next 1 / warmup_steps of the peak.
    """
    if tuning.warmup_steps < steps:
        return
    if steps == 1:
        raise TrainingError(
            f"{work.name}: the whole training is one step, and a warm-up begins at a learning rate "
            "of 0: nothing would be learned. Write warmup_steps: 0, a smaller batch_size or "
            "accumulation, or more epochs"
        )
    work.tell(
        f"{work.name}: warmup_steps is {tuning.warmup_steps:,}, the whole training {steps:,} "
        f"steps: the learning rate only climbs, to {(steps - 1) / tuning.warmup_steps:.0%} of "
        f"{tuning.learning_rate:g}"
    )


def load_base(tuning: Tuning, work: Work, lessons: Lessons, *, nf4: bool = False) -> Any:
    """The parent as a causal model, as it is trained.

    Args:
        tuning: the recipe.
        work: the step.
        lessons: the rows.
        nf4: whether its weights are rounded to 4 bits, for an adapter to be learned beside them.

    Raises:
        TrainingError: it cannot be loaded or trained.
    """
    dtype = torch.float32 if tuning.method == "full" else precision(tuning.precision)
    model = load_causal(work, dtype, nf4=nf4)
    check_readable(lessons.highest, lessons.longest, model, work.name)
    if device().type == "cpu" and lessons.longest <= EAGER_TOKENS:
        write_attention_out(model, lessons.probe)
    model.config.use_cache = False
    return model


def fit(
    objective: Objective,
    model: Any,
    tuning: Tuning,
    work: Work,
    lessons: Lessons,
    tokenizer: Any,
    identity: Mapping[str, Any],
) -> tuple[Any, Curves]:
    """Fine-tune a model.

    Args:
        objective: what is learned.
        model: the parent, as `load_base` gives it, or with another head.
        tuning: the recipe.
        work: the step.
        lessons: the rows.
        tokenizer: of the parent.
        identity: what tells this training from others, besides the parent: options, data.

    Returns:
        The trainer, with the best weights in its model, and how it went.

    Raises:
        TrainingError: the parent cannot be trained, the loss diverges, memory is short.
    """
    need = demand(model, tuning)
    tokens = objective.sequences * lessons.largest
    load = Load(tokens, identity.keys(), objective.sequences, objective.least)
    short = make_room(need, tuning, load, work, need.frozen_bytes)
    checkpoint = checkpoints.resumable(work, identity)
    trainer = objective.trainer(
        model=model,
        args=_arguments(objective, tuning, work, lessons, checkpoint is not None, short),
        train_dataset=lessons.train,
        eval_dataset=lessons.held,
        processing_class=tokenizer,
        peft_config=_adapter(tuning),
    )
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            # TRL makes an adapter beside 4-bit weights bfloat16, which loses small updates.
            parameter.data = parameter.data.float()
    if tuning.method == "lora":
        spare_copies(trainer.model)
    return trainer, _teach(trainer, tuning, load, work, checkpoint)


def _teach(trainer: Any, tuning: Tuning, load: Load, work: Work, checkpoint: Path | None) -> Curves:
    """Train, from a checkpoint if there is one; the best weights are in the trainer afterwards.

    Raises:
        TrainingError: the loss is no number, or memory ran out.
    """
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(Watch(work))
    if trainer.eval_dataset is not None:
        trainer.add_callback(EarlyStoppingCallback(tuning.patience))
    if checkpoint is not None:
        work.tell(f"{work.name}: goes on from {checkpoint.name}")
    try:
        with _sixteen_bit_units(trainer.model):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        advice = [*[words for _, words in load.smaller(tuning)[:1]], "a lower max_length"]
        raise TrainingError(
            f"{work.name}: out of memory at step {trainer.state.global_step + 1}: "
            f"{' or '.join(advice)} takes less"
        ) from None
    best = trainer.state.best_global_step if trainer.eval_dataset is not None else None
    curves = read_history(trainer.state.log_history, best)
    if trainer.state.global_step < trainer.state.max_steps:
        work.tell(
            f"{work.name}: stopped at step {trainer.state.global_step} of "
            f"{trainer.state.max_steps}: the validation loss was lowest at step {curves.best_step}"
        )
    return curves


def write_causal(trainer: Any, tuning: Tuning, work: Work) -> None:
    """Write the trained model as an ordinary folder, in the parent's dtype.

    An adapter is added in float32 to the parent's weights as its checkpoint holds them (not to a
    rounded copy that training may have used), and the sum is rounded once.
    """
    trained = trainer.model
    if tuning.method == "lora":
        folder = work.out / "adapter" if tuning.adapter == "keep" else work.scratch / "adapter"
        trained.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's form, not filled in
        whole = load_causal(work, torch.float32, where=torch.device("cpu"))
        merged = PeftModel.from_pretrained(whole, folder).merge_and_unload()
    else:
        merged = load_causal(work, torch.float32, where=torch.device("cpu"))
        merged.load_state_dict(trained.state_dict())
    merged.to(own_dtype(work)).save_pretrained(work.out)
    copy_tokenizer(work)


def chosen(tuning: Tuning, tokenizer: Any) -> dict[str, str]:
    """What the recipe left to the machine and to the tokenizer."""
    return {
        "precision": str(precision(tuning.precision)).removeprefix("torch."),
        "template": choose(tokenizer, tuning.template),
    }


def copy_tokenizer(work: Work) -> None:
    """Copy the tokenizer's files: saved anew by another version, they might not be the same."""
    for name in tokenizer_files(file_names(work.tokenizer)):
        (work.out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(work.tokenizer / name, work.out / name)


@contextmanager
def _sixteen_bit_units(model: Any) -> Iterator[None]:
    """Let float32 products of a bfloat16 model be computed by the units for bfloat16.

    The adapter's weights stay float32; they are rounded as they are multiplied, as autocast would.
    """
    before = torch.get_float32_matmul_precision()
    if model.dtype == torch.bfloat16:
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
