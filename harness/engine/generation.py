"""Text generation in a batch that never waits: a row that is finished leaves, another comes in."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.engine.attention import using
from harness.engine.choosing import Chooser
from harness.engine.decoding import DecodeLayout
from harness.engine.model import LoadedModel, free_memory, is_out_of_memory
from harness.engine.prompts import KeyValueParts, Prompts
from harness.engine.stopping import Stopping
from harness.errors import WeightsError
from harness.types import Answer, GenerateUntil, Generation, LogProb, Question

SLOTS = {"cpu": 32, "cuda": 256}
"""Rows generated side by side, at most."""
ADMIT = 4
"""New rows come in when a quarter of the slots is free: prompts are run several at a time."""


MEMORY_SHARE = 3
"""Keys and values of the rows take at most one part in so many of the free memory."""


@dataclass
class _Row:
    """A generation under way."""

    index: int
    question: Question
    request: GenerateUntil
    tokens: list[int] = field(default_factory=list)

    @property
    def prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self.question.tokens[0])


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
    while questions:
        questions = yield from _generate_together(model, tokenizer, questions, budget)


def _generate_together(
    model: LoadedModel, tokenizer: Any, questions: Mapping[int, Question], budget: int
) -> Generator[Answer, None, Mapping[int, Question]]:
    """`generate_packed` as far as memory suffices; returns the questions that are to begin anew.

    They do so when this has returned: the keys and values of its rows are free then.
    """
    rows = {
        index: _Row(index, question, question.request)
        for index, question in questions.items()
        if isinstance(question.request, GenerateUntil)
    }
    longest = max(row.prompt + row.request.max_new_tokens for row in rows.values())
    stopping = Stopping(model.causal.generation_config, tokenizer)
    batch = _Batch(model, stopping, len(rows), longest)
    prompts = Prompts(model, {i: row.question.tokens[0] for i, row in rows.items()}, budget)
    while batch.rows or prompts.left:
        admitting = batch.free * ADMIT >= batch.slots
        while admitting and batch.free and prompts.left:
            prompt = prompts.next()
            yield from batch.admit(rows[prompt.index], prompt.state, prompts.parts(prompt))
            prompts.release(prompt)
        if batch.rows:
            yield from batch.step()
    return {row.index: row.question for row in batch.evicted}


def score_stepwise(
    model: LoadedModel, questions: Mapping[int, Question], max_length: int, budget: int
) -> Iterator[Answer]:
    """Answer log-likelihood questions as a generation would come by them, token by token.

    It is how the self-test looks at generation: slower than a pass, to the same answers.
    """
    prompts = Prompts(model, {i: q.tokens[0] for i, q in questions.items()}, budget)
    # Long continuations first: the rows that go on are then always the first ones.
    order = sorted(questions, key=lambda index: -len(questions[index].tokens[1]))
    slots = {index: slot for slot, index in enumerate(order)}
    layout = DecodeLayout(len(order), model.device)
    first: dict[int, Tensor] = {}
    while prompts.left:
        prompt = prompts.next()
        layout.fill(slots[prompt.index], prompts.parts(prompt), prompt.length)
        first[prompt.index] = prompt.state
        prompts.release(prompt)
    sums = dict.fromkeys(order, 0.0)
    greedy = dict.fromkeys(order, True)
    states = torch.stack([first[index] for index in order])
    for place in range(len(questions[order[0]].tokens[1])):
        going = [index for index in order if len(questions[index].tokens[1]) > place]
        tokens = torch.tensor([questions[index].tokens[1][place] for index in going])
        with torch.inference_mode():
            scores = model.head.score(states[: len(going)], torch.arange(len(going)), tokens)
        for index, logprob, best in zip(going, *(s.tolist() for s in scores), strict=True):
            sums[index] += logprob
            greedy[index] &= best
        positions = layout.step(len(going))
        with using(layout):
            states = model.states(tokens[None], position_ids=positions[None])[0]
    for index in order:
        yield Answer(index, LogProb(sums[index], greedy[index]))


class _Batch:
    """The rows that grow.

    Attributes:
        slots: rows at most.
        rows: those under way.
        evicted: those that memory did not suffice for; they are to begin anew.
    """

    def __init__(self, model: LoadedModel, stopping: Stopping, rows: int, longest: int) -> None:
        self._model, self._stopping, self._longest = model, stopping, longest
        self.slots = min(rows, SLOTS["cuda" if model.device.type == "cuda" else "cpu"])
        self._layout: DecodeLayout | None = None
        self._choosers: dict[int, Chooser] = {}
        self.rows: list[_Row] = []
        self.evicted: list[_Row] = []

    @property
    def free(self) -> int:
        """Slots without a row."""
        return self.slots - len(self.rows)

    def admit(self, row: _Row, state: Tensor, parts: KeyValueParts) -> Iterator[Answer]:
        """Give a row a slot, and its first token, which its prompt's last state predicts."""
        if self._layout is None:
            self.slots = self._affordable(parts)
            self._layout = DecodeLayout(self.slots, self._model.device)
        config = self._model.causal.generation_config
        self._choosers[row.index] = Chooser.for_question(row.question, config)
        self.rows.append(row)
        try:
            self._layout.fill(len(self.rows) - 1, parts, row.prompt)
            predicted = self._predicted(len(self.rows) - 1, state[None])
        except RuntimeError as error:
            self._evict(len(self.rows) - 1, error)
            return
        yield from self._grow(len(self.rows) - 1, predicted)

    @torch.inference_mode()
    def step(self) -> Iterator[Answer]:
        """One more token for every row."""
        assert self._layout is not None
        ids = torch.tensor([row.tokens[-1] for row in self.rows])
        try:
            positions = self._layout.step(len(self.rows))
            with using(self._layout):
                states = self._model.states(ids[None], position_ids=positions[None])[0]
            predicted = self._predicted(0, states)
        except RuntimeError as error:
            self._layout.take_back(len(self.rows))
            self._evict(len(self.rows) // 2, error)
            return
        yield from self._grow(0, predicted)

    def _evict(self, left: int, error: RuntimeError) -> None:
        """Go on with the first ``left`` rows only, if memory is what was wanting."""
        if not is_out_of_memory(error):
            raise error
        if not left:
            raise WeightsError("out of memory: not one row can be generated") from None
        assert self._layout is not None
        for row in self.rows[left:]:
            del self._choosers[row.index]
        self.evicted += self.rows[left:]
        del self.rows[left:]
        self.slots = left
        self._layout.shrink(left)

    def _grow(self, first: int, predicted: Tensor) -> Iterator[Answer]:
        """Give the rows from ``first`` on their next token; the finished ones leave."""
        for row, token in zip(self.rows[first:], self._choose(first, predicted), strict=True):
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
    def _predicted(self, first: int, states: Tensor) -> Tensor:
        """What the next tokens are chosen from: the best token of each row, or all its logits.

        Apart from the choice, as it may be made again with less memory, and a sample is drawn once.
        """
        greedy = all(self._choosers[row.index].greedy for row in self.rows[first:])
        return self._model.head.greedy(states) if greedy else self._model.head.logits(states)

    @torch.inference_mode()
    def _choose(self, first: int, predicted: Tensor) -> list[int]:
        if predicted.dim() == 1:
            best: list[int] = predicted.tolist()
            return best
        rows = self.rows[first:]
        return [
            self._choosers[row.index].choose(row.question.tokens[0], row.tokens, line)
            for row, line in zip(rows, predicted, strict=True)
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
        del self._choosers[row.index]
        text = self._stopping.text(row.request, row.tokens)
        generation = Generation(text, row.question.truncated)
        return Answer(row.index, generation, row.prompt, len(row.tokens))
