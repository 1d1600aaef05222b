"""From a baseline, a run of equal work and a policy to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtri

from harness.compare import StoredRun
from harness.difference import Difference, metric_difference
from harness.errors import IncomparableRuns, RecordError, UnknownName, UsageError
from harness.gate.drops import Accuracy, Drop, accuracy, accuracy_drop, mean_drop
from harness.gate.limits import Elsewhere, Limit, limits_of
from harness.gate.policy import Margin, Policy, TaskPolicy, check_unit
from harness.gate.rule import (
    Counts,
    Levels,
    docs_to_pass,
    least_margin,
    levels,
    visible_drop,
)
from harness.pairing import Pair, docs_by_id, pair_docs
from harness.records import Run, TaskResult
from harness.same_work import asked_twice, labels, paired_tasks, work_differences
from harness.types import Estimate

Verdict = Literal["pass", "fail", "underpowered", "same model"]
ALL = "all accuracy tasks"
USUAL_CHANGES = 0.1
"""Share of docs that change, where nothing is known yet: what nf4 did to a small model."""


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
    def tested(self) -> list[Drop]:
        """All drops that were tested, the pool first."""
        return [*([self.pooled] if self.pooled else []), *self.tasks]

    @property
    def exit_code(self) -> int:
        """0: go on; 1: it fails; 3: too few docs, and the policy does not let that pass."""
        if self.verdict == "fail":
            return 1
        return 3 if self.verdict == "underpowered" and self.blocks else 0


def decide(base: StoredRun, model: StoredRun, policy: Policy, elsewhere: Elsewhere) -> Outcome:
    """Hold a run against a baseline.

    Args:
        base: the baseline.
        model: a run of equal work.
        policy: what is tolerated.
        elsewhere: what else was measured of the model, for limits.

    Raises:
        IncomparableRuns: the work was not the same; lists what differs.
        RecordError: rows are missing or damaged, or no doc was scored on both sides.
        UsageError: the policy names what the baseline does not have, a margin is in another unit
            than its metric, or no margin could be shown to hold with so few docs.
    """
    names = labels([base.run, model.run])
    check_policy(base.run, model.run, policy, elsewhere)
    asked = gated_tasks(base.run, model.run)
    notes = _against_parents(base.run, asked, policy)
    if found := work_differences(base.run, model.run, asked, (names[0], names[1])):
        raise IncomparableRuns(names[0], names[1], found)
    paired: dict[str, list[Pair]] = {}
    for task in asked:
        paired[task], unlike = pair_docs(base.folder, model.folder, task)
        if unlike:
            raise IncomparableRuns(names[0], names[1], unlike)
    if is_same_model(base.run, model.run) and not any(map(_changed, paired.values())):
        return outcome("same model", base.run, model.run, names, policy)
    accuracies: list[Accuracy] = []
    others: list[tuple[Difference, Margin]] = []
    for task in asked:
        measured = _measured(base.run.results[task], model.run.results[task], paired[task], policy)
        if isinstance(measured, Accuracy):
            accuracies.append(measured)
        elif isinstance(measured, str):
            notes.append(measured)
        else:
            others.append(measured)
    if not accuracies and not others:
        raise UsageError(f"nothing is gated: {'; '.join(notes)}")
    ids = {task: {doc.doc_id for doc, _ in pairs} for task, pairs in paired.items()}
    pooled_tasks = [each.task for each in accuracies if each.higher_is_better]
    once = counted_once(pooled_tasks, base.run, ids.__getitem__)
    if once:
        check_margin(sum(each.docs for each in accuracies if each.task in once), policy)
    level = levels(policy.alpha, len(accuracies) + len(others))
    pooled, drops = held(accuracies, policy, level, once)
    drops += [mean_drop(*each, level.task, level.holds) for each in others]
    limits = tuple(limits_of(base.run, model.run, policy, elsewhere))
    return replace(
        outcome(verdict(pooled, drops, limits), base.run, model.run, names, policy),
        pooled=pooled,
        tasks=tuple(drops),
        limits=limits,
        visible=_visible(pooled, policy),
        notes=(*notes, *unscored_notes(accuracies)),
    )


def gated_tasks(base: Run, model: Run) -> list[str]:
    """The baseline's tasks that a run can be held to, whatever else the run was asked."""
    comparable = paired_tasks(base, model)
    return [task for task in base.results if task in comparable]


