"""Bounds on what is no accuracy: bytes, and how far a model may be from another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.distance import is_from
from harness.errors import RecordError
from harness.gate.policy import Policy, check_unit
from harness.others import PARENT
from harness.records import Run, TaskResult
from harness.speed import Speed, decode_ratio


@dataclass(frozen=True)
class Limit:
    """A cost or a divergence, against what it may be.

    Attributes:
        source: whose figure it is, in words, where it is not the gated run's.
    """

    name: str
    unit: str
    value: float
    limit: float
    holds: bool
    source: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """What was measured of the model beside the run that is gated.

    Attributes:
        results: by task, of other runs of the same weights, run in the same way; a divergence only
            from the baseline.
        runs: by task, the id of the run that its result is of.
        unlike: tasks that these weights were asked in other ways only, or on the shipped samples.
        probe: the last one, for a limit on speed.
    """

    results: Mapping[str, TaskResult] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    unlike: frozenset[str] = frozenset()
    probe: Sequence[Speed] = ()


def measured_elsewhere(
    base: Run, model: Run, runs: Iterable[Run], probe: Sequence[Speed]
) -> Elsewhere:
    """Gather it; of several results of a task the newest. One of the shipped samples counts only
    where the baseline was scored on them too.

    Args:
        base: the baseline's run.
        model: the model's.
        runs: where to look, the newest first.
        probe: the last one.
    """
    found: dict[str, TaskResult] = {}
    of_run: dict[str, str] = {}
    unlike: set[str] = set()
    for run in runs:
        if run.model.weights_id != model.model.weights_id or run.status != "complete":
            continue
        for task, result in run.results.items():
            if task in found:
                continue
            if _run_as(run) != _run_as(model) or (result.on_samples and not base.on_samples):
                unlike.add(task)
            elif PARENT not in result.others or is_from(base, result):
                found[task], of_run[task] = result, run.id
    return Elsewhere(found, of_run, frozenset(unlike - found.keys()), probe)


def _run_as(run: Run) -> tuple[str, bool]:
    return run.model.dtype, run.model.chat_template


def limits_of(base: Run, model: Run, policy: Policy, elsewhere: Elsewhere) -> list[Limit]:
    """The costs and divergences against what they may be.

    Args:
        base: the baseline's run.
        model: the model's.
        policy: the limits.
        elsewhere: what the model's run lacks.

    Raises:
        RecordError: one was not measured.
        UsageError: a limit is in another unit than its metric.
    """
    found = []
    for cost, times in policy.costs.items():
        if cost == "speed":
            ratio = _speed(base, model, elsewhere.probe)
            found.append(Limit(cost, "times", ratio, times, ratio >= times))
            continue
        shared = base.results.keys() & model.results.keys()
        ratio = _cost(model, cost, shared) / _cost(base, cost, shared)
        found.append(Limit(cost, "times", ratio, times, ratio <= times))
    for (task, metric), limit in policy.limits.items():
        own = model.results.get(task)
        result = own or elsewhere.results.get(task)
        estimate = result.estimates.get(metric) if result else None
        if result is None or estimate is None or estimate.value is None:
            how = "in another dtype or chat template, or on the samples, it was: "
            raise RecordError(
                f"the policy limits {task} {metric}, which run {model.id} did not measure, nor "
                f"another of its weights and settings: {how if task in elsewhere.unlike else ''}"
                f"score {model.model.name} on {task} too"
            )
        check_unit(task, metric, limit, estimate.unit)
        better = estimate.higher_is_better
        holds = estimate.value >= limit.value if better else estimate.value <= limit.value
        from_whom = f" from {result.others[PARENT]}" if PARENT in result.others else ""
        name = f"{task} {metric}{from_whom}"
        source = "" if own else f"run {elsewhere.runs[task]}, docs: {result.docs:,}"
        found.append(Limit(name, limit.unit, estimate.value, limit.value, holds, source))
    return found


def _speed(base: Run, model: Run, probe: Sequence[Speed]) -> float:
    """The model's speed of writing, in baselines' speeds, both probed in one run."""
    base_run, model_run = ((each.model.weights_id, each.model.dtype) for each in (base, model))
    ratio = decode_ratio(probe, base_run, model_run)
    if ratio is None:
        raise RecordError(
            "the policy limits speed, and the last probe was not of both models' weights in these "
            f"dtypes: harness speed {base.model.name} {model.model.name}\n"
            "(Where the weights of the baseline are gone there is nothing to hold a speed against: "
            "take the limit out.)"
        )
    return ratio


def _cost(run: Run, cost: str, tasks: Collection[str]) -> float:
    """A cost of a run, in bytes; no bytes at all are not known. A peak is that of these tasks."""
    measured: Sequence[int | None] = [
        run.model.disk_bytes if cost == "disk" else run.model.memory_bytes
    ]
    mend = "what answered did not tell it; take the limit out of the policy"
    if cost == "peak memory":
        # A task that was answered from the journal did not need the memory that asking it takes.
        measured = [
            None if result.cost.stored else result.cost.peak_memory_bytes
            for task, result in run.results.items()
            if task in tasks
        ] or [None]
        mend = "score it with --no-journal"
    known = [each for each in measured if each]
    if len(known) < len(measured):
        raise RecordError(
            f"the policy limits {cost}, which was not measured in the whole of run {run.id}: {mend}"
        )
    return max(known)
