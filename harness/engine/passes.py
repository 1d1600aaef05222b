"""Which nodes of a trie run in one forward pass, and how their tokens see each other.

A pass is the tokens of some nodes in one row, without padding. Attention is taken unit by unit: a
unit's queries are the tokens of one node, or of several short leaves of one parent, and its keys
those of the ancestors and its own. Units of like size are padded to one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.engine.attention import sdpa
from harness.engine.trie import Node
from harness.errors import WeightsError

PADDING = 1.25
"""Units share a call while its padded area stays below this multiple of their own."""
BUNDLE = 64
"""Leaves of one parent are queried together up to this many tokens, or as many as come before
them: more would spend too much on pairs that the mask hides."""

Positions = npt.NDArray[np.int64]


class KeyValues:
    """Keys and values of nodes that later passes attend to: node to layer to tensors
    ``[tokens, key-value heads, head_dim]``.
    """

    def __init__(self) -> None:
        self._kept: dict[Node, dict[int, tuple[Tensor, Tensor]]] = {}

    def put(self, node: Node, layer: int, key: Tensor, value: Tensor) -> None:
        """Keep a copy."""
        self._kept.setdefault(node, {})[layer] = (key.clone(), value.clone())

    def get(self, node: Node, layer: int) -> tuple[Tensor, Tensor]:
        """What was kept."""
        return self._kept[node][layer]

    def layers(self, node: Node) -> dict[int, tuple[Tensor, Tensor]]:
        """All that was kept of a node."""
        return self._kept[node]

    def drop(self, nodes: Sequence[Node]) -> None:
        """Forget nodes that no later pass needs."""
        for node in nodes:
            self._kept.pop(node, None)


@dataclass(frozen=True)
class Pass:
    """Nodes that run together.

    Attributes:
        nodes: every parent that is among them before its children.
        known: ancestors that ran in earlier passes.
        kept: nodes among ``nodes`` whose keys and values later passes need.
        done: nodes that no pass after this one needs.
    """

    nodes: tuple[Node, ...]
    known: tuple[Node, ...]
    kept: tuple[Node, ...]
    done: tuple[Node, ...]

    @property
    def tokens(self) -> int:
        """How many run."""
        return sum(len(node.tokens) for node in self.nodes)


def make_passes(nodes: Sequence[Node], budget: int) -> list[Pass]:
    """Fill passes up to ``budget`` tokens; a longer node has a pass of its own.

    Children may exceed it by a quarter to run with their parent: the choices of a question that
    fills a pass would otherwise make a pass of a few tokens, which takes as long as one of many.

    Args:
        nodes: in the order in which they are to run, parents first. An ancestor that is not among
            them ran before, and was kept.
        budget: in tokens.
    """
    groups: list[list[Node]] = []
    present: set[Node] = set()
    room = 0
    for node in nodes:
        extra = budget // 4 if node.parent in present else 0
        if not groups or len(node.tokens) > room + extra:
            groups.append([])
            present.clear()
            room = max(budget, len(node.tokens))
        groups[-1].append(node)
        present.add(node)
        room -= len(node.tokens)
    return _with_needs(groups)


def halved(passes: Sequence[Pass], behead: Callable[[Node, int], Node]) -> list[Pass]:
    """The same nodes in passes of half the first one's tokens, none longer than that.

    Args:
        passes: those that did not run yet; the first did not fit into memory.
        behead: makes a node's first tokens its parent and returns that, as `Node.behead` does.

    Raises:
        WeightsError: the first pass was a single token.
    """
    tokens = passes[0].tokens
    if tokens == 1:
        raise WeightsError("out of memory: not one token can be run")
    budget = -(-tokens // 2)
    nodes: list[Node] = []
    for node in (node for left in passes for node in left.nodes):
        while len(node.tokens) > budget:
            nodes.append(behead(node, budget))
        nodes.append(node)
    return make_passes(nodes, budget)


def _with_needs(groups: Sequence[Sequence[Node]]) -> list[Pass]:
    place = {node: number for number, group in enumerate(groups) for node in group}
    known: list[dict[Node, None]] = [{} for _ in groups]
    last = dict(place)
    for node, number in place.items():
        for ancestor in node.path[:-1]:
            if place.get(ancestor) != number:
                known[number][ancestor] = None
                last[ancestor] = max(last.get(ancestor, 0), number)
    done: list[list[Node]] = [[] for _ in groups]
    for node, number in last.items():
        done[number].append(node)
    return [
        Pass(
            tuple(group),
            tuple(known[number]),
            tuple(node for node in group if last[node] > number),
            tuple(done[number]),
        )
        for number, group in enumerate(groups)
    ]


@dataclass(frozen=True)
class _Unit:
    """Queries with the same ancestors.

    Attributes:
        ancestors: nodes whose keys all queries see.
        members: nodes whose tokens are queries, each seeing its own tokens up to itself.
    """

    ancestors: tuple[Node, ...]
    members: tuple[Node, ...]

    @property
    def queries(self) -> int:
        return sum(len(node.tokens) for node in self.members)

    @property
    def keys(self) -> int:
        return self.members[0].start + self.queries


@dataclass
class _Call:
    """One call of the attention kernel: units padded to rows of like size.

    Attributes:
        queries: flat index of each row's query tokens, ``[rows, queries]``.
        keys: flat index of each row's key tokens, ``[rows, keys]``.
        valid, targets: which of the ``rows x queries`` results count, and which token each is of.
        member, position: of queries and of keys: which member a token belongs to (-1: an
            ancestor, -2: padding), and its place in the sequence.
        causal: whether the kernel's own causal mask is the whole mask.
        masks: by window and dtype, made when first needed.
    """

    queries: Tensor
    keys: Tensor
    valid: Tensor
    targets: Tensor
    member: tuple[Tensor, Tensor]
    position: tuple[Tensor, Tensor]
    causal: bool
    masks: dict[tuple[int | None, torch.dtype], Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """What is added to the logits: ``[rows, 1, queries, keys]``."""
        if (window, dtype) not in self.masks:
            of_query, of_key = self.member[0][:, :, None], self.member[1][:, None, :]
            distance = self.position[0][:, :, None] - self.position[1][:, None, :]
            seen = ((of_key == -1) | (of_key == of_query)) & (distance >= 0)
            if window is not None:
                seen &= distance < window
            hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
            hidden.masked_fill_(~seen, torch.finfo(dtype).min)
            self.masks[window, dtype] = hidden[:, None]
        return self.masks[window, dtype]


class PassLayout:
    """How the tokens of a pass see each other, and what is kept of them.

    Args:
        now: the pass.
        store: keys and values of earlier passes; takes those of ``now.kept``.
        device: where the model runs.
    """

    def __init__(self, now: Pass, store: KeyValues, device: torch.device) -> None:
        self._pass, self._store = now, store
        known_tokens = sum(len(node.tokens) for node in now.known)
        self._flat: dict[Node, int] = {}
        offset = 0
        for node in (*now.known, *now.nodes):
            self._flat[node] = offset
            offset += len(node.tokens)
        self._known_tokens = known_tokens
        # A node alone needs no index: its tokens are the row.
        self._alone = len(now.nodes) == 1 and not now.known
        self._calls = [self._call(units, device) for units in _batches(_units(now.nodes))]

    def row(self, node: Node, position: int) -> int:
        """Index among the pass's tokens of a node's token."""
        return self._flat[node] - self._known_tokens + position - node.start

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """See `harness.engine.attention.Layout`."""
        # Token by token in memory, as the model's projections left them: a token is one piece.
        queries, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
        for node in self._pass.kept:
            start = self.row(node, node.start)
            part = slice(start, start + len(node.tokens))
            self._store.put(node, layer, keys[part], values[part])
        if self._alone and (window is None or len(queries) <= window):
            return sdpa(query, key, value, scale, causal=True).transpose(1, 2)
        if self._pass.known:
            earlier = [self._store.get(node, layer) for node in self._pass.known]
            keys = torch.cat([*(kept for kept, _ in earlier), keys])
            values = torch.cat([*(kept for _, kept in earlier), values])
        result = queries.new_empty(*queries.shape[:2], values.shape[-1])
        for call in self._calls:
            q = _gather(queries, call.queries)
            k, v = _gather(keys, call.keys), _gather(values, call.keys)
            if call.causal and (window is None or k.shape[2] <= window):
                out = sdpa(q, k, v, scale, causal=True)
            else:
                out = sdpa(q, k, v, scale, mask=call.mask(window, q.dtype))
            rows = out.transpose(1, 2).flatten(0, 1)
            result.index_copy_(0, call.targets, rows.index_select(0, call.valid))
        return result[None]

    def _call(self, units: Sequence[_Unit], device: torch.device) -> _Call:
        rows = len(units)
        longest = (max(unit.queries for unit in units), max(unit.keys for unit in units))
        index = [np.zeros((rows, length), np.int64) for length in longest]
        member = [np.full((rows, length), -2, np.int64) for length in longest]
        position = [np.zeros((rows, length), np.int64) for length in longest]
        for row, unit in enumerate(units):
            nodes = [(-1, node) for node in unit.ancestors]
            nodes += list(enumerate(unit.members))
            for side, first in ((0, len(unit.ancestors)), (1, 0)):
                place = 0
                for number, node in nodes[first:]:
                    part = slice(place, place := place + len(node.tokens))
                    index[side][row, part] = self._flat[node] + np.arange(len(node.tokens))
                    member[side][row, part] = number
                    position[side][row, part] = np.arange(node.start, node.end)
        valid = np.flatnonzero(member[0] >= 0)
        # Padded queries see the row's first key: a softmax over nothing would be NaN.
        member[0][member[0] == -2] = member[1][:, :1].repeat(longest[0], 1)[member[0] == -2]
        queries = index[0] - self._known_tokens
        queries[queries < 0] = 0
        targets = queries.reshape(-1)[valid]

        def on_device(array: Positions) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        return _Call(
            on_device(queries),
            on_device(index[1]),
            on_device(valid),
            on_device(targets),
            (on_device(member[0]), on_device(member[1])),
            (on_device(position[0]), on_device(position[1])),
            causal=all(not unit.ancestors and len(unit.members) == 1 for unit in units),
        )


def _gather(tokens: Tensor, index: Tensor) -> Tensor:
    """Pick from ``[tokens, heads, width]`` by ``[rows, n]``: ``[rows, heads, n, width]``."""
    picked = tokens.index_select(0, index.flatten())
    return picked.view(*index.shape, *picked.shape[1:]).transpose(1, 2)


def _units(nodes: Sequence[Node]) -> Iterator[_Unit]:
    """A unit for every node, short leaves of one parent together."""
    leaves: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.parent is None or node.children:
            yield _Unit(tuple(node.path[:-1]), (node,))
        else:
            leaves.setdefault(node.parent, []).append(node)
    for parent, siblings in leaves.items():
        bundle: list[Node] = []
        room = 0
        for leaf in siblings:
            if bundle and len(leaf.tokens) > room:
                yield _Unit(tuple(parent.path), tuple(bundle))
                bundle = []
            if not bundle:
                room = max(BUNDLE, parent.end)
            bundle.append(leaf)
            room -= len(leaf.tokens)
        yield _Unit(tuple(parent.path), tuple(bundle))


def _batches(units: Iterator[_Unit]) -> Iterator[list[_Unit]]:
    """Units of like size, those that need no mask apart from the others."""
    batch: list[_Unit] = []
    area = longest = 0
    for unit in sorted(units, key=lambda u: (bool(u.ancestors), -u.keys, -u.queries)):
        own = unit.queries * unit.keys
        if batch:
            padded = max(longest, unit.queries) * batch[0].keys * (len(batch) + 1)
            masked = bool(unit.ancestors) != bool(batch[0].ancestors)
            if masked or padded > PADDING * (area + own):
                yield batch
                batch, area, longest = [], 0, 0
        batch.append(unit)
        longest = max(longest, unit.queries)
        area += own
    if batch:
        yield batch
