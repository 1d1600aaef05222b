"""Builders of stored runs whose rows and estimates agree, for comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.compare import StoredRun
from harness.metrics.accuracy import macro_mean, mean
from harness.metrics.metric import Metric, Sample, nothing_scored
from harness.metrics.perplexity import perplexity
from harness.records import Row
from tests.report.fixtures.runs import choice_row, digest, generated_row, result, run, stored


def answers(right: Sequence[int], *, group: str | None = None, start: int = 0) -> list[Row]:
    """Rows of questions, right where there is a 1."""
    return [
        choice_row(start + index, bool(value), scores={"acc": float(value)}, group=group)
        for index, value in enumerate(right)
    ]


def documents(nats: Iterable[float], words: float = 10.0) -> list[Row]:
    """Rows of texts with their log-likelihood."""
    return [
        generated_row(index, None, scores={"word_perplexity": (float(value), words)}, target="")
        for index, value in enumerate(nats)
    ]


METRICS: Mapping[str, Sequence[Metric]] = {
    "wikitext2": [perplexity("word_perplexity")],
    "mmlu": [mean("acc"), macro_mean("acc_macro", of="acc")],
}


def stored_run(
    runs: Path,
    name: str,
    rows: Mapping[str, Sequence[Row]],
    *,
    metrics: Mapping[str, Sequence[Metric]] = METRICS,
    changes: Mapping[str, Mapping[str, Any]] = {},
    **of_run: Any,
) -> StoredRun:
    """Store a complete run whose estimates follow from its rows.

    Args:
        runs: the folder of all runs.
        name: the model's.
        rows: task to rows.
        metrics: task to metrics; a mean called acc where there are none.
        changes: task to changes of its result.
        of_run: changes of the run.
    """
    results = []
    for task, of_task in rows.items():
        estimates = {}
        for metric in metrics.get(task, [mean("acc")]):
            samples: list[Sample] = [
                (row.scores[metric.key], row.group) for row in of_task if metric.key in row.scores
            ]
            empty = nothing_scored(metric.unit, metric.higher_is_better)
            estimates[metric.name] = metric.estimate(samples) if samples else empty
        primary = next(iter(estimates))
        groups: dict[str, Any] = {row.group: {} for row in of_task if row.group}
        fields: dict[str, Any] = {
            "estimates": estimates,
            "groups": groups,
            "docs": len(of_task),
            "unscored": sum(row.unscored is not None for row in of_task),
            "prompt_digest": digest([(row.doc_id, row.request_digest) for row in of_task]),
            **changes.get(task, {}),
        }
        results.append(result(task, estimates[primary], primary, **fields))
    created = of_run.pop("created", "2026-03-01T12:00:00+00:00")
    identity = of_run.pop("id", f"{created[:10]}-{name}")
    made = run(name, results, created=created, id=identity, suite=None, **of_run)
    return StoredRun(made, stored(runs / made.id, made, rows))
