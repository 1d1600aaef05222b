"""How much work a set of requests needs at the least, in tokens and floating-point operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.messages import Loaded


@dataclass(frozen=True)
class Needed:
    """The least that must pass through a model.

    Attributes:
        tokens: through the body: every prefix once, however many requests share it.
        rows: through the output head: every prefix after which a token is predicted.
        positions: sum over ``tokens`` of how many tokens each attends to, itself included.
    """

    tokens: int
    rows: int
    positions: int


def needed(sequences: Iterable[tuple[Sequence[int], int]], generated: Sequence[int] = ()) -> Needed:
    """Count the nodes of the trie of all sequences.

    Args:
        sequences: the tokens that a request puts in, and after how many of the last of them the
            next one is asked for.
        generated: for generation: how many tokens follow each sequence. The last of them needs
            no pass through the body, only through the head.
    """
    children: dict[tuple[int, int], int] = {}
    asked: set[int] = set()
    positions = 0
    lengths: list[int] = []
    for tokens, predicted in sequences:
        node = 0
        for depth, token in enumerate(tokens, 1):
            known = len(children)
            node = children.setdefault((node, token), known + 1)
            if len(children) > known:
                positions += depth
            if depth > len(tokens) - predicted:
                asked.add(node)
        lengths.append(len(tokens))
    count, rows = len(children), len(asked)
    for length, new in zip(lengths, generated, strict=bool(generated)):
        more = max(0, new - 1)
        count, rows = count + more, rows + more
        positions += more * length + more * (more + 1) // 2
    return Needed(count, rows, positions)


def operations(need: Needed, model: Loaded) -> float:
    """Floating-point operations of a dense decoder: two per parameter and token in the body, two
    per weight and row in the head, and four per width of attention for every token attended to.
    """
    body = 2.0 * model.body * need.tokens
    head = 2.0 * model.hidden * model.vocabulary * need.rows
    attention = 4.0 * model.layers * model.attention_width * need.positions
    return body + head + attention
