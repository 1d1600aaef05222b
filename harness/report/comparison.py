"""What a comparison says, in words and cells; the terminal and Markdown lay them out."""

from __future__ import annotations

from harness.compare import Comparison
from harness.difference import Difference, Flips
from harness.report.captions import noise_words
from harness.report.wording import (
    ABSENT,
    change,
    changes,
    clean,
    counted,
    metric_heading,
    metric_name,
    number,
    probability,
)

HOW_TO_READ = (
    "A difference is the model's value minus the base's on the same docs, with its own 95% "
    "interval and the p of the test that made it: p is below 0.05 exactly where the interval "
    "leaves out 0. Percentages differ in points.",
    "Verdicts go by the p adjusted for the number of all that are shown (Holm): where much is "
    "shown, a difference may go unnamed whose own interval leaves out 0.",
    "No difference seen is not no difference. What would have shown is the smallest true "
    "difference that a run of so many docs finds four times in five with p below 0.05, before the "
    "adjustment, at the changes that were seen; where too few were seen, at those that the "
    "difference itself would bring.",
)


def heading(comparison: Comparison) -> str:
    """Name the two: ``smol-int4 against smol``."""
    return f"{clean(comparison.model.label)} against {clean(comparison.base.label)}"


def sides(comparison: Comparison) -> str:
    """Name the runs that were compared."""
    base, model = comparison.base, comparison.model
    return f"runs: {clean(model.run)} against {clean(base.run)}"


def by_task(comparison: Comparison) -> str:
    """Say on which tasks the model is better or worse, by their primary metrics; and which changed
    where neither is the better side.
    """
    primary = [each for each in comparison.differences if each.primary]
    said = [
        f"{verdict} on {', '.join(clean(task) for task in tasks)}"
        for verdict in ("worse", "better", "changed")
        if (tasks := [each.task for each in primary if each.verdict == verdict])
    ]
    unseen = sum(each.verdict == "no difference seen" for each in primary)
    untested = sum(each.verdict == "not tested" for each in primary)
    if unseen:
        said.append(f"no difference seen on {unseen} of {counted(len(primary), 'task')}")
    if untested:
        said.append(f"not tested on {untested}")
    return "; ".join(said) or "nothing was compared"


def summary(comparison: Comparison) -> str:
    """Say in a line on which tasks the model is better or worse, and whether over all."""
    overall = ""
    if comparison.pooled is not None:
        overall = f"; over all accuracy tasks: {comparison.pooled.verdict}"
    return f"{heading(comparison)}: {by_task(comparison)}{overall}."


def head(comparison: Comparison) -> list[str]:
    """Column names, broken where the cells below are short."""
    return [
        "task",
        "metric",
        clean(comparison.base.label),
        clean(comparison.model.label),
        "difference\n(95% interval)",
        "docs",
        "to right /\nto wrong",
        "p",
        "p,\nadjusted",
        "would\nhave shown",
        "verdict",
    ]


def shown(comparison: Comparison) -> list[Difference]:
    """All differences, the pooled one last."""
    pooled = [comparison.pooled] if comparison.pooled is not None else []
    return [*comparison.differences, *pooled]


def rows(comparison: Comparison) -> list[list[str]]:
    """One row of cells per difference."""
    return [_row(each) for each in shown(comparison)]


def _row(each: Difference) -> list[str]:
    unit = each.delta.unit
    return [
        clean(each.task),
        metric_heading(each.metric, unit, each.delta.higher_is_better),
        number(each.base, unit),
        number(each.model, unit),
        changes(each.delta),
        f"{each.delta.n:,}",
        f"{each.flips.gained:,} / {each.flips.lost:,}" if each.flips else ABSENT,
        probability(each.p),
        probability(each.p_holm),
        ABSENT if each.visible is None else change(each.visible, unit).removeprefix("+"),
        each.verdict,
    ]


def details(comparison: Comparison) -> list[str]:
    """A line per task on its flips, beside the noise floors; then tests and what was left out."""
    said = []
    for each in shown(comparison):
        task = clean(each.task)
        if each is comparison.pooled:
            task += f" ({', '.join(map(clean, comparison.pooled_tasks))})"
        if each.primary and each.flips is not None:
            said.append(f"{task}: {_flips(each.flips, each.delta.n)}{_exact(each)}")
        if each.left_out and each.primary:
            docs = counted(each.left_out, "doc")
            said.append(f"{task}: {docs} left out, not scored on both sides")
        if each.verdict == "not tested":
            said.append(f"{task}, {metric_name(each.metric)}: {each.test}")
        for label, noise in zip(
            (comparison.base.label, comparison.model.label), each.noise, strict=True
        ):
            if noise is not None:
                said.append(f"{task}: {clean(label)}, {noise_words(noise)}")
    return said


def tests(comparison: Comparison) -> list[str]:
    """What was tested how, a line for each kind of test."""
    by_test: dict[str, list[str]] = {}
    for each in shown(comparison):
        if each.p is not None:
            by_test.setdefault(each.test, []).append(
                f"{clean(each.task)} {metric_name(each.metric)}"
            )
    lines = [f"{test}: {', '.join(of)}" for test, of in by_test.items()]
    if comparison.family > 1:
        lines.append(f"p adjusted for {comparison.family} tests (Holm)")
    return lines


def _flips(flips: Flips, n: int) -> str:
    changed = flips.gained + flips.lost + (flips.still_wrong or 0)
    parts = [f"{flips.gained:,} from wrong to right", f"{flips.lost:,} from right to wrong"]
    if flips.still_wrong is not None:
        parts.append(f"{flips.still_wrong:,} changed answer, still wrong")
    return f"{', '.join(parts)}: {changed:,} of {counted(n, 'doc')} ({100 * changed / n:.1f}%)"


def _exact(each: Difference) -> str:
    return f"; McNemar's exact p {probability(each.p_mcnemar)}"
