"""From a baseline, a run of equal work and a policy to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.compare import StoredRun
from harness.difference import Difference, metric_difference
from harness.errors import IncomparableRuns, RecordError, UnknownName, UsageError
from harness.gate.drops import Accuracy, Drop, accuracy_drop, mean_drop
from harness.gate.policy import Margin, Policy, TaskPolicy
from harness.gate.rule import (
    Counts,
    Levels,
    docs_to_pass,
    least_margin,
    levels,
    visible_drop,
)
from harness.pairing import Pair, pair_docs
from harness.records import Run, TaskResult
from harness.same_work import labels, work_differences

Verdict = Literal["pass", "fail", "underpowered", "same model"]
ALL = "all accuracy tasks"


@dataclass(frozen=True)
class Limit:
    """A cost or a divergence, against what it may be."""

    name: str
    unit: str
    value: float | None
    limit: float
    holds: bool


@dataclass(frozen=True)
class Outcome:
    """What the gate says.

    Attributes:
        visible: the true drop over all docs that would have failed four times in five.
        asked: share of the docs that were asked, where the gate looked early; else ``None``.
        notes: what a reader should know: tasks that are not gated, and why.
    """

    verdict: Verdict
    base: str
    model: str
    base_run: str
    model_run: str
    profile: str
    alpha: float
    blocks: bool
    pooled: Drop | None = None
    tasks: tuple[Drop, ...] = ()
    limits: tuple[Limit, ...] = ()
    visible: float | None = None
    notes: tuple[str, ...] = ()
    asked: float | None = None

    @property
    def exit_code(self) -> int:
        """0: go on; 1: it fails; 3: too few docs, and the policy does not let that pass."""
        if self.verdict == "fail":
            return 1
        return 3 if self.verdict == "underpowered" and self.blocks else 0


def decide(base: StoredRun, model: StoredRun, policy: Policy) -> Outcome:
    """Hold a run against a baseline.

    Raises:
        IncomparableRuns: the work was not the same; lists what differs.
        RecordError: rows are missing or damaged, or no doc was scored on both sides.
        UsageError: the policy names what the baseline does not have, a margin is in another unit
            than its metric, or no margin could be shown to hold with so few docs.
    """
    names = labels([base.run, model.run])
    check_policy(base.run, policy)
    if found := work_differences(base.run, model.run, None, (names[0], names[1])):
        raise IncomparableRuns(names[0], names[1], found)
    if is_same_model(base.run, model.run):
        return outcome("same model", base.run, model.run, names, policy)
    accuracies: list[Accuracy] = []
    others: list[tuple[Difference, Margin]] = []
    notes: list[str] = []
    for task, result in base.run.results.items():
        pairs, unlike = pair_docs(base.folder, model.folder, task)
        if unlike:
            raise IncomparableRuns(names[0], names[1], unlike)
        measured = _measured(result, model.run.results[task], pairs, policy)
        if isinstance(measured, Accuracy):
            accuracies.append(measured)
        elif isinstance(measured, str):
            notes.append(measured)
        else:
            others.append(measured)
    tests = len(accuracies) + len(others)
    if not tests:
        raise UsageError(f"nothing is gated: {'; '.join(notes)}")
    if accuracies:
        check_margin(sum(each.docs for each in accuracies), policy)
    level = levels(policy.alpha, tests)
    pooled, drops = held(accuracies, policy, level)
    drops += [mean_drop(*each, level.task, level.holds) for each in others]
    limits = tuple(_limits(base.run, model.run, policy))
    return replace(
        outcome(verdict(pooled, drops, limits), base.run, model.run, names, policy),
        pooled=pooled,
        tasks=tuple(drops),
        limits=limits,
        visible=_visible(pooled, policy),
        notes=tuple(notes),
    )


def outcome(said: Verdict, base: Run, model: Run, names: Sequence[str], policy: Policy) -> Outcome:
    """An outcome without its figures."""
    return Outcome(
        verdict=said,
        base=names[0],
        model=names[1],
        base_run=base.id,
        model_run=model.id,
        profile=policy.profile,
        alpha=policy.alpha,
        blocks=policy.underpowered == "block",
    )


def verdict(pooled: Drop | None, tasks: Sequence[Drop], limits: Sequence[Limit]) -> Verdict:
    """What follows from the drops and limits.

    Without accuracy tasks there is no pool: then every task must be shown to hold.
    """
    tested = [pooled, *tasks] if pooled else list(tasks)
    if any(each.state == "fails" for each in tested) or not all(each.holds for each in limits):
        return "fail"
    needed = [pooled] if pooled else tested
    return "pass" if all(each.state == "holds" for each in needed) else "underpowered"


def check_policy(base: Run, policy: Policy) -> None:
    """Raise UnknownName for a task or metric that the baseline does not have."""
    for task, of_task in policy.tasks.items():
        if task not in base.results:
            raise UnknownName("task", task, base.results, f"the baseline {base.id}")
        if of_task.metric and of_task.metric not in base.results[task].estimates:
            known = base.results[task].estimates
            raise UnknownName("metric", of_task.metric, known, f"{task} of the baseline {base.id}")
    for task, metric in policy.limits:
        if task in base.results and metric not in base.results[task].estimates:
            known = base.results[task].estimates
            raise UnknownName("metric", metric, known, f"{task} of the baseline {base.id}")


def is_same_model(base: Run, model: Run) -> bool:
    """Whether there is nothing to test: the same weights, run in the same way."""
    return (
        base.model.weights_id == model.model.weights_id
        and base.model.dtype == model.model.dtype
        and base.settings.backend == model.settings.backend
        and base.settings.head == model.settings.head
    )


def _measured(
    base: TaskResult, model: TaskResult, pairs: Sequence[Pair], policy: Policy
) -> Accuracy | tuple[Difference, Margin] | str:
    """What is tested of a task; in words, why nothing is."""
    of_task = policy.tasks.get(base.task, TaskPolicy())
    metric = of_task.metric or base.primary
    difference = metric_difference(base, model, metric, pairs)
    if not difference.delta.n:
        raise RecordError(f"{base.task}: no doc was scored on both sides")
    unit = difference.delta.unit
    counted = difference.flips is not None and difference.delta.higher_is_better
    if not counted or difference.base is None or difference.model is None:
        if of_task.margin is None:
            return f"{base.task} is not gated: the policy has no margin for it, in {unit}"
        _check_unit(base.task, metric, of_task.margin, unit)
        return difference, of_task.margin
    assert difference.flips is not None
    margin = of_task.margin or policy.task
    _check_unit(base.task, metric, margin, "proportion")
    return Accuracy(
        task=base.task,
        metric=metric,
        base=difference.base,
        model=difference.model,
        gained=difference.flips.gained,
        lost=difference.flips.lost,
        docs=difference.delta.n,
        margin=margin.value,
    )


def _check_unit(task: str, metric: str, margin: Margin, unit: str) -> None:
    if margin.unit != unit:
        written = "points" if margin.unit == "proportion" else margin.unit
        wanted = "points" if unit == "proportion" else unit
        raise UsageError(
            f"the policy's margin for {task} is in {written}, and {metric} is in {wanted}"
        )


def check_margin(docs: int, policy: Policy) -> None:
    """Raise UsageError where so many docs could not show that the pooled margin holds."""
    margin = policy.pooled.value
    if least_margin(docs, policy.alpha) > margin:
        needed = docs_to_pass(margin, 0.0, policy.alpha)
        raise UsageError(
            f"{docs:,} docs cannot show that a drop stays within {100 * margin:g} points, even if "
            f"every answer is the same: that takes {needed:,}. Ask more docs, or take a profile "
            "with a wider margin"
        )


def held(
    tasks: Sequence[Accuracy], policy: Policy, level: Levels
) -> tuple[Drop | None, list[Drop]]:
    """All docs of the accuracy tasks against the pooled margin, and each task against its own."""
    drops = [accuracy_drop(each, level.task, level.holds) for each in tasks]
    if not tasks:
        return None, drops
    docs = sum(each.docs for each in tasks)
    counts = Counts(
        np.array([float(each.gained) for each in tasks]),
        np.array([float(each.lost) for each in tasks]),
        np.array([float(each.docs) for each in tasks]),
    )
    whole = Accuracy(
        task=ALL,
        metric="primary metrics",
        base=sum(each.base * each.docs for each in tasks) / docs,
        model=sum(each.model * each.docs for each in tasks) / docs,
        gained=sum(each.gained for each in tasks),
        lost=sum(each.lost for each in tasks),
        docs=docs,
        margin=policy.pooled.value,
    )
    return accuracy_drop(whole, level.pooled, level.holds, counts.pooled()), drops


def _visible(pooled: Drop | None, policy: Policy) -> float | None:
    if pooled is None or pooled.changed is None:
        return None
    # Of a run without any change nothing says how many there might be.
    discordance = max(pooled.changed, 1) / pooled.docs
    return visible_drop(pooled.docs, discordance, pooled.margin, policy.alpha)


def _limits(base: Run, model: Run, policy: Policy) -> list[Limit]:
    found = []
    for cost, times in policy.costs.items():
        of_base, of_model = _cost(base, cost), _cost(model, cost)
        ratio = of_model / of_base if of_base and of_model else None
        found.append(Limit(cost, "times", ratio, times, ratio is None or ratio <= times))
    for (task, metric), limit in policy.limits.items():
        result = model.results.get(task)
        estimate = result.estimates.get(metric) if result else None
        value = estimate.value if estimate else None
        if estimate is None or value is None:
            found.append(Limit(f"{task} {metric}", limit.unit, None, limit.value, False))
            continue
        _check_unit(task, metric, limit, estimate.unit)
        holds = value <= limit.value if not estimate.higher_is_better else value >= limit.value
        found.append(Limit(f"{task} {metric}", limit.unit, value, limit.value, holds))
    return found


def _cost(run: Run, cost: str) -> float | None:
    if cost == "disk":
        return run.model.disk_bytes
    if cost == "memory":
        return run.model.memory_bytes
    peaks = [result.cost.peak_memory_bytes or 0 for result in run.results.values()]
    return max(peaks, default=0) or None
