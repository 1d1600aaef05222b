"""Turns a GGUF file into an ordinary Hugging Face folder: ``convert.py FILE.gguf FOLDER``.

Run as a program, in its own process: it needs several times the model's size in memory, which the
evaluation that follows must not be charged for, and its libraries talk a lot. It imports nothing
of this package, so that it can be started by path.

The weights are written in bfloat16. transformers reads a GGUF's vocabulary and merges but not
which pre-tokenizer they were trained with (`tokenizer.ggml.pre`); without it digits and blanks are
cut into other tokens than the model saw in training, so it is put back here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

VERSION = 1
"""Raised when the same file is converted differently: converted folders are kept apart by it."""


def pre_tokenizer(name: str) -> Any:
    """The pre-tokenizer that a GGUF file calls ``name``, as llama.cpp understands the name.

    Returns:
        A `tokenizers` pre-tokenizer, or ``None`` for a name that is not known here.
    """
    from tokenizers import pre_tokenizers as pre

    byte_level = pre.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    if name == "smollm":
        # llama.cpp: every digit (\p{N}) alone first, then GPT-2's expression.
        return pre.Sequence([pre.Digits(individual_digits=True), byte_level])
    if name == "gpt-2":
        return byte_level
    return None


def convert(gguf: Path, folder: Path) -> dict[str, Any]:
    """Write the checkpoint, and return what was done about the pre-tokenizer.

    Args:
        gguf: the file; the folder must not hold a checkpoint yet.
        folder: where config, tokenizer and safetensors are written.

    Returns:
        ``{"pre_tokenizer": name or None, "restored": whether it was put back}``.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place, file = str(gguf.parent), gguf.name
    # transformers' functions carry no usable types.
    model: Any = AutoModelForCausalLM.from_pretrained(
        place,
        gguf_file=file,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    # The weights are plain tensors now; a config that says otherwise would be quantized on loading.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(place, gguf_file=file)
    name = _pre_tokenizer_name(gguf)
    wanted = pre_tokenizer(name) if name else None
    if wanted is not None:
        tokenizer.backend_tokenizer.pre_tokenizer = wanted
    tokenizer.save_pretrained(folder)
    return {"pre_tokenizer": name, "restored": wanted is not None}


def _pre_tokenizer_name(gguf: Path) -> str | None:
    from gguf import GGUFReader

    fields = GGUFReader(gguf).fields
    model, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    # A SentencePiece vocabulary ("llama") has no pre-tokenizer to restore.
    if pre is None or (model is not None and model.contents() != "gpt2"):
        return None
    return str(pre.contents())


if __name__ == "__main__":
    print(json.dumps(convert(Path(sys.argv[1]), Path(sys.argv[2]))))
