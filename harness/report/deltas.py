"""What each model of a leaderboard changed from its parent, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.difference import Difference, judged
from harness.metrics.metric import is_ordered
from harness.paired import holm
from harness.report.board import Delta, ModelRow, Section
from harness.report.paired_docs import PairedDocs

_At = tuple[int, int]
"""Row and column."""


def with_deltas(section: Section, docs: PairedDocs) -> Section:
    """Put the paired difference from the parent's result of the same column into every cell.

    Verdicts go by p adjusted for all deltas of the section that are better or worse: a bias score
    whose aim lies between its ends changes, and no more is said of it. A cell has no delta where
    its parent has no result in the column, the docs of either are not here, or the difference has
    no interval: figures are never subtracted from each other.
    """
    found = {
        (line, place): (parent, difference)
        for line, row in enumerate(section.rows)
        for place in range(len(section.columns))
        if (parent := _parent(section, row, place, docs)) is not None
        and (difference := _difference(section, (parent, place), (line, place), docs)) is not None
    }
    tested = [
        at
        for at, (_, difference) in found.items()
        if difference.p is not None and is_ordered(section.columns[at[1]].metric)
    ]
    adjusted = holm([found[at][1].p or 0.0 for at in tested])
    deltas = {at: _delta(section, parent, at, each) for at, (parent, each) in found.items()}
    for at, p_holm in zip(tested, adjusted, strict=True):
        parent, difference = found[at]
        deltas[at] = _delta(section, parent, at, judged(difference, p_holm))
    return _filled(section, deltas)


def _parent(section: Section, row: ModelRow, place: int, docs: PairedDocs) -> int | None:
    """The row of the model's parent that has a result in the column; of several, as of two dtypes,
    the one that was run most alike, then the newest.
    """
    if row.cells[place] is None or len(row.lineage) < 2:
        return None

    def fitness(line: int) -> tuple[bool, bool, str]:
        other = section.rows[line]
        cell = other.cells[place]
        created = docs.run(cell.run_id).created if cell is not None else ""
        return other.backend == row.backend, other.dtype == row.dtype, created

    parents = [
        line
        for line, other in enumerate(section.rows)
        if other.name == row.lineage[-2] and other.cells[place] is not None
    ]
    if len({section.rows[line].weights_id for line in parents}) > 1:
        return None  # trained again: a record does not say which weights a model was made from
    return max(parents, key=fitness, default=None)


def _difference(section: Section, base: _At, model: _At, docs: PairedDocs) -> Difference | None:
    first, second = (section.rows[line].cells[place] for line, place in (base, model))
    assert first is not None and second is not None
    task = section.columns[base[1]].task
    found = docs.difference((first.run_id, task), (second.run_id, task))
    if found is None or None in (found.delta.value, found.delta.low, found.delta.high):
        return None
    return found


def _delta(section: Section, parent: int, at: _At, difference: Difference) -> Delta:
    row = section.rows[parent]
    cell = row.cells[at[1]]
    assert cell is not None
    return Delta(
        parent=row.label,
        run_id=cell.run_id,
        estimate=replace(difference.delta, unit=section.columns[at[1]].unit),
        p=difference.p,
        p_holm=difference.p_holm,
        verdict=difference.verdict,
    )


def _filled(section: Section, deltas: Mapping[_At, Delta]) -> Section:
    return replace(
        section,
        rows=tuple(
            replace(
                row,
                cells=tuple(
                    cell if cell is None else replace(cell, delta=deltas.get((line, place)))
                    for place, cell in enumerate(row.cells)
                ),
            )
            for line, row in enumerate(section.rows)
        ),
    )