def _against_parents(base: Run, asked: Sequence[str], policy: Policy) -> list[str]:
    """Say which tasks measure each model against a parent of its own.

    Raises:
        UsageError: the policy gates one of them, which would never be tested.
    """
    notes = []
    for task in base.results:
        if task in asked:
            continue
        if task in policy.tasks:
            raise UsageError(
                f"the policy gates {task}, in which the baseline and the model were held against "
                "different parents, or one of them against none: bound the model's own distance "
                f"under limits ('{task} METRIC: ...') instead"
            )
        notes.append(f"{task} is not gated: each was held against a parent of its own")
    return notes


def foresight(base: StoredRun, policy: Policy) -> str | None:
    """What a run of the baseline's docs will be able to see, before anything is asked.

    ``None`` where the baseline has no accuracy task.

    Raises:
        RecordError: its rows are damaged, where they must tell whether tasks ask the same.
    """
    accuracies, results = [], base.run.results
    for task, result in results.items():
        metric = policy.tasks.get(task, TaskPolicy()).metric or result.primary
        if metric in result.estimates and is_accuracy(metric, result.estimates[metric]):
            accuracies.append(task)
    once = counted_once(accuracies, base.run, lambda task: docs_by_id(base.folder, task))
    docs = sum(results[task].docs for task in once)
    if not docs:
        return None
    margin, share = policy.pooled.value, USUAL_CHANGES
    drop = visible_drop(docs, max(share, margin), margin, policy.alpha)
    needed = docs_to_pass(margin, share, -float(ndtri(policy.alpha)))
    return (
        f"{docs:,} docs, margin {100 * margin:g} points: if {100 * share:g}% of them change, a "
        f"true drop of {100 * drop:.1f} points fails four times in five, and a model that drops "
        f"nothing needs {needed:,} docs to pass as often"
    )


def unscored_notes(tasks: Sequence[Accuracy]) -> list[str]:
    """Say which tasks the model did not answer in full."""
    return [
        f"{each.task}: {each.unscored:,} docs that the baseline scored have no score now, and "
        "count as wrong"
        for each in tasks
        if each.unscored
    ]


