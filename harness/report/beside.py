"""Which answers of a run's parent stand beside its own: those to the same questions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.records import Row, Run, TaskResult
from harness.report.docs import ShownDoc, shown_doc
from harness.report.ordered_rows import OrderedRows
from harness.report.picking import Other
from harness.report.wording import clean
from harness.same_work import work_differences


@dataclass(frozen=True)
class Beside:
    """What stands beside a task's docs.

    Attributes:
        parent: the parent's name, ``""`` for a root.
        run: the parent's newest complete run that was asked the same, ``None`` where there is none.
        why: why there is none, in words.
    """

    parent: str
    run: Other | None
    why: str = ""


def parents_runs(run: Run, runs: Iterable[Other]) -> Mapping[str, Beside]:
    """Find, for each task of a run, the run of its parent to show beside it.

    Args:
        run: of the model whose page it is.
        runs: all that there are.
    """
    parent = run.model.lineage[-2] if len(run.model.lineage) > 1 else ""
    of_parent = [
        each for each in runs if each.run.model.name == parent and each.run.status == "complete"
    ]
    of_parent.sort(key=lambda each: (each.run.created, each.run.id), reverse=True)
    return {task: _of_task(run, task, parent, of_parent) for task in run.results}


def _of_task(run: Run, task: str, parent: str, runs: Sequence[Other]) -> Beside:
    if not parent:
        return Beside("", None)
    with_rows = [each for each in runs if each.folder.rows_path(task).exists()]
    if not with_rows:
        why = f"The answers of {clean(parent)}, its parent, are not here: no complete run has them."
        return Beside(parent, None, why)
    for each in with_rows:
        if not work_differences(each.run, run, [task]):
            return Beside(parent, each)
    unlike = "; ".join(map(clean, work_differences(with_rows[0].run, run, [task])))
    why = f"The answers of {clean(parent)}, its parent, are to other questions: {unlike}."
    return Beside(parent, None, why)


@contextlib.contextmanager
def answers_beside(
    beside: Beside, result: TaskResult, rows: OrderedRows
) -> Iterator[Callable[[Row], ShownDoc | None]]:
    """Open the parent's rows; none are found if they are damaged.

    Yields:
        What finds the parent's answer to the prompt of one of ``rows``, by the doc's id.
    """
    try:
        theirs = OrderedRows(beside.run.folder, result.task) if beside.run is not None else None
    except RecordError:
        theirs = None
    if theirs is None or beside.run is None:
        yield lambda row: None
        return
    of_parent = beside.run.run.results[result.task]

    def answer(row: Row) -> ShownDoc | None:
        place = theirs.places.get(row.doc_id)
        if place is None or place.request_digest != row.request_digest:
            return None
        try:
            their_row = theirs.row(place)
        except RecordError:
            return None
        return shown_doc(their_row, of_parent, beginning=rows.beginnings.get(row.group, ""))

    with theirs:
        yield answer
