"""The leaderboard as data: which result stands in which cell, and which is surely the best.

`build_leaderboard` is pure; `harness.report.markdown`, `.html` and `.terminal` only draw what it
decided. What needs the docs is added from their folders: the differences to the parents by
`harness.report.deltas`, which model to ship by `harness.report.answer`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.metrics.metric import is_ordered
from harness.records import Cost, Run, TaskResult
from harness.report.board import Cell, Column, Costs, Leaderboard, ModelRow, Section
from harness.report.newest import created as _created
from harness.report.wording import clean
from harness.report.work import Work, column_labels, distinct, is_limited, limit_words, work_of
from harness.speed import As
from harness.types import Estimate

__all__ = [
    "Cell",
    "Column",
    "Costs",
    "Leaderboard",
    "ModelRow",
    "Section",
    "build_leaderboard",
    "narrowed_to",
    "surely_best",
    "total_cost",
]

SAMPLES_TITLE = "Samples (not comparable with the benchmarks)"


@dataclass(frozen=True)
class _Entry:
    run: Run
    result: TaskResult
    work: Work


_RowKey = tuple[str, str, str, str]


def build_leaderboard(
    runs: Sequence[Run],
    notes: Iterable[str] = (),
    decode: Mapping[As, float] | None = None,
    published: Collection[str] = (),
) -> Leaderboard:
    """Place every run's results into a table.

    The newest result wins for the same model (name, weights, dtype, backend) and the same work
    (`harness.report.work.Work`); any difference in the work makes another column.

    Args:
        runs: in any order; of equal times the later in the sequence counts as newer.
        notes: remarks to carry along, such as runs that could not be read.
        decode: tokens a second by the speed probe, by weights and dtype.
        published: suites that have a page beside published figures; those of other runs are left
            out.
    """
    ordered = sorted(runs, key=_created)
    entries = [
        _Entry(run, result, work_of(run, result))
        for run in ordered
        for result in run.results.values()
    ]
    empty = tuple(
        f"run {clean(run.id)} of {clean(run.model.name)} ({run.status}) has no finished task"
        for run in ordered
        if not run.results
    )
    shown = [run for run in ordered if run.results]
    return Leaderboard(
        benchmarks=_section(
            "Benchmarks", [e for e in entries if not e.result.on_samples], decode or {}
        ),
        samples=_section(SAMPLES_TITLE, [e for e in entries if e.result.on_samples], decode or {}),
        notes=(*notes, *empty),
        newest=shown[-1].created if shown else None,
        published=tuple(sorted({run.settings.suite or "" for run in shown} & set(published))),
    )


def narrowed_to(board: Leaderboard, name: str) -> Leaderboard:
    """What the leaderboard says of one model; its marks and differences stay those of all."""

    def narrowed(section: Section) -> Section:
        rows = [row for row in section.rows if row.name == name]
        kept = [
            place
            for place in range(len(section.columns))
            if any(row.cells[place] is not None for row in rows)
        ]
        return replace(
            section,
            columns=tuple(section.columns[place] for place in kept),
            rows=tuple(replace(row, cells=tuple(row.cells[p] for p in kept)) for row in rows),
            answer=None,
        )

    return replace(board, benchmarks=narrowed(board.benchmarks), samples=narrowed(board.samples))


def surely_best(cells: Sequence[Cell | None], higher_is_better: bool) -> int | None:
    """Return the index of the cell that is surely better than all others, or ``None``.

    Sure means that its 95% interval overlaps no other model's. Nothing is sure in a column with
    one model, or where any result has an undefined end, an interval without width or unscored
    docs: a rival of unknown strength cannot be beaten surely.
    """
    known: list[tuple[float, float, int]] = []
    for index, cell in enumerate(cells):
        if cell is None:
            continue
        estimate = cell.estimate
        if cell.unscored or estimate is None or not _defined(estimate):
            return None
        assert estimate.low is not None and estimate.high is not None
        ends = (estimate.low, estimate.high)
        low, high = ends if higher_is_better else (-ends[1], -ends[0])
        known.append((low, high, index))
    if len(known) < 2:
        return None
    low, _, best = max(known)
    return best if all(low > high for _, high, index in known if index != best) else None


def total_cost(results: Iterable[TaskResult]) -> Cost:
    """Add up what results took; the peak memory is the highest of theirs."""
    costs = [result.cost for result in results]
    peaks = [cost.peak_memory_bytes for cost in costs if cost.peak_memory_bytes is not None]
    return Cost(
        seconds=sum(cost.seconds for cost in costs),
        tokens_in=sum(cost.tokens_in for cost in costs),
        tokens_out=sum(cost.tokens_out for cost in costs),
        peak_memory_bytes=max(peaks, default=None),
        stored=sum(cost.stored for cost in costs),
    )


def _section(title: str, entries: Sequence[_Entry], decode: Mapping[As, float]) -> Section:
    works = sorted({entry.work: None for entry in entries}, key=Work.order)
    placed: dict[_RowKey, dict[Work, _Entry]] = defaultdict(dict)
    timed: dict[_RowKey, dict[Work, _Entry]] = defaultdict(dict)
    for entry in entries:  # oldest first: the newest is what remains
        key = _row_key(entry.run)
        placed[key][entry.work] = entry
        # One that was answered from the journal does not tell what the work takes.
        before = timed[key].get(entry.work)
        if before is None or before.result.cost.stored or not entry.result.cost.stored:
            timed[key][entry.work] = entry
    keys = sorted(placed, key=lambda key: _row_order(placed[key]))
    labels = distinct(
        [clean(key[0]) for key in keys],
        [
            [clean(key[2]) for key in keys],
            [clean(key[3]) for key in keys],
            [f"weights {clean(key[1])[-8:]}" for key in keys],
        ],
    )
    results = {
        work: [found[work].result for found in placed.values() if work in found] for work in works
    }
    limits = [limit_words(of[0]) if is_limited(of) else "" for of in results.values()]
    columns = {
        work: _column(label, work, results[work])
        for label, work in zip(column_labels(works, limits), works, strict=True)
    }
    rows = [
        _row(label, placed[key], list(timed[key].values()), columns, decode.get((key[1], key[2])))
        for label, key in zip(labels, keys, strict=True)
    ]
    return Section(title, tuple(columns.values()), tuple(_with_best(rows, [*columns.values()])))


def _column(label: str, work: Work, results: Sequence[TaskResult]) -> Column:
    result = results[-1]
    unit, higher_is_better = _unit_and_direction(results)
    return Column(
        label=label,
        task=work.task,
        version=work.version,
        metric=work.metric,
        unit=unit,
        higher_is_better=higher_is_better,
        num_fewshot=work.num_fewshot,
        limit=result.limit if is_limited(results) else None,
        docs=work.docs,
        groups=len(result.groups),
        chat_template=work.chat_template,
        data=result.data,
        prompt_digest=work.prompt_digest,
    )


def _unit_and_direction(results: Sequence[TaskResult]) -> tuple[str, bool]:
    """The unit in which all of a column's values can be read, and which way is better."""
    estimates = [r.estimates[r.primary] for r in results if r.primary in r.estimates]
    # One without a value has its metric's usual unit, which need not be that of the values.
    telling = [estimate for estimate in estimates if estimate.value is not None] or estimates
    units = {estimate.unit for estimate in telling}
    unit = units.pop() if len(units) == 1 else "score"
    return unit, telling[-1].higher_is_better if telling else True


