"""Rounding a model's weights with bitsandbytes, and the checkpoint of the result."""

from __future__ import annotations

from typing import Literal

from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from harness.errors import TrainingError
from training.finetune import copy_tokenizer
from training.parent import check_parent, device, precision
from training.proof import proven
from training.step import Made, Work


def round_with_bitsandbytes(
    scheme: Literal["nf4", "int8"], double_quantization: bool, work: Work
) -> Made:
    """Round the linear layers of the parent's body; embeddings and vocabulary projection stay.

    Raises:
        TrainingError: the parent cannot be loaded, or has no layer that can be rounded.
    """
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    check_parent(work)
    dtype = precision("auto")
    config = (
        BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=double_quantization,
            bnb_4bit_compute_dtype=dtype,
        )
        if scheme == "nf4"
        else BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            work.parent,
            dtype=dtype,
            quantization_config=config,
            device_map={"": device()},
            use_safetensors=True,
            trust_remote_code=work.trust_remote_code,
            local_files_only=True,
        )
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{work.name}: its parent in {work.parent} cannot be rounded: {reason}"
        ) from None
    if not any(isinstance(module, Linear4bit | Linear8bitLt) for module in model.modules()):
        raise TrainingError(
            f"{work.name}: bitsandbytes rounded no layer of {work.parent}: it rounds linear layers "
            "of torch, and this architecture has none of them"
        )
    model.save_pretrained(work.out)
    copy_tokenizer(work)
    return Made(
        figures=proven(work, scheme),
        chosen={"compute_dtype": str(dtype).removeprefix("torch.")},
    )
