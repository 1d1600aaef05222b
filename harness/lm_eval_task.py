"""Tasks worded by lm-eval: its prompts, few-shot sampling, filters and per-doc metrics.

Nothing here re-words a prompt. lm-eval's `ConfigurableTask` builds every request and scores every
response; this module gives it the rows, keeps the order of its few-shot draws, and carries its
results into `Score` and `Metric`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
from lm_eval.api.metrics import mean as lm_eval_mean
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.utils import normalize_gen_kwargs

from harness.data import find, load
from harness.errors import DataError, UsageError, WeightsError
from harness.lm_eval_definition import Part, brief, construct, seed_as_lm_eval, temperature
from harness.metrics.accuracy import macro_mean, mean
from harness.metrics.corpus import corpus
from harness.metrics.metric import Metric
from harness.metrics.perplexity import bits_per_unit, perplexity
from harness.open_task import (
    ClusterOf,
    OneRound,
    TaskContext,
    make_docs,
    merged_records,
    spread_limit,
)
from harness.records import DataRecord
from harness.types import (
    Doc,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    RollingLogProb,
    Score,
    Statistic,
)

NO_FILTER = "none"
DEFAULT_MAX_GEN_TOKS = 256

logging.getLogger("lm_eval").setLevel(logging.ERROR)
datasets.disable_progress_bars()


@dataclass(frozen=True)
class LmEvalTask(OneRound):
    """An `OpenTask` made of one or several of lm-eval's tasks."""

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    metrics: Sequence[Metric]
    version: str
    num_fewshot: int
    _asked: Mapping[int, tuple[ConfigurableTask, list[Instance]]]

    def requests(self, doc: Doc) -> Sequence[Request]:
        """lm-eval's instances of the doc as requests, each as often as it is repeated."""
        _, instances = self._asked[doc.index]
        return [
            _to_request(instance, repeat)
            for instance in instances
            for repeat in range(instance.repeats)
        ]

    def target(self, doc: Doc) -> str:
        """The right choice's text, or the reference answer."""
        task, _ = self._asked[doc.index]
        gold = task.doc_to_target(dict(doc.fields))
        if isinstance(gold, int) and task.config.doc_to_choice is not None:
            choices = task.doc_to_choice(dict(doc.fields))
            return str(choices[gold]) if 0 <= gold < len(choices) else str(gold)
        return str(gold)

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """lm-eval's filters and ``process_results``, one filter at a time."""
        task, instances = self._asked[doc.index]
        given = iter(responses)
        answered = not any(_holds_nan(_to_lm_eval(response)) for response in responses)
        for instance in instances:
            instance.resps = [_to_lm_eval(next(given)) for _ in range(instance.repeats)]
            instance.filtered_resps = {}
        values: dict[str, Statistic] = {}
        for ensemble in task._filters:
            ensemble.apply(instances)
            results = [instance.filtered_resps[ensemble.name] for instance in instances]
            for metric, value in task.process_results(dict(doc.fields), results).items():
                # Where the responses are numbers, a NaN beside others is the definition's own word
                # for a doc that says nothing of this metric (bbq's, of another category).
                if not (answered and isinstance(value, tuple) and _holds_nan(value)):
                    values[_metric_key(metric, ensemble.name)] = _plain(value)
        return Score(values)


def open_lm_eval_task(
    parts: Sequence[Part], context: TaskContext, cluster_of: ClusterOf | None = None
) -> LmEvalTask:
    """Read the data of every part and build all requests, in lm-eval's order.

    The few-shot sampler draws anew for every doc from one stream, so the prompts of a doc depend on
    the docs before it: requests are built once, from the first doc on, exactly as lm-eval does.

    Raises:
        DataError: data is missing, or a row lacks what the prompts need.
        UsageError: few-shot examples were asked for and their split is not there.
    """
    seed_as_lm_eval()
    found = [(part, find(part.dataset, context.folders)) for part in parts]
    opened: list[tuple[Part, ConfigurableTask]] = []
    records: list[DataRecord] = []
    for part, place in found:
        splits, record = load(place)
        if place.origin == "samples" and not splits:
            continue  # the samples cover some of MMLU's subjects, not all
        opened.append((part, construct(part, splits, context)))
        records.append(record)
    if not opened:
        raise DataError(f"no rows for {parts[0].dataset}")

    sizes = [len(task.task_docs) for _, task in opened]
    counts = spread_limit(context.limit, sizes)
    rows = [
        (task.task_docs[index], part.group)
        for (part, task), count in zip(opened, counts, strict=True)
        for index in range(count)
    ]
    owners = [task for (_, task), count in zip(opened, counts, strict=True) for _ in range(count)]
    docs = make_docs(rows, [cluster_of(fields) for fields, _ in rows] if cluster_of else None)
    asked = {
        doc.index: (task, _build(task, doc, context))
        for doc, task in zip(docs, owners, strict=True)
    }
    first = opened[0][1]
    metrics = _metrics(first, grouped=len(parts) > 1)
    shots = first.config.num_fewshot
    return LmEvalTask(docs, merged_records(records), metrics, str(first.VERSION), shots, asked)