def _changed(pairs: Sequence[Pair]) -> bool:
    """Whether a doc scored otherwise, as far as the baseline tells: it holds no score of texts."""
    return any(
        (base.unscored is None) != (model.unscored is None)
        or any(model.scores.get(key) != value for key, value in base.scores.items())
        for base, model in pairs
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
    """What follows from the drops and limits."""
    tested = [pooled, *tasks] if pooled else list(tasks)
    if any(each.state == "fails" for each in tested) or not all(each.holds for each in limits):
        return "fail"
    shown = all(each.state == "holds" for each in must_hold(pooled, tasks))
    return "pass" if shown else "underpowered"


def must_hold(pooled: Drop | None, tasks: Sequence[Drop]) -> list[Drop]:
    """The drops that must be shown to hold: the pool's, and a task's that is larger than its margin
    and has no standard error to be judged by. Without a pool every task's.
    """
    if pooled is None:
        return list(tasks)
    return [pooled, *(each for each in tasks if each.low is None and each.drop > each.margin)]


def check_policy(base: Run, model: Run, policy: Policy, elsewhere: Elsewhere) -> None:
    """Raise UnknownName for a task or metric that there is not: gated tasks are the baseline's, a
    limit may also be on what only the model was asked.
    """
    for task, of_task in policy.tasks.items():
        if task not in base.results:
            raise UnknownName("task", task, base.results, f"the baseline {base.id}")
        if of_task.metric:
            _check_metric(task, of_task.metric, base.results[task], base)
    asked = {**base.results, **elsewhere.results, **model.results}
    for task, metric in policy.limits:
        if task in elsewhere.unlike and task not in asked:
            continue  # `limits_of` says what is wrong with it
        if task not in asked:
            raise UnknownName("task", task, asked, "the baseline and the run")
        _check_metric(task, metric, asked[task], model)


def _check_metric(task: str, metric: str, result: TaskResult, run: Run) -> None:
    if metric not in result.estimates:
        raise UnknownName("metric", metric, result.estimates, f"{task} of {run.id}")


def is_same_model(base: Run, model: Run) -> bool:
    """Whether there is nothing to test: the same weights, run in the same way."""
    return (
        base.model.weights_id == model.model.weights_id
        and base.model.dtype == model.model.dtype
        and base.settings.backend == model.settings.backend
        and base.settings.head == model.settings.head
        and base.model.chat_template == model.model.chat_template
        and base.model.add_bos == model.model.add_bos
    )


def _measured(
    base: TaskResult, model: TaskResult, pairs: Sequence[Pair], policy: Policy
) -> Accuracy | tuple[Difference, Margin] | str:
    """What is tested of a task; in words, why nothing is."""
    of_task = policy.tasks.get(base.task, TaskPolicy())
    metric = of_task.metric or base.primary
    estimate = base.estimates[metric]
    if is_accuracy(metric, estimate):
        return _counted(base.task, metric, pairs, of_task.margin or policy.task, True)
    if of_task.margin is None:
        return f"{base.task} is not gated: the policy has no margin for it, in {estimate.unit}"
    if is_share(metric, estimate):
        return _counted(base.task, metric, pairs, of_task.margin, estimate.higher_is_better)
    difference = metric_difference(base, model, metric, pairs)
    if not difference.delta.n:
        raise RecordError(f"{base.task}: no doc was scored on both sides")
    if model.unscored > base.unscored:
        raise RecordError(
            f"{base.task}: {model.unscored - base.unscored:,} docs that the baseline scored have "
            f"no score now, so {metric} cannot be held against its margin"
        )
    check_unit(base.task, metric, of_task.margin, difference.delta.unit)
    return difference, of_task.margin


def _counted(
    task: str, metric: str, pairs: Sequence[Pair], margin: Margin, higher_is_better: bool
) -> Accuracy:
    """The docs of a share; raises where there is nothing to count."""
    check_unit(task, metric, margin, "proportion")
    counts = accuracy(task, metric, pairs, margin.value, higher_is_better)
    if not counts.docs or counts.unscored == counts.docs:
        raise RecordError(f"{task}: no doc was scored on both sides")
    return counts


def is_accuracy(metric: str, estimate: Estimate) -> bool:
    """Whether it is the share of docs that are right: it counts in the pool."""
    return is_share(metric, estimate) and estimate.higher_is_better


def is_share(metric: str, estimate: Estimate) -> bool:
    """Whether it is a share of docs, whichever way it should go."""
    return estimate.unit == "proportion" and not metric.endswith("_macro")


def check_margin(docs: int, policy: Policy) -> None:
    """Raise UsageError where so many docs could not show that the pooled margin holds."""
    margin = policy.pooled.value
    if least_margin(docs, policy.alpha) > margin:
        needed = docs_to_pass(margin, 0.0, -float(ndtri(policy.alpha)))
        raise UsageError(
            f"{docs:,} docs cannot show that a drop stays within {100 * margin:g} points, even if "
            f"every answer is the same: that takes {needed:,}. Ask more docs, or take a profile "
            "with a wider margin"
        )


def counted_once(
    tasks: Iterable[str], base: Run, docs: Callable[[str], Collection[str]]
) -> list[str]:
    """The accuracy tasks that the pool is of: of several that ask the same questions, the first.

    Args:
        tasks: accuracy tasks.
        base: the baseline's run.
        docs: the ids of a task's docs.
    """
    data = {task: base.results[task].data for task in tasks}
    twice = asked_twice(data, docs)
    return [task for task in data if task not in twice]


def held(
    tested: Sequence[Accuracy], policy: Policy, level: Levels, once: Collection[str]
) -> tuple[Drop | None, list[Drop]]:
    """All docs of the accuracy tasks against the pooled margin, and each task against its own.

    Args:
        tested: the tasks.
        policy: their margins.
        level: how sure is sure.
        once: those that are pooled.
    """
    drops = [accuracy_drop(each, level.task, level.holds) for each in tested]
    tasks = [each for each in tested if each.task in once]
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
        effect=sum(each.effect * each.docs for each in tasks) / docs,
    )
    pooled = counts.pooled([each.effect for each in tasks])
    return accuracy_drop(whole, level.pooled, level.holds, pooled), drops


def _visible(pooled: Drop | None, policy: Policy) -> float | None:
    if pooled is None or pooled.changed is None:
        return None
    # Of a run without any change nothing says how many there might be.
    discordance = pooled.effect * max(pooled.changed, 1) / pooled.docs
    return visible_drop(pooled.docs, discordance, pooled.margin, policy.alpha)
