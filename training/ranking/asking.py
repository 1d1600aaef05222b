"""Asks a server many questions, within a budget, and keeps every reply."""

from __future__ import annotations

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from harness.errors import HarnessError, Interrupted
from harness.openai_api.at_once import at_once
from harness.openai_api.chat import Chat
from harness.openai_api.client import ApiError, Asked, Client, Patience
from harness.openai_api.server import Server
from harness.progress import open_progress
from harness.report.wording import counted
from training.ranking.replies import Kept, Replies
from training.ranking.spending import Budget, Forecast, Spending, kept_of, prompt_tokens

IN_VAIN = 10
"""Requests without an answer, one after the other, after which the rest is not asked. Where the
server answers others, those that it refuses as they are do not count.
"""


@dataclass(frozen=True)
class Terms:
    """On what terms a server is asked.

    Attributes:
        server: whom.
        patience: how long and how often.
        at_once: how many requests are under way at most.
        budget: how much in all.
    """

    server: Server
    patience: Patience
    at_once: int
    budget: Budget


@dataclass(frozen=True)
class Wanted:
    """What is to be asked; made when it is needed, for all together may not fit into memory.

    Attributes:
        chat: the request at a place, equal whenever it is made.
        count: how many there are.
        questions: how many questions they are about, for the progress.
        title: for the progress.
        usual_out: tokens of a usual answer, estimated; of at most ``max_tokens``.
    """

    chat: Callable[[int], Chat]
    count: int
    questions: int
    title: str
    usual_out: int


@dataclass(frozen=True)
class Outcome:
    """What came of asking.

    Attributes:
        replies: one for each request, ``None`` where it was not asked or not answered.
        failed: requests that the server did not answer, by reason.
        stopped: why not all were asked, else empty.
        spending: over all calls that share the file of replies.
        last_error: the last that a request failed with, in full.
    """

    replies: list[Kept | None]
    failed: Counter[str]
    stopped: str
    spending: Spending
    last_error: str = ""

    @property
    def complete(self) -> bool:
        """Whether every request has its reply."""
        return not self.stopped and not self.failed

    def check(self) -> None:
        """Refuse to call it done where it is not: a script must not go on unawares.

        Raises:
            HarnessError: says what is missing, and how it is asked.
        """
        if self.complete:
            return
        failed = sum(self.failed.values())
        reasons = [f"stopped: {self.stopped}"] if self.stopped else []
        if failed:
            reasons.append(
                f"{counted(failed, 'request')} not answered, the last: {self.last_error}"
            )
        more = " with a larger budget" if "budget" in self.stopped else ""
        raise HarnessError(
            f"{'; '.join(reasons)}. What came is kept; the same command{more} asks what is missing"
        )


def forecast(wanted: Wanted, server: Server, kept: Mapping[str, Kept]) -> Forecast:
    """What asking will take; equal requests are asked once."""
    seen: set[str] = set()
    stored = tokens_in = usual = most = 0
    for place in range(wanted.count):
        chat = wanted.chat(place)
        digest = chat.digest(server)
        if digest in seen:
            continue
        seen.add(digest)
        if digest in kept:
            stored += 1
            continue
        tokens_in += prompt_tokens(chat)
        usual += min(wanted.usual_out, chat.max_tokens)
        most += chat.max_tokens
    return Forecast(len(seen) - stored, stored, tokens_in, usual, most)


def ask_all(
    wanted: Wanted, terms: Terms, replies: Replies, requests: int, tell: Callable[[str], None]
) -> Outcome:
    """Put every request whose reply is not kept, several at a time.

    Ctrl-C and SIGTERM send nothing more, wait for what is under way and keep it; a second one does
    not wait.

    Args:
        wanted: all of it.
        terms: on which it is asked.
        replies: those that are kept, and where new ones go.
        requests: how many are missing, as `forecast` counted them.
        tell: takes lines for the user.

    Raises:
        ApiError: the server refuses all requests: a wrong key, address or model.
        Interrupted: the user stopped it.
        StorageError: a reply could not be written down.
    """
    run = _Run(wanted, terms, replies)
    with (
        _stopped_by_signals(run.stop, tell),
        Client(terms.server, terms.patience, run.stop, run.spending) as client,
        open_progress() as progress,
    ):
        progress.start(wanted.title, wanted.questions, requests)

        def ask(item: _Item) -> Asked | ApiError:
            try:
                return client.ask(item.chat)
            except ApiError as error:
                return error

        for item, found in at_once(run.next, ask, terms.at_once):
            run.settle(item, found)
            progress.advance(1)
    kept = (
        f"what was answered is kept in {replies.path} ({len(replies.kept):,} in all): the same "
        "command asks only what is missing"
    )
    if run.fatal is not None:
        run.fatal.args = (f"{run.fatal}\n{kept}",)
        raise run.fatal
    if run.stop.is_set():
        raise Interrupted(f"stopped; {kept}")
    return run.outcome()


