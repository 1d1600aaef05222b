"""Which model to ship, in words: first what to ship, then how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from harness.report.board import Answer, ModelRow, Rival, Section, Standing
from harness.report.wording import brief_changes, clean, counted, listed, metric_name, number

TITLE = "Which model to ship"

_NAMED = 4
"""Of so many models at most all names are said."""

HOW_TO_READ = (
    "Which model to ship: models are held against each other on the tasks that more than half of "
    "them share, each task counted once. The score is the share of right docs, every doc counted "
    "once; every other model is compared with the highest, paired by doc. Surely behind means p < "
    "0.05 after Holm's adjustment for all pairs of models, because the highest was chosen by "
    "looking. Cannot be told from it means that the interval of the difference holds 0, and that "
    "none of a single task lies on the worse side; it does not mean equal: the interval says how "
    "much worse the model may be. A smaller or faster model is named if it differs by 5% or more, "
    "by its bytes on disk and by the speed probe. Nothing here says that a model is better than "
    "guessing: the intervals of its column do."
)


@dataclass(frozen=True)
class Phrase:
    """Some words of a sentence; ``strong`` for a model's name that a reader looks for."""

    text: str
    strong: bool = False


def plain(phrases: Iterable[Phrase]) -> str:
    """The sentence as text alone."""
    return " ".join(phrase.text for phrase in phrases)


def answer_phrases(section: Section) -> list[Phrase]:
    """Say which model to ship."""
    answer = section.answer
    if answer is None:
        return []
    if answer.leader is None:
        return [Phrase(f"No model can be named: {answer.why[:1].lower()}{answer.why[1:]}")]
    first, near = Phrase(answer.leader, strong=True), _near(answer)
    if not near:
        closest, which = answer.rivals[0], "closest" if len(answer.rivals) > 1 else "other"
        claim = "is surely the best"
        if answer.left_out:
            others = counted(len(answer.rivals), "other")
            claim = f"is surely ahead of the {others} that could be compared"
        lead = Phrase(
            f"{claim} {_scope(answer)}. The {which}, {closest.label}, is at {_difference(closest)}."
        )
        return [first, lead, *_uncompared(answer)]
    behind = len(answer.rivals) - len(near)
    sure = "but no other model is surely behind."
    if behind:
        sure = f"surely ahead of {behind:,} of {counted(len(answer.rivals), 'other')}."
    equal = [each.label for each in answer.rivals if each.delta.value == 0]
    like = f", like {listed(equal)}," if equal else ""
    which = "the best figure" if answer.metric else "the highest score"
    said = [first, Phrase(f"has{like} {which} {_scope(answer)}, {sure}")]
    return [*said, *_alternatives(section, answer), *_uncompared(answer)]


def _uncompared(answer: Answer) -> list[Phrase]:
    """Who has a better figure and was not compared."""
    if not answer.ahead:
        return []
    names = [f"{label} ({answer.left_out[label]})" for label in answer.ahead[:_NAMED]]
    more = f" and {len(answer.ahead) - _NAMED:,} more" if len(answer.ahead) > _NAMED else ""
    return [Phrase(f"Not compared, with a better figure on a task: {listed(names)}{more}.")]


def answer_sureness(section: Section) -> list[str]:
    """Say how sure it is: where the other models stand, and who was not compared."""
    answer = section.answer
    if answer is None:
        return []
    said = []
    if answer.rivals:
        parts = [words for standing in _STANDS if (words := _standing(answer, standing))]
        said.append(f"Of {counted(len(answer.rivals), 'other')}, {'; '.join(parts)}.")
    wide = [each.visible for each in answer.rivals if each.standing == "level" and each.visible]
    if wide:
        least = number(max(wide), answer.unit) + _points(answer.unit)
        said.append(
            f"A true difference of {least} from it would have shown four times in five, in a test "
            "of its own."
        )
    if ahead := [each for each in answer.rivals if each.better_on]:
        on = [f"{each.label} on {listed(tasks_of(section, each.better_on))}" for each in ahead]
        more = f" and {len(on) - _NAMED:,} more" if len(on) > _NAMED else ""
        said.append(f"Surely better than it on a task: {'; '.join(on[:_NAMED])}{more}.")
    if answer.leader is not None and answer.columns != answer.measured:
        rest = tasks_of(section, [each for each in answer.columns if each not in answer.measured])
        said.append(f"Looked at, but not in the score: {listed(rest)}.")
    if answer.left_out:
        reasons: dict[str, list[str]] = {}
        for label, why in answer.left_out.items():
            reasons.setdefault(why, []).append(label)
        said.append(
            f"Not compared: {'; '.join(f'{listed(of)} ({why})' for why, of in reasons.items())}."
        )
    return said


