"""Asks a backend everything about some docs, and makes a row of each as its answers come in."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from harness.backends.backend import Backend
from harness.journal import Journal, answered
from harness.open_task import OpenTask
from harness.records import Row
from harness.types import (
    Doc,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    Score,
    Statistic,
    Unanswered,
)


@dataclass(frozen=True)
class AskedDoc:
    """A doc with all that is asked about it, and the digest of that."""

    doc: Doc
    requests: Sequence[Request]
    digest: str


@dataclass
class Spent:
    """What answers took: tokens that the model was run on, and answers that cost nothing."""

    tokens_in: int = 0
    tokens_out: int = 0
    stored: int = 0


@dataclass
class _PendingDoc:
    """A doc whose responses are still coming in."""

    asked: AskedDoc
    responses: dict[int, Response] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.responses) == len(self.asked.requests)

    def ordered(self) -> list[Response]:
        return [self.responses[position] for position in range(len(self.responses))]


def ask_about(opened: OpenTask, docs: Sequence[Doc]) -> list[AskedDoc]:
    """The docs, each with all that the task asks about it."""
    asked = [(doc, list(opened.requests(doc))) for doc in docs]
    return [AskedDoc(doc, requests, request_digest(requests)) for doc, requests in asked]


def scored_rows(
    opened: OpenTask,
    asked: Sequence[AskedDoc],
    backend: Backend,
    journal: Journal | None,
    advance: Callable[[int, bool], None],
    spent: Spent,
) -> Iterator[Row]:
    """Ask, and yield each doc's row when its last response is in, in whatever order that is.

    Args:
        opened: the task of the docs.
        asked: as `ask_about` made it.
        backend: who answers what is not stored.
        journal: of this backend; ``None`` goes past it.
        advance: told of every response, and whether it came from the journal.
        spent: added to.
    """
    owners = [(each.doc.index, place) for each in asked for place in range(len(each.requests))]
    flat = [request for each in asked for request in each.requests]
    pending = {each.doc.index: _PendingDoc(each) for each in asked}
    for answer in answered(backend, backend.encode(flat), journal):
        if answer.stored:
            spent.stored += 1
        else:
            spent.tokens_in += answer.tokens_in
            spent.tokens_out += answer.tokens_out
        index, position = owners[answer.index]
        waiting = pending[index]
        waiting.responses[position] = answer.response
        advance(1, answer.stored)
        if waiting.complete:
            del pending[index]
            yield _row(opened, waiting.asked, waiting.ordered())
    if pending:
        raise RuntimeError(f"the backend left {len(pending)} docs without an answer")


def request_digest(requests: Sequence[Request]) -> str:
    """Digest of what was asked about one doc: kinds, texts and settings."""
    asked = [[type(request).__name__, asdict(request)] for request in requests]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _score(opened: OpenTask, doc: Doc, responses: Sequence[Response]) -> Score:
    """Score a doc whose requests were all answered; one that was not makes it unscored."""
    for response in responses:
        if isinstance(response, Unanswered):
            return Score({}, unscored=response.reason)
    score = opened.score(doc, responses)
    odd = [name for name, statistic in score.values.items() if not _is_finite(statistic)]
    return Score({}, unscored=f"{odd[0]} is not a finite number") if odd else score


def _is_finite(statistic: Statistic) -> bool:
    """Whether JSON can hold it: NaN and infinities have no place in a record."""
    if isinstance(statistic, tuple):
        return all(_is_finite(item) for item in statistic)
    return not isinstance(statistic, float) or math.isfinite(statistic)


def _row(opened: OpenTask, asked: AskedDoc, responses: Sequence[Response]) -> Row:
    """One line of the record: what was asked, what came back, what it scored."""
    doc, requests = asked.doc, asked.requests
    score = _score(opened, doc, responses)
    pairs = [request for request in requests if isinstance(request, LogLikelihood)]
    contexts = [pair.context for pair in pairs]
    answers = [response for response in responses if isinstance(response, LogProb)]
    texts = [response.text for response in responses if isinstance(response, Generation)]
    same_context = len(set(contexts)) <= 1
    return Row(
        doc_id=doc.id,
        index=doc.index,
        group=doc.group,
        prompt=_prompt(requests[0]) if same_context else "",
        contexts=() if same_context else tuple(contexts),
        continuations=tuple(pair.continuation for pair in pairs),
        logprobs=tuple(answer.logprob for answer in answers),
        greedy=tuple(answer.is_greedy for answer in answers),
        text=texts[0] if texts else None,
        target=opened.target(doc),
        scores=score.values,
        unscored=score.unscored,
        truncated=any(getattr(response, "truncated", False) for response in responses),
        request_digest=asked.digest,
    )


def _prompt(request: Request) -> str:
    if isinstance(request, LogLikelihood | GenerateUntil):
        return request.context
    # A window is token ids: its digest is enough.
    return request.text if isinstance(request, RollingLogLikelihood) else ""
