"""Log-likelihoods with every shared token run once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.passes import KeyValues, Pass, PassLayout, make_passes
from harness.engine.spans import Span, Sums, spans_of
from harness.engine.trie import Node, build_trie, walk
from harness.types import Answer, Question

Wanted = dict[Node, list[tuple[int, int, int]]]
"""By node: a span's number, and from and to which position of the node its tokens are predicted."""

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
        budget: tokens of a pass; halved when memory runs out.
    """
    owners, spans = owned_spans(questions, max_length)
    sums = Sums(questions, owners, [len(span.targets) for span in spans])
    roots, ends = _trie(spans)
    wanted = _wanted(spans, ends)
    store = KeyValues()
    passes = make_passes(list(walk(roots)), budget)
    while passes:
        now = passes[0]
        try:
            scored = _run(model, now, store, wanted, spans)
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(now.nodes) == 1:
                raise
            budget = min(budget, now.tokens) // 2
            passes = make_passes([node for left in passes for node in left.nodes], budget)
            continue
        store.drop(now.done)
        del passes[0]
        if scored is not None:
            yield from sums.add(*scored)


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


def _run(
    model: LoadedModel,
    now: Pass,
    store: KeyValues,
    wanted: Wanted,
    spans: Sequence[Span],
) -> Scored | None:
    """Run a pass: span numbers, log-probabilities and greedy flags of the tokens it predicts."""
    states, layout = model.run(now, store)
    rows, targets, numbers = _rows(now, layout, wanted, spans)
    if not len(rows):
        return None
    order = np.argsort(rows, kind="stable")
    logprobs, greedy = score_rows(model, states, rows[order], targets[order])
    return numbers[order], logprobs, greedy


@torch.inference_mode()
def score_rows(
    model: LoadedModel,
    states: Tensor,
    rows: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Log-probabilities and greedy flags of ``targets`` by ascending ``rows``, in one copy."""
    distinct, places = np.unique(rows, return_inverse=True)
    logprobs, greedy = model.head.score(
        states.index_select(0, torch.from_numpy(distinct).to(states.device)),
        torch.from_numpy(places),
        torch.from_numpy(targets.astype(np.int64)),
    )
    both = torch.stack([logprobs, greedy.float()]).cpu().numpy()
    return both[0], both[1] > 0


def _rows(
    now: Pass, layout: PassLayout, wanted: Wanted, spans: Sequence[Span]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
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
