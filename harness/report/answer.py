"""Which model of a leaderboard to ship, and how sure that is.

The rule, in order; nothing is claimed beyond it:

1. Models are held against each other on shared work only: of the groups of more than half of the
   models, the one that holds the most results, a task counted once, by its fullest column. Results
   with unscored docs do not count, nor do scores whose aim lies between two ends; weights that
   stand in two rows are one model. Who was not compared is said, and never beaten by words.
2. The score is the share of right docs over the group's accuracy tasks, every doc counted once; of
   a single task that has none, its own figure. Several tasks without accuracy have no score.
3. Every other model is held against the one with the highest score, paired doc by doc. Where it
   stands says `standing`. "Behind" is a claim of a difference, so its p is adjusted for all pairs
   of the models: the leader was chosen by looking. "Level" claims that nothing was seen, so any
   sign of a loss, unadjusted, is enough to deny it; it is told as what seems. That a model is
   better than the leader on a task is adjusted for all tasks of all others.
4. A smaller or faster model is named beside the leader only if it is level with it, or, where no
   such one is, if it is level overall and what it is worse on is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from harness.difference import ALPHA, Difference
from harness.paired import holm
from harness.report.board import Answer, ModelRow, Rival, Section, Standing
from harness.report.paired_docs import PairedDocs, Place
from harness.report.shared_work import (
    Group,
    counts,
    is_accuracy,
    leading,
    measured_by,
    score,
    shared_work,
)

SMALLER, FASTER = 0.95, 1.05
"""A model counts as smaller or faster from a difference of five percent on."""

_ALONE = "There is nothing to hold the only model against."
_NOTHING_SHARED = (
    "No task was asked of more than half of the models in the same way, and scored in full."
)
_NOTHING_RIGHT = "No model answered anything right."
_HAS_NO_DOCS = "its docs are not here, or not whole"
_UNTESTABLE = "its difference cannot be tested"
_UNSCORED = "docs without a score"
_OTHER_WORK = "other work"
_NO_SCORE = "The tasks that the models share have no right and wrong answers to add up."


@dataclass(frozen=True)
class Against:
    """One model against the leader, model minus leader.

    Attributes:
        row: its place.
        overall: of the score.
        tasks: of each column's own metric, by the column's place.
    """

    row: int
    overall: Difference
    tasks: Mapping[int, Difference]


def with_answer(section: Section, docs: PairedDocs) -> Section:
    """Add the answer, or why there is none; nothing to a section without models."""
    if not section.rows:
        return section
    left_out = _aliases(section)
    if len(section.rows) - len(left_out) == 1:
        return replace(section, answer=Answer(why=_ALONE))
    while True:
        group = shared_work(section, left_out)
        if group is None:
            return replace(section, answer=Answer(why=_why_none(section, left_out)))
        measured = measured_by(section, group, partial(_ids, section, group, docs))
        if not measured:
            return replace(section, answer=_unmeasured(section, group, left_out))
        leader = leading(section, group, measured)
        if is_accuracy(section.columns[measured[0]]) and not score(
            section, section.rows[leader], measured
        ):
            return replace(section, answer=Answer(why=_NOTHING_RIGHT))
        rivals = []
        for row in group.rows:
            if row == leader:
                continue
            found = _against(section, group, measured, (leader, row), docs)
            if isinstance(found, str):
                unread = not _readable(section, group, leader, docs)
                left_out[leader if unread else row] = _HAS_NO_DOCS if unread else found
                break
            rivals.append(found)
        else:
            answer = decided(section, group, measured, leader, rivals)
            return replace(section, answer=_with_others(section, group, answer, left_out))


def standing(overall: Difference, p_holm: float | None, worse_on: Sequence[str]) -> Standing:
    """Where a model stands beside the leader.

    ``behind``: surely worse, by the adjusted p. ``doubtful``: its interval lies on the worse side,
    but it is not sure. ``mixed``: level over all, worse on a task by that task's own interval.
    ``level``: no sign of a difference.
    """
    if _side(overall) < 0:
        return "behind" if p_holm is not None and p_holm < ALPHA else "doubtful"
    return "mixed" if worse_on else "level"


def decided(
    section: Section,
    group: Group,
    measured: Sequence[int],
    leader: int,
    against: Sequence[Against],
) -> Answer:
    """The answer, once every other model of the group was held against the leader."""
    models = len(group.rows)
    # The pairs without the leader were not compared: p = 1 for them keeps Holm's promise.
    others = [1.0] * (models * (models - 1) // 2 - len(against))
    tested = [each for each in against if each.overall.p is not None]
    adjusted = holm([*(each.overall.p or 0.0 for each in tested), *others])
    p_holm = {each.row: p for each, p in zip(tested, adjusted, strict=False)}
    sign = 1 if against[0].overall.delta.higher_is_better else -1
    ordered = sorted(against, key=lambda each: -sign * (each.overall.delta.value or 0.0))
    better = _surely_better(against)
    column = section.columns[measured[0]]
    rivals = [_rival(section, each, p_holm.get(each.row), better, column.unit) for each in ordered]
    by_label = {row.label: row for row in section.rows}
    first = section.rows[leader]
    return Answer(
        columns=_labels(section, group.columns),
        measured=_labels(section, measured),
        docs=sum(section.columns[place].docs for place in measured),
        leader=first.label,
        score=score(section, first, measured),
        metric="" if is_accuracy(column) else column.metric,
        unit=column.unit,
        higher_is_better=column.higher_is_better,
        rivals=tuple(rivals),
        smaller=_smaller(first, rivals, by_label),
        faster=_faster(first, rivals, by_label),
    )


def _surely_better(against: Sequence[Against]) -> set[tuple[int, int]]:
    """The rows and columns in which a model is better than the leader, adjusted for all of them."""
    tested = {
        (each.row, place): own
        for each in against
        for place, own in each.tasks.items()
        if own.p is not None
    }
    adjusted = holm([own.p or 0.0 for own in tested.values()])
    return {
        at
        for (at, own), p in zip(tested.items(), adjusted, strict=True)
        if p < ALPHA and _side(own) > 0
    }


def _rival(
    section: Section,
    each: Against,
    p_holm: float | None,
    better: Collection[tuple[int, int]],
    unit: str,
) -> Rival:
    labels = {place: section.columns[place].label for place in each.tasks}
    worse_on = [labels[place] for place, own in each.tasks.items() if _side(own) < 0]
    better_on = [labels[place] for place in each.tasks if (each.row, place) in better]
    return Rival(
        label=section.rows[each.row].label,
        # A pair whose values all happen to be 0 or 1 was compared as proportions.
        delta=replace(each.overall.delta, unit=unit),
        p=each.overall.p,
        p_holm=p_holm,
        standing=standing(each.overall, p_holm, worse_on),
        worse_on=tuple(worse_on),
        better_on=tuple(better_on),
        visible=each.overall.visible,
    )


def _smaller(leader: ModelRow, rivals: Sequence[Rival], rows: Mapping[str, ModelRow]) -> str | None:
    small = [
        each.label
        for each in rivals
        if 0 < rows[each.label].costs.disk_bytes <= SMALLER * leader.costs.disk_bytes
    ]
    best = _level_first(rivals, small)
    return min(best, key=lambda label: rows[label].costs.disk_bytes, default=None)


def _faster(leader: ModelRow, rivals: Sequence[Rival], rows: Mapping[str, ModelRow]) -> str | None:
    own = leader.costs.decode
    if own is None:
        return None
    speeds = {each.label: rows[each.label].costs.decode or 0.0 for each in rivals}
    fast = [label for label, speed in speeds.items() if speed >= FASTER * own]
    return max(_level_first(rivals, fast), key=lambda label: speeds[label], default=None)


def _level_first(rivals: Sequence[Rival], labels: Collection[str]) -> list[str]:
    """Those of the models that are level with the leader; where none is, those that are mixed."""
    for wanted in ("level", "mixed"):
        found = [e.label for e in rivals if e.standing == wanted and e.label in labels]
        if found:
            return found
    return []


def _against(
    section: Section,
    group: Group,
    measured: Sequence[int],
    rows: tuple[int, int],
    docs: PairedDocs,
) -> Against | str:
    """Hold a row against the leader; in words, why that cannot be done."""
    leader, row = (_places(section, group, line) for line in rows)
    tasks = {}
    for place in group.columns:
        found = docs.difference(leader[place], row[place])
        if found is None:
            return _HAS_NO_DOCS
        tasks[place] = found
    overall: Difference | None = tasks[measured[0]]
    if len(measured) > 1:
        names = {place: section.columns[place].task for place in measured}
        overall, pooled = docs.pooled(
            *({name: side[place] for place, name in names.items()} for side in (leader, row))
        )
        if set(pooled) != set(names.values()):
            return _HAS_NO_DOCS
    if overall is None or overall.delta.value is None:
        return _UNTESTABLE
    # Of equal figures on every doc there is no spread, and nothing to doubt.
    if None in (overall.delta.low, overall.delta.high) and overall.delta.value:
        return _UNTESTABLE
    return Against(rows[1], overall, tasks)


def _unmeasured(section: Section, group: Group, left_out: Mapping[int, str]) -> Answer:
    answer = Answer(columns=_labels(section, group.columns), why=_NO_SCORE)
    return _with_others(section, group, answer, left_out)


def _aliases(section: Section) -> dict[int, str]:
    """The rows whose weights stand in another row too, all but the one with the most results."""
    first: dict[str, int] = {}
    most = sorted(
        range(len(section.rows)), key=lambda line: -sum(map(counts, section.rows[line].cells))
    )
    return {
        line: f"the same weights as {section.rows[own].label}"
        for line in most
        if (own := first.setdefault(section.rows[line].weights_id, line)) != line
    }


def _why_none(section: Section, left_out: Mapping[int, str]) -> str:
    broken = {line: why for line, why in left_out.items() if why in (_HAS_NO_DOCS, _UNTESTABLE)}
    if not broken:
        return _NOTHING_SHARED
    said = "; ".join(f"{section.rows[line].label} ({why})" for line, why in sorted(broken.items()))
    return f"Most of the models cannot be compared: {said}."


def _with_others(
    section: Section, group: Group, answer: Answer, left_out: Mapping[int, str]
) -> Answer:
    """Add who was not compared and why, and who of them has a better figure than the leader's."""
    others = {
        line: left_out.get(line) or _reason(row, group)
        for line, row in enumerate(section.rows)
        if line not in group.rows
    }
    by_label = {row.label: row for row in section.rows}
    best = by_label[answer.leader] if answer.leader is not None else None
    return replace(
        answer,
        left_out={section.rows[line].label: why for line, why in others.items()},
        ahead=tuple(
            section.rows[line].label
            for line in others
            if best is not None and _is_ahead(section, group, section.rows[line], best)
        ),
    )


