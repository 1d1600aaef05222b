"""Log-likelihoods with every shared token run once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.passes import KeyValues, Pass, PassLayout, halved, make_passes
from harness.engine.spans import Span, Sums, spans_of
from harness.engine.trie import Ids, Node, build_trie, walk
from harness.types import Answer, Question

Wanted = dict[Node, list[tuple[int, int, int]]]
"""By node: a span's number, and from and to which position of the node its tokens are predicted."""

ENOUGH = 512
"""Rows that are projected onto the vocabulary together."""
PATIENCE = 2.0
"""Seconds that a row waits for others at most: a run that is killed loses no more."""

Rows = npt.NDArray[np.int64]
Scored = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.bool_]]
"""Of some tokens: the span's number, the log-probability, and whether it is the greedy choice."""


def score_packed(
    model: LoadedModel, questions: Mapping[int, Question], max_length: int, budget: int
) -> Iterator[Answer]:
    """Answer log-likelihood questions.

    Args:
        model: a model that can run packed (see `harness.engine.selftest`).
        questions: by index; none refused.
        max_length: the model's context in tokens.
        budget: tokens of a pass; when memory runs out, half of what was tried.
    """
    owners, spans = owned_spans(questions, max_length)
    sums = Sums(questions, owners, [len(span.targets) for span in spans])
    roots, ends = _trie(spans)
    wanted = _wanted(spans, ends)
    store = KeyValues()
    waiting = _Unprojected(model)
    passes = deque(make_passes(list(walk(roots)), budget))
    while passes:
        now = passes[0]
        try:
            states, layout = model.run(now, store)
            waiting.add(states, *_rows(now, layout, wanted, spans))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            passes = deque(halved(passes, partial(_behead, wanted)))
            continue
        store.drop(now.done)
        passes.popleft()
        if waiting.enough or (waiting.any and not passes):
            yield from sums.add(*waiting.score())


class _Unprojected:
    """States whose log-probabilities are still to be computed, of several passes.

    A pass over one-letter answers has a dozen of them: projecting these by themselves would spend
    most of its time on reading the vocabulary's weights.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._states: list[Tensor] = []
        self._rows: list[Rows] = []
        self._count = 0
        self._since = 0.0

    @property
    def any(self) -> bool:
        """Whether there is anything to project."""
        return self._count > 0

    @property
    def enough(self) -> bool:
        """Whether to project now: many rows, or one that has waited for long."""
        return self._count >= ENOUGH or (self.any and time.monotonic() - self._since > PATIENCE)

    def add(self, states: Tensor, rows: Rows, targets: Ids, numbers: Rows) -> None:
        """Take the rows of a pass that predict something."""
        if not len(rows):
            return
        if not self.any:
            self._since = time.monotonic()
        order = np.argsort(rows, kind="stable")
        distinct, places = np.unique(rows[order], return_inverse=True)
        picked = torch.from_numpy(distinct).to(states.device)
        with torch.inference_mode():
            self._states.append(states.index_select(0, picked))
        part = np.stack([places + self._count, targets[order].astype(np.int64), numbers[order]])
        self._rows.append(part)
        self._count += len(distinct)

    def score(self) -> Scored:
        """Everything that was added."""
        rows, targets, numbers = np.concatenate(self._rows, axis=1)
        states = torch.cat(self._states)
        self._states, self._rows, self._count = [], [], 0
        return numbers, *_in_parts(self._model, states, rows, targets)


def _in_parts(
    model: LoadedModel, states: Tensor, rows: Rows, targets: Rows
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """`score_rows`, half of the states at a time where memory runs out; each predicts something."""
    try:
        return score_rows(model, states, rows, targets)
    except RuntimeError as error:
        if not is_out_of_memory(error) or len(states) == 1:
            raise
    half = len(states) // 2
    border = int(np.searchsorted(rows, half))
    first = _in_parts(model, states[:half], rows[:border], targets[:border])
    second = _in_parts(model, states[half:], rows[border:] - half, targets[border:])
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _behead(wanted: Wanted, node: Node, count: int) -> Node:
    """Make a node's first tokens its parent, and return that."""
    head = node.behead(count)
    asked = wanted.pop(node, [])
    wanted[head] = [(n, start, min(stop, head.end)) for n, start, stop in asked if start < head.end]
    wanted[node] = [(n, max(start, head.end), stop) for n, start, stop in asked if stop > head.end]
    return head


def owned_spans(questions: Mapping[int, Question], max_length: int) -> tuple[list[int], list[Span]]:
    """All spans of all questions, and which question each belongs to."""
    owners: list[int] = []
    spans: list[Span] = []
    for index, question in questions.items():
        for span in spans_of(question, max_length):
            owners.append(index)
            spans.append(span)
    return owners, spans


def _trie(spans: Sequence[Span]) -> tuple[list[Node], list[Node]]:
    """The trie of the distinct sequences, and each span's end in it."""
    keys = [span.sequence.tobytes() for span in spans]
    distinct = {key: span.sequence for key, span in zip(keys, spans, strict=True)}
    roots, ends = build_trie(list(distinct.values()))
    by_key = dict(zip(distinct, ends, strict=True))
    return roots, [by_key[key] for key in keys]


def _wanted(spans: Sequence[Span], ends: Sequence[Node]) -> Wanted:
    wanted: Wanted = {}
    for number, (span, end) in enumerate(zip(spans, ends, strict=True)):
        stop = len(span.sequence)
        while stop > span.first:
            node = end.holding(stop - 1)
            start = max(node.start, span.first)
            wanted.setdefault(node, []).append((number, start, stop))
            stop = start
    return wanted


@torch.inference_mode()
def score_rows(
    model: LoadedModel,
    states: Tensor,
    rows: Rows,
    targets: Rows | Ids,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Log-probabilities and greedy flags of ``targets`` by ascending ``rows``, in one copy."""
    logprobs, greedy = model.head.score(
        states, torch.from_numpy(rows), torch.from_numpy(targets.astype(np.int64))
    )
    both = torch.stack([logprobs, greedy.float()]).cpu().numpy()
    return both[0], both[1] > 0


def _rows(
    now: Pass, layout: PassLayout, wanted: Wanted, spans: Sequence[Span]
) -> tuple[Rows, Ids, Rows]:
    """For every token that the pass predicts: its row, the token, and the span's number."""
    rows, targets, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int32)], []
    for node in now.nodes:
        for number, start, stop in wanted.get(node, ()):
            span = spans[number]
            row = layout.row(node, start)
            rows.append(np.arange(row, row + stop - start))
            part = span.targets[start - span.first : stop - span.first]
            targets.append(np.frombuffer(part, dtype=np.int32))
            numbers.append(np.full(stop - start, number))
    if not numbers:
        return rows[0], targets[0], rows[0]
    return np.concatenate(rows), np.concatenate(targets), np.concatenate(numbers)
