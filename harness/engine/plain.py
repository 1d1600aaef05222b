"""Answers in plain batches, for models that cannot run packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import StoppingCriteria

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.scoring import Scored, owned_spans, score_rows
from harness.engine.spans import Span, Sums
from harness.engine.stopping import Stopping
from harness.types import Answer, GenerateUntil, Generation, Question

GENERATED_TOGETHER = 16


def score_plain(
    model: LoadedModel,
    questions: Mapping[int, Question],
    max_length: int,
    budget: int,
    *,
    pad: bool = True,
) -> Iterator[Answer]:
    """Answer log-likelihood questions row by row, equal rows once, rows of like length together.

    The rows are padded on the right and no mask is given, as in lm-eval: what a causal model says
    of a token does not depend on what follows it. Without ``pad`` only rows of equal length run
    together.
    """
    owners, spans = owned_spans(questions, max_length)
    sums = Sums(questions, owners, [len(span.targets) for span in spans])
    by_sequence: dict[bytes, list[int]] = {}
    for number, span in enumerate(spans):
        by_sequence.setdefault(span.sequence.tobytes(), []).append(number)
    rows = sorted(by_sequence.values(), key=lambda numbers: -len(spans[numbers[0]].sequence))
    while rows:
        longest = len(spans[rows[0][0]].sequence)
        batch = rows[: max(1, budget // longest)]
        if not pad:
            batch = [row for row in batch if len(spans[row[0]].sequence) == longest]
        try:
            scored = _run(model, batch, spans)
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                raise
            budget = longest * len(batch) // 2
            continue
        del rows[: len(batch)]
        yield from sums.add(*scored)


def _run(model: LoadedModel, batch: Sequence[Sequence[int]], spans: Sequence[Span]) -> Scored:
    """Run some rows, each with the numbers of the spans that it answers."""
    sequences = [spans[numbers[0]].sequence for numbers in batch]
    ids = torch.zeros(len(batch), max(map(len, sequences)), dtype=torch.long)
    places, targets, owners = [], [], []
    for row, (sequence, numbers) in enumerate(zip(sequences, batch, strict=True)):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        start = row * ids.shape[1]
        for number in numbers:
            span = spans[number]
            places.append(np.arange(start + span.first, start + len(sequence)))
            targets.append(np.frombuffer(span.targets, dtype=np.int32))
            owners.append(np.full(len(span.targets), number))
    place = np.concatenate(places)
    order = np.argsort(place, kind="stable")
    distinct, rows = np.unique(place[order], return_inverse=True)
    with torch.inference_mode():
        picked = torch.from_numpy(distinct).to(model.device)
        states = model.states(ids).flatten(0, 1).index_select(0, picked)
    scores = score_rows(model, states, rows, np.concatenate(targets)[order])
    return np.concatenate(owners)[order], *scores


@torch.inference_mode()
def generate_plain(
    model: LoadedModel, tokenizer: Any, questions: Mapping[int, Question], *, pad: bool = True
) -> Iterator[Answer]:
    """Answer generations with the model's own `generate`, prompts of like length together.

    Greedy prompts are padded on the left, as in lm-eval; without ``pad`` they run one by one.
    Samples are drawn one by one, each with a seed of its own: they do not depend on the batch.
    A batch that runs out of memory is halved.
    """
    stopping = Stopping(model.causal.generation_config, tokenizer)
    batches: dict[GenerateUntil, list[tuple[int, Question]]] = {}
    for index, question in questions.items():
        request = question.request
        assert isinstance(request, GenerateUntil)
        alone = request.context if request.temperature else ""
        batches.setdefault(replace(request, context=alone), []).append((index, question))
    for request, items in batches.items():
        items.sort(key=lambda item: -len(item[1].tokens[0]))
        together = GENERATED_TOGETHER if pad else 1
        while items:
            batch = items[:together]
            try:
                rows = _generate(model, stopping, request, [question for _, question in batch])
            except RuntimeError as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
                together = len(batch) // 2
                continue
            del items[: len(batch)]
            for (index, question), tokens in zip(batch, rows, strict=True):
                text = Generation(stopping.text(request, tokens), question.truncated)
                yield Answer(index, text, len(question.tokens[0]), len(tokens))


def _generate(
    model: LoadedModel, stopping: Stopping, request: GenerateUntil, questions: Sequence[Question]
) -> list[list[int]]:
    longest = max(len(question.tokens[0]) for question in questions)
    ids = torch.zeros(len(questions), longest, dtype=torch.long)
    seen = torch.zeros_like(ids)
    for row, question in enumerate(questions):
        (prompt,) = question.tokens
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        seen[row, longest - len(prompt) :] = 1
    options: dict[str, Any] = {"do_sample": False}
    if request.temperature:
        torch.manual_seed(int.from_bytes(questions[0].digest()[:4], "big"))
        options = {"do_sample": True, "temperature": request.temperature}
    # A model that scores packed still generates with the attention that it came with.
    attention = model.causal.config._attn_implementation
    model.causal.set_attn_implementation(model.attention)
    try:
        output = model.causal.generate(
            input_ids=ids.to(model.device),
            attention_mask=seen.to(model.device),
            max_new_tokens=request.max_new_tokens,
            pad_token_id=min(stopping.end_tokens, default=0),
            stopping_criteria=[_Ends(stopping, request, longest)],
            **options,
        )
    finally:
        model.causal.set_attn_implementation(attention)
    rows: list[list[int]] = output[:, longest:].tolist()
    return [stopping.cut(request, row) for row in rows]


class _Ends(StoppingCriteria):
    """Ends every row by itself, looking at what was generated alone."""

    def __init__(self, stopping: Stopping, request: GenerateUntil, prompt: int) -> None:
        self._stopping, self._request, self._prompt = stopping, request, prompt

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        rows = input_ids[:, self._prompt :].tolist()
        ended = [self._stopping.ends(self._request, row) for row in rows]
        return torch.tensor(ended, device=input_ids.device)
