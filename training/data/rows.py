"""Rows that models learn from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One turn."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """A prompt and its answer."""

    prompt: tuple[Message, ...]
    answer: str
    group: str


@dataclass(frozen=True)
class Pair:
    """A prompt with a better and a worse answer."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    group: str


@dataclass(frozen=True)
class Marked:
    """A prompt and an answer marked good or bad."""

    prompt: tuple[Message, ...]
    answer: str
    good: bool
    group: str
