"""How prompts become text."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.final_number_task import FinalNumberTask
from harness.types import Doc, GenerateUntil
from training.data.rows import Message
from training.data.template import continuation, render

ASKED = (Message("user", "What is 2 + 2?"),)
TALK = (
    Message("system", "You add."),
    *ASKED,
    Message("assistant", "4"),
    Message("user", "And 3 + 3?"),
)


class Tokenizer:
    """A tokenizer as far as templates go."""

    def __init__(self, chat_template: str | None) -> None:
        self.chat_template: Any = chat_template

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize and add_generation_prompt
        return (
            "".join(f"<{turn['role']}>{turn['content']}" for turn in conversation) + "<assistant>"
        )


BARE, CHATTY = Tokenizer(None), Tokenizer("a template")


def test_plain_is_how_gsm8k_is_asked() -> None:
    assert render(ASKED, BARE, "plain") == "Question: What is 2 + 2?\nAnswer:"
    assert continuation("4", BARE, "plain") == " 4"


def test_plain_is_how_the_shipped_task_asks() -> None:
    doc = Doc("id", 0, {"question": "What is 2 + 2?", "answer": "#### 4"})
    (request,) = FinalNumberTask([doc], [], None).requests(doc)
    assert isinstance(request, GenerateUntil)
    assert request.context == render(ASKED, CHATTY, "plain")


def test_plain_repeats_the_two_lines_for_every_turn() -> None:
    assert render(TALK, BARE, "plain") == (
        "You add.\n\nQuestion: What is 2 + 2?\nAnswer: 4\n\nQuestion: And 3 + 3?\nAnswer:"
    )


def test_chat_is_the_tokenizers_own() -> None:
    assert render(TALK, CHATTY, "chat") == (
        "<system>You add.<user>What is 2 + 2?<assistant>4<user>And 3 + 3?<assistant>"
    )
    assert continuation("6", CHATTY, "chat") == "6"


def test_auto_is_chat_where_there_is_a_template() -> None:
    assert render(ASKED, CHATTY, "auto") == render(ASKED, CHATTY, "chat")
    assert render(ASKED, BARE, "auto") == render(ASKED, BARE, "plain")
    assert continuation("4", BARE, "auto") == " 4"


def test_chat_without_a_template_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a tokenizer with a chat template"):
        render(ASKED, BARE, "chat")


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(UsageError, match="'chta' is not valid: auto, chat, plain"):
        render(ASKED, BARE, "chta")  # type: ignore[arg-type]
