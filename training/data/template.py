"""Prompts as text (stand-in)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.data.rows import Message


def render(prompt: Sequence[Message], tokenizer: Any, template: str) -> str:
    """The text that an answer follows."""
    if template == "chat" or (template == "auto" and tokenizer.chat_template):
        turns = [{"role": m.role, "content": m.content} for m in prompt]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    return f"Question: {prompt[-1].content}\nAnswer:"
