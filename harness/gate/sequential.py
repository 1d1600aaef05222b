"""The gate in several looks: docs are asked in random order until the verdict is sure.

At each look the same share of every task's docs is in, so the pool is weighted as at the end. The
levels of the looks keep to the same chances of a false verdict as a single look (see
`harness.gate.spending`). Only accuracy tasks are looked at: other metrics need all their docs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.compare import StoredRun
from harness.errors import IncomparableRuns, RecordError, UsageError
from harness.gate.decide import (
    Outcome,
    check_margin,
    check_policy,
    counted_once,
    held,
    is_accuracy,
    is_same_model,
    outcome,
    unscored_notes,
    verdict,
)
from harness.gate.drops import Accuracy, accuracy
from harness.gate.limits import Elsewhere, limits_of
from harness.gate.policy import Policy, TaskPolicy, check_unit
from harness.gate.rule import levels_of_looks
from harness.open_task import OpenTask
from harness.pairing import Pair, ScoredDoc
from harness.records import Row, Run, TaskResult
from harness.types import Doc

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Of the docs that are in at each look."""
SEED = 1234

Ask = Callable[[str, Sequence[Doc]], Iterable[Row]]
"""Asks about some docs of a task."""


@dataclass
class _Task:
    """A task while it is looked at.

    Attributes:
        docs: all of them, in the order in which they are asked; ``asked`` so many.
        pairs: those that were, with the baseline's.
    """

    name: str
    metric: str
    margin: float
    docs: Sequence[Doc]
    baseline: Mapping[str, ScoredDoc]
    asked: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def next_docs(self, share: float) -> Sequence[Doc]:
        """Those that are asked until the next look."""
        upto = math.ceil(share * len(self.docs))
        chosen, self.asked = self.docs[self.asked : upto], upto
        return chosen

    def add(self, row: Row) -> bool:
        """Pair a doc; ``False`` if the baseline was asked something else about it."""
        before = self.baseline.get(row.doc_id)
        if before is None or before.request_digest != row.request_digest:
            return False
        after = replace(before, scores=row.scores, unscored=row.unscored)
        self.pairs.append((before, after))
        return True

    def counts(self) -> Accuracy:
        """The counts so far."""
        return accuracy(self.name, self.metric, self.pairs, self.margin)


@dataclass(frozen=True)
class Asked:
    """The baseline's tasks as this model is asked them.

    Attributes:
        record: the model's run, without results.
        opened: by name.
        others: by name, who else is asked, as in `harness.records.TaskResult`.
        ask: asks about some docs of a task.
    """

    record: Run
    opened: Mapping[str, OpenTask]
    others: Mapping[str, Mapping[str, str]]
    ask: Ask