@dataclass(frozen=True)
class _Item:
    chat: Chat
    digest: str


class _Run:
    """One call's way through what is wanted; used by one thread."""

    def __init__(self, wanted: Wanted, terms: Terms, replies: Replies) -> None:
        self._wanted, self._terms, self._replies = wanted, terms, replies
        self.stop = threading.Event()
        self.fatal: ApiError | None = None
        self.spending = Spending(terms.budget, [*replies.kept.values(), *replies.failed])
        self._digests: list[str] = []
        self._begun: set[str] = set()
        self._failed_before = {one.asked for one in replies.failed}
        self._last: deque[int] = deque()
        self._waiting: _Item | None = None
        self._failed: Counter[str] = Counter()
        self._last_error = self._stopped = ""
        self._in_vain = 0

    def next(self) -> _Item | None:
        """The next request to send; ``None`` where there is none, or none now."""
        if self._stopped or self.fatal is not None or self.stop.is_set():
            return None
        item = self._waiting or self._unanswered()
        if item is None:
            return None
        refusal = self.spending.admit(item.chat)
        if refusal is not None:
            # What is under way may take less than it may: then there is room for more.
            self._waiting = item
            if not self.spending.under_way:
                self._stopped = refusal
            return None
        self._waiting = None
        return item

    def settle(self, item: _Item, found: Asked | ApiError) -> None:
        """Write a reply down, or that there is none and why."""
        if found.attempts:
            self._replies.add(kept_of(item.digest, item.chat, found))
        if isinstance(found, Asked):
            self.spending.answered(item.chat, found.reply)
            self._in_vain = 0
            return
        self._failed[found.reason] += 1
        self._last_error = str(found)
        if not self.spending.under_way:
            self._stopped = self._stopped or self.spending.refuses(item.chat) or ""
        if found.fatal:
            self.fatal = self.fatal or found
        elif found.refused and self._replies.kept:
            return  # it is this question, for the server answers others
        self._in_vain += 1
        if self._in_vain == IN_VAIN:
            self._stopped = f"{IN_VAIN} requests in a row without an answer"

    def outcome(self) -> Outcome:
        """What came of it."""
        while self._unseen():
            pass
        return Outcome(
            [self._replies.kept.get(digest) for digest in self._digests],
            self._failed,
            self._stopped,
            self.spending,
            self._last_error,
        )

    def _unanswered(self) -> _Item | None:
        """The next to be asked. What an earlier call asked in vain comes last: what the server
        always refuses must not keep the others from being asked.
        """
        while (item := self._unseen()) is not None:
            if item.digest in self._replies.kept or item.digest in self._begun:
                continue
            self._begun.add(item.digest)
            if item.digest not in self._failed_before:
                return item
            self._last.append(len(self._digests) - 1)
        return self._item(self._last.popleft()) if self._last else None

    def _unseen(self) -> _Item | None:
        """The next request in order."""
        if len(self._digests) == self._wanted.count:
            return None
        item = self._item(len(self._digests))
        self._digests.append(item.digest)
        return item

    def _item(self, place: int) -> _Item:
        chat = self._wanted.chat(place)
        return _Item(chat, chat.digest(self._terms.server))


@contextmanager
def _stopped_by_signals(stop: threading.Event, tell: Callable[[str], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may take signals
        return

    def take(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        tell("stopping: waits for what is under way; once more (Ctrl-C) to stop at once")

    earlier = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
