"""Leaderboards and runs in the terminal: tables where they fit, plain lines for a pipe."""

from __future__ import annotations

from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from harness.checkout import how_to_eval
from harness.records import Run, TaskResult
from harness.report.answer_words import TITLE, answer_phrases, answer_sureness, plain
from harness.report.board import Cell, Leaderboard, Section
from harness.report.captions import (
    ABOUT_NOISE,
    BEST,
    DELTA_KEY,
    cell_marks,
    column_metric,
    delta_mark,
    has_deltas,
    headline,
    is_probed,
    noise_words,
)
from harness.report.run_facts import metrics_of
from harness.report.wording import (
    ABSENT,
    brief_changes,
    clean,
    counted,
    figure,
    metric_heading,
    seconds,
    size,
    speed,
    width,
)


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """Print the leaderboard: one table if the terminal is wide enough, else a line per result."""
    sections = [section for section in (board.benchmarks, board.samples) if section.rows]
    if not sections:
        say(console, f"No run has a finished task yet: `{how_to_eval()}` scores a first model.")
    _answer(board.benchmarks, console)
    for section in sections:
        if not console.is_terminal:
            _plain_section(section, console)
            continue
        drawn = _wide(section)
        # Measured without a limit: within one, rich answers how far it could squeeze the table.
        free = console.options.update(width=10_000)
        if Measurement.get(console, free, drawn).maximum > console.width:
            drawn = _long(section)
        console.print()
        console.print(drawn)
        if len(section.rows) > 1:
            say(console, headline(section))
        say(console, f"* {BEST}.{DELTA_KEY if has_deltas(section) else ''}", style="dim")
    for note in board.notes:
        say(console, f"not shown: {note}")


def _answer(section: Section, console: Console) -> None:
    """Which model to ship comes before any table."""
    phrases = answer_phrases(section)
    if not phrases:
        return
    if not console.is_terminal:
        say(console, f"# {TITLE}: {plain(phrases)}")
        return
    told = Text(f"{TITLE}:")
    for phrase in phrases:
        told.append(" ").append(phrase.text, style="bold" if phrase.strong else "")
    console.print()
    console.print(told)
    say(console, " ".join(answer_sureness(section)), style="dim")


def print_run(run: Run, console: Console) -> None:
    """Print one run: the model, then every estimate of every finished task."""
    model = run.model
    say(console, f"{model.name} ({model.dtype}), run {run.id}, {run.status}", style="bold")
    if run.plan:
        who = run.identity.get("judge", run.settings.backend)
        say(console, f"answered by {who}: {run.plan}")
    sampled = [clean(name) for name, result in run.results.items() if result.on_samples]
    if sampled:
        which = "" if len(sampled) == len(run.results) else f"{', '.join(sampled)}: "
        said = "scored on the shipped samples: not comparable with the benchmarks"
        say(console, which + said, style="yellow")
    if run.unfinished:
        say(console, f"not scored: {', '.join(run.unfinished)}")
    head = ["task", "metric", "value (95% interval)", "n", "notes", "time", "tokens/s"]
    rows: list[list[str]] = []
    for result in run.results.values():
        notes = [f"limit {result.limit:,}"] if result.limit is not None else []
        notes += [f"{result.num_fewshot}-shot"] if result.num_fewshot else []
        notes += ["samples"] if result.on_samples else []
        notes += [f"{result.unscored:,} unscored"] if result.unscored else []
        notes += [f"{result.truncated:,} truncated"] if result.truncated else []
        notes += [counted(len(result.groups), "group")] if result.groups else []
        notes += [f"{result.cost.stored:,} from the journal"] if result.cost.stored else []
        notes += filter(None, [width(result.estimates.get(result.primary))])
        for key in metrics_of(result):
            estimate = result.estimates[key]
            primary = key == result.primary
            rows.append(
                [
                    clean(result.task),
                    metric_heading(key, estimate.unit, estimate.higher_is_better),
                    figure(estimate),
                    f"{estimate.n:,}",
                    ", ".join(notes) if primary else "",
                    seconds(result.cost.seconds) if primary else "",
                    speed(result.cost.tokens_per_second) if primary else "",
                ]
            )
    if not run.results:
        say(console, "no task was finished")
    elif not rows:
        say(console, "no estimates were recorded")
    elif console.is_terminal:
        console.print(table(head, rows, left={0, 1, 4}))
    else:
        for row in rows:
            say(console, "\t".join(cell or ABSENT for cell in row))
    for result in run.results.values():
        for remark in remarks(result):
            say(console, remark, style="yellow")
    noises = [(result.task, result.noise) for result in run.results.values() if result.noise]
    for task, noise in noises:
        say(console, f"{task}: {noise_words(noise)}")
    if noises and console.is_terminal:
        say(console, ABOUT_NOISE, style="dim")


