"""Scores one model on tasks: requests out, responses in, rows and results on disk as they come."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.asking import AskedDoc, Spent, Watcher, ask_about, scored_rows
from harness.backends.backend import Backend
from harness.errors import RecordError, StorageError
from harness.journal import Journal
from harness.metrics.accuracy import mean
from harness.metrics.metric import Metric, Sample, nothing_scored
from harness.noise import compare, spread
from harness.open_task import OpenTask
from harness.others import NOBODY, Others
from harness.records import Cost, NoiseFloor, Run, TaskResult
from harness.run_folder import RowWriter, RunFolder
from harness.storage import remove_parts
from harness.task import Task
from harness.types import Estimate


class Progress(Watcher, Protocol):
    """Told how far a task has come; the command line draws it."""

    def finish(self, result: TaskResult) -> None:
        """The task is scored."""
        ...


@dataclass(frozen=True)
class PlannedTask:
    """A task with its data read, ready to be asked.

    Attributes:
        asked: all that is asked about its docs, where it was made ahead; else ``None``.
    """

    task: Task
    opened: OpenTask
    primary: str
    limit: int | None
    asked: Sequence[AskedDoc] | None = None


def evaluate(
    run: Run,
    folder: RunFolder,
    backend: Backend,
    planned: Sequence[PlannedTask],
    progress: Progress,
    journal: Journal | None = None,
    relaid: Backend | None = None,
    others: Others = NOBODY,
) -> Run:
    """Score every planned task that the run has no result for yet.

    ``run.json`` is written after every task, and again when its noise floor is measured, so
    whatever stops the run keeps the finished tasks.

    Args:
        run: the run so far; tasks in ``run.results`` are left alone.
        folder: where it is kept.
        backend: the loaded model.
        planned: tasks with their data.
        progress: told how far it has come.
        journal: of this backend; ``None`` goes past it.
        relaid: the backend in another batch layout, to measure noise floors with, which goes past
            the journal; ``None`` measures none.
        others: who is asked in second rounds.

    Returns:
        The run with all results, marked complete.

    Raises:
        StorageError: rows or results could not be written; finished tasks are kept.
    """
    remove_parts(folder.path)
    folder.write(run)
    try:
        for plan in planned:
            if plan.task.name not in run.results:
                result = score_task(plan, backend, folder, progress, journal, others)
                run = _with_result(run, result)
                folder.write(run)
            result, again = run.results[plan.task.name], run.settings.noise_floor
            if relaid is not None and again and result.noise is None:
                layouts = backend.facts.plan, relaid.facts.plan
                noise = _noise_floor(plan, folder, relaid, layouts, again, progress, others)
                run = _with_result(run, replace(result, noise=noise))
                folder.write(run)
        run = replace(run, status="complete")
        folder.write(run)
        return run
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        _write_if_possible(folder, replace(run, status="interrupted" if interrupted else "failed"))
        raise


def score_task(
    plan: PlannedTask,
    backend: Backend,
    folder: RunFolder,
    progress: Progress,
    journal: Journal | None = None,
    others: Others = NOBODY,
) -> TaskResult:
    """Ask all of a task's requests, score each doc when its last response is in, keep the rows."""
    opened, task = plan.opened, plan.task
    asked = ask_about(opened, opened.docs) if plan.asked is None else plan.asked
    backend.reset_peak_memory()
    started = time.perf_counter()
    spent, truncated = Spent(), 0
    samples: dict[str, list[tuple[int, Sample]]] = {}
    reasons: Counter[str] = Counter()
    writer = RowWriter(folder, task.name)
    try:
        for row in scored_rows(task.name, opened, asked, backend, journal, progress, spent, others):
            writer.append(row)
            truncated += row.truncated
            if row.unscored is not None:
                reasons[row.unscored] += 1
            for name, statistic in row.scores.items():
                samples.setdefault(name, []).append((row.index, (statistic, row.group)))
        writer.finish()
    finally:
        writer.close()
    # Workers answer several tasks at a time: then a task took what they spent on it.
    seconds = spent.worker_seconds or time.perf_counter() - started - spent.others_seconds
    # Docs finish in whatever order was fastest; estimates must not depend on it.
    ordered = {
        name: [sample for _, sample in sorted(values, key=lambda item: item[0])]
        for name, values in samples.items()
    }
    metrics = _with_unannounced(opened.metrics, ordered)
    result = TaskResult(
        task=task.name,
        version=opened.version,
        primary=plan.primary,
        num_fewshot=opened.num_fewshot,
        limit=plan.limit,
        data=tuple(opened.data),
        prompt_digest=_combined(each.digest for each in asked),
        estimates=estimates(metrics, ordered),
        groups=_group_estimates(metrics, ordered),
        docs=len(opened.docs),
        unscored=sum(reasons.values()),
        truncated=truncated,
        unscored_reasons=dict(reasons),
        cost=Cost(
            seconds,
            spent.tokens_in,
            spent.tokens_out,
            backend.peak_memory(),
            spent.stored,
            spent.others_seconds,
        ),
        others=others.names(task),
    )
    progress.finish(result)
    return result