def _reason(row: ModelRow, group: Group) -> str:
    cells = [row.cells[place] for place in group.columns]
    return _UNSCORED if any(cell and cell.unscored for cell in cells) else _OTHER_WORK


def _is_ahead(section: Section, group: Group, row: ModelRow, leader: ModelRow) -> bool:
    """Whether a row's figure is better than the leader's in any column that the group shares."""
    for place in group.columns:
        sign = 1 if section.columns[place].higher_is_better else -1
        figures = [
            cell.estimate.value if cell is not None and cell.estimate is not None else None
            for cell in (row.cells[place], leader.cells[place])
        ]
        if None not in figures and sign * (figures[0] or 0.0) > sign * (figures[1] or 0.0):
            return True
    return False


def _readable(section: Section, group: Group, row: int, docs: PairedDocs) -> bool:
    return all(map(docs.readable, _places(section, group, row).values()))


def _places(section: Section, group: Group, row: int) -> dict[int, Place]:
    cells = section.rows[row].cells
    found = {}
    for place in group.columns:
        cell = cells[place]
        assert cell is not None
        found[place] = (cell.run_id, section.columns[place].task)
    return found


def _ids(section: Section, group: Group, docs: PairedDocs, place: int) -> Collection[str]:
    """The ids of a column's docs, of the first model of which they are here."""
    of_rows = (docs.ids(_places(section, group, row)[place]) for row in group.rows)
    return next(filter(None, of_rows), ())


def _labels(section: Section, places: Sequence[int]) -> tuple[str, ...]:
    return tuple(section.columns[place].label for place in places)


def _side(difference: Difference) -> int:
    """−1 where the whole interval lies on the worse side, 1 on the better one, else 0. A difference
    without an interval counts by its sign: nobody can say that it is none.
    """
    value = difference.delta.value or 0.0
    low, high = (
        value if end is None else end for end in (difference.delta.low, difference.delta.high)
    )
    if low <= 0 <= high:
        return 0
    return 1 if (low > 0) == difference.delta.higher_is_better else -1
