"""GPTQ and AWQ through gptqmodel, which writes the formats of auto-gptq and autoawq."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from harness.engine.loaders import import_gptqmodel
from harness.errors import TrainingError
from training.calibration import Calibration, calibration
from training.finetune import copy_tokenizer
from training.layers import choose_group_size, input_widths
from training.parent import check_parent, device, precision
from training.proof import loss, proven
from training.step import Made, Work
from training.tokens import check_readable

RUINED = 1.5
"""A loss so many times the parent's says that the calibration text was none, or too little."""
TOGETHER = 4096
"""Tokens that run at a time."""
GPTQMODEL_ONLY = ("quant_log.csv",)
"""Files that gptqmodel lays beside a checkpoint and that belong to no checkpoint."""


@dataclass(frozen=True)
class Recipe:
    """What the options of the two steps have in common; see `training.steps.gptq`."""

    bits: int
    group_size: int | Literal["auto"]
    calibration: Literal["wikitext2", "sft"]
    calibration_texts: int
    calibration_length: int
    seed: int


def quantize(method: Literal["gptq", "awq"], recipe: Recipe, work: Work) -> Made:
    """Write the parent rounded by GPTQ or AWQ into ``work.out``.

    Raises:
        TrainingError: the group size fits no layer's width, the quantizer does not know the
            architecture or fails, the calibration text is too short, or in longer pieces or other
            tokens than the parent reads, or the result is ruined.
        DataError: the file of the calibration text is damaged.
    """
    check_parent(work)
    group_size = choose_group_size(
        recipe.group_size, input_widths(work.parent, work.trust_remote_code)
    )
    _check_architecture(method, work)
    tokenizer = AutoTokenizer.from_pretrained(
        work.tokenizer, trust_remote_code=work.trust_remote_code
    )
    text = calibration(
        recipe.calibration,
        recipe.calibration_texts,
        recipe.calibration_length,
        recipe.seed,
        tokenizer,
        work,
    )
    before = _parents_loss(text, work)
    torch.manual_seed(recipe.seed)
    _run(method, recipe.bits, group_size, text, tokenizer, work)
    copy_tokenizer(work)
    figures = proven(work, method, text.held_out) | {"parent_loss": before}
    if not figures["loss"] <= RUINED * before:
        raise TrainingError(
            f"{work.name}: quantized, its loss on text that was held out is {figures['loss']:.2f} "
            f"nats a token, its parent's {before:.2f}: calibrate on more text, or on text that is "
            f"more like what the model is for (calibration: {recipe.calibration}, "
            f"calibration_texts: {recipe.calibration_texts})"
        )
    return Made(
        data={text.name: text.sha256},
        figures=figures,
        chosen={"group_size": group_size, "calibration": text.name},
    )


def _check_architecture(method: str, work: Work) -> None:
    import_gptqmodel()
    from gptqmodel.models.auto import SUPPORTED_MODELS

    config = AutoConfig.from_pretrained(work.parent, trust_remote_code=work.trust_remote_code)
    if config.model_type not in SUPPORTED_MODELS:
        raise TrainingError(
            f"{work.name}: gptqmodel, which does {method}, does not know the architecture "
            f"{config.model_type!r} of {work.parent}: the steps bnb and easyquant round any linear "
            "layers"
        )


def _parents_loss(text: Calibration, work: Work) -> float:
    parent: Any = AutoModelForCausalLM.from_pretrained(
        work.parent,
        dtype=precision("auto"),
        use_safetensors=True,
        device_map={"": device()},
        trust_remote_code=work.trust_remote_code,
    )
    highest = max(max(window) for window in text.windows + text.held_out)
    length = len(text.windows[0])
    check_readable(highest, length, parent, work.name, "calibration_length")
    return loss(parent.eval(), text.held_out)


def _run(
    method: Literal["gptq", "awq"],
    bits: int,
    group_size: int,
    text: Calibration,
    tokenizer: Any,
    work: Work,
) -> None:
    length = len(text.windows[0])
    rows = [{"input_ids": list(ids), "attention_mask": [1] * length} for ids in text.windows]
    said = io.StringIO()
    try:
        with _silence(said):
            _quantize(method, bits, group_size, rows, max(1, TOGETHER // length), tokenizer, work)
    except Exception as error:  # of many kinds
        (work.scratch / "gptqmodel.log").write_text(said.getvalue(), "utf-8")
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{work.name}: gptqmodel failed on {work.parent}: {type(error).__name__}: {reason} "
            f"(what it said is in {work.scratch / 'gptqmodel.log'})"
        ) from None
    for name in GPTQMODEL_ONLY:
        (work.out / name).unlink(missing_ok=True)


def _quantize(
    method: Literal["gptq", "awq"],
    bits: int,
    group_size: int,
    rows: list[dict[str, list[int]]],
    together: int,
    tokenizer: Any,
    work: Work,
) -> None:
    from gptqmodel import BACKEND, GPTQModel
    from gptqmodel.looper import loop_processor
    from gptqmodel.quantization.config import AWQConfig, GPTQConfig

    from training.awq_clip import fast_clip

    # It has no option for where its logs go: by default into the folder that it is called from.
    loop_processor._PROJECT_LOG_DIR = work.scratch / "logs"
    # Written to disk, layers would leave the name of a temporary folder in the checkpoint.
    shared = {"bits": bits, "group_size": group_size, "offload_to_disk": False}
    config = AWQConfig(sym=False, **shared) if method == "awq" else GPTQConfig(**shared)
    where = device()
    model = GPTQModel.load(
        str(work.parent),
        config,
        dtype=precision("auto"),
        device=str(where),
        trust_remote_code=work.trust_remote_code,
    )
    # AWQ's own choice is a kernel for CUDA, on a CPU too.
    backend = BACKEND.AWQ_TORCH if method == "awq" and where.type == "cpu" else BACKEND.AUTO
    with fast_clip():
        model.quantize(rows, batch_size=together, tokenizer=tokenizer, backend=backend)
    model.save(str(work.out))


@contextlib.contextmanager
def _silence(said: io.StringIO | None = None) -> Iterator[None]:
    """Take what is printed: gptqmodel's lines and bars go straight to standard output."""
    sink = said if said is not None else io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield
