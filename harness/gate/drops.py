"""How far a metric fell, against its margin: surely beyond it, surely within, or open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, stdtrit

from harness.difference import Difference
from harness.errors import RecordError
from harness.gate.policy import Margin
from harness.gate.rule import Counts, beyond, docs_to_pass, docs_to_settle, within
from harness.paired import design_effect, tango_interval
from harness.pairing import Pair, clusters_of

State = Literal["fails", "holds", "open"]


@dataclass(frozen=True)
class Drop:
    """How far a metric fell from the baseline, against its margin.

    Attributes:
        unit: as in `harness.types.Estimate`.
        drop: positive where the model is worse.
        low, high: between these it lies, each end at the level of its own test; ``None`` where
            there is no standard error, so that nothing is sure.
        margin: what is tolerated.
        state: surely beyond it, surely within, or neither.
        docs: docs that count; ``changed``: those whose answer changed.
        docs_needed: how many would settle it, ``None`` where that cannot be said.
        effect: of strata and shared passages on its variance (see `harness.paired.design_effect`).
    """

    task: str
    metric: str
    unit: str
    base: float | None
    model: float | None
    drop: float
    low: float | None
    high: float | None
    margin: float
    state: State
    docs: int
    changed: int | None
    docs_needed: int | None
    effect: float = 1.0


@dataclass(frozen=True)
class Accuracy:
    """A task's share of docs, or that of all: how many docs changed, which way.

    Attributes:
        base, model: the shares, of right docs or, where lower is better, of wrong ones.
        gained, lost: docs that turned right, and wrong.
        unscored: docs that the baseline scored and the model could not be scored on.
        effect: of passages that docs share (see `harness.paired.design_effect`); the counts divided
            by it are what is tested.
    """

    task: str
    metric: str
    base: float
    model: float
    gained: int
    lost: int
    docs: int
    margin: float
    unscored: int = 0
    effect: float = 1.0
    higher_is_better: bool = True

    @property
    def counts(self) -> Counts:
        """What is tested: the docs as if each had been drawn alone."""
        seen = (self.gained, self.lost, self.docs)
        return Counts(*(np.array(each / self.effect) for each in seen))


def accuracy(
    task: str, metric: str, pairs: Iterable[Pair], margin: float, higher_is_better: bool = True
) -> Accuracy:
    """Count the docs that the baseline scored.

    One that it has right and the model could not be scored on, because its answer was no number or
    it gave none, is lost: a model does not pass by not answering.

    Args:
        task: its name.
        metric: of zeros and ones.
        pairs: docs of the baseline and of the model.
        margin: the drop that is tolerated.
        higher_is_better: whether 1 stands for right, or 0 does.
    """
    wanted = float(higher_is_better)
    right = gained = lost = docs = unscored = 0
    counted: list[Pair] = []
    changes: list[float] = []
    for base, model in pairs:
        if (before := base.scores.get(metric)) is None:
            continue
        after = model.scores.get(metric)
        docs += 1
        unscored += after is None
        right += before == wanted
        gained += before != wanted and after == wanted
        lost += before == wanted and after != wanted
        counted.append((base, model))
        changes.append(float((after == wanted) - (before == wanted)))
    clusters = clusters_of(counted)
    rights = right, right + gained - lost
    of_base, of_model = (
        (each if higher_is_better else docs - each) / max(1, docs) for each in rights
    )
    return Accuracy(
        task=task,
        metric=metric,
        base=of_base,
        model=of_model,
        gained=gained,
        lost=lost,
        docs=docs,
        margin=margin,
        unscored=unscored,
        effect=design_effect(np.array(changes), clusters=clusters) if clusters else 1.0,
        higher_is_better=higher_is_better,
    )


def accuracy_drop(
    task: Accuracy, fail_z: float, hold_z: float, counts: Counts | None = None
) -> Drop:
    """Hold a share of docs against its margin.

    Args:
        task: its counts.
        fail_z: standard errors from which on it is surely beyond its margin.
        hold_z: the same of "within".
        counts: the counts that are tested, where docs are stratified.
    """
    if counts is None:
        counts = task.counts
    numbers = float(counts.gained), float(counts.lost), float(counts.docs)
    state: State = "open"
    if beyond(counts, task.margin, fail_z):
        state = "fails"
    elif within(counts, task.margin, hold_z):
        state = "holds"
    # The ends of the drop are those of the difference with their signs turned.
    high, low = (
        tango_interval(*numbers, confidence=2 * float(ndtr(z)) - 1)[side]
        for side, z in ((0, hold_z), (1, fail_z))
    )
    drop = task.base - task.model if task.higher_is_better else task.model - task.base
    discordance = (task.gained + task.lost) / task.docs
    return Drop(
        task=task.task,
        metric=task.metric,
        unit="proportion",
        base=task.base,
        model=task.model,
        drop=drop,
        low=-low if low is not None else -1.0,
        high=-high if high is not None else 1.0,
        margin=task.margin,
        state=state,
        docs=task.docs,
        changed=task.gained + task.lost,
        docs_needed=_needed(drop, task.margin, discordance * task.effect, fail_z, hold_z, task.docs)
        if state == "open"
        else None,
        effect=task.docs / numbers[2],
    )


def mean_drop(difference: Difference, margin: Margin, fail_z: float, hold_z: float) -> Drop:
    """Any other metric: Student's t, with the standard error of the difference's own test."""
    delta = difference.delta
    value, stderr = delta.value, delta.stderr
    if value is None or difference.base is None or difference.model is None:
        raise RecordError(
            f"{difference.task}: {difference.metric} cannot be held against its margin "
            f"({difference.test}); bound the model's own figure under limits instead "
            f"('{difference.task} {difference.metric}: ...')"
        )
    drop = -value if delta.higher_is_better else value
    low = high = needed = None
    # Without a spread nothing is sure, but that equal values are equal.
    state: State = "holds" if drop == 0 else "open"
    if stderr:
        freedom = max(1, difference.freedom)
        reach = [float(stdtrit(freedom, ndtr(z))) * stderr for z in (fail_z, hold_z)]
        low, high = drop - reach[0], drop + reach[1]
        state = "fails" if low > margin.value else "holds" if high < margin.value else "open"
        if state == "open" and drop != margin.value:
            of_side = reach[1] if drop < margin.value else reach[0]
            wanted = math.ceil(delta.n * (of_side / (margin.value - drop)) ** 2)
            needed = max(delta.n + 1, wanted)
    return Drop(
        task=difference.task,
        metric=difference.metric,
        unit=delta.unit,
        base=difference.base,
        model=difference.model,
        drop=drop,
        low=low,
        high=high,
        margin=margin.value,
        state=state,
        docs=delta.n,
        changed=None,
        docs_needed=needed,
    )


def _needed(
    drop: float, margin: float, discordance: float, fail_z: float, hold_z: float, docs: int
) -> int | None:
    """Docs that would settle an open test.

    Those with which an unchanged model passes; where so many were asked already, those that settle
    it if the drop stays as it is.
    """
    needed = docs_to_pass(margin, discordance, hold_z)
    if needed > docs:
        return needed
    wanted = docs_to_settle(drop, margin, discordance, fail_z, hold_z)
    return None if wanted is None else max(docs + 1, wanted)
