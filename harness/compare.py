"""Compares runs of equal work with a base, doc by doc; refuses unequal work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.difference import Difference, judged, metric_difference, zero_one_difference
from harness.errors import IncomparableRuns
from harness.paired import holm
from harness.pairing import Pair, pair_docs
from harness.records import Run, TaskResult
from harness.reduction import Reduced, reduced, scored_pairs
from harness.run_folder import RunFolder
from harness.same_work import asked_twice, labels, paired_tasks, work_differences
from harness.types import Estimate

POOLED = "all accuracy tasks"


@dataclass(frozen=True)
class StoredRun:
    """A run and where its rows are."""

    run: Run
    folder: RunFolder


@dataclass(frozen=True)
class Side:
    """One of two runs that are compared.

    Attributes:
        label: its model's name, or its own id where several that are shown are of one model.
    """

    label: str
    run: str
    model: str
    weights_id: str


@dataclass(frozen=True)
class Comparison:
    """A model against a base on the same docs.

    Attributes:
        differences: every metric of every task, a task's primary metric first.
        pooled: over the tasks whose primary metric is a proportion of right docs, every doc
            counted once; ``None`` where fewer than two tasks have one.
        pooled_tasks: those tasks; one without a doc that both sides scored is not among them.
        family: how many p-values the adjustment is over; those of the other models count.
        on_samples: whether any task was scored on the shipped samples.
        notes: what differs beside the model, and what a reader should know.
    """

    base: Side
    model: Side
    differences: tuple[Difference, ...]
    pooled: Difference | None
    pooled_tasks: tuple[str, ...]
    family: int
    on_samples: bool
    notes: tuple[str, ...]

    @property
    def headlines(self) -> list[Difference]:
        """Each task's primary metric, and the pool last, where there is one."""
        primary = [each for each in self.differences if each.primary]
        return [*primary, *([self.pooled] if self.pooled else [])]

    @property
    def lead(self) -> Difference | None:
        """What speaks for all tasks: the pool, or the only task; ``None`` where nothing does."""
        if self.pooled is not None:
            return self.pooled
        return self.headlines[0] if len(self.headlines) == 1 else None


def compare_runs(
    base: StoredRun, models: Sequence[StoredRun], tasks: Sequence[str] | None = None
) -> tuple[Comparison, ...]:
    """Compare each model's run with the base's.

    p-values are adjusted for the number of all that are shown (Holm), and verdicts go by that.

    Args:
        base: what the others are compared with.
        models: one or several runs.
        tasks: the tasks to compare; by default `harness.same_work.paired_tasks`, which then must
            be the same on both sides.

    Raises:
        IncomparableRuns: the work was not the same; lists what differs.
        RecordError: rows are missing or damaged.
    """
    first, *others = labels([each.run for each in (base, *models)])
    return _adjusted(
        [
            _compared(base, model, (first, second), tasks)
            for model, second in zip(models, others, strict=True)
        ]
    )


def pooled_difference(
    base: Mapping[str, TaskResult],
    model: Mapping[str, TaskResult],
    paired: Mapping[str, Sequence[Pair]],
) -> tuple[Difference | None, tuple[str, ...], Mapping[str, str]]:
    """The difference over the accuracy tasks, every doc counted once, stratified by task and group;
    of tasks that ask the same questions the first counts.

    Args:
        base: results by task.
        model: likewise.
        paired: their docs, by task.

    Returns:
        The difference, unadjusted, ``None`` where fewer than two tasks can be pooled; the tasks;
        and those that ask what one of these asks, with that one.
    """
    parts, twice = _poolable(base, model, paired)
    return (_pooled(parts, paired) if parts else None), tuple(parts), twice


def _compared(
    base: StoredRun, model: StoredRun, names: tuple[str, str], tasks: Sequence[str] | None
) -> Comparison:
    if found := work_differences(base.run, model.run, tasks, names):
        raise IncomparableRuns(*names, found)
    asked = paired_tasks(base.run, model.run) if tasks is None else list(tasks)
    paired: dict[str, list[Pair]] = {}
    for task in asked:
        paired[task], unlike = pair_docs(base.folder, model.folder, task)
        found += unlike
    if found:
        raise IncomparableRuns(*names, found)
    of_base = {task: base.run.results[task] for task in asked}
    of_model = {task: model.run.results[task] for task in asked}
    pooled, pooled_tasks, twice = pooled_difference(of_base, of_model, paired)
    return Comparison(
        base=_side(base.run, names[0]),
        model=_side(model.run, names[1]),
        differences=tuple(
            metric_difference(of_base[task], of_model[task], metric, paired[task])
            for task in asked
            for metric in _primary_first(of_base[task])
        ),
        pooled=pooled,
        pooled_tasks=pooled_tasks,
        family=0,
        on_samples=any(result.on_samples for result in of_base.values()),
        notes=(
            *_notes(base.run, model.run, *names),
            *_left_out(base.run, model.run, asked if tasks is None else None),
            *(
                f"{task} asks the questions of {first}: over all, they count once"
                for task, first in twice.items()
            ),
        ),
    )


