"""Which model of a leaderboard to ship, and how sure that is.

The rule, in order; nothing is claimed beyond it:

1. Models are held against each other on shared work only: of the groups of more than half of the
   models, the one that holds the most results, a task counted once, by its fullest column. Results
   with unscored docs do not count.
2. The score is the share of right docs over the group's accuracy tasks, every doc counted once; of
   a single task that has none, its own figure. Several tasks without accuracy have no score.
3. Every other model is held against the one with the highest score, paired doc by doc. Where it
   stands says `standing`. "Behind" is a claim of a difference, so its p is adjusted for all pairs
   of the models: the leader was chosen by looking. "Level" claims that nothing was seen, so any
   sign of a loss, unadjusted, is enough to deny it.
4. A smaller or faster model is named beside the leader only if it is level with it, or, where no
   such one is, if it is level overall and what it is worse on is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.difference import ALPHA, Difference
from harness.paired import holm
from harness.report.board import Answer, ModelRow, Rival, Section, Standing
from harness.report.paired_docs import PairedDocs, Place
from harness.report.shared_work import Group, leading, measured_by, score, shared_work

SMALLER, FASTER = 0.95, 1.05
"""A model counts as smaller or faster from a difference of five percent on."""

_ALONE = "There is nothing to hold the only model against."
_NOTHING_SHARED = "No task was asked of more than half of the models in the same way."
_NO_DOCS = "The docs by which most of the models could be compared are not here."
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
    left_out: set[int] = set()
    while True:
        group = shared_work(section, left_out)
        if group is None:
            why = _NO_DOCS if left_out else _NOTHING_SHARED
            return replace(section, answer=Answer(why=_ALONE if len(section.rows) == 1 else why))
        measured = measured_by(section, group)
        if not measured:
            return replace(section, answer=_unmeasured(section, group))
        leader = leading(section, group, measured)
        rivals = []
        for row in group.rows:
            if row == leader:
                continue
            found = _against(section, group, measured, (leader, row), docs)
            if found is None:
                left_out.add(leader if not _readable(section, group, leader, docs) else row)
                break
            rivals.append(found)
        else:
            return replace(section, answer=decided(section, group, measured, leader, rivals))


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
    rivals = [_rival(section, each, p_holm.get(each.row)) for each in ordered]
    by_label = {row.label: row for row in section.rows}
    first = section.rows[leader]
    shown = against[0].overall.delta
    return Answer(
        columns=_labels(section, group.columns),
        measured=_labels(section, measured),
        docs=sum(section.columns[place].docs for place in measured),
        leader=first.label,
        score=score(section, first, measured),
        unit=shown.unit,
        higher_is_better=shown.higher_is_better,
        rivals=tuple(rivals),
        smaller=_smaller(first, rivals, by_label),
        faster=_faster(first, rivals, by_label),
        left_out=_others(section, group),
    )


def _rival(section: Section, each: Against, p_holm: float | None) -> Rival:
    labels = {place: section.columns[place].label for place in each.tasks}
    worse_on = [labels[place] for place, own in each.tasks.items() if _side(own) < 0]
    better_on = [labels[place] for place, own in each.tasks.items() if _side(own) > 0]
    return Rival(
        label=section.rows[each.row].label,
        delta=each.overall.delta,
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
        if rows[each.label].costs.disk_bytes <= SMALLER * leader.costs.disk_bytes
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
) -> Against | None:
    """Hold a row against the leader; ``None`` where their docs cannot be paired."""
    leader, row = (_places(section, group, line) for line in rows)
    tasks = {}
    for place in group.columns:
        found = docs.difference(leader[place], row[place])
        if found is None:
            return None
        tasks[place] = found
    overall: Difference | None = tasks[measured[0]]
    if len(measured) > 1:
        names = {place: section.columns[place].task for place in measured}
        overall, pooled = docs.pooled(
            *({name: side[place] for place, name in names.items()} for side in (leader, row))
        )
        if set(pooled) != set(names.values()):
            return None
    if overall is None or None in (overall.delta.value, overall.delta.low, overall.delta.high):
        return None
    return Against(rows[1], overall, tasks)


def _unmeasured(section: Section, group: Group) -> Answer:
    return Answer(
        columns=_labels(section, group.columns),
        left_out=_others(section, group),
        why=_NO_SCORE,
    )


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


def _others(section: Section, group: Group) -> tuple[str, ...]:
    return tuple(row.label for line, row in enumerate(section.rows) if line not in group.rows)


def _labels(section: Section, places: Sequence[int]) -> tuple[str, ...]:
    return tuple(section.columns[place].label for place in places)


def _side(difference: Difference) -> int:
    """−1 where the whole interval lies on the worse side, 1 on the better one, else 0."""
    low, high = difference.delta.low, difference.delta.high
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if (low > 0) == difference.delta.higher_is_better else -1
