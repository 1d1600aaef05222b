"""Options that all commands have which ask a server: on what terms, at what price."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.openai_api.server import KEY_VARIABLE, make_server
from harness.openai_api.spending import Budget, Prices, Spending

if TYPE_CHECKING:
    from harness.openai_api.client import Patience
    from harness.openai_api.terms import Terms

DAY = 86_400
"""Seconds."""
TERMS = ("key_env", "at_once", "timeout", "attempts")
"""What `add_terms` adds; ``None`` where it was not written."""
COST = ("price_in", "price_out", "budget_requests", "budget_tokens", "budget_money")
"""What `add_prices` and `add_budgets` add; likewise."""


def add_terms(group: argparse._ArgumentGroup) -> None:
    """The key, and how long, how often and how many at a time."""
    group.add_argument(
        "--key-env",
        metavar="NAME",
        help=f"environment variable that holds the key (default: {KEY_VARIABLE}, if it is set)",
    )
    group.add_argument("--at-once", type=at_least(1), metavar="N", help="requests at a time (8)")
    group.add_argument(
        "--timeout",
        type=seconds,
        metavar="S",
        help="seconds for an answer (120), 86,400 at most",
    )
    group.add_argument(
        "--attempts", type=at_least(1), metavar="N", help="times to ask, at most (6)"
    )


def add_prices(group: argparse._ArgumentGroup) -> None:
    """What tokens cost."""
    group.add_argument(
        "--price-in", type=not_below(0), metavar="X", help="price of a million tokens read"
    )
    group.add_argument(
        "--price-out", type=not_below(0), metavar="X", help="price of a million tokens written"
    )


def add_budgets(group: argparse._ArgumentGroup) -> None:
    """How much may be asked by one command."""
    group.add_argument(
        "--budget-requests",
        type=at_least(1),
        metavar="N",
        help="stop before more requests than this, every attempt counted",
    )
    group.add_argument(
        "--budget-tokens",
        type=at_least(1),
        metavar="N",
        help="stop before more tokens than this, read and written; an attempt without a whole "
        "answer counts with all that it may take",
    )
    group.add_argument(
        "--budget-money",
        type=not_below(0),
        metavar="X",
        help="stop before it costs more than this; needs --price-in and --price-out",
    )


def terms(
    options: argparse.Namespace, url: str, model: str, spending: Spending | None = None
) -> Terms:
    """How a server is asked, by the options of `add_terms`, `add_prices` and `add_budgets`.

    Args:
        options: what was written.
        url: the server's address.
        model: as the server calls it.
        spending: of the whole command, where it asks for several models.

    Raises:
        UsageError: the address or the key is none; or prices are missing.
    """
    from harness.openai_api.terms import Terms

    return Terms(
        make_server(url, model, options.key_env),
        patience(options),
        options.at_once or Terms.at_once,
        budget(options),
        spending,
    )


def patience(options: argparse.Namespace) -> Patience:
    """How long and how often a question is asked, by the options of `add_terms`."""
    from harness.openai_api.client import Patience

    return Patience(
        timeout=options.timeout or Patience.timeout, attempts=options.attempts or Patience.attempts
    )


def budget(options: argparse.Namespace) -> Budget:
    """How much a command may ask, by the options of `add_budgets`.

    Raises:
        UsageError: prices are missing.
    """
    priced = prices(options)
    if options.budget_money is not None and priced is None:
        raise UsageError("--budget-money needs what a million tokens cost: --price-in, --price-out")
    return Budget(options.budget_requests, options.budget_tokens, options.budget_money, priced)


def prices(options: argparse.Namespace) -> Prices | None:
    """What tokens cost; ``None`` where no price is given.

    Raises:
        UsageError: only one of the two is.
    """
    if (options.price_in is None) != (options.price_out is None):
        raise UsageError("--price-in and --price-out belong together; a price may be 0")
    return None if options.price_in is None else Prices(options.price_in, options.price_out)


def at_least(least: int) -> Callable[[str], int]:
    """A whole number of so much or more, for argparse."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return int(text)

    return read


def not_below(least: float) -> Callable[[str], float]:
    """A number of so much or more, for argparse."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is no number of {least:g} or more")
        return value

    return read


def seconds(text: str) -> float:
    """More than 0 and a day at most, for argparse."""
    value = not_below(0)(text)
    if not 0 < value <= DAY:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0 and at most {DAY:,}")
    return value
