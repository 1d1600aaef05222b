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
from typing import Any

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
from harness.openai_api.completion import MOST_STOPS, Completion
from harness.openai_api.continuation import scored
from harness.openai_api.reply import Ask, Reply
from harness.openai_api.spending import Spending, tokens_of
from harness.openai_api.terms import Terms
from harness.types import (
    Answer,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Request,
    Response,
    RollingLogLikelihood,
    Unanswered,
)

VERSION = "1"
"""Of what is asked: answers of another version are not taken for this one's."""
SEED = 1234
IN_VAIN = 10
"""Requests without an answer, one after the other, after which the rest is not asked."""
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
        """Refusals first, then several at a time, in the order in which the server answers.

        Raises:
            ApiError: the server refuses everything, or gives no answer ten times in a row; or it
                failed at some questions, once all others are asked.
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
        run.check()

    def cannot(self, kinds: Collection[type[Request]]) -> Mapping[type[Request], str]:
        """Put a question or two, and say which kinds cannot be answered, each with its reason.

        Raises:
            ApiError: the server does not answer at all.
            BudgetSpent: the budget does not even admit these questions.
        """
        lacking: dict[type[Request], str] = {
            kind: reason for kind in kinds if (reason := _unfit(kind, self._chat)) is not None
        }
        probe: Ask = Completion("One, two,", 1, 0.0, SEED)
        if self._chat:
            probe = Chat((("user", "Say yes."),), 1, 0.0, SEED)
        self._put(probe, self._terms.patience)
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

    def _put(self, ask: Ask, patience: Patience) -> Reply:
        if refusal := self.spending.admit(ask):
            raise BudgetSpent(f"{self._who}: {refusal}")
        with Client(self._terms.server, patience, meter=self.spending) as client:
            found = client.ask(ask)
        self.spending.answered(ask, found.reply)
        self._heard = True
        return found.reply

    def _refused(self, request: Request) -> str | None:
        if (reason := _unfit(type(request), self._chat)) is not None:
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
            index: _ask(question.request, chat)
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
        self._failed: list[ApiError] = []

    def next(self) -> int | None:
        """The next to be asked; ``None`` where there is none, or none now."""
        if self._denied or self._error is not None:
            return None
        index = next(self._left, None) if self._waiting is None else self._waiting
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
        if isinstance(found, Asked):
            self._spending.answered(ask, found.reply)
            self._in_vain, self.heard = 0, True
            tokens_in, tokens_out, _ = tokens_of(ask, found.reply)
            response, listed = _response(request, found.reply)
            if listed:  # the one token that follows an echo is no answer
                return Answer(index, response, listed, 0)
            return Answer(index, response, tokens_in, tokens_out)
        if not (found.refused and self.heard):  # else it is this question
            self._in_vain += 1
        if found.fatal or self._in_vain >= IN_VAIN:
            self._error = self._error or found
            return None
        if self._spending.refuses(ask) and not found.refused:
            self._denied = self._denied or self._spending.refuses(ask) or ""
            return None
        if not found.refused:
            self._failed.append(found)
            return None
        return Answer(index, Unanswered(f"the server gave no answer: {found.reason}"))

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
            raise _outage(self._failed, len(self.asks), kept)


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


def _unfit(kind: type[Request], chat: bool) -> str | None:
    """Why a kind of request fits no server at all, or no chat."""
    if kind is GenerateUntil or (kind is LogLikelihood and not chat):
        return None
    if kind is LogLikelihood:
        return "chat completions give a continuation no log-probability"
    if kind is RollingLogLikelihood:
        return (
            "the perplexity of a whole text needs windows of the model's own tokens and its first "
            "token's log-probability, and a server gives neither"
        )
    return "it is asked in tokens, or of two models, and a server takes text"


def _ask(request: Request, chat: bool) -> Ask:
    """A request as the protocol words it."""
    if isinstance(request, GenerateUntil):
        limit, warm = request.max_new_tokens, request.temperature
        seed, stop = SEED + request.repeat, request.until[:MOST_STOPS]
        if chat:
            return Chat(_messages(request.context), limit, warm, seed, stop)
        return Completion(request.context, limit, warm, seed, stop)
    assert isinstance(request, LogLikelihood)
    text = request.context + request.continuation
    return Completion(text, 1, 0.0, SEED, logprobs=True, echo=True)


def _messages(prompt: str) -> tuple[tuple[str, str], ...]:
    """What `ApiBackend.render_chat` wrote; any other text is one message of the user's."""
    try:
        found: Any = json.loads(prompt)
        if found and all(set(each) == {"role", "content"} for each in found):
            return tuple((each["role"], each["content"]) for each in found)
    except (ValueError, TypeError, RecursionError):
        pass
    return (("user", prompt),)


def _response(request: Request, reply: Reply) -> tuple[Response, int]:
    """What a reply answers, and how many tokens of the question the server listed."""
    if isinstance(request, LogLikelihood):
        assert reply.logprobs is not None
        try:
            # Spaces at the context's end belong to the continuation, as words carry theirs.
            border = len(request.context.rstrip())
            found = scored(reply.logprobs, request.context + request.continuation, border)
        except ValueError as error:
            return Unanswered(str(error)), 0
        return LogProb(found.logprob, found.greedy), found.tokens
    assert isinstance(request, GenerateUntil)
    if reply.unusable:
        return Unanswered(f"the server's answer is none: {reply.unusable}"), 0
    ends = [at for stop in request.until if stop and (at := reply.text.find(stop)) >= 0]
    return Generation(reply.text[: min(ends)] if ends else reply.text), 0