def remarks(result: TaskResult) -> list[str]:
    """Say how many of a task's docs were not scored, for each reason, and how many lost context."""
    of_docs = f"of {counted(result.docs, 'doc')}"
    reasons = dict(result.unscored_reasons)
    if result.unscored > sum(reasons.values()):
        reasons["no reason was recorded"] = result.unscored - sum(reasons.values())
    said = [
        f"{result.task}: {count:,} {of_docs} unscored: {reason}"
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    ]
    if result.truncated:
        said.append(
            f"{result.task}: {result.truncated:,} {of_docs} truncated: longer than what is "
            "read at once: prompts lost their beginning, what BERTScore compares its end"
        )
    return said


def _wide(section: Section) -> Table:
    """One row per model, one column per piece of work, then the costs that matter at a glance."""
    head = ["model"]
    for column in section.columns:
        head.append(f"{column.label}\n{column_metric(column)}")
    probed = is_probed(section)
    head += ["on disk", "peak memory", *(["tokens/s,\nprobe"] if probed else []), "time"]
    rows = [
        [
            row.label,
            *(_cell(cell) for cell in row.cells),
            size(row.costs.disk_bytes),
            size(row.costs.peak_memory_bytes),
            *([speed(row.costs.decode)] if probed else []),
            seconds(row.costs.seconds),
        ]
        for row in section.rows
    ]
    best = {
        (line, place + 1)
        for line, row in enumerate(section.rows)
        for place, cell in enumerate(row.cells)
        if cell is not None and cell.surely_best
    }
    return table(head, rows, left={0}, bold=best, title=section.title)


def _long(section: Section) -> Table:
    """One row per result, grouped by column: what fits into 80 characters."""
    rows: list[list[str]] = []
    best: set[tuple[int, int]] = set()
    for place, column in enumerate(section.columns):
        name = f"{column.label}, {column_metric(column)}"
        for row in section.rows:
            cell = row.cells[place]
            if cell is None:
                continue
            if cell.surely_best:
                best.add((len(rows), 2))
            rows.append([name, row.label, _cell(cell).replace("\n", "; ")])
            name = ""
    return table(["task", "model", "score"], rows, left={0, 1}, bold=best, title=section.title)


def _plain_section(section: Section, console: Console) -> None:
    say(console, f"# {section.title}")
    for place, column in enumerate(section.columns):
        metric = column_metric(column)
        for row in section.rows:
            cell = row.cells[place]
            if cell is not None:
                score = _cell(cell).replace("\n", "; ")
                say(console, f"{row.label}\t{column.label}\t{metric}\t{score}")
    if len(section.rows) > 1:
        say(console, f"# {headline(section)}")


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    text = figure(cell.estimate)
    if cell.surely_best:
        text = "*" + text
    return "\n".join([text, *cell_marks(cell), *_delta(cell)])


def _delta(cell: Cell) -> list[str]:
    if cell.delta is None:
        return []
    return [f"Δ {brief_changes(cell.delta.estimate)} {delta_mark(cell.delta)}".rstrip()]


def table(
    head: list[str],
    rows: list[list[str]],
    *,
    left: set[int],
    bold: Collection[tuple[int, int]] = (),
    bad: Collection[tuple[int, int]] = (),
    title: str = "",
) -> Table:
    """Lay out a table; names and figures are broken over lines where they must be, never cut.

    Args:
        head: the columns' names.
        rows: their cells, as plain text.
        left: columns that are flush left.
        bold: cells that stand out as good, as (row, column).
        bad: cells that stand out as bad.
        title: above the table.
    """
    drawn = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
    )
    for place, name in enumerate(head):
        drawn.add_column(
            Text(name),
            justify="left" if place in left else "right",
            no_wrap=place not in left,
            overflow="fold",
        )
    for line, row in enumerate(rows):
        # Text, never markup: a model called "[red]" is a name.
        styles = [
            "bold green" if (line, place) in bold else "bold red" if (line, place) in bad else ""
            for place in range(len(row))
        ]
        cells = [Text(cell, style=style) for cell, style in zip(row, styles, strict=True)]
        drawn.add_row(*cells)
    return drawn


def say(console: Console, line: str, style: str = "") -> None:
    """Print a line of plain text; into a pipe with the tabs by which a program splits it."""
    kept = "\t".join(clean(part) for part in line.split("\t"))
    if console.is_terminal:
        console.print(Text(kept, style=style), soft_wrap=True)
    else:
        # A bare segment keeps its tabs, by which a program splits the line; Text expands them.
        console.print(Segments([Segment(kept + "\n")]), soft_wrap=True, end="")
