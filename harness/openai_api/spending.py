"""What asking a server takes: counted while it is asked, and bounded."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from harness.openai_api.reply import Ask, Reply, estimated_tokens


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
    """How much may be asked in all; ``None``: no bound.

    Attributes:
        requests: every attempt counts.
        tokens: read and written, as the server counts them, estimated where it does not. An attempt
            whose answer did not come whole counts with all that it may take.
        money: what these tokens cost, by ``prices``.
        prices: needed for ``money``.
    """

    requests: int | None = None
    tokens: int | None = None
    money: float | None = None
    prices: Prices | None = None


def tokens_of(ask: Ask, reply: Reply) -> tuple[int, int, bool]:
    """Read and written, as the server counts them, else estimated; whether some are."""
    return (
        ask.prompt_tokens() if reply.tokens_in is None else reply.tokens_in,
        estimated_tokens(reply.text) if reply.tokens_out is None else reply.tokens_out,
        None in (reply.tokens_in, reply.tokens_out),
    )


class Spending:
    """Counts the attempts that were made and are under way, and says what the budget still admits.
    Several threads may use it.

    Attributes:
        requests, tokens_in, tokens_out: so far.
        estimated: whether some of these tokens are not the server's count.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self.requests = self.tokens_in = self.tokens_out = 0
        self.estimated = False
        self.under_way = self._in_under_way = self._out_under_way = 0

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.tokens_in + self.tokens_out

    def sums(self) -> tuple[int, int, int]:
        """Requests, tokens read and tokens written."""
        with self._lock:
            return self.requests, self.tokens_in, self.tokens_out

    @property
    def money(self) -> float | None:
        """What they cost; ``None`` without prices."""
        prices = self._budget.prices
        return prices.of(self.tokens_in, self.tokens_out) if prices is not None else None

    def refuses(self, ask: Ask) -> str | None:
        """Why one more attempt is not admitted, else ``None``. It counts with all the tokens that
        it may take, and so does what is under way.
        """
        bound = self._budget
        if bound.requests is not None and self.requests + self.under_way >= bound.requests:
            return f"the budget of {_counted(bound.requests, 'request')} admits no more"
        tokens_in = self.tokens_in + self._in_under_way + ask.prompt_tokens()
        tokens_out = self.tokens_out + self._out_under_way + ask.max_tokens
        if bound.tokens is not None and tokens_in + tokens_out > bound.tokens:
            return f"the budget of {_counted(bound.tokens, 'token')} admits no more"
        if (
            bound.money is not None
            and bound.prices is not None
            and bound.prices.of(tokens_in, tokens_out) > bound.money
        ):
            return f"the budget of {bound.money:g} in money admits no more"
        return None

    def admit(self, ask: Ask) -> str | None:
        """Begin an attempt; or say why the budget admits none."""
        with self._lock:
            refusal = self.refuses(ask)
            if refusal is None:
                self._begun(1, ask)
            return refusal

    def failed(self, ask: Ask, lost: bool) -> None:
        """An attempt ended without an answer; ``lost``: it may have to be paid for."""
        with self._lock:
            self._begun(-1, ask)
            self._count(1, lost * ask.prompt_tokens(), lost * ask.max_tokens, lost)

    def answered(self, ask: Ask, reply: Reply) -> None:
        """An attempt ended with an answer."""
        with self._lock:
            self._begun(-1, ask)
            self._count(1, *tokens_of(ask, reply))

    def before(self, requests: int, tokens_in: int, tokens_out: int, estimated: bool) -> None:
        """Count what an earlier call took."""
        with self._lock:
            self._count(requests, tokens_in, tokens_out, estimated)

    def _begun(self, number: int, ask: Ask) -> None:
        self.under_way += number
        self._in_under_way += number * ask.prompt_tokens()
        self._out_under_way += number * ask.max_tokens

    def _count(self, requests: int, tokens_in: int, tokens_out: int, estimated: bool) -> None:
        self.requests += requests
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.estimated = self.estimated or estimated


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
