"""Rows of training data, as every format is read into them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One turn: ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """A prompt and the answer to learn; ``group`` is its source or topic."""

    prompt: tuple[Message, ...]
    answer: str
    group: str


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt, the better one first; ``group`` is the source, or the kind of error
    in the worse one.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    group: str


@dataclass(frozen=True)
class Marked:
    """An answer with its mark, as KTO learns from it; ``group`` as in a pair."""

    prompt: tuple[Message, ...]
    answer: str
    good: bool
    group: str