def estimates(
    metrics: Sequence[Metric], samples: Mapping[str, Sequence[Sample]]
) -> dict[str, Estimate]:
    """Reduce the docs' statistics by every metric; one with no sample gets an empty Estimate."""
    reduced: dict[str, Estimate] = {}
    for metric in metrics:
        scored = samples.get(metric.key)
        reduced[metric.name] = (
            metric.estimate(scored)
            if scored
            else nothing_scored(metric.unit, metric.higher_is_better)
        )
    return reduced


def _with_unannounced(
    metrics: Sequence[Metric], samples: Mapping[str, Sequence[Sample]]
) -> list[Metric]:
    """Add a mean for numbers that a task reports without having declared a metric, as lm-eval
    does.
    """
    declared = {metric.key for metric in metrics}
    return [
        *metrics,
        *(
            mean(name)
            for name, values in samples.items()
            if name not in declared and all(isinstance(value, float) for value, _ in values)
        ),
    ]


def _group_estimates(
    metrics: Sequence[Metric], samples: Mapping[str, Sequence[Sample]]
) -> dict[str, dict[str, Estimate]]:
    groups = sorted({group for values in samples.values() for _, group in values if group})
    plain = [metric for metric in metrics if metric.of is None]
    return {
        group: estimates(
            plain,
            {
                name: [sample for sample in values if sample[1] == group]
                for name, values in samples.items()
            },
        )
        for group in groups
    }


def _noise_floor(
    plan: PlannedTask,
    folder: RunFolder,
    relaid: Backend,
    layouts: tuple[str, str],
    count: int,
    progress: Progress,
    others: Others,
) -> NoiseFloor:
    """Ask some of a scored task's docs again, and hold what comes back against its rows."""
    opened, name = plan.opened, plan.task.name
    asked = ask_about(opened, spread(opened.docs, count))
    title = f"{name}, noise floor"
    rows = scored_rows(title, opened, asked, relaid, None, progress, Spent(), others)
    again = {row.index: row for row in rows}
    pairs = [(row, again[row.index]) for row in folder.rows(name) if row.index in again]
    if any(row.request_digest != other.request_digest for row, other in pairs):
        raise RecordError(
            f"the noise floor of {name} cannot be measured: its prompts are no longer those that "
            "the run was begun with. Start a new run instead of --resume"
        )
    primary = next((m for m in opened.metrics if m.name == plan.primary), mean(plan.primary))
    return compare(pairs, primary.key, primary.unit, layouts)


def _with_result(run: Run, result: TaskResult) -> Run:
    return replace(run, results={**run.results, result.task: result})


def _combined(digests: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def _write_if_possible(folder: RunFolder, run: Run) -> None:
    """Note how the run ended; on a full disk the last good ``run.json`` stays as it was."""
    try:
        folder.write(run)
    except StorageError:
        return
