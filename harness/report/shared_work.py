"""Which models of a leaderboard share which work, and their score over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from harness.metrics.metric import is_ordered
from harness.report.board import Cell, Column, ModelRow, Section
from harness.same_work import asked_twice


@dataclass(frozen=True)
class Group:
    """Models that share work: places in the section's rows and columns."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


def shared_work(section: Section, left_out: Collection[int] = ()) -> Group | None:
    """The group of more than half of the models that shares the most results.

    It is looked for among what any two models share, and what all models of a column share.

    Args:
        section: its results.
        left_out: rows that count as having no results.
    """
    ordered = [place for place, each in enumerate(section.columns) if is_ordered(each.metric)]
    has = {
        line: frozenset(
            place for place in ordered if line not in left_out and counts(row.cells[place])
        )
        for line, row in enumerate(section.rows)
    }
    models = len({row.weights_id for row in section.rows})
    sets = set(has.values())
    shared = {one & other for one in sets for other in sets}
    for place in range(len(section.columns)):
        if of_column := [own for own in sets if place in own]:
            shared.add(frozenset.intersection(*of_column))
    groups = []
    for columns in sorted(shared, key=sorted):
        rows = tuple(line for line, own in has.items() if columns and columns <= own)
        if len(rows) >= 2 and 2 * len(rows) > models:
            groups.append(Group(rows, _fullest(section.columns, columns)))
    return max(groups, key=lambda g: (len(g.rows) * len(g.columns), len(g.rows)), default=None)


def measured_by(
    section: Section, group: Group, docs: Callable[[int], Collection[str]]
) -> tuple[int, ...]:
    """The columns over which the score is; none where there is no one figure. Of tasks that ask the
    same questions in two ways the first counts.

    Args:
        section: its results.
        group: the models, and the columns that they share.
        docs: the ids of a column's docs.
    """
    accuracy = {
        str(place): section.columns[place].data
        for place in group.columns
        if is_accuracy(section.columns[place])
    }
    twice = asked_twice(accuracy, lambda place: docs(int(place)))
    once = tuple(int(place) for place in accuracy if place not in twice)
    return once or (group.columns if len(group.columns) == 1 else ())


def leading(section: Section, group: Group, measured: Sequence[int]) -> int:
    """The row with the highest score; of equals the smallest."""
    sign = 1 if section.columns[measured[0]].higher_is_better else -1

    def order(line: int) -> tuple[float, int]:
        row = section.rows[line]
        return sign * score(section, row, measured), -row.costs.disk_bytes

    return max(group.rows, key=order)


def score(section: Section, row: ModelRow, measured: Sequence[int]) -> float:
    """A model's score: every doc of the columns counted once."""
    docs = [section.columns[place].docs for place in measured]
    return sum(n * _value(row.cells[place]) for n, place in zip(docs, measured, strict=True)) / sum(
        docs
    )


def _fullest(columns: Sequence[Column], places: Collection[int]) -> tuple[int, ...]:
    """For each task the column of most docs: the docs of another one may be among them."""
    best: dict[str, int] = {}
    for place in sorted(places):
        task = columns[place].task
        if task not in best or columns[place].docs > columns[best[task]].docs:
            best[task] = place
    return tuple(sorted(best.values()))


def counts(cell: Cell | None) -> bool:
    """Whether a result can be compared: it has a figure, and every doc a score."""
    if cell is None or cell.unscored or cell.estimate is None:
        return False
    return cell.estimate.value is not None and math.isfinite(cell.estimate.value)


def is_accuracy(column: Column) -> bool:
    """Whether its figure is the share of right docs; a macro average weighs docs unequally."""
    macro = column.metric.endswith("_macro")
    return column.unit == "proportion" and column.higher_is_better and not macro


def _value(cell: Cell | None) -> float:
    value = cell.estimate.value if cell is not None and cell.estimate is not None else None
    assert value is not None
    return value
