"""Which docs of a run to look at: the worst, those that were wrong, those that another run answered
otherwise.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.errors import IncomparableRuns
from harness.pairing import pair_docs
from harness.records import Row, Run, TaskResult
from harness.report.docs import verdict
from harness.report.per_doc import DocMetric, ScoredDoc, doc_metric
from harness.run_folder import RunFolder


@dataclass(frozen=True)
class Other:
    """A run whose answers are held against another's."""

    run: Run
    folder: RunFolder


@dataclass(frozen=True)
class Wanted:
    """What docs are sought.

    Attributes:
        docs: how many at most.
        wrong: only those that were answered wrong.
        worst: the metric by which the worst come first, else ``None``.
        other: only docs on which this run disagrees, else ``None``.
    """

    docs: int
    wrong: bool = False
    worst: str | None = None
    other: Other | None = None


@dataclass(frozen=True)
class Picked:
    """A doc that was sought.

    Attributes:
        row: of this run.
        other: of the other run, where one was named.
    """

    row: Row
    other: Row | None = None


@dataclass(frozen=True)
class Pick:
    """The docs that were sought, in the order to read them.

    Attributes:
        metric: what they were chosen or ordered by.
        found: how many docs there are of the kind; ``docs`` may be fewer.
        left_out: docs without a value of the metric, on one side or both.
    """

    docs: tuple[Picked, ...]
    metric: DocMetric
    found: int
    left_out: int


def pick(run: Run, folder: RunFolder, result: TaskResult, wanted: Wanted) -> Pick:
    """Choose docs of a task.

    Docs disagree in a metric of zeros and ones where one is right and the other wrong, in another
    one where their values differ. The metric is that of ``worst``, else the task's primary one.
    By ``worst`` the worst of this run come first; else, of a metric of zeros and ones, docs come in
    the task's order, of another one the largest differences first.

    Raises:
        UnknownName, UsageError: the metric is not one that docs have.
        IncomparableRuns: the other run was asked other things.
        RecordError: rows are missing or damaged.
    """
    docs = list(folder.rows_as(result.task, ScoredDoc))
    metric = doc_metric(wanted.worst, result, docs)
    values = {doc.doc_id: metric.value(doc) for doc in docs}
    others = None
    if wanted.other is not None:
        others = _other_values(Other(run, folder), wanted.other, result.task, metric)
    scored = [
        doc
        for doc in docs
        if values[doc.doc_id] is not None and (others is None or others.get(doc.doc_id) is not None)
    ]
    sought = [doc for doc in scored if not wanted.wrong or verdict(doc, result) == "wrong"]
    mine = {doc.doc_id: value for doc in sought if (value := values[doc.doc_id]) is not None}
    theirs = {name: value for name in mine if (value := (others or {}).get(name)) is not None}
    if others is not None:
        sought = [doc for doc in sought if mine[doc.doc_id] != theirs[doc.doc_id]]
    zero_or_one = {*mine.values(), *theirs.values()} <= {0.0, 1.0}

    def order(doc: ScoredDoc) -> tuple[float, int]:
        if wanted.worst is not None:
            return metric.badness(mine[doc.doc_id]), doc.index
        if zero_or_one or not theirs:
            return 0.0, doc.index
        return -abs(mine[doc.doc_id] - theirs[doc.doc_id]), doc.index

    chosen = [doc.doc_id for doc in heapq.nsmallest(wanted.docs, sought, key=order)]
    rows = rows_of(folder, result.task, chosen)
    beside: Mapping[str, Row] = {}
    if wanted.other is not None:
        beside = rows_of(wanted.other.folder, result.task, chosen)
    return Pick(
        tuple(Picked(rows[name], beside.get(name)) for name in chosen),
        metric,
        len(sought),
        len(docs) - len(scored),
    )


def rows_of(folder: RunFolder, task: str, doc_ids: Iterable[str]) -> dict[str, Row]:
    """Read the rows of some docs; those that the run does not have are left out."""
    sought = set(doc_ids)
    return {row.doc_id: row for row in folder.rows(task) if row.doc_id in sought} if sought else {}


def wrong_rows(folder: RunFolder, result: TaskResult) -> Iterator[Row]:
    """The docs that were answered wrong, in the order of the file."""
    return (row for row in folder.rows(result.task) if verdict(row, result) == "wrong")


def tells_wrong(folder: RunFolder, result: TaskResult) -> bool:
    """Whether the task's primary metric says of docs that they are right or wrong; also where no
    doc was scored.
    """
    graded = False
    for doc in folder.rows_as(result.task, ScoredDoc):
        said = verdict(doc, result)
        if said in ("right", "wrong"):
            return True
        graded = graded or said == "scored"
    return not graded


def _other_values(
    this: Other, other: Other, task: str, metric: DocMetric
) -> dict[str, float | None]:
    """The metric of each doc of the other run, once both are known to have been asked the same."""
    _, unlike = pair_docs(other.folder, this.folder, task)
    if unlike:
        raise IncomparableRuns(other.run.id, this.run.id, unlike)
    return {doc.doc_id: metric.value(doc) for doc in other.folder.rows_as(task, ScoredDoc)}