def tasks_of(section: Section, labels: Collection[str]) -> list[str]:
    """The tasks of some columns of the shared work, in which each task stands once."""
    return [clean(column.task) for column in section.columns if column.label in labels]


def standing_words(standing: Standing) -> str:
    """Say where a model stands beside the highest score, for a table's cell."""
    return _STANDS[standing][0].removeprefix("is ")


_STANDS: Mapping[Standing, tuple[str, str]] = {
    "behind": ("is surely behind", "are surely behind"),
    "doubtful": ("seems behind, but not surely", "seem behind, but not surely"),
    "mixed": (
        "is level over all, seems worse on a task",
        "are level over all, seem worse on a task",
    ),
    "level": ("cannot be told from it", "cannot be told from it"),
}
"""Of one model, and of several."""


def _standing(answer: Answer, standing: Standing) -> str:
    names = [each.label for each in answer.rivals if each.standing == standing]
    if not names:
        return ""
    shown = f" ({listed(names)})" if standing != "behind" and len(names) <= _NAMED else ""
    return f"{len(names):,} {_STANDS[standing][len(names) > 1]}{shown}"


def _near(answer: Answer) -> list[Rival]:
    return [each for each in answer.rivals if each.standing != "behind"]


def _alternatives(section: Section, answer: Answer) -> list[Phrase]:
    """The smaller and the faster model beside the highest score."""
    by_label = {row.label: row for row in section.rows}
    assert answer.leader is not None
    leader = by_label[answer.leader]
    if answer.smaller is None and answer.faster is None:
        return [Phrase("None that can stand in for it is smaller.")]
    said = []
    for label in dict.fromkeys(filter(None, (answer.smaller, answer.faster))):
        rival = next(each for each in answer.rivals if each.label == label)
        gains = [
            *([_less(leader, by_label[label])] if label == answer.smaller else []),
            *([_faster(leader, by_label[label])] if label == answer.faster else []),
        ]
        mixed = rival.standing == "mixed"
        said += [
            Phrase(label, strong=True),
            Phrase(
                f"is {listed(gains)} and cannot be told from it{' over all' * mixed} "
                f"({_difference(rival)})"
                + (
                    f", but seems worse on {listed(tasks_of(section, rival.worse_on))}."
                    if mixed
                    else "."
                )
            ),
        ]
    return said


def _less(leader: ModelRow, other: ModelRow) -> str:
    share = 100 * (1 - other.costs.disk_bytes / leader.costs.disk_bytes)
    return f"{share:.0f}% smaller on disk"


def _faster(leader: ModelRow, other: ModelRow) -> str:
    assert leader.costs.decode and other.costs.decode
    return f"{other.costs.decode / leader.costs.decode:.1f} times as fast"


def _scope(answer: Answer) -> str:
    """What the score is of: ``over 3 tasks: 42.3% of 707 docs right``."""
    count = len(answer.measured)
    tasks = f"on {answer.measured[0]}" if count == 1 else f"over {count:,} tasks"
    score = number(answer.score, answer.unit) + "%" * (answer.unit == "proportion")
    docs = counted(answer.docs, "doc")
    if answer.metric:
        return f"{tasks}: {metric_name(answer.metric)} {score} over {docs}"
    return f"{tasks}: {score} of {docs} right"


def _difference(rival: Rival) -> str:
    """Write ``−2.3 points, −4.9 to +0.3``."""
    if rival.delta.low is None:
        return "equal on every doc"
    value, _, ends = brief_changes(rival.delta).partition(" (")
    return f"{value}{_points(rival.delta.unit)}, {ends[:-1]}"


def _points(unit: str) -> str:
    return " points" if unit == "proportion" else ""
