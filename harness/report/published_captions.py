"""How a suite's table beside published figures is worded: one place, so that all formats agree."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.others import REFERENCE
from harness.report.published import Cell, Column, Line, Missing, Ours, ShownRun, SuiteTable
from harness.report.wording import ABSENT, UNDEFINED, clean, counted, metric_name, short_digest

OWN_TITLE = "Not in the source"
SAMPLES_TITLE = "On the shipped samples (not comparable with the published figures)"
NOT_RUN = "not run"
INSIDE, OUTSIDE = "inside", "outside"
NO_INTERVAL, NOT_COMPARABLE = "without an interval", "not comparable"

HOW_TO_READ = (
    "The interval is ours, 95%, and of which docs were drawn only: neither of training again, nor "
    "of other generations, nor of the published figure, which has an uncertainty of its own.",
    "Inside means that the published figure is among the values that the docs leave possible for "
    "ours. It is no proof that the two were measured alike: the fewer the docs, the wider the "
    "interval, and the more lies inside. On the same docs, prompts and weights two figures differ "
    "by rounding alone. On other docs, as many, about one in six lies outside although nothing "
    "else is different. Not comparable means that the docs, or who judged, are others: a note says "
    "which.",
    "A result counts whatever suite it was made for, if its shots are the suite's; of several, the "
    "one of as many docs as the suite asks, then of more docs, then the newest. Figures are in "
    "the unit of the source.",
)


def title(table: SuiteTable) -> str:
    """The heading of the page."""
    return f"Suite {clean(table.suite)}, beside the published figures"


def summary(table: SuiteTable) -> str:
    """Count the published figures, those with a result of ours, and where they lie."""
    said = [
        verdict(cell, column)
        for part in table.parts
        for line in part.published
        for cell, column in zip(line.cells, part.columns, strict=True)
        if cell.published
    ]
    told = [word for word in said if word != ABSENT]
    figures = counted(len(said), "published figure")
    if not told:
        return f"None of {figures} has a result of ours yet."
    counts = [f"{told.count(INSIDE):,} inside our 95% interval", f"{told.count(OUTSIDE):,} outside"]
    counts += [
        f"{told.count(word):,} {word}" for word in (NO_INTERVAL, NOT_COMPARABLE) if word in told
    ]
    has = "has" if len(told) == 1 else "have"
    return f"{len(told):,} of {figures} {has} a result of ours: {', '.join(counts)}."


def heading(column: Column) -> str:
    """A column's heading: the source's label, its unit, its footnotes."""
    unit = {"percent": ", %", "share": ", of 1"}.get(column.measure.unit, "")
    return f"{clean(column.measure.label)}{unit}{marks(column.marks)}"


def measured_by(column: Column) -> str:
    """What measures a column here: ``arc_challenge acc_norm, 25-shot``."""
    asked = column.asked
    docs = f", {counted(asked.limit, 'doc')}" if asked.limit is not None else ""
    names = dict.fromkeys((clean(column.measure.task), metric_name(column.measure.metric)))
    return f"{' '.join(names)}, {asked.num_fewshot}-shot{docs}"


def name(line: Line) -> str:
    """A row's name: the source's, with the registry's; or the registry's alone."""
    if not line.name:
        return clean(line.model)
    return f"{clean(line.name)}, here {clean(line.model)}{marks(line.marks)}"


def published_words(cell: Cell) -> str:
    """The published figure as it was printed."""
    return cell.published.text if cell.published else ABSENT


def ours_words(cell: Cell, column: Column, absent: str) -> str:
    """Our value with its interval and docs: ``43.10 (42.13 to 44.07), 10,042 docs``."""
    if cell.ours is None:
        return absent
    said = [_figure(cell.ours, column), *_docs(cell.ours), *_asked_others(cell.ours)]
    if cell.ours.metric != column.measure.metric:
        said.append(metric_name(cell.ours.metric))
    return ", ".join(said)


def verdict(cell: Cell, column: Column) -> str:
    """Where the published figure lies, or why that cannot be said."""
    if cell.published is None or cell.ours is None:
        return ABSENT
    if not column.measure.comparable:
        return NOT_COMPARABLE
    if cell.inside is None:
        return NO_INTERVAL
    return INSIDE if cell.inside else OUTSIDE


def marks(numbers: Sequence[int]) -> str:
    """Footnotes as they stand behind a name: `` [1, 3]``."""
    return f" [{', '.join(map(str, numbers))}]" if numbers else ""


def missing_words(missing: Missing, suite: str) -> str:
    """What was not run, and the command that runs it."""
    tasks = ", ".join(map(clean, missing.tasks))
    if not missing.registered:
        return f"{clean(missing.model)} ({tasks}): not in this registry"
    return f"{clean(missing.model)} ({tasks}): {command(missing, suite)}"


def command(missing: Missing, suite: str) -> str:
    """The command that runs a model on the suite; ``""`` where the registry lacks it."""
    if not missing.registered:
        return ""
    return f"make eval MODEL={shlex.quote(missing.model)} SUITE={shlex.quote(suite)}"


def run_words(run: ShownRun) -> str:
    """How a run answered, in a line."""
    chat = "with its chat template" if run.chat_template else "without a chat template"
    lm_eval = f", lm-eval {clean(run.lm_eval)}" if run.lm_eval else ""
    return (
        f"{clean(run.id)}: {clean(run.model)}, weights {short_digest(run.weights_id)}, "
        f"{clean(run.dtype)}, {chat}, backend {clean(run.backend)}{lm_eval}"
    )


def _figure(ours: Ours, column: Column) -> str:
    decimals, estimate = column.measure.decimals, ours.estimate

    def number(value: float | None) -> str:
        if value is None:
            return UNDEFINED
        return f"{round(value, decimals) + 0.0:,.{decimals}f}"

    if estimate.value is None:
        return UNDEFINED
    ends = f"{number(estimate.low)} to {number(estimate.high)}"
    return f"{number(estimate.value)} ({ends if estimate.low is not None else UNDEFINED})"


def _docs(ours: Ours) -> list[str]:
    docs = counted(ours.docs, "doc")
    if ours.limited:  # a limit is spread evenly over a task's groups
        docs = f"{docs} over {counted(ours.groups, 'group')}" if ours.groups else f"first {docs}"
    return [docs] + ([f"{ours.unscored:,} unscored"] if ours.unscored else [])


def _asked_others(ours: Ours) -> list[str]:
    """Name the reference and the judges, without the digests of their weights."""
    names = {asked: clean(name).partition(" (")[0] for asked, name in ours.others.items()}
    reference = names.pop(REFERENCE, None)
    said = [f"against {reference}"] if reference else []
    return said + [f"judged by {name}" for name in names.values()]
