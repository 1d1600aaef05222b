"""Text generation in a batch that never waits: a row that is finished leaves, another comes in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.engine.attention import using
from harness.engine.choosing import Chooser
from harness.engine.decoding import DecodeLayout
from harness.engine.model import LoadedModel, free_memory
from harness.engine.passes import KeyValues, Pass, make_passes
from harness.engine.stopping import Stopping
from harness.engine.trie import Node, build_trie, walk
from harness.types import Answer, GenerateUntil, Generation, Question

SLOTS = {"cpu": 32, "cuda": 256}
"""Rows generated side by side, at most."""
ADMIT = 4
"""New rows come in when a quarter of the slots is free: prompts are run several at a time."""


MEMORY_SHARE = 3
"""Keys and values of the rows take at most one part in so many of the free memory."""

KeyValueParts = list[dict[int, tuple[Tensor, Tensor]]]
"""Of consecutive parts of a prompt, by layer."""


@dataclass
class _Row:
    """A generation under way."""

    index: int
    question: Question
    request: GenerateUntil
    chooser: Chooser
    tokens: list[int] = field(default_factory=list)


@dataclass
class _Prompt:
    """A prompt whose keys, values and last state are known, waiting for a slot."""

    row: _Row
    end: Node
    state: Tensor


def generate_packed(
    model: LoadedModel,
    tokenizer: Any,
    questions: Mapping[int, Question],
    budget: int,
) -> Iterator[Answer]:
    """Answer generations as their rows finish.

    Args:
        model: a model that can run packed.
        tokenizer: its tokenizer.
        questions: by index; none refused.
        budget: tokens of a pass over prompts.
    """
    longest = max(
        len(question.tokens[0]) + question.request.max_new_tokens
        for question in questions.values()
        if isinstance(question.request, GenerateUntil)
    )
    batch = _Batch(model, Stopping(model.causal.generation_config, tokenizer), longest)
    prompts = _Prompts(model, questions, budget)
    while True:
        admitting = batch.free * ADMIT >= batch.slots
        while admitting and batch.free and prompts.left:
            prompt = prompts.next()
            yield from batch.admit(prompt, prompts.parts(prompt))
            prompts.release(prompt)
        if batch.rows:
            yield from batch.step()
        elif not prompts.left:
            return


class _Prompts:
    """Runs prompts pass by pass, shared beginnings once, as slots become free."""

    def __init__(self, model: LoadedModel, questions: Mapping[int, Question], budget: int) -> None:
        self._model = model
        items = list(questions.items())
        roots, ends = build_trie([question.tokens[0] for _, question in items])
        self._ending: dict[Node, list[tuple[int, Question, Node]]] = {}
        self._users: Counter[Node] = Counter()
        for (index, question), leaf in zip(items, ends, strict=True):
            end = leaf.holding(len(question.tokens[0]) - 1)
            self._ending.setdefault(end, []).append((index, question, end))
            self._users.update(end.path)
        nodes = [node for node in walk(roots) if self._users[node]]
        self._passes = deque(make_passes(nodes, budget))
        self._ready: deque[_Prompt] = deque()
        self._store = KeyValues()

    @property
    def left(self) -> bool:
        """Whether any prompt was not handed out yet."""
        return bool(self._ready or self._passes)

    def next(self) -> _Prompt:
        """The next prompt, run now unless it ran with another."""
        while not self._ready:
            self._run(self._passes.popleft())
        return self._ready.popleft()

    def parts(self, prompt: _Prompt) -> KeyValueParts:
        """Keys and values along a prompt."""
        return [self._store.layers(node) for node in prompt.end.path]

    def release(self, prompt: _Prompt) -> None:
        """Forget what no other prompt needs."""
        self._users.subtract(prompt.end.path)
        self._store.drop([node for node in prompt.end.path if not self._users[node]])

    def _run(self, now: Pass) -> None:
        everything = Pass(now.nodes, now.known, kept=now.nodes, done=())
        states, layout = self._model.run(everything, self._store)
        for node in now.nodes:
            for index, question, end in self._ending.get(node, ()):
                row = layout.row(node, len(question.tokens[0]) - 1)
                assert isinstance(question.request, GenerateUntil)
                chooser = Chooser.for_question(question, self._model.causal.generation_config)
                waiting = _Row(index, question, question.request, chooser)
                self._ready.append(_Prompt(waiting, end, states[row].clone()))


class _Batch:
    """The rows that grow."""

    def __init__(self, model: LoadedModel, stopping: Stopping, longest: int) -> None:
        self._model, self._stopping, self._longest = model, stopping, longest
        self.slots = SLOTS["cuda" if model.device.type == "cuda" else "cpu"]
        self._layout: DecodeLayout | None = None
        self.rows: list[_Row] = []

    @property
    def free(self) -> int:
        """Slots without a row."""
        return self.slots - len(self.rows)

    def admit(self, prompt: _Prompt, parts: KeyValueParts) -> Iterator[Answer]:
        """Give a prompt a slot, and its first token."""
        if self._layout is None:
            self.slots = self._affordable(parts)
            self._layout = DecodeLayout(self.slots, self._model.device)
        self._layout.fill(len(self.rows), parts, len(prompt.row.question.tokens[0]))
        self.rows.append(prompt.row)
        yield from self._grow(len(self.rows) - 1, prompt.state[None])

    @torch.inference_mode()
    def step(self) -> Iterator[Answer]:
        """One more token for every row."""
        assert self._layout is not None
        positions = self._layout.step(len(self.rows))
        ids = torch.tensor([row.tokens[-1] for row in self.rows])
        with using(self._layout):
            states = self._model.states(ids[None], position_ids=positions[None])[0]
        yield from self._grow(0, states)

    def _grow(self, first: int, states: Tensor) -> Iterator[Answer]:
        """Give the rows from ``first`` on their next token; the finished ones leave."""
        for row, token in zip(self.rows[first:], self._choose(first, states), strict=True):
            row.tokens.append(token)
        for slot in reversed(range(first, len(self.rows))):
            row = self.rows[slot]
            if self._stopping.ends(row.request, row.tokens):
                last = self.rows.pop()
                if row is not last and self._layout is not None:
                    self._layout.move(len(self.rows), slot)
                    self.rows[slot] = last
                yield self._answer(row)

    @torch.inference_mode()
    def _choose(self, first: int, states: Tensor) -> list[int]:
        rows = self.rows[first:]
        if all(row.chooser.greedy for row in rows):
            best: list[int] = self._model.head.greedy(states).tolist()
            return best
        logits = self._model.head.logits(states)
        return [
            row.chooser.choose(row.question.tokens[0], row.tokens, line)
            for row, line in zip(rows, logits, strict=True)
        ]

    def _affordable(self, parts: KeyValueParts) -> int:
        """Slots whose keys and values fit into a share of the free memory."""
        tokens = sum(len(next(iter(part.values()))[0]) for part in parts)
        held = sum(t.nbytes for part in parts for pair in part.values() for t in pair)
        fitting = (
            free_memory(self._model.device) // MEMORY_SHARE // (self._longest * held // tokens)
        )
        return max(1, min(self.slots, fitting))

    def _answer(self, row: _Row) -> Answer:
        text = self._stopping.text(row.request, row.tokens)
        prompt = len(row.question.tokens[0])
        generation = Generation(text, row.question.truncated)
        return Answer(row.index, generation, prompt, len(row.tokens))
