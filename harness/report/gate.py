"""The gate's outcome in words: rows, a headline, the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from harness.gate.decide import Outcome, must_hold
from harness.gate.drops import Drop
from harness.gate.limits import Limit
from harness.report.markdown import escape
from harness.report.markdown import table as markdown_table
from harness.report.terminal import say, table
from harness.report.wording import UNDEFINED, change, clean, metric_name, number

HEAD = ("task", "metric", "docs", "changed", "baseline", "model", "drop", "margin", "")
STATES: Mapping[str, str] = {
    "fails": "beyond its margin",
    "holds": "within its margin",
    "open": "too few docs to tell",
}
_ALONE = 8


def headline(outcome: Outcome) -> str:
    """The verdict in one sentence."""
    who = f"{clean(outcome.model)} against the baseline {clean(outcome.base)}"
    if outcome.verdict == "same model":
        return f"same model: {who} has the same weights and settings, nothing is tested"
    if outcome.verdict == "fail":
        failed = [each.task for each in outcome.tested if each.state == "fails"]
        over = [each.name for each in outcome.limits if not each.holds]
        said = []
        if failed:
            said.append(f"{', '.join(map(clean, failed))} surely dropped by more than tolerated")
        if over:
            said.append(f"beyond its limit: {', '.join(map(clean, over))}")
        return f"fail: {who}: {'; '.join(said)}"
    if outcome.verdict == "pass":
        return f"pass: {who}: the drop is surely within what profile {outcome.profile} tolerates"
    return f"underpowered: {who}: {_wanted(outcome)}"


def details(outcome: Outcome) -> list[str]:
    """What a reader should know besides the table."""
    found = []
    if outcome.visible is not None:
        found.append(
            f"a true drop of {100 * outcome.visible:.2g} points over all docs would have failed "
            "four times in five"
        )
    if outcome.asked is not None:
        found.append(
            f"the verdict fell with {100 * outcome.asked:.0f}% of the docs, asked in random order; "
            "levels are those of repeated looks"
        )
    if outcome.verdict == "pass":
        unsure = [each for each in outcome.tasks if each.state == "open"]
        found += [
            f"{clean(each.task)}: not shown to lie within its margin: {_docs(each)}"
            for each in unsure
        ]
    found += [_limit(each) for each in outcome.limits]
    return found + [f"note: {clean(each)}" for each in outcome.notes]


def rows(outcome: Outcome) -> list[list[str]]:
    """One row per test, the pool first."""
    return [_row(each) for each in outcome.tested]


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print table, details and headline."""
    cells = rows(outcome)
    if console.is_terminal and cells:
        bad = {(line, _ALONE) for line, row in enumerate(cells) if row[_ALONE] == STATES["fails"]}
        good = {(line, _ALONE) for line, row in enumerate(cells) if row[_ALONE] == STATES["holds"]}
        console.print(table(list(HEAD), cells, left={0, 1, _ALONE}, bold=good, bad=bad))
    else:
        for row in cells:
            say(console, "\t".join(row))
    for line in details(outcome):
        say(console, line)
    styles = {"fail": "bold red", "underpowered": "bold yellow"}
    say(console, headline(outcome), style=styles.get(outcome.verdict, "bold green"))


def outcome_markdown(outcome: Outcome) -> str:
    """The same as GitHub-flavoured Markdown."""
    cells = [[escape(cell) for cell in row] for row in rows(outcome)]
    lines = [f"# Gate: {outcome.verdict}", "", escape(headline(outcome)), ""]
    lines += [*markdown_table(list(HEAD), cells), ""] if cells else []
    lines += [*(f"- {escape(line)}" for line in details(outcome)), ""] if cells else []
    return "\n".join(
        [
            *lines,
            f"Profile {escape(outcome.profile)}, {100 * outcome.alpha:g}% chance of a false alarm "
            f"over all tests, one-sided; runs {escape(outcome.base_run)} and "
            f"{escape(outcome.model_run)}.",
            "",
        ]
    )


def _row(drop: Drop) -> list[str]:
    return [
        clean(drop.task),
        metric_name(drop.metric),
        f"{drop.docs:,}",
        UNDEFINED if drop.changed is None else f"{drop.changed:,}",
        number(drop.base, drop.unit),
        number(drop.model, drop.unit),
        f"{change(drop.drop, drop.unit)} "
        f"({change(drop.low, drop.unit)} to {change(drop.high, drop.unit)})",
        change(drop.margin, drop.unit).removeprefix("+"),
        STATES[drop.state] + (f": {_docs(drop)}" if drop.state == "open" else ""),
    ]


def _docs(drop: Drop) -> str:
    if drop.docs_needed is None and drop.low is None:
        return "no standard error: too few docs, or nothing varies among them"
    if drop.docs_needed is None:
        return "the drop is about the margin itself, and no number of docs tells"
    return f"about {drop.docs_needed:,} docs would settle it"


def _wanted(outcome: Outcome) -> str:
    waiting = must_hold(outcome.pooled, outcome.tasks)
    said = [f"{clean(each.task)}: {_docs(each)}" for each in waiting if each.state == "open"]
    return "; ".join(said)


def _limit(limit: Limit) -> str:
    held = "within" if limit.holds else "beyond"
    source = f" ({clean(limit.source)})" if limit.source else ""
    return (
        f"{clean(limit.name)}: {limit.value:.4g}{source}, {held} its limit of "
        f"{limit.limit:g} {limit.unit}"
    )
