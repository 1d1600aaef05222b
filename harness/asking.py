"""Asks everything about some docs, and makes a row of each as its answers come in.

First the model that is scored is asked; then, for tasks with a follow-up, the reference and the
judges are, one after the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from harness.backends.backend import Backend
from harness.journal import Journal, answered
from harness.open_task import OpenTask
from harness.others import Others
from harness.records import Row
from harness.types import (
    Addressed,
    Answer,
    Divergence,
    Doc,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    Reward,
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
    """What answers took: tokens that the model was run on, and answers that cost nothing; the
    seconds of workers elsewhere. Of what others were asked, only the seconds.
    """

    tokens_in: int = 0
    tokens_out: int = 0
    stored: int = 0
    worker_seconds: float = 0.0
    others_seconds: float = 0.0

    def add(self, answer: Answer) -> None:
        """Count an answer of the model that is scored."""
        if answer.stored:
            self.stored += 1
        else:
            self.tokens_in += answer.tokens_in
            self.tokens_out += answer.tokens_out
            self.worker_seconds += answer.seconds


class Watcher(Protocol):
    """Told how far the asking has come."""

    def start(self, task: str, docs: int, requests: int) -> None:
        """Asking begins: of a task, or of another model for it."""
        ...

    def advance(self, requests: int, stored: bool = False) -> None:
        """So many more requests were answered, by the model or from the journal."""
        ...


@dataclass
class _PendingDoc:
    """A doc whose responses are still coming in.

    Attributes:
        asked: the doc and its first round.
        further: its second round; empty until the first is complete.
        responses: place among both rounds' requests to response.
    """

    asked: AskedDoc
    further: Sequence[Addressed] = ()
    responses: dict[int, Response] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.responses) == len(self.asked.requests) + len(self.further)

    def ordered(self) -> list[Response]:
        return [self.responses[position] for position in sorted(self.responses)]


def ask_about(opened: OpenTask, docs: Sequence[Doc]) -> list[AskedDoc]:
    """The docs, each with all that the task asks about it."""
    asked = [(doc, list(opened.requests(doc))) for doc in docs]
    # Where nothing is asked of the model alone, what the doc says stands for the question.
    return [AskedDoc(doc, each, request_digest(each) if each else doc.id) for doc, each in asked]


def scored_rows(
    title: str,
    opened: OpenTask,
    asked: Sequence[AskedDoc],
    backend: Backend,
    journal: Journal | None,
    watcher: Watcher,
    spent: Spent,
    others: Others,
) -> Iterator[Row]:
    """Ask, and yield each doc's row when its last response is in, in whatever order that is.

    Args:
        title: the task's name, for the watcher.
        opened: the task of the docs.
        asked: as `ask_about` made it.
        backend: who answers what is not stored.
        journal: of this backend; ``None`` goes past it.
        watcher: told of every response, and whether it came from the journal.
        spent: added to.
        others: who is asked in the second round.
    """
    waiting: list[_PendingDoc] = []
    for doc in _first_round(title, asked, backend, journal, watcher, spent):
        responses = doc.ordered()
        if _reason(responses) is None:
            doc.further = list(opened.follow_up(doc.asked.doc, responses))
        if doc.further:
            waiting.append(doc)
        else:
            yield _row(opened, doc)
    if waiting:
        # Docs become ready in whatever order was fastest; what is asked must not depend on it.
        waiting.sort(key=lambda doc: doc.asked.doc.index)
        started = time.perf_counter()
        yield from _second_round(title, opened, waiting, watcher, others)
        spent.others_seconds += time.perf_counter() - started


def _first_round(
    title: str,
    asked: Sequence[AskedDoc],
    backend: Backend,
    journal: Journal | None,
    watcher: Watcher,
    spent: Spent,
) -> Iterator[_PendingDoc]:
    """Ask the model that is scored; yield each doc when its last response is in, and at once those
    about which it is asked nothing.
    """
    pending = [_PendingDoc(each) for each in asked]
    places = [(doc, at) for doc in pending for at in range(len(doc.asked.requests))]
    yield from (doc for doc in pending if not doc.asked.requests)
    if not places:
        return
    requests = [doc.asked.requests[at] for doc, at in places]
    watcher.start(title, len(asked), len(places))
    for doc, answer in _responses(places, requests, backend, journal, watcher):
        spent.add(answer)
        if doc.complete:
            yield doc


def _second_round(
    title: str,
    opened: OpenTask,
    waiting: Sequence[_PendingDoc],
    watcher: Watcher,
    others: Others,
) -> Iterator[Row]:
    """Ask one model after the other what the docs' follow-ups have for it."""
    for name in dict.fromkeys(each.to for doc in waiting for each in doc.further):
        places = [
            (doc, len(doc.asked.requests) + at)
            for doc in waiting
            for at, each in enumerate(doc.further)
            if each.to == name
        ]
        requests = [doc.further[at - len(doc.asked.requests)].request for doc, at in places]
        backend, journal = others.party(name)
        docs = len({doc.asked.doc.index for doc, _ in places})
        watcher.start(f"{title}, asked of {others.title(name)}", docs, len(places))
        for doc, _ in _responses(places, requests, backend, journal, watcher):
            if doc.complete:
                yield _row(opened, doc)