def _adjusted(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Adjust every p-value for all of them."""
    shown = [each for comparison in comparisons for each in _all(comparison)]
    adjusted = holm([each.p for each in shown if each.p is not None])
    in_turn = iter(adjusted)

    def final(difference: Difference) -> Difference:
        return difference if difference.p is None else judged(difference, next(in_turn))

    return tuple(
        replace(
            comparison,
            differences=tuple(map(final, comparison.differences)),
            pooled=None if comparison.pooled is None else final(comparison.pooled),
            family=len(adjusted),
        )
        for comparison in comparisons
    )


def _all(comparison: Comparison) -> list[Difference]:
    return [*comparison.differences, *([comparison.pooled] if comparison.pooled else [])]


def _poolable(
    base: Mapping[str, TaskResult],
    model: Mapping[str, TaskResult],
    paired: Mapping[str, Sequence[Pair]],
) -> tuple[dict[str, Reduced], dict[str, str]]:
    """The accuracy tasks, reduced, and those that ask what one of them asks, with that one; none
    where there are fewer than two that belong together.
    """
    parts: dict[str, Reduced] = {}
    for task, pairs in paired.items():
        metric = base[task].primary
        recorded = base[task].estimates[metric], model[task].estimates[metric]
        if not recorded[0].higher_is_better or not scored_pairs(metric, pairs):
            continue
        found = reduced(metric, recorded, pairs)
        if found is not None and found.kind == "zero or one":
            parts[task] = found
    twice = asked_twice(
        {task: base[task].data for task in parts},
        lambda task: {doc.doc_id for doc, _ in paired[task]},
    )
    for task in twice:
        del parts[task]
    # Samples stand in for a benchmark; their docs do not belong among real ones.
    if len(parts) < 2 or len({base[task].on_samples for task in parts}) > 1:
        return {}, {}
    return parts, twice


def _pooled(parts: Mapping[str, Reduced], paired: Mapping[str, Sequence[Pair]]) -> Difference:
    """The difference over accuracy tasks, stratified by task and group."""
    strata = [
        (task, group)
        for task, part in parts.items()
        for group in part.groups or [None] * len(part.pairs)
    ]
    clusters = None
    if any(part.clusters for part in parts.values()):
        clusters = [
            (task, cluster)
            for task, part in parts.items()
            for cluster in part.clusters or [pair[0].doc_id for pair in part.pairs]
        ]
    made = Difference(
        task=POOLED,
        metric="primary metrics",
        primary=True,
        base=None,
        model=None,
        delta=Estimate(None, None, None, None, len(strata), "none", "proportion", True),
        test="",
        left_out=sum(len(paired[task]) - len(part.pairs) for task, part in parts.items()),
    )
    first = np.concatenate([part.base[:, 0] for part in parts.values()])
    second = np.concatenate([part.model[:, 0] for part in parts.values()])
    return zero_one_difference(made, first, second, strata, clusters)


def _primary_first(result: TaskResult) -> list[str]:
    return sorted(result.estimates, key=lambda metric: metric != result.primary)


def _side(run: Run, label: str) -> Side:
    return Side(label, run.id, run.model.name, run.model.weights_id)


def _left_out(base: Run, model: Run, asked: Sequence[str] | None) -> Iterable[str]:
    """The tasks that were not compared because each model was held against its own parent."""
    if asked is None:
        return
    for task in {**base.results, **model.results}:
        if task not in asked:
            yield f"{task} is not compared: each model was held against a parent of its own"


def _notes(base: Run, model: Run, first: str, second: str) -> Iterable[str]:
    """What differs beside the model, and may move an answer by rounding."""
    if base.model.weights_id == model.model.weights_id:
        yield f"{first} and {second} have the same weights"
    for what, of_base, of_model in (
        ("answered by", base.settings.backend, model.settings.backend),
        ("logits in", base.settings.head, model.settings.head),
        ("dtype", base.model.dtype, model.model.dtype),
        ("harness", base.environment.harness, model.environment.harness),
        ("device", base.environment.device, model.environment.device),
    ):
        if of_base != of_model:
            yield f"{what}: {of_base} for {first}, {of_model} for {second}"
