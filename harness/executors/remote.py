"""Models that workers hold, behind the Backend protocol: the driver's side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from harness.backends.backend import Backend, BackendFacts
from harness.errors import HarnessError, UsageError
from harness.executors.batches import make_batches
from harness.executors.dispatch import Dispatcher
from harness.executors.executor import Loading, without_budget
from harness.executors.line import Line
from harness.executors.messages import (
    Answers,
    Ask,
    Encode,
    Encoded,
    Failed,
    Ids,
    Loaded,
    Render,
    Reply,
    Text,
    Tokenize,
    error_of,
    load_message,
    pack,
    pack_questions,
    unpack_answer,
    unpack_questions,
    unsendable,
)
from harness.executors.pool import Pool
from harness.executors.queue import Job, SetApart
from harness.journal import Journal
from harness.types import Answer, Question, Request, Unanswered

TOGETHER = 2000
"""Requests that one worker encodes at a time: enough of them share their texts."""


@dataclass
class _Known:
    """A model that was loaded: all who ask it share one number, so that workers hold it once.

    Attributes:
        line: the way to it.
        loaded: what its first worker said of it.
        users: how many backends ask it.
    """

    line: Line
    loaded: Loaded
    users: int = 0


class PoolExecutor:
    """Loads models into the workers of a pool.

    Everything but the dispatcher's thread happens in the thread that asks: while it waits for one
    answer it takes in all others that come.

    Args:
        pool: the workers.
        tell: takes lines for the user.
    """

    ahead = True

    def __init__(self, pool: Pool, tell: Callable[[str], None]) -> None:
        self._pool, self._tell = pool, tell
        self._numbers = itertools.count(1)
        self._known: dict[Loading, _Known] = {}
        self._dispatcher = Dispatcher(pool, tell)
        self.set_apart: Sequence[str] = ()

    def load(self, loading: Loading) -> RemoteBackend:
        """Load a model into a first worker; others follow where there is work for them."""
        backend = self._load(loading)
        if backend is None:
            raise UsageError(f"the backend {loading.backend!r} has no such layout")
        return backend

    def _load(self, loading: Loading) -> RemoteBackend | None:
        key = without_budget(loading)
        known = self._known.get(key) or self._first(loading)
        self._known[key] = known
        line, facts = known.line, known.loaded.facts
        if facts is None:
            self._dispatcher.release(line.model)
            return None
        if not known.users:
            self._dispatcher.revive(line.model)
        known.users += 1
        return RemoteBackend(self, loading, line, facts, known.loaded.identity)

    def _first(self, loading: Loading) -> _Known:
        """Load what was never loaded."""
        number = next(self._numbers)
        self._dispatcher.register(number, loading)
        line = Line(self._dispatcher, number)
        message = load_message(number, loading, self._pool.driver)
        return _Known(line, line.call(message, Loaded))

    def relaid(self, loading: Loading, budget: int) -> RemoteBackend | None:
        """A loaded model in other batches, if it has them."""
        options = replace(loading.options, budget=budget or None)
        return self._load(replace(loading, options=options, relaid=True))

    def beside(self, scored: Backend, parent: Backend) -> Backend:
        """Have workers put two models side by side."""
        assert isinstance(scored, RemoteBackend) and isinstance(parent, RemoteBackend)
        return self.load(replace(_as_loaded(scored), beside=_as_loaded(parent)))

    def foresee(
        self, backend: Backend, requests: Sequence[Request], journal: Journal | None
    ) -> None:
        """Encode a task's requests, and put what is not in the journal into the queue."""
        assert isinstance(backend, RemoteBackend)
        backend.foresee(requests, journal)
        self._dispatcher.deliver_waiting()

    def release(self, backend: Backend) -> None:
        """Let workers drop a model."""
        if isinstance(backend, RemoteBackend) and not backend.released:
            self._dispatcher.deliver_waiting()
            backend.let_go()
            known = self._known[without_budget(backend.loading)]
            known.users -= 1
            if not known.users:
                self._dispatcher.release(backend.line.model)

    def close(self) -> None:
        """End the workers."""
        self._dispatcher.close()
        self._pool.close()

    @property
    def workers(self) -> int:
        """How many there should be."""
        return self._pool.size

    def give_up(self, what: str, reason: str) -> None:
        """Note that something is set apart."""
        self.set_apart = (*self.set_apart, f"{what}: {reason}")
        self._tell(f"ray: {what} are set apart: {reason}")


def _as_loaded(backend: RemoteBackend) -> Loading:
    """What loads it again with the budget that it has."""
    options = replace(backend.loading.options, budget=backend.facts.budget or None)
    return replace(backend.loading, options=options)


