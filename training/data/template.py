"""How a prompt becomes text, and how its answer goes on.

``plain`` is lm-eval's wording of GSM8K, so that what a model is trained on looks like what the
benchmarks ask; ``chat`` is the tokenizer's own chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

from harness.chat_template import render as render_chat
from harness.errors import UsageError
from training.data.rows import Message

Template = Literal["auto", "chat", "plain"]


class ChatTokenizer(Protocol):
    """What is needed of a tokenizer of transformers."""

    chat_template: Any

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> Any:
        """The conversation as text."""
        ...


def choose(tokenizer: ChatTokenizer, template: Template) -> Literal["chat", "plain"]:
    """What ``auto`` stands for: the chat template where the tokenizer has one, else plain.

    Raises:
        UsageError: there is no such template, or ``chat`` was asked of a tokenizer without one.
    """
    if template not in get_args(Template):
        raise UsageError(f"template: {template!r} is not valid: {', '.join(get_args(Template))}")
    has_chat = bool(tokenizer.chat_template)
    if template == "chat" and not has_chat:
        raise UsageError(
            "template: 'chat' needs a tokenizer with a chat template, and this model's has none; "
            "write template: plain, or auto"
        )
    return "chat" if has_chat and template != "plain" else "plain"


def render(prompt: Sequence[Message], tokenizer: ChatTokenizer, template: Template) -> str:
    """The prompt up to where the answer begins.

    Plain: ``Question: ...`` and ``Answer:`` for every question, earlier answers in their place,
    blank lines between, a system message first.

    Raises:
        UsageError: as `choose`.
    """
    if choose(tokenizer, template) == "chat":
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        return render_chat(tokenizer, turns)
    text = ""
    for message in prompt:
        if message.role == "system":
            text += f"{message.content}\n\n"
        elif message.role == "user":
            text += f"Question: {message.content}\nAnswer:"
        else:
            text += f" {message.content}\n\n"
    return text


def continuation(answer: str, tokenizer: ChatTokenizer, template: Template) -> str:
    """The answer as it follows the rendered prompt: plain puts a space before it.

    Raises:
        UsageError: as `choose`.
    """
    return answer if choose(tokenizer, template) == "chat" else f" {answer}"
