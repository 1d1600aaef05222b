"""The verdict of a comparison in one sentence: what, by how much, how surely, at what cost."""

from __future__ import annotations

from typing import Literal

from harness.compare import Comparison
from harness.difference import Difference
from harness.gate.decide import is_accuracy
from harness.report.costs import Costs, cost_words
from harness.report.wording import (
    change,
    change_interval,
    clean,
    counted,
    metric_name,
    probability,
)
from harness.types import Estimate

Tone = Literal["better", "worse", "mixed", "unsure"]

_NAMED = 3
"""So many tasks are named with their figures; of more, the table tells."""


def tone(comparison: Comparison) -> Tone:
    """Better or worse where that is sure and nothing surely says the opposite."""
    found = {each.verdict for each in comparison.headlines} & {"better", "worse"}
    if not found:
        return "unsure"
    if len(found) == 2:
        return "mixed"
    return "better" if "better" in found else "worse"


def verdict(comparison: Comparison, costs: Costs) -> str:
    """Say it in one sentence, which needs no table to be understood."""
    lead = comparison.lead
    said = _by_tasks(comparison) if lead is None else _of_lead(comparison, lead)
    words = cost_words(costs)
    return f"{said}; {words}." if words else f"{said}."


def _of_lead(comparison: Comparison, lead: Difference) -> str:
    base, model = clean(comparison.base.label), clean(comparison.model.label)
    delta = lead.delta
    what = metric_name(lead.metric)
    if is_accuracy(lead.metric, delta):
        what = "share of right answers"
    where = f"on {clean(lead.task)}"
    if lead is comparison.pooled:
        where = f"over {counted(len(comparison.pooled_tasks), 'accuracy task')}"
    docs = f"({counted(delta.n, 'doc')})"
    if lead.p is None:
        return f"The difference between {model} and {base} was not tested {where} {docs}" + _but(
            comparison, lead
        )
    sure = _p(comparison, lead)
    if lead.verdict == "no difference seen":
        unsure = "was seen" if _holds_0(delta) else "is sure after the adjustment"
        said = (
            f"No difference between {model} and {base} {unsure}: the {what} {where} {docs} changed "
            f"by {_amount(delta.value, delta.unit)} (95% interval {change_interval(delta)}; {sure})"
        )
        if lead.visible is not None:
            wanted = _size(lead.visible, delta.unit)
            said += (
                f", and a true difference of {wanted} would have shown four times in five in a "
                "test of its own"
            )
    else:
        way = "higher" if (delta.value or 0.0) > 0 else "lower"
        size = _size(delta.value, delta.unit)
        than = "changed from" if lead.verdict == "changed" else f"is {lead.verdict} than"
        said = (
            f"{model} {than} {base}: its {what} {where} {docs} is {size} {way} "
            f"(95% interval {change_interval(delta)}; {sure})"
        )
    return said + _but(comparison, lead)


def _holds_0(delta: Estimate) -> bool:
    return delta.low is None or delta.high is None or delta.low <= 0 <= delta.high


def _but(comparison: Comparison, lead: Difference) -> str:
    """The tasks that surely went another way than what speaks for all, or changed."""
    said: list[str] = []
    primary = [each for each in comparison.differences if each.primary]
    for way in ("worse", "better", "changed"):
        tasks = [clean(each.task) for each in primary if each.verdict == way]
        if tasks and way != lead.verdict:
            said.append(f"{way} on {', '.join(tasks)}")
    return f", but {' and '.join(said)}" if said else ""


def _by_tasks(comparison: Comparison) -> str:
    """Where nothing speaks for all tasks, because they are in several units."""
    base, model = clean(comparison.base.label), clean(comparison.model.label)
    primary = [each for each in comparison.differences if each.primary]
    said: list[str] = []
    for way in ("worse", "better"):
        of_way = [each for each in primary if each.verdict == way]
        if of_way:
            tasks = ", ".join(_named(each, len(of_way) <= _NAMED) for each in of_way)
            said.append(f"{way} than {base} on {tasks}" if not said else f"{way} on {tasks}")
    moved = [each for each in primary if each.verdict == "changed"]
    unsure = [each for each in primary if each.verdict == "no difference seen"]
    untested = sum(each.verdict == "not tested" for each in primary)
    parts = [f"{model} is {' and '.join(said)}"] if said else []
    if moved:
        tasks = ", ".join(_named(each, len(moved) <= _NAMED) for each in moved)
        whose = "it changed" if said else f"{model} changed from {base}"
        parts.append(f"{whose} on {tasks}")
    if unsure:
        whose = "no difference" if parts else f"No difference between {model} and {base}"
        parts.append(f"{whose} was seen on {counted(len(unsure), 'task')}")
    if untested:
        parts.append(f"{counted(untested, 'task')} could not be tested")
    return "; ".join(parts) or f"Nothing of {model} and {base} was compared"


def _named(each: Difference, figures: bool) -> str:
    task, delta = clean(each.task), each.delta
    if not figures:
        return task
    by = f"{metric_name(each.metric)} {_amount(delta.value, delta.unit)}"
    return f"{task} ({by}, 95% interval {change_interval(delta)})"


def _p(comparison: Comparison, each: Difference) -> str:
    if comparison.family < 2:
        return f"p {probability(each.p)}"
    return f"p {probability(each.p_holm)}, adjusted for {comparison.family} tests"


def _amount(value: float | None, unit: str) -> str:
    return change(value, unit) + (" points" if unit == "proportion" else "")


def _size(value: float | None, unit: str) -> str:
    """An amount without its sign."""
    return _amount(None if value is None else abs(value), unit).removeprefix("+")
