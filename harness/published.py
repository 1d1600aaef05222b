"""Published figures, to be held against ours: one file of tables per suite, read strictly.

``tasks/published/<suite>.yaml`` holds what a report printed, typed off digit by digit, and says for
each column which task and metric of this harness measures the same, and for each row which model of
the registry is meant. Notes say where "the same" ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml

from harness.errors import UnknownName, UsageError, closest
from harness.strict_yaml import Table, parse

Unit = Literal["percent", "share", "score", "perplexity"]
"""``percent``: all right is 100. ``share``: all right is 1. The others are what they are."""

UNITS: tuple[Unit, ...] = ("percent", "share", "score", "perplexity")
_OF_A_WHOLE = ("percent", "share")
_FIGURE = re.compile(r"-?(\d+\.?\d*|\.\d+)")


@dataclass(frozen=True)
class Measure:
    """A column of a published table, and what measures the same here.

    Attributes:
        label: its heading there.
        task, metric: ours.
        otherwise: the metric that is taken of a run without the first; ``None`` for none.
        unit: of the published figures; a comparison is shown in it.
        ours: the unit of our metric, as records hold it.
        decimals: of the figure with the most of them.
        notes: keys of `Published.notes`.
        comparable: whether ours is of the same docs and judges, as far as is known; where it is
            not, the two are shown and nothing is said of them. A note says why.
    """

    label: str
    task: str
    metric: str
    unit: Unit
    ours: Unit
    decimals: int
    notes: tuple[str, ...] = ()
    otherwise: str | None = None
    comparable: bool = True

    @property
    def factor(self) -> float:
        """By what one of our values is multiplied to stand in the published unit."""
        if self.unit == self.ours:
            return 1.0
        return 100.0 if self.unit == "percent" else 0.01


@dataclass(frozen=True)
class Figure:
    """A published figure: as it was printed, and as a number in the unit of its column."""

    text: str
    value: float


@dataclass(frozen=True)
class PublishedModel:
    """A row of a published table.

    Attributes:
        name: what the report calls the model.
        model: the entry of the registry that is meant.
        figures: by label of the column; a dash of the report is left out.
        notes: keys of `Published.notes`.
    """

    name: str
    model: str
    figures: Mapping[str, Figure]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedTable:
    """One table of a report."""

    title: str
    measures: tuple[Measure, ...]
    models: tuple[PublishedModel, ...]


@dataclass(frozen=True)
class Published:
    """What one report published.

    Attributes:
        suite: the suite of tasks that measures the same.
        source: the report's name and what it is.
        unstated: what the report does not say of all its figures.
        notes: remarks on rows and columns, by key.
    """

    suite: str
    source: str
    unstated: str
    notes: Mapping[str, str]
    tables: tuple[PublishedTable, ...]


def published_names(tasks_folder: Path) -> list[str]:
    """Names of the suites with published figures."""
    return sorted(path.stem for path in (tasks_folder / "published").glob("*.yaml"))


def load_published(tasks_folder: Path, suites: Mapping[str, Sequence[str]], name: str) -> Published:
    """Read the published figures of a suite.

    Args:
        tasks_folder: where ``published/`` lies.
        suites: every suite's tasks.
        name: the suite's.

    Raises:
        UnknownName: there is no such suite.
        UsageError: there are no published figures for it.
        RegistryError: the file is not as it should be; names file, line and key.
    """
    known = published_names(tasks_folder)
    if name not in suites:
        raise UnknownName("suite", name, suites, str(tasks_folder / "suites"))
    if name not in known:
        raise UsageError(
            f"no published figures are known for the suite {name!r}; there are some for "
            f"{', '.join(known) or 'none'} (looked in {tasks_folder / 'published'})"
        )
    return read_published(tasks_folder / "published" / f"{name}.yaml", suites[name])


def read_published(path: Path, tasks: Sequence[str]) -> Published:
    """Read one file of published figures.

    Args:
        path: the file; its stem is the suite's name.
        tasks: the suite's tasks, the only ones that a column may name.

    Raises:
        RegistryError: the file is not as it should be; names file, line and key.
    """
    top = parse(path)
    top.only(("source", "unstated", "notes", "tables"))
    notes: dict[str, str] = {}
    if "notes" in top:
        written = top.table("notes", "notes")
        notes = {key: written.text(key) for key in written.nodes}
    tables = _required(top, "tables")
    return Published(
        suite=path.stem,
        source=top.text("source"),
        unstated=top.text("unstated"),
        notes=notes,
        tables=tuple(
            _table(title, tables.table(title, f"table {title!r}"), tasks, notes)
            for title in tables.nodes
        ),
    )


def _table(
    title: str, table: Table, tasks: Sequence[str], notes: Mapping[str, str]
) -> PublishedTable:
    table.only(("columns", "rows"))
    columns, rows = _required(table, "columns"), _required(table, "rows")
    labels = list(columns.nodes)
    models = tuple(
        _model(name, rows.table(name, f"row {name!r}"), labels, notes) for name in rows.nodes
    )
    measures = tuple(
        _measure(label, columns.table(label, f"column {label!r}"), tasks, notes, models)
        for label in labels
    )
    return PublishedTable(title, measures, models)


def _measure(
    label: str,
    table: Table,
    tasks: Sequence[str],
    notes: Mapping[str, str],
    models: Sequence[PublishedModel],
) -> Measure:
    table.only(("task", "metric", "otherwise", "unit", "ours", "comparable", "notes"))
    unit = table.choice("unit", UNITS)
    ours = table.choice("ours", UNITS, unit)
    if unit != ours and not {unit, ours} <= {*_OF_A_WHOLE}:
        raise table.error("ours", f"{ours!r} cannot be turned into {unit!r}")
    texts = [model.figures[label].text for model in models if label in model.figures]
    return Measure(
        label=label,
        task=table.choice("task", tasks),
        metric=table.text("metric"),
        unit=cast(Unit, unit),
        ours=cast(Unit, ours),
        decimals=max((len(text.partition(".")[2]) for text in texts), default=2),
        notes=_notes(table, notes),
        otherwise=table.text("otherwise") if "otherwise" in table else None,
        comparable=table.flag("comparable", True),
    )


def _model(
    name: str, table: Table, labels: Sequence[str], notes: Mapping[str, str]
) -> PublishedModel:
    table.only(("model", "figures", "notes"))
    figures: dict[str, Figure] = {}
    if "figures" in table:
        written = table.table("figures", f"the figures of row {name!r}")
        written.only(labels)
        figures = {label: _figure(written, label) for label in written.nodes}
    return PublishedModel(name, table.text("model"), figures, _notes(table, notes))


def _figure(table: Table, label: str) -> Figure:
    node = table.nodes[label]
    if not isinstance(node, yaml.ScalarNode) or not _FIGURE.fullmatch(node.value):
        shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        raise table.error(
            label, f"{shown} is not a figure: digits and a point; leave out what was not published"
        )
    return Figure(re.sub(r"^(-?)\.", r"\g<1>0.", node.value), float(node.value))


def _notes(table: Table, known: Mapping[str, str]) -> tuple[str, ...]:
    if "notes" not in table:
        return ()
    keys = tuple(str(key) for key in table.scalars("notes"))
    for key in keys:
        if key not in known:
            raise table.error("notes", f"there is no note {key!r}{closest(key, known)}")
    return keys


def _required(table: Table, key: str) -> Table:
    if key not in table:
        raise table.error(None, f"the key {key!r} is missing")
    found = table.table(key, key)
    if not found.nodes:
        raise table.error(key, "nothing is written here")
    return found
