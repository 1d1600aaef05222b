"""The log-probability of a continuation, from those of all tokens of a text."""

from __future__ import annotations

from dataclasses import dataclass

from harness.openai_api.reply import TokenLogProbs

NEAR = 1e-6
"""Nats by which a token may seem less likely than the likeliest, and be it."""


@dataclass(frozen=True)
class Scored:
    """A continuation's.

    Attributes:
        logprob: in nats, summed over its tokens.
        greedy: whether each of them is the likeliest in its place.
        tokens: how many the text has, those of the continuation included.
    """

    logprob: float
    greedy: bool
    tokens: int


def scored(found: TokenLogProbs, text: str, border: int) -> Scored:
    """Sum what stands behind the border.

    A token that lies across the border counts as the continuation's, as does every part of a
    character that begins there. What follows the text was generated, and counts for nothing.

    Args:
        found: of ``text`` and what the server wrote after it.
        text: context and continuation.
        border: where the continuation begins, in characters.

    Raises:
        ValueError: the tokens cannot be laid onto the text, none of them is the continuation's, or
            one of those has no log-probability; says which.
    """
    ends = [min(offset, len(text)) for offset in (*found.offsets[1:], len(text))]
    within = [place for place, offset in enumerate(found.offsets) if offset < len(text)]
    inside = [place for place in within if found.offsets[place] >= border or ends[place] > border]
    if not inside:
        raise ValueError("none of the server's tokens belongs to the continuation")
    for place in inside:
        token, start = found.tokens[place], found.offsets[place]
        if start < 0 or not (_in_parts(token) or text[start : ends[place]] == token):
            raise ValueError(
                f"the server says that {token!r} stands at characters {start} to {ends[place]}, "
                "and it does not: its tokens cannot be laid onto the text"
            )
    total, greedy = 0.0, True
    for place in inside:
        logprob, best = found.logprobs[place], found.best[place]
        if logprob is None or best is None:
            raise ValueError("the server gives a token of the continuation no log-probability")
        total += logprob
        greedy = greedy and logprob >= best - NEAR
    return Scored(total, greedy, len(within))


def _in_parts(token: str) -> bool:
    """Whether a token may be a part of a character, whose text says nothing."""
    return not token or "�" in token
