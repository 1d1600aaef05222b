"""Costs by hand, and what a budget admits."""

from __future__ import annotations

from harness.openai_api.chat import Chat, Reply
from harness.openai_api.client import ApiError, Asked
from training.ranking.replies import Kept
from training.ranking.spending import (
    Budget,
    Forecast,
    Prices,
    Spending,
    kept_of,
    prompt_tokens,
)

CHAT = Chat((("system", "x" * 30), ("user", "y" * 31)), 100, 0.0, 0)
"""30 bytes are 10 tokens, 31 are 11, and 8 around each message: 37."""


def test_a_prompt_s_tokens() -> None:
    assert prompt_tokens(CHAT) == 37


def test_a_forecast_in_words() -> None:
    ahead = Forecast(60, 2, 1_000_000, 2_000, 500_000)
    assert ahead.lines(Prices(2.0, 10.0)) == [
        "60 requests (2 more are answered already)",
        "about 1,000,000 tokens in and 2,000 out, estimated from the texts; at most 500,000 out",
        # 2 + 0.02, and 2 + 5
        "money: about 2.02, at most about 7.00, at 2 in and 10 out for a million tokens",
    ]
    assert ahead.lines(None)[-1] == "money: unknown without --price-in and --price-out"
    small = Forecast(1, 0, 1_000, 0, 1_000).lines(Prices(0.15, 0.6))
    assert small[0] == "1 request"
    assert small[-1].startswith("money: about 0.00015, at most about 0.00075,")


def test_requests_under_way_count() -> None:
    spending = Spending(Budget(requests=2))
    assert spending.refuses(CHAT) is None
    assert spending.admit(CHAT) is None and spending.admit(CHAT) is None
    assert spending.admit(CHAT) == "the budget of 2 requests admits no more"
    spending.failed(CHAT, lost=False)
    assert spending.admit(CHAT) == "the budget of 2 requests admits no more", (
        "it failed, but it was put"
    )
    assert (spending.requests, spending.under_way, spending.tokens) == (1, 1, 0)


def test_a_request_counts_with_all_that_it_may_take_until_it_is_answered() -> None:
    spending = Spending(Budget(tokens=2 * 137 - 1))
    assert spending.admit(CHAT) is None
    assert spending.refuses(CHAT) == "the budget of 273 tokens admits no more"
    spending.answered(CHAT, Reply("2", tokens_in=40, tokens_out=5))
    assert spending.tokens == 45 and not spending.estimated
    assert spending.refuses(CHAT) is None


def test_an_attempt_that_may_have_to_be_paid_for_counts_with_all_that_it_may_take() -> None:
    spending = Spending(Budget(tokens=2 * 137 - 1))
    assert spending.admit(CHAT) is None
    spending.failed(CHAT, lost=True)
    assert (spending.tokens_in, spending.tokens_out, spending.estimated) == (37, 100, True)
    assert spending.admit(CHAT) == "the budget of 273 tokens admits no more"


def test_what_is_written_down_is_what_was_counted() -> None:
    """Three attempts, the first two lost: 2 * 37 + 40 in, 2 * 100 + 5 out."""
    said = Reply("2", "stop", tokens_in=40, tokens_out=5)
    kept = kept_of("aa", CHAT, Asked(said, 3, lost=2))
    assert (kept.tokens_in, kept.tokens_out, kept.estimated, kept.attempts) == (114, 205, True, 3)
    spending = Spending(Budget())
    for lost in (True, True):
        assert spending.admit(CHAT) is None
        spending.failed(CHAT, lost)
    assert spending.admit(CHAT) is None
    spending.answered(CHAT, said)
    again = Spending(Budget(), [kept])
    assert (again.requests, again.tokens_in, again.tokens_out) == (3, 114, 205)
    assert (spending.requests, spending.tokens_in, spending.tokens_out) == (3, 114, 205)
    failed = kept_of("bb", CHAT, ApiError("time-out", "late", attempts=4, lost=1))
    assert failed == Kept("bb", "", 37, 100, True, 4, failed="time-out")


def test_what_is_kept_from_earlier_calls_counts() -> None:
    kept = [Kept("aa", "", 100, 10, attempts=3), Kept("bb", "", 1, 2)]
    spending = Spending(Budget(requests=4), kept)
    assert (spending.requests, spending.tokens_in, spending.tokens_out) == (4, 101, 12)
    assert spending.refuses(CHAT) == "the budget of 4 requests admits no more"


def test_tokens_that_a_server_does_not_count_are_estimated_and_marked() -> None:
    said = Reply("z" * 12, "stop")
    assert kept_of("aa", CHAT, Asked(said, 2)) == Kept("aa", "z" * 12, 37, 4, True, 2, "stop")
    counted = kept_of("aa", CHAT, Asked(Reply("z", tokens_in=1, tokens_out=0), 1))
    assert (counted.tokens_in, counted.tokens_out, counted.estimated) == (1, 0, False)
