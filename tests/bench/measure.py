"""Times one work: lm-eval's best batch size, then both sides in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.agreement import Agreement, compare
from tests.bench.messages import Failed, Round, Setup, write_requests
from tests.bench.necessary import operations
from tests.bench.processes import Child, ChildLost
from tests.bench.results import Growth, Side, WorkResult, growth_exponent
from tests.bench.works import GROWTH_TARGET, Asked, Work, first_docs

Tell = Callable[[str], None]
StartChild = Callable[[str], Child]
"""Starts a side by the name of its backend."""

REFERENCE = "lm_eval"


@contextmanager
def children(setup: Setup, asked: Asked, memory_limit: int) -> Iterator[StartChild]:
    """Write the requests for children to read; end all that were started.

    Args:
        setup: what they load; backend and requests are filled in.
        asked: the requests.
        memory_limit: bytes that each may have.
    """
    started: list[Child] = []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "requests.json"
        write_requests(file, asked.requests)

        def start(backend: str) -> Child:
            child = Child(replace(setup, backend=backend, requests=str(file)), memory_limit)
            started.append(child)
            return child

        try:
            yield start
        finally:
            for child in started:
                child.close()


def time_work(
    work: Work, asked: Asked, start: StartChild, backend: str, pairs: int, tell: Tell
) -> tuple[WorkResult, float]:
    """Time both sides: lm-eval with each of its batch sizes, then in turn.

    Returns:
        The result, and the rate of matrix multiplication (0 if no child lived to measure it).
    """
    trials, batch, theirs = _best_batch(work, start, tell)
    result = WorkResult(
        name=work.name,
        docs=len(asked.doc_sizes),
        requests=len(asked.requests),
        target=work.target,
        memory_target=work.memory_target,
        trials=trials,
        batch=batch,
        ours=Side(),
        theirs=Side(),
        agreement=None,
    )
    if batch is None:
        reasons = "; ".join(f"batch {size}: {reason}" for size, reason in trials.items())
        return replace(result, theirs=Side(problem=reasons), ours=Side(problem="not run")), 0.0
    try:
        model, rate = theirs.loaded, theirs.rate()
    except ChildLost as lost:
        return replace(result, theirs=Side(problem=str(lost))), 0.0
    ours = start(backend)
    timed = _Timed(theirs, ours, [], [])
    # The engine has its trial too: lm-eval has now met every shape that it will be timed on.
    trial = _trial(ours, batch, trials, "engine", lambda said: tell(f"{work.name}: {said}"))
    if isinstance(trial, Failed):
        timed.problem[ours] = trial.reason
    else:
        _run_pairs(timed, asked, batch, pairs, lambda said: tell(f"{work.name}, {said}"))
    result = replace(
        result,
        ours=_side(timed.ours_rounds, timed.problem.get(ours, ""), trial),
        theirs=_side(timed.theirs_rounds, timed.problem.get(theirs, "")),
        agreement=timed.agreement,
        model=model,
    )
    if theirs.alive and timed.theirs_rounds:
        texts = tuple(v for v in timed.theirs_rounds[0].values if isinstance(v, str))
        need = theirs.needed(texts)
        result = replace(result, need=need, operations=operations(need, model))
    return result, rate


@dataclass
class _Timed:
    """Both sides with what they did so far."""

    theirs: Child
    ours: Child
    theirs_rounds: list[Round]
    ours_rounds: list[Round]
    agreement: Agreement | None = None
    problem: dict[Child, str] = field(default_factory=dict)


def _run_pairs(timed: _Timed, asked: Asked, batch: int, pairs: int, tell: Tell) -> None:
    """Run both in turn; only one ever works. The order changes from pair to pair, so that a machine
    that gets slower favours nobody. A side that fails ends it; whole pairs are kept.
    """
    ours, theirs = timed.ours, timed.theirs
    dtype = ours.loaded.dtype
    for number in range(pairs):
        pair: dict[Child, Round] = {}
        for child in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            answered = child.answer(batch)
            if isinstance(answered, Failed):
                timed.problem[child] = answered.reason
                return
            pair[child] = answered
            name = "engine" if child is ours else f"lm-eval, batch {batch}"
            tell(f"pair {number + 1} of {pairs}: {name} {answered.seconds:.1f} s")
        timed.ours_rounds.append(pair[ours])
        timed.theirs_rounds.append(pair[theirs])
        found = compare(pair[ours].values, pair[theirs].values, asked, dtype)
        if timed.agreement is None or timed.agreement.agree:
            timed.agreement = found


def time_growth(
    asked: Asked, sizes: tuple[int, ...], start: StartChild, backend: str, tell: Tell
) -> Growth:
    """Time the engine alone on ever more docs of one task."""
    child = start(backend)
    child.answer(1, len(first_docs(asked, sizes[0]).requests))  # what is new to it is not growth
    rounds: list[Round] = []
    problem = ""
    for size in sizes:
        answered = child.answer(1, len(first_docs(asked, size).requests))
        if isinstance(answered, Failed):
            problem = f"{size} docs: {answered.reason}"
            break
        tell(f"growth, {size:,} docs: {answered.seconds:.1f} s")
        rounds.append(answered)
    docs, seconds = sizes[: len(rounds)], tuple(answered.seconds for answered in rounds)
    peaks = tuple(answered.peak_bytes for answered in rounds)
    exponent = None if problem else growth_exponent(docs, seconds)
    return Growth(docs, seconds, peaks, exponent, GROWTH_TARGET, problem)


def _best_batch(
    work: Work, start: StartChild, tell: Tell
) -> tuple[dict[str, float | str], int | None, Child]:
    """Run lm-eval once with each batch size; the whole work, so that padding counts as it will.

    A size that is killed or fails is a result too; the next gets a new process.
    """
    trials: dict[str, float | str] = {}
    child = start(REFERENCE)
    for batch in work.batch_sizes:
        if not child.alive:
            child = start(REFERENCE)
        _trial(
            child,
            batch,
            trials,
            str(batch),
            lambda said: tell(f"{work.name}: lm-eval, batch {said}"),
        )
    timed = {int(b): seconds for b, seconds in trials.items() if isinstance(seconds, float)}
    if timed and not child.alive:
        child = start(REFERENCE)
    return trials, min(timed, key=lambda b: timed[b]) if timed else None, child


def _trial(
    child: Child, batch: int, trials: dict[str, float | str], name: str, tell: Tell
) -> Round | Failed:
    answered = child.answer(batch)
    if isinstance(answered, Failed):
        trials[name] = answered.reason
        tell(f"{name}: {answered.reason}")
    else:
        trials[name] = answered.seconds
        tell(f"{name}: {answered.seconds:.1f} s")
    return answered


def _side(rounds: list[Round], problem: str, trial: Round | Failed | None = None) -> Side:
    if not rounds:
        return Side(problem=problem)
    runs = {answered.tokens_run for answered in rounds}
    if isinstance(trial, Round):
        runs.add(trial.tokens_run)
    if len(runs) > 1 and not problem:
        # A model that remembers the round before it would be timed on less than the work.
        problem = f"ran unequal numbers of tokens from round to round: {sorted(runs)}"
    peaks = [answered.peak_bytes for answered in rounds if answered.peak_bytes is not None]
    resting = [answered.resting_bytes for answered in rounds if answered.resting_bytes is not None]
    return Side(
        seconds=tuple(answered.seconds for answered in rounds),
        peak_bytes=max(peaks, default=None),
        resting_bytes=min(resting, default=None),
        tokens_run=max(runs) or None,
        problem=problem,
    )
