"""The options that both commands have: which server, on what terms, at what price."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.openai_api.client import Patience
from harness.openai_api.server import KEY_VARIABLE, make_server
from training.data.files import SUFFIXES
from training.ranking.asking import Terms
from training.ranking.spending import Budget, Prices

DAY = 86_400
"""Seconds."""


def add_server(parser: argparse.ArgumentParser, needed: bool) -> None:
    """Options of an OpenAI-compatible server."""
    group = parser.add_argument_group("the server")
    group.add_argument(
        "--endpoint",
        metavar="URL",
        required=needed,
        help="base address of an OpenAI-compatible server, as http://localhost:8000/v1",
    )
    group.add_argument(
        "--key-env",
        metavar="NAME",
        help=f"environment variable that holds the key (default: {KEY_VARIABLE}, if it is set)",
    )
    group.add_argument(
        "--at-once", type=at_least(1), default=8, metavar="N", help="requests at a time (8)"
    )
    group.add_argument(
        "--timeout",
        type=seconds,
        default=120.0,
        metavar="S",
        help="seconds for an answer (120), 86,400 at most",
    )
    group.add_argument(
        "--attempts", type=at_least(1), default=6, metavar="N", help="times to ask, at most (6)"
    )
    cost = parser.add_argument_group("the cost")
    cost.add_argument("--plan", action="store_true", help="say what it would cost, and stop")
    cost.add_argument(
        "--price-in", type=not_below(0), metavar="X", help="price of a million tokens read"
    )
    cost.add_argument(
        "--price-out", type=not_below(0), metavar="X", help="price of a million tokens written"
    )
    cost.add_argument(
        "--budget-requests",
        type=at_least(1),
        metavar="N",
        help="stop before more requests than this, every attempt counted, in all calls together",
    )
    cost.add_argument(
        "--budget-tokens",
        type=at_least(1),
        metavar="N",
        help="stop before more tokens than this, read and written, in all calls together; an "
        "attempt without a whole answer counts with all that it may take",
    )


def terms(options: argparse.Namespace) -> Terms:
    """The server, and on what terms it is asked.

    Raises:
        UsageError: the address or the key is none.
    """
    return Terms(
        make_server(options.endpoint, options.model, options.key_env),
        Patience(timeout=options.timeout, attempts=options.attempts),
        options.at_once,
        Budget(options.budget_requests, options.budget_tokens),
    )


def prices(options: argparse.Namespace) -> Prices | None:
    """What tokens cost; ``None`` where no price is given.

    Raises:
        UsageError: only one of the two is.
    """
    if (options.price_in is None) != (options.price_out is None):
        raise UsageError("--price-in and --price-out belong together; a price may be 0")
    return None if options.price_in is None else Prices(options.price_in, options.price_out)


def check_out(path: Path, inputs: Iterable[Path], beside_it: Sequence[str]) -> None:
    """Refuse a result that training could not read, or that would take the place of an input.

    Args:
        path: of the result.
        inputs: files that are read.
        beside_it: what else is written, see `beside`.

    Raises:
        UsageError: the suffix is another, the path is a folder, or a file that is written is one
            that is read.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--out {path}: the name of a file that ends in {' or '.join(SUFFIXES)}")
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder; name a file")
    read = {source.expanduser().resolve() for source in inputs}
    for result in (path, _partial(path)):
        for written in (result, *(beside(result, what) for what in beside_it)):
            if written.resolve() in read:
                raise UsageError(
                    f"--out {path}: {written} would be written, and is read; name another file"
                )


def beside(path: Path, what: str) -> Path:
    """A file that belongs to a result: ``pairs.json`` has ``pairs.card.json``."""
    return path.with_name(f"{path.stem}.{what}")


def place(out: Path, complete: bool) -> Path:
    """Where a result is written: one that is not complete takes the place of none."""
    return out if complete or not out.exists() else _partial(out)


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.stem}.partial{out.suffix}")


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
