"""What asking a server costs: told before it is asked, and written down of what was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.openai_api.chat import Chat
from harness.openai_api.client import ApiError, Asked
from harness.openai_api.spending import Budget, Prices, Spending, tokens_of
from harness.report.wording import counted
from training.ranking.replies import Kept


def spent_before(budget: Budget, kept: Iterable[Kept]) -> Spending:
    """A budget of all calls together that share the file of replies: what is kept counts in."""
    spending = Spending(budget)
    for one in kept:
        spending.before(one.attempts, one.tokens_in, one.tokens_out, one.estimated)
    return spending


def kept_of(digest: str, chat: Chat, found: Asked | ApiError) -> Kept:
    """What is written down of a request, with the tokens of all its attempts; those that the server
    did not count are estimated.
    """
    lost_in, lost_out = found.lost * chat.prompt_tokens(), found.lost * chat.max_tokens
    if isinstance(found, ApiError):
        lost = found.lost > 0
        return Kept(digest, "", lost_in, lost_out, lost, found.attempts, failed=found.reason)
    reply = found.reply
    tokens_in, tokens_out, estimated = tokens_of(chat, reply)
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
        silent=reply.silent,
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
