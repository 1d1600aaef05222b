"""What asking a server costs: told before, counted while it is asked, and bounded."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from harness.openai_api.chat import Chat, Reply
from harness.openai_api.client import ApiError, Asked
from harness.report.wording import counted
from training.ranking.replies import Kept

BYTES_PER_TOKEN = 3.0
"""Of UTF-8: few, as in texts with many numbers, so that the cost is rather told too high."""
TOKENS_PER_MESSAGE = 8
"""What a chat template puts around a message."""


@dataclass(frozen=True)
class Prices:
    """For a million tokens that are read and written, in whatever money the user counts."""

    tokens_in: float
    tokens_out: float

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """What so many tokens cost.

        >>> Prices(0.5, 2.0).of(2_000_000, 100_000)
        1.2
        """
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / 1e6


@dataclass(frozen=True)
class Budget:
    """How much may be asked in all, what is kept from earlier calls counted in; ``None``: no bound.

    Attributes:
        requests: every attempt counts, and those of earlier calls that are written down.
        tokens: read and written, as the server counts them, estimated where it does not. An attempt
            whose answer did not come whole counts with all that it may take.
    """

    requests: int | None = None
    tokens: int | None = None


def estimated_tokens(text: str) -> int:
    """A text's tokens, from its length.

    >>> estimated_tokens("seven b"), estimated_tokens("")
    (3, 0)
    """
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def prompt_tokens(chat: Chat) -> int:
    """A request's tokens, estimated."""
    return sum(TOKENS_PER_MESSAGE + estimated_tokens(text) for _, text in chat.messages)


def kept_of(digest: str, chat: Chat, found: Asked | ApiError) -> Kept:
    """What is written down of a request, with the tokens of all its attempts; those that the server
    did not count are estimated.
    """
    lost_in, lost_out = found.lost * prompt_tokens(chat), found.lost * chat.max_tokens
    if isinstance(found, ApiError):
        lost = found.lost > 0
        return Kept(digest, "", lost_in, lost_out, lost, found.attempts, failed=found.reason)
    reply = found.reply
    tokens_in, tokens_out, estimated = _tokens(chat, reply)
    return Kept(
        digest,
        reply.text,
        tokens_in + lost_in,
        tokens_out + lost_out,
        estimated or found.lost > 0,
        found.attempts,
        reply.finish,
        reply.refusal,
        reply.model,
    )


def _tokens(chat: Chat, reply: Reply) -> tuple[int, int, bool]:
    """Read and written, as the server counts them, else estimated; whether some are."""
    return (
        prompt_tokens(chat) if reply.tokens_in is None else reply.tokens_in,
        estimated_tokens(reply.text) if reply.tokens_out is None else reply.tokens_out,
        None in (reply.tokens_in, reply.tokens_out),
    )


@dataclass(frozen=True)
class Forecast:
    """What is still to be asked.

    Attributes:
        requests: how many, without those whose replies are kept.
        stored: how many replies are kept.
        tokens_in: estimated.
        tokens_out: a usual answer each, estimated.
        most_out: where every answer took all the tokens that it may.
    """

    requests: int
    stored: int
    tokens_in: int
    tokens_out: int
    most_out: int

    def lines(self, prices: Prices | None) -> list[str]:
        """It in words, for the user."""
        stored = f" ({self.stored:,} more are answered already)" if self.stored else ""
        lines = [
            f"{counted(self.requests, 'request')}{stored}",
            f"about {self.tokens_in:,} tokens in and {self.tokens_out:,} out, estimated from the "
            f"texts; at most {self.most_out:,} out",
        ]
        if prices is None:
            return [*lines, "money: unknown without --price-in and --price-out"]
        about = prices.of(self.tokens_in, self.tokens_out)
        most = prices.of(self.tokens_in, self.most_out)
        return [
            *lines,
            f"money: about {_money(about)}, at most about {_money(most)}, at {prices.tokens_in:g} "
            f"in and {prices.tokens_out:g} out for a million tokens",
        ]


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"


class Spending:
    """Counts the attempts that were made and are under way, and says what the budget still admits.
    Several threads may use it.

    Attributes:
        requests, tokens_in, tokens_out: so far.
        estimated: whether some of these tokens are not the server's count.
    """

    def __init__(self, budget: Budget, kept: Iterable[Kept] = ()) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self.requests = self.tokens_in = self.tokens_out = 0
        self.estimated = False
        self.under_way = 0
        self._tokens_under_way = 0
        for one in kept:
            self._count(one.attempts, one.tokens_in, one.tokens_out, one.estimated)

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.tokens_in + self.tokens_out

    def refuses(self, chat: Chat) -> str | None:
        """Why one more attempt is not admitted, else ``None``. It counts with all the tokens that
        it may take, and so does what is under way.
        """
        requests, tokens = self._budget.requests, self._budget.tokens
        if requests is not None and self.requests + self.under_way >= requests:
            return f"the budget of {counted(requests, 'request')} admits no more"
        needed = self.tokens + self._tokens_under_way + prompt_tokens(chat) + chat.max_tokens
        if tokens is not None and needed > tokens:
            return f"the budget of {counted(tokens, 'token')} admits no more"
        return None

    def admit(self, chat: Chat) -> str | None:
        """Begin an attempt; or say why the budget admits none."""
        with self._lock:
            refusal = self.refuses(chat)
            if refusal is None:
                self._begun(1, chat)
            return refusal

    def failed(self, chat: Chat, lost: bool) -> None:
        """An attempt ended without an answer; ``lost``: it may have to be paid for."""
        with self._lock:
            self._begun(-1, chat)
            self._count(1, lost * prompt_tokens(chat), lost * chat.max_tokens, lost)

    def answered(self, chat: Chat, reply: Reply) -> None:
        """An attempt ended with an answer."""
        with self._lock:
            self._begun(-1, chat)
            self._count(1, *_tokens(chat, reply))

    def _begun(self, number: int, chat: Chat) -> None:
        self.under_way += number
        self._tokens_under_way += number * (prompt_tokens(chat) + chat.max_tokens)

    def _count(self, requests: int, tokens_in: int, tokens_out: int, estimated: bool) -> None:
        self.requests += requests
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.estimated = self.estimated or estimated