class RemoteBackend:
    """A model in the workers.

    Attributes:
        loading: what it is.
        line: the way to it.
        released: whether nothing more will be asked of it.
    """

    def __init__(
        self,
        executor: PoolExecutor,
        loading: Loading,
        line: Line,
        facts: BackendFacts,
        identity: Mapping[str, str],
    ) -> None:
        self._executor, self.loading, self.line = executor, loading, line
        self.facts, self.identity = facts, identity
        self.released = False
        self._encoded: dict[tuple[Request, ...], list[Question]] = {}
        self._journal: Journal | None = None
        self._foreseen: set[bytes] = set()
        self._under_way: set[bytes] = set()
        self._here: dict[bytes, Answer] = {}
        self._fresh: list[bytes] = []
        self._error: HarnessError | None = None
        self._peak: int | None = None

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Have workers encode them, unless they did so ahead."""
        known = self._encoded.pop(tuple(requests), None)
        if known is not None:
            return known
        refused = [unsendable(request) for request in requests]
        sent = [each for each, why in zip(requests, refused, strict=True) if why is None]
        questions = self._encoded_by_workers(sent)
        return [
            next(questions) if why is None else Question(request, refused=why)
            for request, why in zip(requests, refused, strict=True)
        ]

    def _encoded_by_workers(self, requests: Sequence[Request]) -> Iterator[Question]:
        parts = [requests[at : at + TOGETHER] for at in range(0, len(requests), TOGETHER)]
        messages = [Encode(self.line.model, [pack(each) for each in part]) for part in parts]
        replies = self.line.call_all(messages, Encoded)
        for part, reply in zip(parts, replies, strict=True):
            yield from unpack_questions(reply.questions, part)

    def foresee(self, requests: Sequence[Request], journal: Journal | None) -> None:
        """Encode requests and begin to answer them; `encode` and `answer` will find that done."""
        questions = self.encode(requests)
        self._encoded[tuple(requests)] = questions
        self._journal = journal
        asked = {each.digest(): each for each in questions if each.refused is None}
        new = {
            digest: question
            for digest, question in asked.items()
            if digest not in self._foreseen and not (journal and journal.find(digest))
        }
        self._foreseen |= new.keys()
        self._submit(new)

    def let_go(self) -> None:
        """Keep nothing, and write nothing down any more: the journal may be closed next."""
        self.released = True
        self._journal = None
        self._encoded.clear()
        self._here.clear()

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Refusals first, then what workers have answered or will answer, as it comes."""
        wanted: dict[bytes, list[int]] = {}
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
            else:
                wanted.setdefault(question.digest(), []).append(index)
        known = self._under_way | self._here.keys()
        self._submit({d: questions[at[0]] for d, at in wanted.items() if d not in known})
        self._fresh = [digest for digest in wanted if digest in self._here]
        while wanted:
            fresh, self._fresh = self._fresh, []
            for digest in (each for each in fresh if each in wanted):
                answer = self._here.pop(digest)
                for index in wanted.pop(digest):
                    yield replace(answer, index=index)
            if wanted and not self._fresh:
                if self._error is not None:
                    raise self._error
                self.line.wait()

    def relaid(self) -> RemoteBackend | None:
        """The same in other batches, where the backend has them."""
        return self._executor.relaid(self.loading, self.facts.budget)

    def tokenize(self, text: str) -> list[int]:
        """By a worker."""
        return self.line.call(Tokenize(self.line.model, text), Ids).ids

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """By a worker."""
        message = Render(self.line.model, messages, add_generation_prompt)
        return self.line.call(message, Text).text

    def reset_peak_memory(self) -> None:
        """Each worker measures each batch by itself: there is nothing to reset."""

    def peak_memory(self) -> int | None:
        """Of any worker in any batch so far."""
        return self._peak

    def _submit(self, questions: Mapping[bytes, Question]) -> None:
        """Put questions into the queue, in batches."""
        if not questions:
            return
        digests, asked = list(questions), list(questions.values())
        self._under_way.update(digests)
        for batch in make_batches(asked, self.facts, self._executor.workers):
            packed = pack_questions([asked[place] for place in batch.places], requests=True)
            message = Ask(self.line.model, packed)
            own = [digests[place] for place in batch.places]
            self.line.send(message, max(1, batch.cost), partial(self._deliver, own))

    def _deliver(self, digests: Sequence[bytes], job: Job, reply: Reply | SetApart) -> None:
        """Take in a batch's answers."""
        if isinstance(reply, SetApart):
            self._executor.give_up(f"{len(digests):,} requests", reply.reason)
            response = Unanswered(f"set apart: its batch {reply.reason}")
            for digest in digests:
                self._arrived(digest, Answer(0, response))
        elif isinstance(reply, Answers):
            self._peak = max(self._peak or 0, reply.peak or 0) or None
            if sorted(each.index for each in reply.answers) != list(range(len(digests))):
                self._error = HarnessError(
                    f"a worker was asked {len(digests):,} questions and did not answer each once"
                )
                return
            seconds = reply.seconds / len(digests)
            for packed in reply.answers:
                self._arrived(digests[packed.index], unpack_answer(packed, seconds))
        elif self._error is None:
            said = type(reply).__name__
            self._error = (
                error_of(reply) if isinstance(reply, Failed) else HarnessError(f"a worker: {said}")
            )

    def _arrived(self, digest: bytes, answer: Answer) -> None:
        self._under_way.discard(digest)
        if self.released:
            return
        self._here[digest] = answer
        self._fresh.append(digest)
        if self._journal is not None and digest in self._foreseen:
            self._journal.add_early(digest, answer)
