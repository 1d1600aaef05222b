"""Scores one model on tasks: requests out, responses in, rows and results on disk as they come."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from harness.backends.backend import Backend
from harness.errors import StorageError
from harness.journal import Journal, answered
from harness.metrics.accuracy import mean
from harness.metrics.metric import Metric, Sample, nothing_scored
from harness.open_task import OpenTask
from harness.records import Cost, Row, Run, TaskResult
from harness.run_folder import RowWriter, RunFolder
from harness.task import Task
from harness.types import (
    Doc,
    Estimate,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    Score,
    Statistic,
    Unanswered,
)


class Progress(Protocol):
    """Told how far a task has come; the command line draws it."""

    def start(self, task: str, docs: int, requests: int) -> None:
        """A task begins."""
        ...

    def advance(self, requests: int, stored: bool = False) -> None:
        """So many more requests were answered, by the model or from the journal."""
        ...

    def finish(self, result: TaskResult) -> None:
        """The task is scored."""
        ...


@dataclass(frozen=True)
class PlannedTask:
    """A task with its data read, ready to be asked."""

    task: Task
    opened: OpenTask
    primary: str
    limit: int | None


@dataclass
class _PendingDoc:
    """A doc whose responses are still coming in."""

    doc: Doc
    requests: Sequence[Request]
    responses: dict[int, Response] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.responses) == len(self.requests)

    def ordered(self) -> list[Response]:
        return [self.responses[position] for position in range(len(self.requests))]


def evaluate(
    run: Run,
    folder: RunFolder,
    backend: Backend,
    planned: Sequence[PlannedTask],
    progress: Progress,
    journal: Journal | None = None,
) -> Run:
    """Score every planned task that the run has no result for yet.

    ``run.json`` is written after every task, so whatever stops the run keeps the finished tasks.

    Args:
        run: the run so far; tasks in ``run.results`` are left alone.
        folder: where it is kept.
        backend: the loaded model.
        planned: tasks with their data.
        progress: told how far it has come.
        journal: of this backend; ``None`` goes past it.

    Returns:
        The run with all results, marked complete.

    Raises:
        StorageError: rows or results could not be written; finished tasks are kept.
    """
    folder.write(run)
    try:
        for plan in planned:
            if plan.task.name in run.results:
                continue
            result = score_task(plan, backend, folder, progress, journal)
            results = {**run.results, plan.task.name: result}
            run = replace(run, results=results)
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
) -> TaskResult:
    """Ask all of a task's requests, score each doc when its last response is in, keep the rows."""
    opened = plan.opened
    asked = [(doc, list(opened.requests(doc))) for doc in opened.docs]
    owners = [(doc.index, position) for doc, requests in asked for position in range(len(requests))]
    flat = [request for _, requests in asked for request in requests]
    pending = {doc.index: _PendingDoc(doc, requests) for doc, requests in asked}
    digests = {doc.index: request_digest(requests) for doc, requests in asked}

    progress.start(plan.task.name, len(opened.docs), len(flat))
    backend.reset_peak_memory()
    started = time.perf_counter()
    tokens_in = tokens_out = stored = truncated = 0
    samples: dict[str, list[tuple[int, Sample]]] = {}
    reasons: Counter[str] = Counter()
    writer = RowWriter(folder, plan.task.name)
    try:
        for answer in answered(backend, backend.encode(flat), journal):
            if answer.stored:
                stored += 1
            else:
                tokens_in += answer.tokens_in
                tokens_out += answer.tokens_out
            index, position = owners[answer.index]
            waiting = pending[index]
            waiting.responses[position] = answer.response
            progress.advance(1, answer.stored)
            if not waiting.complete:
                continue
            del pending[index]
            doc, responses = waiting.doc, waiting.ordered()
            cut = any(getattr(response, "truncated", False) for response in responses)
            truncated += cut
            score = _score(opened, doc, responses)
            writer.append(
                _row(opened, doc, waiting.requests, responses, score, cut, digests[index])
            )
            if score.unscored is not None:
                reasons[score.unscored] += 1
            for name, statistic in score.values.items():
                samples.setdefault(name, []).append((doc.index, (statistic, doc.group)))
        if pending:
            raise RuntimeError(f"the backend left {len(pending)} docs without an answer")
        writer.finish()
    finally:
        writer.close()
    seconds = time.perf_counter() - started
    # Docs finish in whatever order was fastest; estimates must not depend on it.
    ordered = {
        name: [sample for _, sample in sorted(values, key=lambda item: item[0])]
        for name, values in samples.items()
    }
    metrics = _with_unannounced(opened.metrics, ordered)
    result = TaskResult(
        task=plan.task.name,
        version=opened.version,
        primary=plan.primary,
        num_fewshot=opened.num_fewshot,
        limit=plan.limit,
        data=tuple(opened.data),
        prompt_digest=_combined(digests[doc.index] for doc in opened.docs),
        estimates=estimates(metrics, ordered),
        groups=_group_estimates(metrics, ordered),
        docs=len(opened.docs),
        unscored=sum(reasons.values()),
        truncated=truncated,
        unscored_reasons=dict(reasons),
        cost=Cost(seconds, tokens_in, tokens_out, backend.peak_memory(), stored),
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


def request_digest(requests: Sequence[Request]) -> str:
    """Digest of what was asked about one doc: kinds, texts and settings."""
    asked = [[type(request).__name__, asdict(request)] for request in requests]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _score(opened: OpenTask, doc: Doc, responses: Sequence[Response]) -> Score:
    """Score a doc whose requests were all answered; one that was not makes it unscored."""
    for response in responses:
        if isinstance(response, Unanswered):
            return Score({}, unscored=response.reason)
    score = opened.score(doc, responses)
    odd = [name for name, statistic in score.values.items() if not _is_finite(statistic)]
    return Score({}, unscored=f"{odd[0]} is not a finite number") if odd else score


def _is_finite(statistic: Statistic) -> bool:
    """Whether JSON can hold it: NaN and infinities have no place in a record."""
    if isinstance(statistic, tuple):
        return all(_is_finite(item) for item in statistic)
    return not isinstance(statistic, float) or math.isfinite(statistic)


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


def _row(
    opened: OpenTask,
    doc: Doc,
    requests: Sequence[Request],
    responses: Sequence[Response],
    score: Score,
    truncated: bool,
    digest: str,
) -> Row:
    """One line of the record: what was asked, what came back, what it scored."""
    pairs = [request for request in requests if isinstance(request, LogLikelihood)]
    contexts = [pair.context for pair in pairs]
    answers = [response for response in responses if isinstance(response, LogProb)]
    texts = [response.text for response in responses if isinstance(response, Generation)]
    same_context = len(set(contexts)) <= 1
    return Row(
        doc_id=doc.id,
        index=doc.index,
        group=doc.group,
        prompt=_prompt(requests[0]) if same_context else "",
        contexts=() if same_context else tuple(contexts),
        continuations=tuple(pair.continuation for pair in pairs),
        logprobs=tuple(answer.logprob for answer in answers),
        greedy=tuple(answer.is_greedy for answer in answers),
        text=texts[0] if texts else None,
        target=opened.target(doc),
        scores=score.values,
        unscored=score.unscored,
        truncated=truncated,
        request_digest=digest,
    )


def _prompt(request: Request) -> str:
    if isinstance(request, LogLikelihood | GenerateUntil):
        return request.context
    # A window is token ids: its digest is enough.
    return request.text if isinstance(request, RollingLogLikelihood) else ""


def _combined(digests: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def _write_if_possible(folder: RunFolder, run: Run) -> None:
    """Note how the run ended; on a full disk the last good ``run.json`` stays as it was."""
    try:
        folder.write(run)
    except StorageError:
        return