def _build(task: ConfigurableTask, doc: Doc, context: TaskContext) -> list[Instance]:
    """lm-eval's instances of one doc."""
    fields = dict(doc.fields)
    chat = context.render_chat is not None
    try:
        prompt = task.fewshot_context(
            fields,
            num_fewshot=task.config.num_fewshot,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
            chat_template=context.render_chat,
            gen_prefix=task.doc_to_prefix(fields),
        )
        built = task.construct_requests(
            doc=fields,
            ctx=prompt,
            metadata=(task.config.task, doc.index, task.config.repeats or 1),
            apply_chat_template=chat,
            chat_template=context.render_chat,
        )
    except WeightsError as error:  # the chat template's
        raise WeightsError(f"{task.config.task}, doc {doc.index}: {error}") from None
    except UsageError:  # the model cannot be asked what the task asks
        raise
    except Exception as error:
        raise DataError(
            f"{task.config.task}, doc {doc.index}: the row does not fit the task "
            f"({brief(error)}); "
            f"its columns are {', '.join(fields)}"
        ) from None
    return built if isinstance(built, list) else [built]


def _to_request(instance: Instance, repeat: int) -> Request:
    arguments = instance.args
    if instance.request_type == "loglikelihood":
        return LogLikelihood(arguments[0], arguments[1])
    if instance.request_type == "loglikelihood_rolling":
        return RollingLogLikelihood(arguments[0])
    context, options = arguments
    known = normalize_gen_kwargs(options, DEFAULT_MAX_GEN_TOKS)
    until = tuple(known.get("until") or ())
    return GenerateUntil(context, until, known["max_gen_toks"], temperature(options), repeat)


def _to_lm_eval(response: Response) -> Any:
    if isinstance(response, LogProb):
        return (response.logprob, response.is_greedy)
    if isinstance(response, RollingLogProb):
        return response.logprob
    if isinstance(response, Generation):
        return response.text
    raise TypeError(f"no request of lm-eval is answered by a {type(response).__name__}")


def _metrics(task: ConfigurableTask, *, grouped: bool) -> list[Metric]:
    """lm-eval's metrics with their aggregations, one for each filter."""
    metrics: list[Metric] = []
    directions = task.higher_is_better()
    for name, aggregate in task.aggregation().items():
        better = bool(directions.get(name, True))
        for ensemble in task._filters:
            key = _metric_key(name, ensemble.name)
            metrics.append(_metric(key, aggregate, better))
            if grouped and aggregate is lm_eval_mean:
                metrics.append(macro_mean(f"{key}_macro", of=key, higher_is_better=better))
    return metrics


def _metric(key: str, aggregate: Callable[[list[Any]], float], higher_is_better: bool) -> Metric:
    if aggregate is lm_eval_mean:
        return mean(key, higher_is_better=higher_is_better)
    if aggregate is weighted_perplexity:
        return perplexity(key)
    if aggregate is bits_per_byte:
        return bits_per_unit(key)
    # A task's own aggregation may run a model of its own for every call; lm-eval's are arithmetic.
    cheap = getattr(aggregate, "__module__", "") == "lm_eval.api.metrics"
    return corpus(key, aggregate, higher_is_better=higher_is_better, resample=cheap)


def _holds_nan(value: Any) -> bool:
    items = value if isinstance(value, tuple) else (value,)
    return any(isinstance(item, float) and math.isnan(item) for item in items)


def _metric_key(metric: str, filter_name: str) -> str:
    """lm-eval's ``metric,filter``; the filter that does nothing is left out."""
    return metric if filter_name == NO_FILTER else f"{metric},{filter_name}"


def _plain(value: Any) -> Statistic:
    """A per-doc value as JSON can hold it."""
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return float(value)
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain_item(item) for key, item in value.items()}
    return tuple(_plain_item(item) for item in value)


def _plain_item(item: Any) -> Any:
    if isinstance(item, np.ndarray):
        return item.tolist()
    if isinstance(item, np.generic):
        return item.item()
    if isinstance(item, tuple | list):
        return [_plain_item(child) for child in item]
    return item
