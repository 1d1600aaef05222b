"""A suite's results beside published figures, as data: which result stands where, what is inside.

`suite_table` is pure; ``published_captions`` words what it decided and ``markdown_published``,
``html_published`` and ``terminal_published`` draw it. The dataclasses are also the schema of
``harness report --suite S --json``.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.published import Figure, Measure, Published, PublishedTable
from harness.records import Run, TaskResult
from harness.report.work import is_limited
from harness.types import Estimate


@dataclass(frozen=True)
class Asked:
    """What the suite asks of a task: a result of other work, or of other data by
    ``--dataset-config``, is not shown.

    Attributes:
        num_fewshot: examples in the prompt.
        limit: docs; ``None`` for all.
    """

    num_fewshot: int
    limit: int | None


@dataclass(frozen=True)
class Ours:
    """A result of ours.

    Attributes:
        metric: the column's, or the one that it takes otherwise.
        estimate: value and ends in the published unit.
        groups: of the task (MMLU's subjects), 0 if it has none.
        limited: whether a limit left docs out.
        others: who else was asked (see `harness.records.TaskResult`).
    """

    run_id: str
    metric: str
    estimate: Estimate
    docs: int
    unscored: int
    groups: int
    limited: bool
    others: Mapping[str, str]


@dataclass(frozen=True)
class Cell:
    """A published figure and what we measured.

    Attributes:
        inside: whether the published figure lies inside our 95% interval; ``None`` where one of
            the two is missing, they are not comparable, or the interval is undefined.
    """

    published: Figure | None
    ours: Ours | None
    inside: bool | None


@dataclass(frozen=True)
class Column:
    """A measure, with the numbers of its footnotes."""

    measure: Measure
    asked: Asked
    marks: tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """A model's cells, one per column.

    Attributes:
        name: what the report calls the model; ``""`` for a model that is not in it.
        model: the registry's name.
    """

    name: str
    model: str
    marks: tuple[int, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Part:
    """One published table.

    Attributes:
        published: its rows.
        own: models that have results and are not in it.
        samples: results on the shipped samples, which nothing published is comparable with.
    """

    title: str
    columns: tuple[Column, ...]
    published: tuple[Line, ...]
    own: tuple[Line, ...]
    samples: tuple[Line, ...]


@dataclass(frozen=True)
class Missing:
    """A published model some of whose tasks have no result.

    Attributes:
        registered: whether the registry has an entry of that name, so that it can be run.
    """

    model: str
    tasks: tuple[str, ...]
    registered: bool


@dataclass(frozen=True)
class ShownRun:
    """How a run answered: what may tell it from how the published figures were made.

    Attributes:
        lm_eval: the version of lm-eval that worded its tasks; ``""`` in a record without it.
    """

    id: str
    model: str
    weights_id: str
    dtype: str
    chat_template: bool
    backend: str
    lm_eval: str


@dataclass(frozen=True)
class SuiteTable:
    """Everything that the page of a suite says.

    Attributes:
        footnotes: texts of the marks 1, 2 and so on.
        runs: those whose results are shown, by id.
        notes: runs that could not be read.
    """

    suite: str
    source: str
    unstated: str
    parts: tuple[Part, ...]
    footnotes: tuple[str, ...]
    missing: tuple[Missing, ...]
    runs: tuple[ShownRun, ...]
    notes: tuple[str, ...]


def suite_table(
    published: Published,
    asked: Mapping[str, Asked],
    runs: Sequence[Run],
    registry: Container[str],
    notes: Iterable[str] = (),
) -> SuiteTable:
    """Place results beside the published figures.

    Of several results of a model, those of as many docs as the suite asks go first, then those of
    more docs, then the newest.

    Args:
        published: what was published.
        asked: the suite's settings, by task.
        runs: in any order, whatever suite they were made for.
        registry: names of the models that can be run.
        notes: remarks to carry along, such as runs that could not be read.
    """
    numbers = {key: number for number, key in enumerate(published.notes, 1)}
    parts = tuple(_part(table, asked, runs, numbers) for table in published.tables)
    lines = [line for part in parts for line in (*part.published, *part.own, *part.samples)]
    shown = {cell.ours.run_id for line in lines for cell in line.cells if cell.ours}
    return SuiteTable(
        suite=published.suite,
        source=published.source,
        unstated=published.unstated,
        parts=parts,
        footnotes=tuple(published.notes.values()),
        missing=_missing(parts, registry),
        runs=tuple(_shown(run) for run in runs if run.id in shown),
        notes=tuple(notes),
    )


def lies_inside(value: float, estimate: Estimate) -> bool | None:
    """Whether a value lies inside an interval, ends included; ``None`` where it is undefined."""
    low, high = estimate.low, estimate.high
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return low <= value <= high


def _part(
    table: PublishedTable,
    asked: Mapping[str, Asked],
    runs: Sequence[Run],
    numbers: Mapping[str, int],
) -> Part:
    columns = tuple(
        Column(measure, asked[measure.task], tuple(numbers[key] for key in measure.notes))
        for measure in table.measures
    )
    named = {row.model for row in table.models}
    rows = tuple(
        Line(
            row.name,
            row.model,
            tuple(numbers[key] for key in row.notes),
            tuple(
                _cell(row.figures.get(column.measure.label), column, row.model, runs, False)
                for column in columns
            ),
        )
        for row in table.models
    )
    others = [name for name in _by_lineage(runs) if name not in named]
    return Part(
        title=table.title,
        columns=columns,
        published=rows,
        own=_lines(others, columns, runs, False),
        samples=_lines(_by_lineage(runs), columns, runs, True),
    )


def _lines(
    models: Iterable[str], columns: Sequence[Column], runs: Sequence[Run], samples: bool
) -> tuple[Line, ...]:
    """Lines without published figures, of the models that have a result in one of the columns."""
    lines = [
        Line("", model, (), tuple(_cell(None, column, model, runs, samples) for column in columns))
        for model in models
    ]
    return tuple(line for line in lines if any(cell.ours for cell in line.cells))


def _cell(
    figure: Figure | None, column: Column, model: str, runs: Sequence[Run], samples: bool
) -> Cell:
    ours = _ours(column, model, runs, samples)
    if figure is None or ours is None or not column.measure.comparable:
        return Cell(figure, ours, None)
    return Cell(figure, ours, lies_inside(figure.value, ours.estimate))


def _ours(column: Column, model: str, runs: Sequence[Run], samples: bool) -> Ours | None:
    measure, asked = column.measure, column.asked
    found = [
        (run, result, metric)
        for run in runs
        if run.model.name == model
        and (result := run.results.get(measure.task)) is not None
        and (metric := _metric(measure, result)) is not None
        and result.num_fewshot == asked.num_fewshot
        and measure.task not in run.settings.dataset_configs
        and result.on_samples == samples
    ]
    if not found:
        return None

    def order(item: tuple[Run, TaskResult, str]) -> tuple[bool, bool, int, str, str]:
        run, result, metric = item
        first = metric == measure.metric
        return result.docs == asked.limit, first, result.docs, run.created, run.id

    run, result, metric = max(found, key=order)
    return Ours(
        run_id=run.id,
        metric=metric,
        estimate=_in_unit(result.estimates[metric], measure.factor),
        docs=result.docs,
        unscored=result.unscored,
        groups=len(result.groups),
        limited=is_limited([result]),
        others=result.others,
    )


def _metric(measure: Measure, result: TaskResult) -> str | None:
    wanted = (measure.metric, measure.otherwise)
    return next((metric for metric in wanted if metric in result.estimates), None)


def _in_unit(estimate: Estimate, factor: float) -> Estimate:
    def times(value: float | None) -> float | None:
        return None if value is None else value * factor

    return replace(
        estimate,
        value=times(estimate.value),
        low=times(estimate.low),
        high=times(estimate.high),
        stderr=times(estimate.stderr),
    )


def _shown(run: Run) -> ShownRun:
    model = run.model
    return ShownRun(
        id=run.id,
        model=model.name,
        weights_id=model.weights_id,
        dtype=model.dtype,
        chat_template=model.chat_template,
        backend=run.settings.backend,
        lm_eval=run.environment.packages.get("lm_eval", ""),
    )


def _by_lineage(runs: Sequence[Run]) -> list[str]:
    """The models' names; descendants follow what they were made from."""
    models = {run.model.name: run.model for run in runs}
    ordered = sorted(models.values(), key=lambda model: (model.family, model.lineage, model.name))
    return [model.name for model in ordered]


def _missing(parts: Sequence[Part], registry: Container[str]) -> tuple[Missing, ...]:
    without: dict[str, dict[str, None]] = {}
    for part in parts:
        for line in part.published:
            for column, cell in zip(part.columns, line.cells, strict=True):
                if cell.ours is None:
                    without.setdefault(line.model, {})[column.measure.task] = None
    return tuple(
        Missing(model, tuple(tasks), model in registry) for model, tasks in without.items()
    )
