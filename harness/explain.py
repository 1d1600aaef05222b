"""Which docs turned between two runs: of which subjects, of which length, and how sharply."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from harness.choices import per_char, statistic_of
from harness.compare import StoredRun
from harness.errors import RecordError, UsageError
from harness.paired import tango_interval
from harness.records import Row
from harness.stats import Interval

LENGTHS = 4
"""Into so many parts of about as many docs each they are cut by the length of their prompts."""


@dataclass(frozen=True)
class Flip:
    """A doc that one side has right and the other wrong.

    Attributes:
        shift: how much the lead of the right choice over the best other one changed, in the
            metric's own scale (nats, or nats a character); ``None`` where there are no choices.
    """

    base: Row
    model: Row
    gained: bool
    shift: float | None


@dataclass(frozen=True)
class Part:
    """Some of a task's docs: those of a subject, or of about one length.

    Attributes:
        change: of the share that is right, with ``interval``, 95%.
    """

    name: str
    docs: int
    gained: int
    lost: int
    change: float
    interval: Interval


@dataclass(frozen=True)
class Explanation:
    """One task.

    Attributes:
        flips: the sharpest first; without choices, in the task's order.
        groups: by group, the most changed first; empty where the task has none.
        lengths: by length of the prompt, the shortest first.
    """

    task: str
    metric: str
    docs: int
    gained: int
    lost: int
    flips: tuple[Flip, ...]
    groups: tuple[Part, ...]
    lengths: tuple[Part, ...]


@dataclass(frozen=True)
class _Doc:
    index: int
    group: str | None
    length: int
    change: int


def is_explained(run: StoredRun, task: str) -> bool:
    """Whether a task's docs are right or wrong."""
    result = run.run.results[task]
    estimate = result.estimates.get(result.primary)
    return estimate is not None and estimate.unit == "proportion"


def explain(base: StoredRun, model: StoredRun, task: str, most: int) -> Explanation:
    """Find the docs of a task that turned.

    Args:
        base: a run.
        model: one of equal work.
        task: one whose docs are right or wrong.
        most: so many of them are kept.

    Raises:
        UsageError: its docs are neither right nor wrong.
        RecordError: rows are missing or damaged.
    """
    if not is_explained(base, task):
        raise UsageError(f"{task}: its docs are neither right nor wrong, so none can turn")
    result = base.run.results[task]
    metric, better = result.primary, result.estimates[result.primary].higher_is_better
    docs: list[_Doc] = []
    flips: list[Flip] = []
    for one, other in _pairs(base, model, task):
        values = [row.scores.get(statistic_of(metric, row.scores)) for row in (one, other)]
        if not all(value in (0, 1) for value in values):
            continue
        first, second = (int(value == (1 if better else 0)) for value in values)
        length = max(map(len, (one.prompt, *one.contexts)))
        docs.append(_Doc(one.index, one.group, length, second - first))
        if first != second:
            flips.append(Flip(one, other, second > first, _shift(one, other, metric)))
    return Explanation(
        task=task,
        metric=metric,
        docs=len(docs),
        gained=sum(doc.change > 0 for doc in docs),
        lost=sum(doc.change < 0 for doc in docs),
        flips=tuple(heapq.nsmallest(most, flips, key=_sharpness)),
        groups=_by_group(docs),
        lengths=_by_length(docs),
    )


def _pairs(base: StoredRun, model: StoredRun, task: str) -> Iterator[tuple[Row, Row]]:
    others = {row.doc_id: row for row in model.folder.rows(task)}
    for row in base.folder.rows(task):
        other = others.get(row.doc_id)
        if other is None or other.request_digest != row.request_digest:
            raise RecordError(f"{task}: the runs were not asked the same about doc {row.doc_id}")
        yield row, other


def _sharpness(flip: Flip) -> tuple[float, int]:
    return -abs(flip.shift or 0.0), flip.base.index


def _shift(base: Row, model: Row, metric: str) -> float | None:
    before, after = _lead(base, metric), _lead(model, metric)
    return None if before is None or after is None else after - before


def _lead(row: Row, metric: str) -> float | None:
    """The right choice's value less that of the best other one."""
    right = [text.strip() == row.target.strip() for text in row.continuations]
    if sum(right) != 1 or len(right) < 2 or len(row.logprobs) != len(right):
        return None
    scaled = statistic_of(metric, row.scores).partition(",")[0] == "acc_norm"
    values = per_char(row.continuations, row.logprobs) if scaled else row.logprobs
    if any(value is None for value in values):
        return None
    known = [value or 0.0 for value in values]
    place = right.index(True)
    return known[place] - max(value for other, value in enumerate(known) if other != place)


def _by_group(docs: Sequence[_Doc]) -> tuple[Part, ...]:
    if all(doc.group is None for doc in docs):
        return ()
    parts: dict[str, list[_Doc]] = {}
    for doc in docs:
        parts.setdefault(doc.group or "", []).append(doc)
    found = [_part(name, of_group) for name, of_group in parts.items()]
    return tuple(sorted(found, key=lambda part: (part.change, part.name)))


def _by_length(docs: Sequence[_Doc]) -> tuple[Part, ...]:
    if not docs:
        return ()
    lengths = np.array([doc.length for doc in docs])
    edges = np.quantile(lengths, np.arange(1, LENGTHS) / LENGTHS)
    places = np.searchsorted(edges, lengths, side="left")
    ordered = sorted(zip(places.tolist(), docs, strict=True), key=lambda each: each[0])
    parts = []
    for _, each in groupby(ordered, key=lambda placed: placed[0]):
        of_length = [doc for _, doc in each]
        shortest, longest = (pick(doc.length for doc in of_length) for pick in (min, max))
        parts.append(_part(f"{shortest:,} to {longest:,} characters", of_length))
    return tuple(parts)


def _part(name: str, docs: Sequence[_Doc]) -> Part:
    gained, lost = (sum(doc.change == sign for doc in docs) for sign in (1, -1))
    return Part(
        name=name,
        docs=len(docs),
        gained=gained,
        lost=lost,
        change=(gained - lost) / len(docs),
        interval=tango_interval(gained, lost, len(docs)),
    )
