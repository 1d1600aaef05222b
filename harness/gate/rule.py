"""The rule of the gate, over counts: which drop is surely too large, which is surely small enough.

A drop is "base minus model", in the share of docs that are right. Everything here broadcasts: the
same functions decide one run and, in the test suite, a hundred thousand simulated ones.

- A task *fails* if its drop is surely beyond its margin, at alpha / (2 T) one-sided for T tasks.
- The pool of all docs *fails* if its drop is surely beyond the pooled margin, at alpha / 2. So a
  model whose every drop lies within its margin fails with a probability of alpha at most.
- The run *passes* if the pooled drop is surely within the pooled margin, at alpha, and nothing
  fails.

Every test is Tango's score test of "the drop is exactly the margin" (see `harness.paired`). The
plain rule that many pipelines use, "any task drops by more than a point", has no such promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from harness.gate.spending import boundaries
from harness.paired import LEAST_DESIGN_EFFECT, LEAST_FREEDOM, tango_statistic

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
POWER = 0.8


@dataclass(frozen=True)
class Counts:
    """Docs by task, on the last axis: how many, how many rose to right, how many fell to wrong."""

    gained: Floats
    lost: Floats
    docs: Floats

    def pooled(self, effects: ArrayLike = 1.0) -> Counts:
        """All docs as one sample, stratified by task (see `harness.paired.design_effect`).

        Where docs are too few to tell what the strata take away, or none changed, the effect is
        that of the passages alone.

        Args:
            effects: of passages that a task's docs share, one per task.
        """
        gained, lost, docs = (each.sum(axis=-1) for each in (self.gained, self.lost, self.docs))
        of_passages = np.asarray(effects) * self.docs
        within = (of_passages * _variance(self)).sum(axis=-1)
        whole = docs * _variance(Counts(gained, lost, docs))
        freedom = docs - self.docs.shape[-1]
        told = (whole > 0) & (self.docs >= 2).all(axis=-1) & (freedom >= LEAST_FREEDOM)
        with np.errstate(divide="ignore", invalid="ignore"):
            stratified = np.maximum(LEAST_DESIGN_EFFECT, within / whole)
            effect = np.where(told, stratified, of_passages.sum(axis=-1) / docs)
        return Counts(gained / effect, lost / effect, docs / effect)


@dataclass(frozen=True)
class Levels:
    """How far beyond a margin is sure, in standard errors: one look at the end, or one of several.

    Attributes:
        pooled: for "the pool is beyond its margin"; ``task`` for "a task is beyond its own".
        holds: for "it is within".
    """

    pooled: float
    task: float
    holds: float


def levels(alpha: float, tasks: int) -> Levels:
    """A single look: alpha / 2, alpha / (2 T) and alpha, one-sided."""
    pooled, task, holds = (-float(ndtri(each)) for each in (alpha / 2, alpha / 2 / tasks, alpha))
    return Levels(pooled, task, holds)


def levels_of_looks(alpha: float, tasks: int, shares: Sequence[float]) -> list[Levels]:
    """One Levels per look, whose tests together keep to the same alphas (`harness.gate.spending`).

    Args:
        alpha: as of a single look.
        tasks: how many are tested.
        shares: of the docs that are in at each look.
    """
    columns = (boundaries(each, shares) for each in (alpha / 2, alpha / 2 / tasks, alpha))
    return [Levels(*each) for each in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Ruling:
    """What the rule says of each run: arrays without the axis of tasks, but for ``tasks_fail``.

    Attributes:
        pooled_fails, tasks_fail: a drop that is surely beyond its margin.
        tasks_hold: a task's drop that is surely within its margin, at alpha.
        passes: the pooled drop is surely within its margin, and nothing fails.
    """

    pooled_fails: Bools
    tasks_fail: Bools
    tasks_hold: Bools
    passes: Bools

    @property
    def fails(self) -> Bools:
        """Whether anything fails."""
        return np.asarray(self.pooled_fails | self.tasks_fail.any(axis=-1))


def rule(counts: Counts, pooled_margin: float, margins: ArrayLike, level: Levels) -> Ruling:
    """Apply the rule.

    Args:
        counts: of paired docs, tasks on the last axis.
        pooled_margin: the drop over all docs that is tolerated, as a share.
        margins: the same for each task.
        level: how sure is sure.
    """
    pooled = counts.pooled()
    tasks_fail = beyond(counts, margins, level.task)
    pooled_fails = beyond(pooled, pooled_margin, level.pooled)
    holds = within(pooled, pooled_margin, level.holds)
    return Ruling(
        pooled_fails=pooled_fails,
        tasks_fail=tasks_fail,
        tasks_hold=within(counts, margins, level.holds),
        passes=np.asarray(holds & ~pooled_fails & ~tasks_fail.any(axis=-1)),
    )


def beyond(counts: Counts, margin: ArrayLike, z: float) -> Bools:
    """Whether the drop is larger than the margin by more than z standard errors."""
    return np.asarray(_statistic(counts, margin) < -z)


def within(counts: Counts, margin: ArrayLike, z: float) -> Bools:
    """Whether the drop is smaller than the margin by more than z standard errors."""
    return np.asarray(_statistic(counts, margin) > z)


def least_margin(docs: float, alpha: float) -> float:
    """The smallest margin that so many docs can show to hold, if every answer is the same.

    z^2 / (n + z^2): Tango's bound where no doc changed.
    """
    square = float(ndtri(alpha)) ** 2
    return square / (docs + square)


def docs_to_pass(margin: float, discordance: float, z: float) -> int:
    """Docs with which a model that drops nothing passes four times in five.

    n = d ((z + z_0.8) / margin)^2 for a share d of docs that change, either way, and a test at z;
    and never fewer than `least_margin` asks for.
    """
    by_spread = discordance * ((z + float(ndtri(POWER))) / margin) ** 2
    return math.ceil(max(by_spread, z**2 * (1 - margin) / margin))


def docs_to_settle(
    drop: float, margin: float, discordance: float, fail_z: float, hold_z: float
) -> int | None:
    """Docs with which the verdict falls if drop and discordance stay as they were seen.

    ``None`` where the drop is the margin itself: no number of docs tells on which side it lies.
    """
    distance = margin - drop
    if distance == 0:
        return None
    z = hold_z if distance > 0 else fail_z
    return math.ceil(max(discordance - drop**2, 0.0) * (z / distance) ** 2)


def visible_drop(docs: float, discordance: float, margin: float, alpha: float) -> float:
    """The true pooled drop that fails four times in five, at a discordance.

    margin + (z_{alpha/2} + z_0.8) sqrt(d / n).
    """
    z = -float(ndtri(alpha / 2)) + float(ndtri(POWER))
    return margin + z * math.sqrt(discordance / docs)


def _statistic(counts: Counts, margin: ArrayLike) -> Floats:
    return tango_statistic(counts.gained, counts.lost, counts.docs, -np.asarray(margin))


def _variance(counts: Counts) -> Floats:
    """The sample's variance of the docs' changes, which are -1, 0 and 1; of one doc it is 0."""
    mean = (counts.gained - counts.lost) / counts.docs
    spread = (counts.gained + counts.lost) / counts.docs - mean**2
    return np.asarray(spread * counts.docs / np.maximum(counts.docs - 1, 1), dtype=np.float64)
