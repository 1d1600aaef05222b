"""A model behind an OpenAI-compatible server: text is sent, text or log-probabilities come back.

There is no tokenizer here and no context length: the server has them. Where a continuation begins
among its tokens is read off their offsets, as `harness.openai_api.continuation` says.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from harness.backends.api_words import SEED, responded, unfit, worded
from harness.backends.backend import (
    BEGUN_ANSWER,
    ELSEWHERE,
    BackendFacts,
    CannotBeAsked,
    LoadOptions,
    ServedOptions,
)
from harness.backends.probe import without_logprobs
from harness.errors import HarnessError, UsageError
from harness.openai_api.at_once import at_once
from harness.openai_api.chat import Chat
from harness.openai_api.client import ApiError, Asked, Client, Patience
from harness.openai_api.completion import Completion
from harness.openai_api.reply import Ask, Reply
from harness.openai_api.spending import Spending, tokens_of
from harness.openai_api.terms import Terms
from harness.types import (
    Answer,
    GenerateUntil,
    LogLikelihood,
    Question,
    Request,
    Unanswered,
)

VERSION = "1"
"""Of what is asked: answers of another version are not taken for this one's."""
IN_VAIN = 10
"""Requests without an answer, one after the other, after which the rest is not asked."""
FAILED_AT_IT = "status 500"
"""What may be a question's fault, unlike 502, 503 and 504, which tell of the server."""
NO_TOKENIZER = (
    "it is made of the model's own tokens (windows, or answers counted in tokens), and a server "
    "lends nobody its tokenizer"
)


class BudgetSpent(HarnessError):
    """The budget admits no more; what was answered is kept."""


