"""What token sequences share: a compressed trie whose nodes are run once each.

Choices of one question share its context, questions of one subject share their examples. A node is
a run of tokens that continues its parent's; a sequence is a path down from a root.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.types import Tokens

MIN_SHARED = 16
"""A shared run shorter than this is run again by each of its sequences: so few tokens cost less
than attending to them from afar."""

Ids = npt.NDArray[np.int32]


@dataclass(eq=False)
class Node:
    """A run of tokens that follows ``parent``'s.

    Attributes:
        tokens: ids, at least one.
        parent: what comes before, ``None`` at the beginning of a sequence.
        start: position of the first token in its sequences.
        children: what follows.
    """

    tokens: Tokens
    parent: Node | None
    start: int
    children: list[Node] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Position after the last token."""
        return self.start + len(self.tokens)

    @property
    def path(self) -> list[Node]:
        """From the root to this node."""
        chain: list[Node] = []
        node: Node | None = self
        while node is not None:
            chain.append(node)
            node = node.parent
        return chain[::-1]

    def behead(self, count: int) -> Node:
        """Make the first ``count`` tokens a node of their own, this one's parent; return it."""
        head = Node(self.tokens[:count], self.parent, self.start, [self])
        if self.parent is not None:
            siblings = self.parent.children
            siblings[siblings.index(self)] = head
        self.tokens, self.parent, self.start = self.tokens[count:], head, self.start + count
        return head

    def holding(self, position: int) -> Node:
        """The node of this path that has the token at ``position``."""
        node = self
        while node.start > position:
            assert node.parent is not None
            node = node.parent
        return node


def build_trie(sequences: Sequence[Tokens]) -> tuple[list[Node], list[Node]]:
    """Share what the sequences have in common.

    Args:
        sequences: token ids, each at least one token long.

    Returns:
        The roots, and for each sequence a node whose path begins with it: the path may go on, as a
        sequence that begins another one costs nothing of its own.
    """
    # Big-endian bytes compare as the token ids do.
    keys = [np.asarray(tokens, dtype=">u4").tobytes() for tokens in sequences]
    order = sorted(range(len(sequences)), key=keys.__getitem__)
    whole = [
        here
        for here, after in zip(order, [*order[1:], None], strict=True)
        if after is None or not keys[after].startswith(keys[here])
    ]
    roots, leaves = _grow([np.frombuffer(sequences[i], dtype=np.int32) for i in whole])
    ends: dict[int, Node] = dict(zip(whole, leaves, strict=True))
    for here, after in zip(order[-2::-1], order[:0:-1], strict=True):
        ends.setdefault(here, ends[after])
    return roots, [ends[index] for index in range(len(sequences))]


def walk(roots: Sequence[Node]) -> Iterator[Node]:
    """Every node after its parent; siblings of like size side by side, long ones first."""
    waiting = sorted(roots, key=_size)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += sorted(node.children, key=_size)


def _grow(sequences: Sequence[Ids]) -> tuple[list[Node], list[Node]]:
    """Roots, and the leaf of each of the sorted sequences, none of which begins another."""
    shared = [_shared(a, b) for a, b in pairwise(sequences)]
    roots: list[Node] = []
    leaves: dict[int, Node] = {}
    # Ranges of sequences that agree up to the end of `parent`, still to be divided.
    waiting: list[tuple[int, int, Node | None]] = [(0, len(sequences), None)]
    while waiting:
        low, high, parent = waiting.pop()
        start = parent.end if parent else 0
        for first, last in _runs(low, high, start, shared):
            common = min(shared[first : last - 1], default=len(sequences[first]))
            tokens = array("i", sequences[first][start:common].tobytes())
            node = Node(tokens, parent, start)
            (parent.children if parent else roots).append(node)
            if last - first > 1:
                waiting.append((first, last, node))
            else:
                leaves[first] = node
    return roots, [leaves[index] for index in range(len(sequences))]


def _runs(low: int, high: int, start: int, shared: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Divide a range where neighbours share too little beyond ``start``."""
    first = low
    for index in range(low, high - 1):
        if shared[index] - start < MIN_SHARED:
            yield first, index + 1
            first = index + 1
    if first < high:
        yield first, high


def _shared(a: Ids, b: Ids) -> int:
    """How many tokens two sequences begin with in common."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length


def _size(node: Node) -> int:
    """Tokens of the node and, as a measure of what hangs below it, of its longest child."""
    return len(node.tokens) + max((len(child.tokens) for child in node.children), default=0)
