"""A comparison in the terminal: a table where it fits, else a line per difference."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement

from harness.compare import Comparison
from harness.report.captions import ABOUT_NOISE
from harness.report.comparison import (
    HOW_TO_READ,
    details,
    head,
    heading,
    rows,
    sides,
    summary,
    tests,
)
from harness.report.terminal import say, table

_VERDICT = 10


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print one model against its base."""
    say(console, heading(comparison), style="bold")
    say(console, sides(comparison))
    if comparison.on_samples:
        say(console, "scored on the shipped samples: not comparable with the benchmarks")
    names, cells = head(comparison), rows(comparison)
    if console.is_terminal:
        better, worse = (
            {(line, _VERDICT) for line, row in enumerate(cells) if row[_VERDICT] == verdict}
            for verdict in ("better", "worse")
        )
        drawn = table(names, cells, left={0, 1, _VERDICT}, bold=better, bad=worse)
        free = console.options.update(width=10_000)
        if Measurement.get(console, free, drawn).maximum <= console.width:
            console.print(drawn)
        else:
            for row in cells:
                say(console, _sentence(comparison, row))
    else:
        for row in cells:
            say(console, "\t".join(row))
    for line in details(comparison):
        say(console, line)
    for note in comparison.notes:
        say(console, f"note: {note}", style="yellow")
    say(console, summary(comparison), style="bold")
    if console.is_terminal:
        for line in tests(comparison):
            say(console, line, style="dim")
        noisy = any(noise for each in comparison.differences for noise in each.noise)
        for line in (*HOW_TO_READ, *([ABOUT_NOISE] if noisy else [])):
            say(console, line, style="dim")


def _sentence(comparison: Comparison, row: list[str]) -> str:
    """A row that is too wide for the terminal, as a line that wraps."""
    task, metric, base, model, difference, docs, flips, p, adjusted, visible, verdict = row
    return (
        f"{task}, {metric}: {comparison.base.label} {base}, {comparison.model.label} {model}, "
        f"difference {difference}, {docs} docs, to right / to wrong {flips}, p {p}, "
        f"adjusted {adjusted}: {verdict} ({visible} would have shown)"
    )
