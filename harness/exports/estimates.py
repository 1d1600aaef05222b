"""The table of estimates: one row per run, task and metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.exports.table import Column, Kind, Table, Value, known
from harness.records import Run, TaskResult
from harness.types import Estimate


@dataclass(frozen=True)
class _Line:
    run: Run
    result: TaskResult
    metric: str
    estimate: Estimate


_COLUMNS: tuple[tuple[str, Kind, Callable[[_Line], Value]], ...] = (
    ("run", "text", lambda line: line.run.id),
    ("created", "text", lambda line: line.run.created),
    ("suite", "text", lambda line: line.run.settings.suite),
    ("model", "text", lambda line: line.run.model.name),
    ("family", "text", lambda line: line.run.model.family),
    ("stage", "text", lambda line: line.run.model.stage),
    ("quantization", "text", lambda line: line.run.model.quantization),
    ("dtype", "text", lambda line: line.run.model.dtype),
    ("backend", "text", lambda line: line.run.settings.backend),
    ("weights_id", "text", lambda line: line.run.model.weights_id),
    ("task", "text", lambda line: line.result.task),
    ("task_version", "text", lambda line: line.result.version),
    ("metric", "text", lambda line: line.metric),
    ("primary", "truth", lambda line: line.metric == line.result.primary),
    ("value", "number", lambda line: known(line.estimate.value)),
    ("low", "number", lambda line: known(line.estimate.low)),
    ("high", "number", lambda line: known(line.estimate.high)),
    ("stderr", "number", lambda line: known(line.estimate.stderr)),
    ("n", "whole", lambda line: line.estimate.n),
    ("unit", "text", lambda line: line.estimate.unit),
    ("higher_is_better", "truth", lambda line: line.estimate.higher_is_better),
    ("method", "text", lambda line: line.estimate.method),
    ("num_fewshot", "whole", lambda line: line.result.num_fewshot),
    ("limit", "whole", lambda line: line.result.limit),
    ("docs", "whole", lambda line: line.result.docs),
    ("unscored", "whole", lambda line: line.result.unscored),
    ("truncated", "whole", lambda line: line.result.truncated),
    ("chat_template", "truth", lambda line: line.run.model.chat_template),
    ("on_samples", "truth", lambda line: line.result.on_samples),
    ("prompt_digest", "text", lambda line: line.result.prompt_digest),
    ("others", "text", lambda line: _others(line.result)),
    ("noise_docs", "whole", lambda line: noise.docs if (noise := line.result.noise) else None),
    (
        "noise_changed",
        "whole",
        lambda line: noise.changed if (noise := line.result.noise) else None,
    ),
    (
        "noise_logprob_mean",
        "number",
        lambda line: known(noise.logprob_mean if (noise := line.result.noise) else None),
    ),
    ("seconds", "number", lambda line: known(line.result.cost.seconds)),
    ("others_seconds", "number", lambda line: known(line.result.cost.others_seconds)),
    ("tokens_in", "whole", lambda line: line.result.cost.tokens_in),
    ("tokens_out", "whole", lambda line: line.result.cost.tokens_out),
    ("tokens_per_second", "number", lambda line: known(line.result.cost.tokens_per_second)),
    ("from_journal", "whole", lambda line: line.result.cost.stored),
    ("peak_memory_bytes", "whole", lambda line: line.result.cost.peak_memory_bytes),
    ("memory_bytes", "whole", lambda line: line.run.model.memory_bytes),
    ("disk_bytes", "whole", lambda line: line.run.model.disk_bytes),
    ("parameters", "whole", lambda line: line.run.model.parameters),
    ("harness", "text", lambda line: line.run.environment.harness),
)
"""Names are the record's own; what a task or a run has once is repeated in each of its rows."""


def estimates_table(runs: Sequence[Run]) -> Table:
    """Put the estimates of all runs into one table, in the order of the runs.

    Values are in their ``unit`` (proportions, not percent). The groups of a task have no rows of
    their own: an average over the table would count their docs twice.
    """
    columns = tuple(Column(name, kind) for name, kind, _ in _COLUMNS)
    rows = (tuple(read(line) for _, _, read in _COLUMNS) for line in _lines(runs))
    return Table(columns, rows)


def _others(result: TaskResult) -> str | None:
    """Who else was asked, each by role: figures of one task by two judges are two things."""
    return "; ".join(f"{role}: {who}" for role, who in sorted(result.others.items())) or None


def _lines(runs: Sequence[Run]) -> Iterator[_Line]:
    for run in runs:
        for result in run.results.values():
            for metric, estimate in result.estimates.items():
                yield _Line(run, result, metric, estimate)
