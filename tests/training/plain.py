"""The same numbers by the plainest means: one row at a time, transformers' own forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def causal(folder: Path) -> Any:
    """A model in float32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def log_probs(model: Any, tokenizer: Any, question: str, answer: str) -> torch.Tensor:
    """Log-probabilities of the answer's tokens and of the end token, in the plain template."""
    prompt = tokenizer(f"Question: {question}\nAnswer:")["input_ids"]
    whole = tokenizer(f"Question: {question}\nAnswer: {answer}")["input_ids"]
    assert whole[: len(prompt)] == prompt
    ids = torch.tensor([[*whole, tokenizer.eos_token_id]])
    with torch.no_grad():
        scores = model(input_ids=ids).logits[0].float().log_softmax(-1)
    return scores[len(prompt) - 1 : -1].gather(1, ids[0, len(prompt) :, None])[:, 0]


def tokenizer_of(folder: Path) -> Any:
    """Its tokenizer."""
    return AutoTokenizer.from_pretrained(folder)
