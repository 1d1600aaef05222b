"""What workers cost and gain: the same requests here, and asked of workers of a Ray cluster.

    python -m tests.bench.executors [--seconds 120] [--workers 1,2]
    python -m tests.bench.executors --model smol --tasks arc_easy --limit 200 [--data DIR]

Without a model, requests wait for a fixed time instead of computing: what is lost is lost by the
scheduling. With one, `harness eval` is timed as a whole, one thread for each worker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness.backends.backend import Backend
from harness.errors import HarnessError
from harness.executors.executor import Executor, Loading
from harness.executors.local import LocalExecutor
from harness.executors.ray import Wanted, open_ray
from harness.journal import answered
from harness.types import LogLikelihood, Request
from tests.executors.scripted import load, loading

WAIT = 0.02
"""Seconds of a request."""
DESK = "tests.executors.scripted:desk"


@dataclass(frozen=True)
class Timed:
    """One way of running the requests.

    Attributes:
        name: which.
        workers: how many.
        start: seconds until workers were there, the cluster's own start included.
        load: seconds until the model was loaded.
        asking: seconds from the first request to the last answer.
    """

    name: str
    workers: int
    start: float
    load: float
    asking: float

    @property
    def whole(self) -> float:
        """Everything."""
        return self.start + self.load + self.asking


def main(given: Sequence[str] | None = None) -> int:
    """Time and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="of one worker's work")
    parser.add_argument("--workers", default="1,2", help="numbers of workers")
    parser.add_argument("--model", help="time a real model of the registry instead")
    parser.add_argument("--tasks", default="arc_easy")
    parser.add_argument("--limit", default="200")
    parser.add_argument("--data", help="folder of benchmark data (default: the samples)")
    asked = parser.parse_args(given)
    numbers = [int(number) for number in asked.workers.split(",")]
    times = _of_model(asked, numbers) if asked.model else _of_waiting(asked.seconds, numbers)
    _print(times)
    return 0


class _Here(LocalExecutor):
    def load(self, loading: Loading) -> Backend:
        return load(loading)


def _of_waiting(seconds: float, numbers: Sequence[int]) -> list[Timed]:
    count = max(1, round(seconds / WAIT))
    # Contexts of a hundred tokens and more, all of their own: hundreds of batches could be made.
    requests: list[Request] = [LogLikelihood(f"{n} " + "word " * 100, " x") for n in range(count)]

    times = [_timed("local", 1, time.perf_counter(), _Here(), requests)]
    for number in numbers:
        began = time.perf_counter()
        wanted = Wanted(workers=number, cpus=1)
        executor = open_ray(wanted, lambda line: None, DESK)
        try:
            times.append(_timed("ray", number, began, executor, requests))
        finally:
            executor.close()
    return times


def _timed(
    name: str, workers: int, began: float, executor: Executor, requests: Sequence[Request]
) -> Timed:
    opened = time.perf_counter()
    backend = executor.load(loading(WAIT))
    loaded = time.perf_counter()
    left = sum(1 for _ in answered(backend, backend.encode(requests), None))
    assert left == len(requests)
    return Timed(name, workers, opened - began, loaded - opened, time.perf_counter() - loaded)


def _of_model(asked: argparse.Namespace, numbers: Sequence[int]) -> list[Timed]:
    words = ["--model", asked.model, "--tasks", asked.tasks, "--limit", asked.limit]
    words += ["--data", asked.data] if asked.data else ["--samples"]
    times = [_run("local", 1, words)]
    for number in numbers:
        more = ["--executor", "ray", "--workers", str(number), "--worker-cpus", "1"]
        times.append(_run("ray", number, [*words, *more]))
    return times


def _run(name: str, workers: int, words: Sequence[str]) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "harness", "eval", *words, "--no-journal", "--json"]
        began = time.perf_counter()
        done = subprocess.run(
            [*command, "--reports", folder],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        whole = time.perf_counter() - began
    if done.returncode:
        raise HarnessError(f"{' '.join(command)} ended with {done.returncode}")
    record = json.loads(done.stdout)
    spent = sum(result["cost"]["seconds"] for result in record["results"].values())
    load = record["load_seconds"]
    asking = spent / workers
    return Timed(name, workers, whole - load - asking, load, asking)


def _print(times: Sequence[Timed]) -> None:
    local = times[0]
    one = next((each for each in times if each.name == "ray" and each.workers == 1), None)
    print("executor  workers   start, s    load, s  asking, s   whole, s")
    for each in times:
        print(
            f"{each.name:<10}{each.workers:>7}{each.start:>11.1f}{each.load:>11.1f}"
            f"{each.asking:>11.1f}{each.whole:>11.1f}"
        )
    if one is not None:
        print(
            f"overhead of ray with one worker: {one.asking / local.asking - 1:+.1%} of the asking, "
            f"{one.whole / local.whole - 1:+.1%} of everything"
        )
        for each in times:
            if each.workers > 1:
                print(
                    f"efficiency of {each.workers} workers against one: "
                    f"{one.asking / each.asking / each.workers:.1%} of the asking, "
                    f"{one.whole / each.whole / each.workers:.1%} of everything"
                )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
