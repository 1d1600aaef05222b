"""``make soak``: breaks runs off until the time is up, and counts what they survived."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import HarnessError
from tests.soak import building, company, full_disk, hub_faults, kills
from tests.soak.ground import Ground, prepare
from tests.soak.operations import Moment

Scenario = Callable[[Ground, random.Random], Counter[str]]
"""Breaks something off, takes it up, compares; returns the faults survived, by their kind."""


def main(words: list[str] | None = None) -> int:
    """Run the soak; returns 0 if everything was survived, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    length.add_argument("--rounds", type=int, help="how many rounds of all kinds of faults instead")
    parser.add_argument("--seed", type=int, default=0, help="what chance begins with (default: 0)")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _quiet(folder / "said.txt"):
            ground = prepare(folder)
        return _soak(ground, options)


def _soak(ground: Ground, options: argparse.Namespace) -> int:
    started, survived, sweep = time.monotonic(), Counter[str](), Sweep(ground, options.seed)
    without = full_disk.why_not(ground.folder)
    kinds = _kinds(sweep, disks=without is None)
    ended = options.rounds is not None
    for number in itertools.count():
        past = time.monotonic() - started
        if number >= options.rounds * len(kinds) if ended else past >= options.seconds:
            break
        scenario = kinds[number % len(kinds)]
        try:
            with _quiet(ground.folder / "said.txt"):
                survived += scenario(ground, random.Random(f"{options.seed}-{number}"))
        except (AssertionError, HarnessError) as error:
            print(f"NOT SURVIVED, seed {options.seed}, scenario {number}: {error}")
            print(f"the last process did to files:\n{ground.last_operations()}")
            return 1
    _print(survived, sweep, time.monotonic() - started, options.seed)
    if without is not None:
        print(f"NOT TRIED: {full_disk.FULL}: {without}")
    return 0


class Sweep:
    """Goes through every operation of a run, in a random order: before it, and, of writes, half of
    it.
    """

    def __init__(self, ground: Ground, seed: int) -> None:
        numbered = list(enumerate(ground.operations, 1))
        self.moments = [Moment(number) for number, _ in numbered]
        self.moments += [Moment(n, torn=True) for n, each in numbered if each.startswith("write ")]
        random.Random(seed).shuffle(self.moments)
        self.done = 0

    def __call__(self, ground: Ground, chance: random.Random) -> Counter[str]:
        """Kill a run at the next of them."""
        moment = self.moments[self.done % len(self.moments)]
        self.done += 1
        return kills.killed_at(ground, chance, moment)


def _kinds(sweep: Sweep, *, disks: bool) -> list[Scenario]:
    kinds: list[Scenario] = [sweep, sweep, kills.killed_at_random, sweep, hub_faults.fetched]
    kinds += [sweep, company.at_once, sweep, kills.killed_at_random, building.killed_building]
    if disks:
        kinds += [sweep, full_disk.filled]
    return kinds


def _print(survived: Counter[str], sweep: Sweep, seconds: float, seed: int) -> None:
    width = max(map(len, survived))
    for kind, count in sorted(survived.items(), key=lambda item: (item[0][:4] != "SIGK", item)):
        print(f"  {kind:<{width}}  {count:>6,}")
    done, all_ = min(sweep.done, len(sweep.moments)), len(sweep.moments)
    killed = sum(count for kind, count in survived.items() if kind.startswith("SIGKILL"))
    print(f"moments of a run at which it was killed: {done:,} of {all_:,}")
    print(
        f"survived: {survived.total():,} faults, {killed:,} of them kills; nothing lost, nothing "
        f"mixed (seed {seed}, {seconds:,.0f} s)"
    )


@contextlib.contextmanager
def _quiet(said: Path) -> Iterator[None]:
    """Send what is printed meanwhile, by libraries too, to a file."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        yield
    finally:
        sys.stdout.flush()
        for number, former in enumerate(kept, 1):
            os.dup2(former, number)
        for each in (*kept, descriptor):
            os.close(each)


if __name__ == "__main__":
    sys.exit(main())
