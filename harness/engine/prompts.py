"""Prompts of generations: run pass by pass, shared beginnings once, as rows have room for them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.passes import KeyValues, Pass, halved, make_passes
from harness.engine.trie import Node, build_trie, walk
from harness.types import Tokens

KeyValueParts = list[dict[int, tuple[Tensor, Tensor]]]
"""Of consecutive parts of a prompt, by layer."""


@dataclass(frozen=True)
class Prompt:
    """A prompt that ran.

    Attributes:
        index: the question's.
        length: in tokens.
        state: the last token's, ``[width]``: it predicts the first new one.
        end: where the prompt ends in the trie.
    """

    index: int
    length: int
    state: Tensor
    end: Node


class Prompts:
    """Hands out prompts one by one.

    Args:
        model: a model that can run packed.
        prompts: token ids by the question's index.
        budget: tokens of a pass; when memory runs out, half of what was tried.
    """

    def __init__(self, model: LoadedModel, prompts: Mapping[int, Tokens], budget: int) -> None:
        self._model = model
        roots, leaves = build_trie(list(prompts.values()))
        self._ending: dict[Node, list[tuple[int, int]]] = {}
        self._users: Counter[Node] = Counter()
        for (index, tokens), leaf in zip(prompts.items(), leaves, strict=True):
            end = leaf.holding(len(tokens) - 1)
            self._ending.setdefault(end, []).append((index, len(tokens)))
            self._users.update(end.path)
        self._passes = deque(make_passes(list(walk(roots)), budget))
        self._ready: deque[Prompt] = deque()
        self._store = KeyValues()

    @property
    def left(self) -> bool:
        """Whether any prompt was not handed out yet."""
        return bool(self._ready or self._passes)

    def next(self) -> Prompt:
        """The next prompt, run now unless it ran with another."""
        while not self._ready:
            self._run(self._passes[0])
        return self._ready.popleft()

    def parts(self, prompt: Prompt) -> KeyValueParts:
        """Keys and values along a prompt; the last part may go on behind it."""
        return [self._store.layers(node) for node in prompt.end.path]

    def release(self, prompt: Prompt) -> None:
        """Forget what no other prompt needs."""
        self._users.subtract(prompt.end.path)
        self._store.drop([node for node in prompt.end.path if not self._users[node]])

    def _run(self, now: Pass) -> None:
        try:
            states, layout = self._model.run(replace(now, kept=now.nodes), self._store)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._passes = deque(halved(self._passes, self._behead))
            return
        self._passes.popleft()
        for node in now.nodes:
            for index, length in self._ending.get(node, ()):
                state = states[layout.row(node, length - 1)].clone()
                self._ready.append(Prompt(index, length, state, node))

    def _behead(self, node: Node, count: int) -> Node:
        """Make a node's first tokens its parent, and return that."""
        head = node.behead(count)
        self._users[head] = self._users[node]
        endings = self._ending.pop(node, [])
        self._ending[head] = [(index, length) for index, length in endings if length <= head.end]
        self._ending[node] = [(index, length) for index, length in endings if length > head.end]
        return head
