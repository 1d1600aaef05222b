"""The options that both commands have: which server, on what terms, at what price."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.openai_api.options import add_prices, add_terms, at_least, patience
from harness.openai_api.server import make_server
from harness.openai_api.spending import Budget
from harness.openai_api.terms import Terms
from harness.storage import expanded, explained
from training.data.files import SUFFIXES


def add_server(parser: argparse.ArgumentParser, needed: bool) -> None:
    """Options of an OpenAI-compatible server."""
    group = parser.add_argument_group("the server")
    group.add_argument(
        "--endpoint",
        metavar="URL",
        required=needed,
        help="base address of an OpenAI-compatible server, as http://localhost:8000/v1",
    )
    add_terms(group)
    cost = parser.add_argument_group("the cost")
    cost.add_argument("--plan", action="store_true", help="say what it would cost, and stop")
    add_prices(cost)
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
        patience(options),
        options.at_once or Terms.at_once,
        Budget(options.budget_requests, options.budget_tokens),
    )


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
    read = {expanded(source).resolve() for source in inputs}
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


def remove_partial(out: Path, beside_it: Sequence[str] = ()) -> None:
    """Remove what an earlier call that was not complete left: the complete result is there."""
    for path in (_partial(out), *(beside(_partial(out), what) for what in beside_it)):
        with explained(path):
            path.unlink(missing_ok=True)


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.stem}.partial{out.suffix}")
