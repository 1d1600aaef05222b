"""The benchmark's results for people: a table in the terminal, the same in Markdown.

    python -m tests.bench.report FILE.json

prints the Markdown of a stored result and draws its figure anew.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from harness.report.wording import ABSENT, size
from tests.bench.figure import draw
from tests.bench.results import Bench, Growth, Side, WorkResult
from tests.bench.works import GEOMETRIC_MEAN_REACH, GEOMETRIC_MEAN_TARGET

WIDE = 200
HEADINGS = (
    "work",
    "docs",
    "lm-eval, s (batch)",
    "engine, s",
    "ratio (min to max)",
    "target",
    "tokens run: lm-eval, engine, needed",
    "peak memory: lm-eval, engine",
    "share of matmul rate: lm-eval, engine",
)


def print_bench(bench: Bench, console: Console | None = None) -> None:
    """Print the table and what is to be said about it."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDE)
    if bench.works:
        table = Table(*HEADINGS, box=box.SIMPLE_HEAD)
        for column in table.columns[1:]:
            column.justify = "right"
        for work in bench.works:
            table.add_row(*cells(work, bench.rate))
        console.print(table)
    for line in remarks(bench):
        console.print(line, markup=False, highlight=False)


def markdown(bench: Bench) -> str:
    """The table and the remarks, for a README."""
    rows = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1))]
    rows += [tuple(cells(work, bench.rate)) for work in bench.works]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return table + "\n\n" + "\n".join(f"- {line}" for line in remarks(bench)) + "\n"


def cells(work: WorkResult, rate: float) -> list[str]:
    """One row of the table."""
    batch = f" ({work.batch})" if work.batch else ""
    return [
        work.name,
        f"{work.docs:,}",
        _seconds(work.theirs) + batch,
        _seconds(work.ours),
        _ratio(work),
        _verdict(work.ratio, work.target),
        ", ".join(
            _count(tokens)
            for tokens in (
                work.theirs.tokens_run,
                work.ours.tokens_run,
                work.need.tokens if work.need else None,
            )
        ),
        _memory(work),
        ", ".join(_percent(work.share_of(rate, side)) for side in (work.theirs, work.ours)),
    ]


def remarks(bench: Bench) -> Iterator[str]:
    """What the table does not say: the geometric mean, the answers, what went wrong, growth."""
    mean = bench.geometric_mean
    if mean is None and bench.works:
        yield "geometric mean of the ratios: none, as not every work has a ratio"
    elif mean is not None and len(bench.works) > 1:
        met = "met" if mean >= GEOMETRIC_MEAN_TARGET else "missed"
        yield (
            f"geometric mean of the ratios: {mean:.2f}x, target {GEOMETRIC_MEAN_TARGET}x {met} "
            f"(the reach is {GEOMETRIC_MEAN_REACH}x)"
        )
    for work in bench.works:
        yield f"{work.name}: {_answers(work)}"
        for name, side in (("lm-eval", work.theirs), ("engine", work.ours)):
            if side.problem:
                yield f"{work.name}, {name}: {side.problem}"
    if bench.growth:
        yield _growth(bench.growth)
    if bench.rate:
        yield (
            f"matrix multiplication in {bench.dtype} on {bench.threads} threads: "
            f"{bench.rate / 1e9:,.0f} GFLOP/s; {bench.environment.processor}"
        )


def _answers(work: WorkResult) -> str:
    found = work.agreement
    if found is None:
        return "no answers to compare"
    said = ["answers agree" if found.agree else f"ANSWERS DISAGREE: {found.problem}"]
    if found.mean_difference is not None:
        said.append(f"log-probabilities differ by {found.mean_difference:.2g} nats on average")
        said.append(f"{found.largest_difference:.2g} at most")
    if found.other_choice is not None:
        said.append(f"another choice is best in {found.other_choice:.1%} of the docs")
    if found.same_texts is not None and found.same_beginnings is not None:
        said.append(f"{found.same_texts:.0%} of the texts are the same")
        said.append(f"{found.same_beginnings:.0%} begin alike")
    return ", ".join(said)


def _growth(growth: Growth) -> str:
    times = ", ".join(
        f"{docs:,} docs {seconds:.1f} s ({_bytes(peak)})"
        for docs, seconds, peak in zip(growth.docs, growth.seconds, growth.peak_bytes, strict=True)
    )
    if growth.exponent is None:
        return f"growth: {times}; {growth.problem}"
    met = "met" if growth.exponent <= growth.target else "missed"
    return f"growth: {times}; exponent {growth.exponent:.3f}, at most {growth.target} {met}"


def _seconds(side: Side) -> str:
    return f"{statistics.median(side.seconds):.1f}" if side.seconds else ABSENT


def _ratio(work: WorkResult) -> str:
    if work.ratio is None:
        return ABSENT
    return f"{work.ratio:.2f}x ({min(work.ratios):.2f} to {max(work.ratios):.2f})"


def _verdict(ratio: float | None, target: float) -> str:
    if ratio is None:
        return f"{target:g}x"
    return f"{target:g}x {'met' if ratio >= target else 'missed'}"


def _memory(work: WorkResult) -> str:
    peaks = f"{_bytes(work.theirs.peak_bytes)}, {_bytes(work.ours.peak_bytes)}"
    share = work.memory_share
    if share is None:
        return peaks
    met = "met" if share <= work.memory_target else "missed"
    return f"{peaks} ({share:.0%}, target {work.memory_target:.0%} {met})"


def _bytes(count: int | None) -> str:
    return ABSENT if count is None else size(count)


def _count(tokens: int | None) -> str:
    return ABSENT if tokens is None else f"{tokens:,}"


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.0%}"


if __name__ == "__main__":
    stored = Path(sys.argv[1])
    loaded = msgspec.json.decode(stored.read_bytes(), type=Bench)
    draw(loaded, stored.with_suffix(".svg"))
    print(markdown(loaded), end="")
