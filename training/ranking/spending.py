"""What asking a server costs: told before, counted while it is asked, and bounded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.openai_api.chat import Chat
from harness.openai_api.client import Asked
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
        requests: every attempt that a kept reply took counts, and every one of this call.
        tokens: read and written, as the server counts them, estimated where it does not.
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


def kept_of(digest: str, chat: Chat, asked: Asked) -> Kept:
    """A reply to be written down; tokens that the server did not count are estimated."""
    reply = asked.reply
    counts = (reply.tokens_in, reply.tokens_out)
    return Kept(
        digest,
        reply.text,
        prompt_tokens(chat) if counts[0] is None else counts[0],
        estimated_tokens(reply.text) if counts[1] is None else counts[1],
        None in counts,
        asked.attempts,
        reply.finish,
        reply.refusal,
        reply.model,
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
    """Counts what was asked and what is under way, and says what the budget still admits.

    Attributes:
        requests, tokens_in, tokens_out: so far.
    """

    def __init__(self, budget: Budget, kept: Iterable[Kept] = ()) -> None:
        self._budget = budget
        self.requests = self.tokens_in = self.tokens_out = 0
        self._requests_under_way = self._tokens_under_way = 0
        for one in kept:
            self._count(one)

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.tokens_in + self.tokens_out

    @property
    def under_way(self) -> int:
        """Requests that were begun and not settled."""
        return self._requests_under_way

    def refuses(self, chat: Chat) -> str | None:
        """Why one more request is not admitted, else ``None``. It counts with all the tokens that
        it may take, and so does what is under way.
        """
        requests, tokens = self._budget.requests, self._budget.tokens
        if requests is not None and self.requests + self._requests_under_way >= requests:
            return f"the budget of {counted(requests, 'request')} admits no more"
        needed = self.tokens + self._tokens_under_way + prompt_tokens(chat) + chat.max_tokens
        if tokens is not None and needed > tokens:
            return f"the budget of {counted(tokens, 'token')} admits no more"
        return None

    def begin(self, chat: Chat) -> None:
        """A request is sent."""
        self._requests_under_way += 1
        self._tokens_under_way += prompt_tokens(chat) + chat.max_tokens

    def settle(self, chat: Chat, outcome: Kept | int) -> None:
        """A request came to its end: with a reply, or with none after so many attempts."""
        self._requests_under_way -= 1
        self._tokens_under_way -= prompt_tokens(chat) + chat.max_tokens
        if isinstance(outcome, Kept):
            self._count(outcome)
        else:
            self.requests += outcome

    def _count(self, kept: Kept) -> None:
        self.requests += kept.attempts
        self.tokens_in += kept.tokens_in
        self.tokens_out += kept.tokens_out