class ApiBackend:
    """A Backend over a server.

    Args:
        terms: whom, and on what terms.
        chat: whether prompts are messages, which the server puts into its chat template.
        weights_id: stands for the model in the journal: of its name and the server's address.
    """

    def __init__(self, terms: Terms, chat: bool, weights_id: str) -> None:
        self._terms, self._chat = terms, chat
        self.spending = terms.spending or Spending(terms.budget)
        self._before = self.spending.sums()
        self._heard = False
        self._who = f"{terms.server.url}, model {terms.server.model}"
        where = "chat completions" if chat else "completions"
        self.facts = BackendFacts(
            dtype="as served",
            device=ELSEWHERE,
            parameters=None,
            memory_bytes=None,
            max_length=None,
            plan=f"{where} of a server, {terms.at_once} at a time",
        )
        self.identity: Mapping[str, str] = {
            "backend": f"api {VERSION}",
            "server": terms.server.url,
            "model": terms.server.model,
            "asked for": where,
            "weights": weights_id,
        }

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """No tokens: the text itself is the question."""
        return [Question(request, refused=self._refused(request)) for request in requests]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Refusals first, then several at a time, in the order in which the server answers. What
        ended with its error 500 is asked once more after all others; what does so again while the
        server answers something else has no answer.

        Raises:
            ApiError: the server refuses everything, or gives no answer ten times in a row; or it
                failed at some questions, once all others are asked, and not at them alone.
            BudgetSpent: no more is admitted, and all that was under way has come.
        """
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
        run = _Run(questions, self._chat, self.spending, self._heard, self._who)
        with Client(self._terms.server, self._terms.patience, run.stop, self.spending) as client:

            def ask(index: int) -> Asked | ApiError:
                try:
                    return client.ask(run.asks[index])
                except ApiError as error:
                    return error

            # Whoever stops listening half-way must not leave requests behind that are paid for.
            try:
                with closing(at_once(run.next, ask, self._terms.at_once)) as answers:
                    for index, found in answers:
                        if (answer := run.settle(index, found)) is not None:
                            yield answer
            finally:
                run.stop.set()
                self._heard = run.heard
        if (twice := run.failed_twice()) and self._lives():
            yield from map(run.give_up, twice)
        run.check()

    def cannot(self, kinds: Collection[type[Request]]) -> Mapping[type[Request], str]:
        """Put a question or two, and say which kinds cannot be answered, each with its reason.

        Raises:
            ApiError: the server does not answer at all.
            BudgetSpent: the budget does not even admit these questions.
        """
        lacking: dict[type[Request], str] = {
            kind: reason for kind in kinds if (reason := unfit(kind, self._chat)) is not None
        }
        self._put(self._probe(), self._terms.patience)
        if LogLikelihood in kinds and LogLikelihood not in lacking:
            # It is up: what it does not give now will not be there at the sixth attempt.
            twice = replace(self._terms.patience, attempts=min(2, self._terms.patience.attempts))
            if said := without_logprobs(lambda ask: self._put(ask, twice), SEED):
                lacking[LogLikelihood] = said
        return lacking

    def spent(self) -> str:
        """What was asked so far, in words."""
        took = self.spending
        requests, read, wrote = (
            now - before for now, before in zip(took.sums(), self._before, strict=True)
        )
        about = "about " if took.estimated else ""
        prices = self._terms.budget.prices
        money = "" if prices is None else f", {prices.of(read, wrote):.4g} in money"
        return (
            f"{requests:,} requests were put to the server, {about}{read:,} tokens read and "
            f"{wrote:,} written{money}"
        )

    def relaid(self) -> None:
        """None: how requests are batched is the server's own affair."""

    def tokenize(self, text: str) -> list[int]:
        """Never.

        Raises:
            CannotBeAsked: always.
        """
        raise CannotBeAsked(NO_TOKENIZER)

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages as JSON: the server has the template.

        Raises:
            CannotBeAsked: the last message is to be continued, and a server would begin another.
        """
        if not add_generation_prompt:
            raise CannotBeAsked(BEGUN_ANSWER)
        return json.dumps(messages, ensure_ascii=False)

    def reset_peak_memory(self) -> None:
        """There is nothing to measure."""

    def peak_memory(self) -> int | None:
        """Unknown."""
        return None

    def _probe(self) -> Ask:
        if self._chat:
            return Chat((("user", "Say yes."),), 1, 0.0, SEED)
        return Completion("One, two,", 1, 0.0, SEED)

    def _lives(self) -> bool:
        """Whether the server answers the simplest question, as far as the budget lets it be put."""
        try:
            self._put(self._probe(), self._terms.patience)
        except (ApiError, BudgetSpent):
            return False
        return True

    def _put(self, ask: Ask, patience: Patience) -> Reply:
        if refusal := self.spending.admit(ask):
            raise BudgetSpent(f"{self._who}: {refusal}")
        with Client(self._terms.server, patience, meter=self.spending) as client:
            found = client.ask(ask)
        self.spending.answered(ask, found.reply)
        self._heard = True
        return found.reply

    def _refused(self, request: Request) -> str | None:
        if (reason := unfit(type(request), self._chat)) is not None:
            return reason
        if isinstance(request, LogLikelihood):
            if not request.context.rstrip():
                return "an empty prompt: a server gives the first token no log-probability"
            return None if request.continuation else "the continuation is empty"
        if isinstance(request, GenerateUntil):
            return None if request.context else "the prompt is empty"
        return None


class _Run:
    """One call's way through some questions; used by one thread, but for ``asks``.

    Args:
        questions: also those that are not asked.
        chat: whether prompts are messages.
        spending: asked before each.
        heard: whether this server answered something before: then one that it refuses is refused
            for what it is, and not for a wrong setting.
        who: is asked, for what is told.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        chat: bool,
        spending: Spending,
        heard: bool,
        who: str,
    ) -> None:
        self._questions, self._spending = questions, spending
        self.asks = {
            index: worded(question.request, chat)
            for index, question in enumerate(questions)
            if question.refused is None
        }
        self.stop = threading.Event()
        self._left = iter(self.asks)
        self._waiting: int | None = None
        self._denied = ""
        self._error: ApiError | None = None
        self.heard, self._who = heard, who
        self._under_way = self._in_vain = 0
        self._failed: dict[int, ApiError] = {}
        self._again: list[int] = []
        self._last: set[int] = set()

    def next(self) -> int | None:
        """The next to be asked; ``None`` where there is none, or none now."""
        if self._denied or self._error is not None:
            return None
        index = next(self._left, None) if self._waiting is None else self._waiting
        if index is None and self._again and not self._under_way:
            self._last, self._left, self._again = set(self._again), iter(self._again), []
            index = next(self._left)
        if index is None:
            return None
        refusal = self._spending.admit(self.asks[index])
        # What is under way may take less than it may: then there is room for more.
        self._waiting = index if refusal else None
        if refusal and not self._under_way:
            self._denied = refusal
        self._under_way += not refusal
        return None if refusal else index

    def settle(self, index: int, found: Asked | ApiError) -> Answer | None:
        """What came of a question; ``None`` where none did that would be the same another time."""
        self._under_way -= 1
        ask, request = self.asks[index], self._questions[index].request
        self._failed.pop(index, None)
        if isinstance(found, Asked):
            self._spending.answered(ask, found.reply)
            self._in_vain, self.heard = 0, True
            tokens_in, tokens_out, _ = tokens_of(ask, found.reply)
            response, listed = responded(request, found.reply)
            if listed:  # the one token that follows an echo is no answer
                return Answer(index, response, listed, 0)
            return Answer(index, response, tokens_in, tokens_out)
        if not (found.refused and self.heard) and index not in self._last:  # else it is this one
            self._in_vain += 1
        if found.fatal or self._in_vain >= IN_VAIN:
            self._error = self._error or found
            return None
        if self._spending.refuses(ask) and not found.refused:
            self._denied = self._denied or self._spending.refuses(ask) or ""
            return None
        if not found.refused:
            self._failed[index] = found
            if found.reason == FAILED_AT_IT and index not in self._last:
                self._again.append(index)
            return None
        return Answer(index, Unanswered(f"the server gave no answer: {found.reason}"))

    def failed_twice(self) -> list[int]:
        """What the server failed at by its own fault, then and after all others."""
        if self._error is not None or self._denied:
            return []
        reasons = {index: error.reason for index, error in self._failed.items()}
        return [index for index in self._last if reasons.get(index) == FAILED_AT_IT]

    def give_up(self, index: int) -> Answer:
        """No answer, where the server lives and it is the question that it fails at."""
        reason = self._failed.pop(index).reason
        return Answer(index, Unanswered(f"the server failed at it each time: {reason}"))

    def check(self) -> None:
        """Raise what ended the asking before its time."""
        kept = "what was answered is in the journal: the same command"
        if self._error is not None:
            self._error.args = (f"{self._error}\n{kept} asks only what is missing",)
            raise self._error
        if self._denied:
            raise BudgetSpent(
                f"{self._who}: {self._denied}; {kept} with a larger budget, or again "
                "with this one, asks only what is missing"
            )
        if self._failed:
            raise _outage(list(self._failed.values()), len(self.asks), kept)


def _outage(failed: Sequence[ApiError], asked: int, kept: str) -> ApiError:
    """What a server left unanswered that refused nothing; nobody knows what it would have said."""
    counted = Counter(error.reason for error in failed)
    reasons = ", ".join(f"{number} times {reason}" for reason, number in counted.most_common())
    last = failed[-1]
    return ApiError(
        last.reason,
        f"{last}\nthe server failed at {len(failed):,} of {asked:,} questions ({reasons}), and "
        f"this task is not finished; {kept} asks it again, and only what is missing",
    )


def load(options: LoadOptions) -> ApiBackend:
    """Make ready to ask; nothing is asked yet.

    Raises:
        UsageError: no server was named.
    """
    if not isinstance(options, ServedOptions):
        raise UsageError("the backend api needs a server: --base-url URL (make: BASE_URL=URL)")
    return ApiBackend(options.terms, options.chat, options.weights_id)
