"""The table of docs: one row per run, task and doc, read from disk while it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.compare import StoredRun
from harness.errors import RecordError
from harness.exports.table import Column, Table, Value
from harness.records import Run, TaskResult
from harness.report.per_doc import doc_value
from harness.report.wording import counted
from harness.types import Statistic

_COLUMNS = (
    Column("run", "text"),
    Column("model", "text"),
    Column("task", "text"),
    Column("on_samples", "truth"),
    Column("doc_id", "text"),
    Column("index", "whole"),
    Column("group", "text"),
    Column("unscored", "text"),
    Column("truncated", "truth"),
)
_TEXTS = (Column("prompt", "text"), Column("target", "text"), Column("text", "text"))

METRIC = "metric_"
"""Stands before a metric's name, so that a metric called ``index`` is a column of its own."""


@dataclass(frozen=True, slots=True)
class _Doc:
    """What is read of a `harness.records.Row` where its texts are not asked for."""

    doc_id: str
    index: int
    group: str | None
    scores: Mapping[str, Statistic]
    unscored: str | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class _DocWithTexts(_Doc):
    prompt: str
    target: str
    text: str | None


def docs_table(runs: Sequence[StoredRun], *, texts: bool = False) -> Table:
    """Put the docs of all runs into one table, in the order in which they were finished.

    A metric of a single doc is `harness.report.per_doc.doc_value`: a page's own perplexity, not its
    log-likelihood and words. Empty where the task lacks the metric, the doc was not scored, or only
    all docs together have a value.

    Args:
        runs: each with its rows.
        texts: whether prompt, target and generated text are columns too.

    Raises:
        RecordError: rows are missing or damaged, or are not of as many docs as the run has; raised
            while the table is read.
    """
    metrics = _metrics([each.run for each in runs])
    columns = (
        *_COLUMNS,
        *(Column(METRIC + metric, "number") for metric in metrics),
        *(_TEXTS if texts else ()),
    )
    return Table(columns, _rows(runs, metrics, texts))


def _metrics(runs: Sequence[Run]) -> list[str]:
    """Metrics in the order of their first appearance; a macro average has no docs of its own."""
    found = [
        metric
        for run in runs
        for result in run.results.values()
        for metric in result.estimates
        if not (metric.endswith("_macro") and metric.removesuffix("_macro") in result.estimates)
    ]
    return list(dict.fromkeys(found))


def _rows(
    runs: Sequence[StoredRun], metrics: Sequence[str], texts: bool
) -> Iterator[tuple[Value, ...]]:
    for stored in runs:
        for result in stored.run.results.values():
            before = (stored.run.id, stored.run.model.name, result.task, result.on_samples)
            for doc in _docs(stored, result, _DocWithTexts if texts else _Doc):
                after = (doc.prompt, doc.target, doc.text) if isinstance(doc, _DocWithTexts) else ()
                yield (*before, *_values(doc, result, metrics), *after)


def _docs(stored: StoredRun, result: TaskResult, kind: type[_Doc]) -> Iterator[_Doc]:
    """A task's docs, checked to be all of them."""
    ids: set[str] = set()
    try:
        for doc in stored.folder.rows_as(result.task, kind):
            ids.add(doc.doc_id)
            yield doc
        if len(ids) != result.docs:
            path = stored.folder.rows_path(result.task)
            docs = counted(result.docs, "doc")
            raise RecordError(
                f"{path} is not whole, or names a doc twice: it has {len(ids):,} of {docs}"
            )
    except RecordError as error:
        raise RecordError(f"{error}; name the other runs, or leave --docs out") from None


def _values(doc: _Doc, result: TaskResult, metrics: Sequence[str]) -> tuple[Value, ...]:
    of_doc: list[Value] = [doc.doc_id, doc.index, doc.group, doc.unscored, doc.truncated]
    for metric in metrics:
        estimate = result.estimates.get(metric)
        of_doc.append(
            doc_value(metric, estimate.unit, doc.scores.get(metric)) if estimate else None
        )
    return tuple(of_doc)