def _responses(
    places: Sequence[tuple[_PendingDoc, int]],
    requests: Sequence[Request],
    backend: Backend,
    journal: Journal | None,
    watcher: Watcher,
) -> Iterator[tuple[_PendingDoc, Answer]]:
    """Ask requests, put each response in its place, and say whose it was."""
    left = len(requests)
    for answer in answered(backend, backend.encode(requests), journal):
        doc, position = places[answer.index]
        doc.responses[position] = answer.response
        left -= 1
        watcher.advance(1, answer.stored)
        yield doc, answer
    if left:
        raise RuntimeError(f"the backend left {left} requests without an answer")


def request_digest(requests: Sequence[Request]) -> str:
    """Digest of what was asked about one doc: kinds, texts and settings."""
    asked = [[type(request).__name__, asdict(request)] for request in requests]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _score(opened: OpenTask, doc: Doc, responses: Sequence[Response]) -> Score:
    """Score a doc whose requests were all answered; one that was not makes it unscored."""
    if (reason := _reason(responses)) is not None:
        return Score({}, unscored=reason)
    score = opened.score(doc, responses)
    odd = [name for name, statistic in score.values.items() if not _is_finite(statistic)]
    return Score({}, unscored=f"{odd[0]} is not a finite number") if odd else score


def _reason(responses: Sequence[Response]) -> str | None:
    """Why a doc cannot be scored, if a request of it was not answered."""
    return next((each.reason for each in responses if isinstance(each, Unanswered)), None)


def _is_finite(statistic: Statistic) -> bool:
    """Whether JSON can hold it: NaN and infinities have no place in a record."""
    if isinstance(statistic, tuple):
        return all(_is_finite(item) for item in statistic)
    return not isinstance(statistic, float) or math.isfinite(statistic)


def _row(opened: OpenTask, answered_doc: _PendingDoc) -> Row:
    """One line of the record: what was asked, what came back, what it scored."""
    doc, requests = answered_doc.asked.doc, answered_doc.asked.requests
    responses = answered_doc.ordered()
    score = _score(opened, doc, responses)
    everything = [*requests, *(each.request for each in answered_doc.further)]
    own = responses[: len(requests)]
    pairs = [request for request in requests if isinstance(request, LogLikelihood)]
    contexts = [pair.context for pair in pairs]
    answers = [response for response in own if isinstance(response, LogProb)]
    texts = [response.text for response in own if isinstance(response, Generation)]
    same_context = len(set(contexts)) <= 1
    return Row(
        doc_id=doc.id,
        index=doc.index,
        group=doc.group,
        prompt=_prompt(everything[0]) if everything and same_context else "",
        contexts=() if same_context else tuple(contexts),
        continuations=tuple(pair.continuation for pair in pairs),
        logprobs=tuple(answer.logprob for answer in answers),
        greedy=tuple(answer.is_greedy for answer in answers),
        text=texts[0] if texts else None,
        target=opened.target(doc),
        scores=score.values,
        unscored=score.unscored,
        truncated=any(getattr(response, "truncated", False) for response in responses),
        request_digest=answered_doc.asked.digest,
        note=score.note,
        cluster=doc.cluster,
    )


def _prompt(request: Request) -> str:
    if isinstance(request, LogLikelihood | GenerateUntil):
        return request.context
    if isinstance(request, Reward):
        return request.prompt
    # A window is token ids: its digest is enough.
    return request.text if isinstance(request, RollingLogLikelihood | Divergence) else ""