def decide_in_looks(
    base: StoredRun,
    asked: Asked,
    policy: Policy,
    tell: Callable[[str], None],
    elsewhere: Elsewhere,
) -> Outcome:
    """Ask until the verdict is sure, or all docs are in.

    Args:
        base: the baseline.
        asked: the model, and the tasks.
        policy: what is tolerated.
        tell: takes a line for the user at each look.
        elsewhere: what else was measured of the model, for limits.

    Raises:
        IncomparableRuns: the baseline was asked something else.
        UsageError: the policy names what the baseline does not have, or asks for what takes all
            docs of a run; nothing can be looked at; or no margin could be shown with so few docs.
        RecordError: the baseline's rows are damaged, or no doc was scored on both sides.
    """
    model = asked.record
    names = base.run.model.name, model.model.name
    check_policy(base.run, model, policy, elsewhere)
    _check_early(base.run, policy)
    tasks, notes = _prepared(base, asked, policy)
    if not tasks:
        raise UsageError(f"nothing can be looked at early: {'; '.join(notes)}")
    if is_same_model(base.run, model):
        return outcome("same model", base.run, model, names, policy)
    ids = {task.name: task.baseline.keys() for task in tasks}
    once = counted_once(ids, base.run, ids.__getitem__)
    total = sum(len(task.docs) for task in tasks)
    check_margin(sum(len(task.docs) for task in tasks if task.name in once), policy)
    limits = tuple(limits_of(base.run, model, policy, elsewhere))
    found = outcome("underpowered", base.run, model, names, policy)
    for share, level in zip(SHARES, levels_of_looks(policy.alpha, len(tasks), SHARES), strict=True):
        for task in tasks:
            alike = [task.add(row) for row in asked.ask(task.name, task.next_docs(share))]
            if not all(alike):
                unlike = f"{task.name}: {alike.count(False):,} of {len(alike):,} docs or prompts"
                raise IncomparableRuns(*names, [f"{unlike} are not the baseline's"])
        counts = [task.counts() for task in tasks]
        if silent := [each.task for each in counts if each.unscored == each.docs]:
            if share == SHARES[-1]:
                raise RecordError(f"{', '.join(silent)}: no doc was scored on both sides")
            continue
        pooled, drops = held(counts, policy, level, once)
        said, so_far = verdict(pooled, drops, limits), sum(task.asked for task in tasks)
        tell(f"{so_far:,} of {total:,} docs: {said if said != 'underpowered' else 'not sure yet'}")
        found = replace(
            found,
            verdict=said,
            pooled=pooled,
            tasks=tuple(drops),
            limits=limits,
            asked=so_far / total,
            notes=(*notes, *unscored_notes(counts)),
        )
        if said != "underpowered":
            break
    return found


def _check_early(base: Run, policy: Policy) -> None:
    """Refuse what cannot be tested before a whole run is in."""
    late = [f"{task} {metric}" for task, metric in policy.limits]
    late += [cost for cost in policy.costs if cost == "peak memory"]
    for task, of_task in policy.tasks.items():
        metric = of_task.metric or base.results[task].primary
        early = is_accuracy(metric, base.results[task].estimates[metric])
        if of_task.margin is not None and not (early and of_task.margin.unit == "proportion"):
            late.append(task)
    if late:
        raise UsageError(
            f"the policy bounds {', '.join(late)}, which only a whole run tells: gate that "
            "instead, without --sequential"
        )


def _prepared(base: StoredRun, asked: Asked, policy: Policy) -> tuple[list[_Task], list[str]]:
    """The tasks that can be looked at early, and why others cannot."""
    tasks: list[_Task] = []
    notes: list[str] = []
    for name, result in base.run.results.items():
        of_task = policy.tasks.get(name, TaskPolicy())
        metric = of_task.metric or result.primary
        if not is_accuracy(metric, result.estimates[metric]):
            notes.append(f"{name} is not looked at: {metric} is no share of right answers")
            continue
        _check_work(base.run, result, asked)
        margin = of_task.margin or policy.task
        check_unit(name, metric, margin, "proportion")
        docs = list(asked.opened[name].docs)
        random.Random(f"{SEED} {name}").shuffle(docs)
        baseline = {doc.doc_id: doc for doc in base.folder.rows_as(name, ScoredDoc)}
        tasks.append(_Task(name, metric, margin.value, docs, baseline))
    return tasks, notes


def _check_work(base: Run, result: TaskResult, asked: Asked) -> None:
    """Raise IncomparableRuns where the baseline's task is not what this model is asked."""
    name, names = result.task, (base.model.name, asked.record.model.name)
    task = asked.opened.get(name)
    if task is None:
        raise IncomparableRuns(*names, [f"{name}: {names[1]} cannot be asked it"])
    on_samples = any(data.origin == "samples" for data in task.data)
    found = [
        f"{name}: {what}: {then} of the baseline, {now} now"
        for what, then, now in (
            ("version", result.version, task.version),
            ("examples in the prompt", result.num_fewshot, task.num_fewshot),
            ("docs", result.docs, len(task.docs)),
            ("asked on the samples", result.on_samples, on_samples),
            ("others who are asked", dict(result.others), dict(asked.others.get(name, {}))),
            ("chat template", base.model.chat_template, asked.record.model.chat_template),
        )
        if then != now
    ]
    if found:
        raise IncomparableRuns(*names, found)
