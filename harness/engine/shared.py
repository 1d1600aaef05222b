"""Log-likelihoods with a question's context run once and its cache repeated for the choices.

For models whose attention cannot run packed, but that keep an ordinary cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.plain import score_plain
from harness.engine.scoring import score_rows
from harness.engine.spans import Span, Sums, spans_of
from harness.types import Answer, Question

LONG = 128
"""Tokens of a context from which on its cache is worth a forward pass of its own: below it, plain
batches of whole rows are as fast."""


def score_shared(
    model: LoadedModel,
    questions: Mapping[int, Question],
    max_length: int,
    budget: int,
    *,
    long: int = LONG,
) -> Iterator[Answer]:
    """Answer log-likelihood questions; long contexts of several continuations run once."""
    contexts: dict[bytes, list[int]] = {}
    rest = dict(questions)
    for index, question in questions.items():
        if len(question.tokens) == 2 and len(question.tokens[0]) >= long:
            contexts.setdefault(question.tokens[0].tobytes(), []).append(index)
    for indices in contexts.values():
        spans = [spans_of(questions[index], max_length)[0] for index in indices]
        if len({span.sequence.tobytes() for span in spans}) > 1:
            tail = max(len(span.targets) for span in spans)
            together = {index: questions[index] for index in indices}
            for answer in _share(model, together, spans, max(1, budget // tail)):
                del rest[answer.index]
                yield answer
    if rest:
        yield from score_plain(model, rest, max_length, budget)


def _share(
    model: LoadedModel, questions: dict[int, Question], spans: list[Span], choices: int
) -> Iterator[Answer]:
    """Answer questions of one context, so many at a time, or fewer when memory runs out; those
    for which there is no room beside the cache are left out.
    """
    indices = list(questions)
    while indices:
        part = {index: questions[index] for index in indices[:choices]}
        try:
            answers = list(_score(model, part, spans[:choices]))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                return
            choices = len(part) // 2
            continue
        yield from answers
        del indices[:choices], spans[:choices]


@torch.inference_mode()
def _score(
    model: LoadedModel, questions: dict[int, Question], spans: Sequence[Span]
) -> Iterator[Answer]:
    sums = Sums(questions, list(questions), [len(span.targets) for span in spans])
    context = spans[0].first + 1
    before, cache = model.cached_states(torch.tensor([spans[0].sequence[:context]]), None)
    cache.batch_repeat_interleave(len(spans))
    tails = [span.sequence[context:] for span in spans]
    ids = torch.zeros(len(spans), max(map(len, tails)), dtype=torch.long)
    for row, tail in enumerate(tails):
        ids[row, : len(tail)] = torch.tensor(tail, dtype=torch.long)
    # The context's last token predicts every choice's first.
    states = before[:, -1:].expand(len(spans), -1, -1)
    if ids.shape[1]:
        after, _ = model.cached_states(ids, cache)
        states = torch.cat([states, after], 1)
    length = states.shape[1]
    rows = [np.arange(row * length, row * length + len(s.targets)) for row, s in enumerate(spans)]
    targets = [np.frombuffer(span.targets, dtype=np.int32) for span in spans]
    owners = [np.full(len(span.targets), row) for row, span in enumerate(spans)]
    scores = score_rows(model, states.flatten(0, 1), np.concatenate(rows), np.concatenate(targets))
    yield from sums.add(np.concatenate(owners), *scores)
