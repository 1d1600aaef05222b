"""From an ancestor to its descendant, step by step: which step of the lineage moved each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.compare import Comparison, StoredRun, compare_runs
from harness.difference import Difference, judged
from harness.paired import holm
from harness.same_work import paired_tasks
from harness.types import SURE


@dataclass(frozen=True)
class Step:
    """What one step changed.

    Attributes:
        parent, child: the models' names.
        unscored: models between them that have no run of equal work: then it is several steps.
        differences: child against parent, of each task's primary metric, adjusted for all steps;
            the pool of the accuracy tasks comes last, where there is one.
    """

    parent: str
    child: str
    unscored: tuple[str, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Waterfall:
    """A lineage from a base to a model.

    Attributes:
        steps: in the order of the lineage.
        whole: the model against the base, of the same metrics.
        family: how many p-values the steps' adjustment is over.
    """

    steps: tuple[Step, ...]
    whole: tuple[Difference, ...]
    family: int

    def moves(self, task: str) -> list[tuple[Step, Difference]]:
        """The steps that surely made a task better or worse, or changed it."""
        return [
            (step, each)
            for step in self.steps
            for each in step.differences
            if each.task == task and each.verdict in SURE
        ]


def between(base: StoredRun, model: StoredRun) -> tuple[str, ...]:
    """The models of the lineage between two, ``()`` where the first is no ancestor of the second,
    or its parent.
    """
    lineage = model.run.model.lineage
    name = base.run.model.name
    if name not in lineage[:-1]:
        return ()
    return lineage[lineage.index(name) + 1 : -1]


def waterfall(
    base: StoredRun,
    model: StoredRun,
    on_the_way: Mapping[str, StoredRun],
    whole: Comparison,
) -> Waterfall:
    """Compare each model of a lineage with the one before it, in the tasks of the whole way.

    Args:
        base: the ancestor.
        model: the descendant.
        on_the_way: runs of equal work of models between them, by name.
        whole: the descendant against the ancestor.

    Raises:
        IncomparableRuns, RecordError: as `harness.compare.compare_runs` does.
    """
    runs, skipped = [base], []
    found: list[tuple[StoredRun, StoredRun, tuple[str, ...]]] = []
    for name in (*between(base, model), model.run.model.name):
        child = model if name == model.run.model.name else on_the_way.get(name)
        if child is None:
            skipped.append(name)
            continue
        found.append((runs[-1], child, tuple(skipped)))
        runs.append(child)
        skipped = []
    shown = list(dict.fromkeys(each.task for each in whole.differences))
    parts = [_headlines(parent, child, shown) for parent, child, _ in found]
    adjusted = holm([each.p for part in parts for each in part if each.p is not None])
    in_turn = iter(adjusted)
    steps = tuple(
        Step(
            parent=parent.run.model.name,
            child=child.run.model.name,
            unscored=unscored,
            differences=tuple(
                each if each.p is None else judged(each, next(in_turn)) for each in part
            ),
        )
        for (parent, child, unscored), part in zip(found, parts, strict=True)
    )
    return Waterfall(steps, tuple(whole.headlines), len(adjusted))


def _headlines(parent: StoredRun, child: StoredRun, shown: Iterable[str]) -> list[Difference]:
    """One step's, of the tasks that are shown; one in which each of the two was held against a
    parent of its own is left out.
    """
    comparable = paired_tasks(parent.run, child.run)
    tasks = [task for task in shown if task in comparable]
    return compare_runs(parent, [child], tasks)[0].headlines