def _row(
    label: str,
    found: dict[Work, _Entry],
    timed: Sequence[_Entry],
    columns: Mapping[Work, Column],
    decode: float | None,
) -> ModelRow:
    newest = max((entry.run for entry in found.values()), key=_created)
    runs = sorted({e.run.id: e.run for e in found.values()}.values(), key=_created, reverse=True)
    return ModelRow(
        label=label,
        name=newest.model.name,
        family=newest.model.family,
        stage=newest.model.stage,
        quantization=newest.model.quantization,
        dtype=newest.model.dtype,
        backend=newest.settings.backend,
        lineage=newest.model.lineage,
        weights_id=newest.model.weights_id,
        cells=tuple(_cell(found.get(work), column) for work, column in columns.items()),
        costs=_costs(newest, timed, decode),
        runs=tuple(run.id for run in runs),
        notes=_row_notes(runs, {work.task for work in found}),
        data_cards=newest.model.data_cards,
    )


def _cell(entry: _Entry | None, column: Column) -> Cell | None:
    if entry is None:
        return None
    result = entry.result
    estimate = result.estimates.get(result.primary)
    return Cell(
        run_id=entry.run.id,
        estimate=replace(estimate, unit=column.unit) if estimate else None,
        docs=result.docs,
        unscored=result.unscored,
        truncated=result.truncated,
        limit=column.limit,
        noise=result.noise,
    )


def _with_best(rows: Sequence[ModelRow], columns: Sequence[Column]) -> list[ModelRow]:
    best = [
        surely_best([row.cells[position] for row in rows], column.higher_is_better)
        if is_ordered(column.metric)
        else None
        for position, column in enumerate(columns)
    ]
    return [
        replace(
            row,
            cells=tuple(
                replace(cell, surely_best=True) if cell is not None and winner == number else cell
                for cell, winner in zip(row.cells, best, strict=True)
            ),
        )
        for number, row in enumerate(rows)
    ]


def _costs(newest: Run, entries: Sequence[_Entry], decode: float | None) -> Costs:
    total = total_cost([entry.result for entry in entries])
    machines = {_machine(entry.run) for entry in entries}
    return Costs(
        parameters=newest.model.parameters,
        disk_bytes=newest.model.disk_bytes,
        memory_bytes=newest.model.memory_bytes,
        peak_memory_bytes=total.peak_memory_bytes,
        seconds=total.seconds,
        tokens_per_second=total.tokens_per_second,
        tasks=len(entries),
        machines=tuple(sorted(machines)),
        decode=decode,
    )


def _machine(run: Run) -> str:
    at = run.environment
    return clean(f"{at.device} on {at.processor}, {at.threads} of {at.cores} cores")


def _row_notes(runs: Sequence[Run], scored: set[str]) -> tuple[str, ...]:
    notes = []
    for run in runs:
        missing = [task for task in run.unfinished if task not in scored]
        if missing:
            names = ", ".join(map(clean, missing))
            notes.append(f"{run.status} run: {names} not scored")
    if any(run.model.trust_remote_code for run in runs):
        notes.append("ran the checkpoint's own code")
    return tuple(notes)


def _row_key(run: Run) -> _RowKey:
    model = run.model
    return model.name, model.weights_id, model.dtype, run.settings.backend


def _row_order(found: dict[Work, _Entry]) -> tuple[str, tuple[str, ...], str, datetime]:
    # Descendants follow what they were made from, so that a reader sees what a step changed.
    newest = max((entry.run for entry in found.values()), key=_created)
    model = newest.model
    return model.family, model.lineage, model.name, _created(newest)


def _defined(estimate: Estimate) -> bool:
    low, high = estimate.low, estimate.high
    if estimate.value is None or low is None or high is None:
        return False
    # An interval without width tells nothing of chance: all values were equal, say.
    return all(map(math.isfinite, (estimate.value, low, high))) and low < high
