"""A tiny random Llama wide enough to be quantized for real, and the steps run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.engine.architectures import CONTEXT, WORDS, save_tokenizer
from training.step import Made, Work

WIDTH, INNER = 128, 192
"""Widths of the model: multiples of 64, one of which is no multiple of 128."""

PACKED = 2 * (2 * WIDTH * WIDTH + 2 * WIDTH * 64 + 3 * WIDTH * INNER)
"""Weights in its linear layers: two layers of queries and outputs (128 x 128), keys and values of
two of the four heads (64 x 128), and three of the MLP (128 x 192): 245,760.
"""

PARAMETERS = PACKED + 2 * WORDS * WIDTH + 5 * WIDTH
"""With the embedding, the head and five norms: 400,000."""


def save_wide(folder: Path, change: Any = None, **options: Any) -> Path:
    """Write the model and its tokenizer; weights wide enough that answers differ by whole nats."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **{
            "vocab_size": WORDS,
            "hidden_size": WIDTH,
            "intermediate_size": INNER,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": CONTEXT,
            "tie_word_embeddings": False,
            "initializer_range": 0.15,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "dtype": "float32",
            **options,
        }
    )
    model = LlamaForCausalLM(config)
    if change is not None:
        change(model)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def work(parent: Path, base: Path, data: Path | None = None) -> Work:
    """A step over ``parent`` whose folders lie under ``base``."""
    out, scratch = base / "out", base / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir()
    return Work("tiny-made", parent, parent, out, scratch, data, False, lambda _: None)


def made(step: Any, parent: Path, base: Path, data: Path | None = None, **options: Any) -> Made:
    """Run a step's module on ``parent``; the result lies in ``base / "out"``."""
    result: Made = step.run(step.Options(**options), work(parent, base, data))
    return result
