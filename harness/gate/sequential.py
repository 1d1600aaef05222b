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
from harness.errors import IncomparableRuns, UsageError
from harness.gate.decide import (
    Outcome,
    check_margin,
    check_policy,
    held,
    is_same_model,
    outcome,
    verdict,
)
from harness.gate.drops import Accuracy
from harness.gate.policy import Policy, TaskPolicy
from harness.gate.rule import levels_of_looks
from harness.open_task import OpenTask
from harness.pairing import ScoredDoc
from harness.records import Row, Run
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
        docs: all of them, in the order in which they are asked.
        gained, lost, right: of the docs that were asked and scored on both sides; ``right`` of the
            baseline.
    """

    name: str
    metric: str
    margin: float
    docs: Sequence[Doc]
    baseline: Mapping[str, ScoredDoc]
    asked: int = 0
    gained: int = 0
    lost: int = 0
    right: int = 0
    scored: int = 0

    def next_docs(self, share: float) -> Sequence[Doc]:
        """Those that are asked until the next look."""
        upto = math.ceil(share * len(self.docs))
        chosen, self.asked = self.docs[self.asked : upto], upto
        return chosen

    def add(self, row: Row) -> bool:
        """Count a doc; ``False`` if the baseline was asked something else about it."""
        before = self.baseline.get(row.doc_id)
        if before is None or before.request_digest != row.request_digest:
            return False
        values = before.scores.get(self.metric), row.scores.get(self.metric)
        if None not in values:
            self.scored += 1
            self.right += values[0] == 1
            self.gained += values == (0, 1)
            self.lost += values == (1, 0)
        return True

    def accuracy(self) -> Accuracy:
        """The counts so far."""
        docs = max(1, self.scored)
        return Accuracy(
            task=self.name,
            metric=self.metric,
            base=self.right / docs,
            model=(self.right + self.gained - self.lost) / docs,
            gained=self.gained,
            lost=self.lost,
            docs=self.scored,
            margin=self.margin,
        )


@dataclass
class _Looks:
    """What is tested, and what is not, in words."""

    tasks: list[_Task] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def decide_in_looks(
    base: StoredRun,
    model: Run,
    opened: Mapping[str, OpenTask],
    ask: Ask,
    policy: Policy,
    tell: Callable[[str], None],
) -> Outcome:
    """Ask until the verdict is sure, or all docs are in.

    Args:
        base: the baseline.
        model: the record of the model that is asked, without results.
        opened: the baseline's tasks, as this model is asked them.
        ask: asks about some docs of a task.
        policy: what is tolerated.
        tell: takes a line for the user at each look.

    Raises:
        IncomparableRuns: the baseline was asked something else.
        UsageError: the policy names what the baseline does not have, nothing can be looked at, or
            no margin could be shown to hold with so few docs.
        RecordError: the baseline's rows are missing or damaged.
    """
    names = base.run.model.name, model.model.name
    check_policy(base.run, policy)
    if is_same_model(base.run, model):
        return outcome("same model", base.run, model, names, policy)
    looks = _prepared(base, opened, policy)
    if not looks.tasks:
        raise UsageError(f"nothing can be looked at early: {'; '.join(looks.notes)}")
    total = sum(len(task.docs) for task in looks.tasks)
    check_margin(total, policy)
    found = outcome("underpowered", base.run, model, names, policy)
    for share, level in zip(
        SHARES, levels_of_looks(policy.alpha, len(looks.tasks), SHARES), strict=True
    ):
        for task in looks.tasks:
            alike = [task.add(row) for row in ask(task.name, task.next_docs(share))]
            if not all(alike):
                unlike = f"{task.name}: {alike.count(False):,} of {len(alike):,} docs or prompts"
                raise IncomparableRuns(*names, [f"{unlike} are not the baseline's"])
        counts = [task.accuracy() for task in looks.tasks]
        if not all(each.docs for each in counts):
            continue
        pooled, drops = held(counts, policy, level)
        said = verdict(pooled, drops, ())
        asked = sum(task.asked for task in looks.tasks)
        tell(f"{asked:,} of {total:,} docs: {said if said != 'underpowered' else 'not sure yet'}")
        found = replace(found, verdict=said, pooled=pooled, tasks=tuple(drops), asked=asked / total)
        if said != "underpowered":
            break
    return replace(found, notes=tuple(looks.notes))


def _prepared(base: StoredRun, opened: Mapping[str, OpenTask], policy: Policy) -> _Looks:
    looks = _Looks()
    for name, result in base.run.results.items():
        of_task = policy.tasks.get(name, TaskPolicy())
        metric = of_task.metric or result.primary
        estimate, task = result.estimates[metric], opened[name]
        if estimate.unit != "proportion" or not estimate.higher_is_better or "_macro" in metric:
            looks.notes.append(f"{name} is not looked at: {metric} is no share of right answers")
            continue
        if (task.version, task.num_fewshot) != (result.version, result.num_fewshot):
            raise IncomparableRuns(
                base.run.model.name,
                "this run",
                [f"{name}: version {result.version} and {result.num_fewshot} shots, is now "
                 f"{task.version} and {task.num_fewshot}"],
            )  # fmt: skip
        docs = list(task.docs)
        random.Random(f"{SEED} {name}").shuffle(docs)
        looks.tasks.append(
            _Task(
                name=name,
                metric=metric,
                margin=(of_task.margin or policy.task).value,
                docs=docs,
                baseline={doc.doc_id: doc for doc in base.folder.rows_as(name, ScoredDoc)},
            )
        )
    return looks
