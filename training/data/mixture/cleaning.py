"""Cleans one row: lengths, personal data, and what masking leaves identical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from training.data.mixture.declared import PERSONAL, Action, Mixture, Source
from training.data.mixture.layouts import Row
from training.data.mixture.personal import masked
from training.data.mixture.refused import Refused
from training.data.mixture.tokenizing import Count
from training.data.rows import Example


def answers_of(row: Row) -> tuple[str, ...]:
    """The answer; or the chosen one, then the rejected one."""
    return (row.answer,) if isinstance(row, Example) else (row.chosen, row.rejected)


def text_of(row: Row) -> str:
    """All of a row: the prompt's messages, then the answers."""
    return "\n".join([*(message.content for message in row.prompt), *answers_of(row)])


def actions(mixture: Mixture, source: Source) -> dict[str, Action]:
    """What is done about each kind of personal data in a source."""
    return {**mixture.personal, **source.personal}


def cleaned(
    row: Row,
    mixture: Mixture,
    wanted: Mapping[str, Action],
    tokens: Count | None,
    count: Counter[str],
) -> Row:
    """The row as it may be learned from.

    Args:
        row: as it was read.
        mixture: the limits.
        wanted: what `actions` says.
        tokens: counts a text's tokens, where they are limited.
        count: told of everything that was masked.

    Raises:
        Refused: it may not.
    """
    whole = text_of(row)
    if len(whole) > mixture.max_chars:
        raise Refused("too long", f"{len(whole):,} characters")
    if tokens is not None and mixture.max_tokens is not None:
        length = tokens(whole)
        if length > mixture.max_tokens:
            raise Refused("too long", f"{length:,} tokens")
    for kind in PERSONAL:
        if wanted[kind] == "keep" or not masked(whole, kind)[1]:
            continue
        if wanted[kind] == "drop":
            raise Refused("personal data", kind)
        row = _masked(row, kind, count)
    if not isinstance(row, Example) and row.chosen.strip() == row.rejected.strip():
        raise Refused("identical", "chosen and rejected say the same, personal data aside")
    return row


def _masked(row: Row, kind: str, count: Counter[str]) -> Row:
    def hide(text: str) -> str:
        hidden, found = masked(text, kind)
        count[kind] += found
        return hidden

    prompt = tuple(replace(message, content=hide(message.content)) for message in row.prompt)
    if isinstance(row, Example):
        return replace(row, prompt=prompt, answer=hide(row.answer))
    return replace(row, prompt=prompt, chosen=hide(row.chosen), rejected=hide(row.rejected))
