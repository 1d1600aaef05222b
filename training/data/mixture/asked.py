"""What a row asks: by which its split is decided, equal however a source words it; and by which,
with what it answers, rows about one long text are told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from training.data.mixture.cleaning import answers_of
from training.data.mixture.declared import Source
from training.data.mixture.exchange import plain_text
from training.data.mixture.layouts import Row, prompt_columns
from training.data.mixture.words import split_words

ENDING_WORDS = 12
"""So few that what is left of a text before a short question does not drown it, and so many that
one changed word does not make it another question.
"""
_ENDING_CHARS = 50 * ENDING_WORDS
_LABEL = re.compile(
    r"\s*(?:(?:question|problem|exercise|task|q)\s*\d*\s*[:.)]|\(?\d+[.):](?=\s))\s*", re.I
)
_OPTION = re.compile(r"\s*[(\[]?[A-J][.):\]]\s")
_CUE = re.compile(r"\s*(?:answer|solution|a)\s*:?\s*", re.I)


def question_of(source: Source, columns: Mapping[str, Any], row: Row) -> str:
    """A conversation's first question that says something, as the source has it: without the
    wording of a template, a title, the choices under it, a label or a number before it.

    Args:
        source: says the layout.
        columns: the source's row.
        row: what was read of it; the first one, of a conversation.
    """
    users = [message.content for message in row.prompt if message.role == "user"]
    asked = next(filter(str.strip, users), users[0])
    if len(users) == 1 and (texts := _columns(source, columns)):
        asked = "\n".join(texts)
    return bare(asked)


def bare(question: str) -> str:
    """A question without a label before it, and without choices and a cue after it."""
    text, _ = _parted(question)
    return text[found.end() :] or text if (found := _LABEL.match(text)) else text


def ending_of(row: Row) -> str:
    """What a row asks and answers, without the text that it asks about: the last words of its last
    question, the choices under it, and the answers.
    """
    question, choices = _parted(row.prompt[-1].content)
    words = split_words(question[-_ENDING_CHARS:])[-ENDING_WORDS:]
    return "\n".join([" ".join(words), choices, *answers_of(row)])


def _parted(question: str) -> tuple[str, str]:
    """A question, and the choices and the cue after it."""
    lines = question.strip().split("\n")
    end = len(lines)
    while end > 1 and (
        not lines[end - 1].strip()
        or _OPTION.match(lines[end - 1])
        or _CUE.fullmatch(lines[end - 1])
    ):
        end -= 1
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def _columns(source: Source, columns: Mapping[str, Any]) -> list[str]:
    """The texts that the source's own columns ask with; empty where it has none of them."""
    texts = [columns.get(name) for name in prompt_columns(source, columns)]
    asked = [text for text in texts if isinstance(text, str) and text.strip()]
    return [plain_text(text) for text in asked] if source.format == "stack_exchange" else asked
