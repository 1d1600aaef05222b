"""Tasks worded by lm-eval: its prompts, few-shot sampling, filters and per-doc metrics.

Nothing here re-words a prompt. lm-eval's `ConfigurableTask` builds every request and scores every
response; this module gives it the rows, keeps the order of its few-shot draws, and carries its
results into `Score` and `Metric`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
from lm_eval.api.metrics import mean as lm_eval_mean
from lm_eval.api.task import ConfigurableTask
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.tasks._yaml_loader import load_yaml

from harness.data import Dataset, find, load
from harness.errors import DataError, HarnessError, UsageError
from harness.metrics.accuracy import macro_mean, mean
from harness.metrics.corpus import corpus
from harness.metrics.metric import Metric
from harness.metrics.perplexity import bits_per_unit, perplexity
from harness.open_task import TaskContext, make_docs, spread_limit
from harness.progress import note
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

DEFINITIONS = Path(lm_eval.__file__).parent / "tasks"
NO_FILTER = "none"
LENGTH_OPTIONS = {"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"}
GENERATION_OPTIONS = {"until", "do_sample", "temperature"} | LENGTH_OPTIONS
DEFAULT_MAX_GEN_TOKS = 256

logging.getLogger("lm_eval").setLevel(logging.ERROR)
datasets.disable_progress_bars()


@dataclass(frozen=True)
class Part:
    """One of lm-eval's definitions within a task, with the data it reads.

    Attributes:
        yaml: path of the definition, under ``lm_eval/tasks`` or absolute.
        group: name of the group that its docs form, ``None`` if it is the whole task.
        dataset: what it reads.
    """

    yaml: str
    group: str | None
    dataset: Dataset


@dataclass(frozen=True)
class LmEvalTask:
    """An `OpenTask` made of one or several of lm-eval's tasks."""

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    metrics: Sequence[Metric]
    version: str
    num_fewshot: int
    _asked: Mapping[int, tuple[ConfigurableTask, list[Instance]]]

    def requests(self, doc: Doc) -> Sequence[Request]:
        """lm-eval's instances of the doc as requests."""
        _, instances = self._asked[doc.index]
        return [_to_request(instance) for instance in instances]

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
        for instance, response in zip(instances, responses, strict=True):
            instance.resps, instance.filtered_resps = [_to_lm_eval(response)], {}
        values: dict[str, Statistic] = {}
        for ensemble in task._filters:
            ensemble.apply(instances)
            results = [instance.filtered_resps[ensemble.name] for instance in instances]
            for metric, value in task.process_results(dict(doc.fields), results).items():
                values[_metric_key(metric, ensemble.name)] = _plain(value)
        return Score(values)


class _GivenData(ConfigurableTask):  # type: ignore[misc]  # lm-eval ships no types
    """A ConfigurableTask over rows that are already here."""

    def __init__(self, config: dict[str, Any], splits: Mapping[str, Any]) -> None:
        self._given = splits
        super().__init__(config=config)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Take the given rows instead of fetching any."""
        self.dataset = self._given


def open_lm_eval_task(parts: Sequence[Part], context: TaskContext) -> LmEvalTask:
    """Read the data of every part and build all requests, in lm-eval's order.

    The few-shot sampler draws anew for every doc from one stream, so the prompts of a doc depend on
    the docs before it: requests are built once, from the first doc on, exactly as lm-eval does.

    Raises:
        DataError: data is missing, or a row lacks what the prompts need.
        UsageError: few-shot examples were asked for and their split is not there.
    """
    _seed()
    found = [(part, find(part.dataset, context.folders)) for part in parts]
    opened: list[tuple[Part, ConfigurableTask]] = []
    records: list[DataRecord] = []
    for part, place in found:
        splits, record = load(place)
        if place.origin == "samples" and not splits:
            continue  # the samples cover some of MMLU's subjects, not all
        opened.append((part, _construct(part, splits, context)))
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
    docs = make_docs(rows)
    asked = {
        doc.index: (task, _build(task, doc, context))
        for doc, task in zip(docs, owners, strict=True)
    }
    first = opened[0][1]
    metrics = _metrics(first, grouped=len(parts) > 1)
    shots = first.config.num_fewshot
    return LmEvalTask(docs, _merged(records), metrics, str(first.VERSION), shots, asked)


def _seed() -> None:
    """Seed what lm-eval seeds before it builds tasks: some shuffle choices as they read their docs.

    Per task, not per run, so that a task's prompts do not depend on the tasks before it.
    """
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)  # lm-eval's tasks draw from this one
    torch.manual_seed(DEFAULT_OTHER_SEED)


def _construct(part: Part, splits: Mapping[str, Any], context: TaskContext) -> ConfigurableTask:
    """Make lm-eval's task over the given rows, with its shots and its sampler's seed."""
    config = dict(load_yaml(DEFINITIONS / part.yaml))
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    if "class" in config:
        raise UsageError(
            f"lm-eval's {config['task']} is a Python class, not a definition; it cannot run here"
        )
    shots = _num_fewshot(config, context)
    _drop_absent_splits(config, splits, shots, part)
    config["num_fewshot"] = shots
    _check_generation_options(config)
    try:
        task = _GivenData(config, splits)
    except HarnessError:
        raise
    except Exception as error:  # templates and functions of any definition: many kinds of errors
        raise DataError(
            f"{part.dataset}: the rows do not fit lm-eval's definition {part.yaml} "
            f"({_brief(error)})"
        ) from None
    multimodal, unsafe = getattr(task, "MULTIMODAL", False), getattr(task, "UNSAFE_CODE", False)
    if multimodal or unsafe:
        what = "needs images or audio" if multimodal else "runs generated code"
        raise UsageError(f"lm-eval's {config['task']} {what}; this harness does not do that")
    if (task.config.repeats or 1) != 1:
        raise UsageError(
            f"lm-eval's {config['task']} samples each answer {task.config.repeats} times; "
            "this harness asks once"
        )
    _check_pool(task, shots, part)
    task.set_fewshot_seed(context.seed)
    return task


def _check_pool(task: ConfigurableTask, shots: int, part: Part) -> None:
    pool = len(task.sampler.df) if shots and hasattr(task, "sampler") else shots
    if pool < shots:
        raise UsageError(
            f"{task.config.task} with {shots} few-shot examples: {part.dataset} has only {pool} to "
            f"draw from; use --num-fewshot {pool} or fewer"
        )


def _num_fewshot(config: Mapping[str, Any], context: TaskContext) -> int:
    """The shots that lm-eval would use: a definition that says 0 is never overruled."""
    own = config.get("num_fewshot")
    if own == 0 and context.num_fewshot:
        note(f"{config['task']}: defined with 0 examples, so --num-fewshot does not apply to it")
    if context.num_fewshot is None or own == 0:
        return int(own or 0)
    return context.num_fewshot


def _drop_absent_splits(
    config: dict[str, Any], splits: Mapping[str, Any], shots: int, part: Part
) -> None:
    """Forget splits that the data lacks and the run does not need; refuse those that it needs.

    lm-eval touches every split that a definition names, even at 0 shots.
    """
    evaluated = config.get("test_split") or config.get("validation_split")
    if evaluated not in splits:
        raise DataError(
            f"{part.dataset} has no split {evaluated!r}, which {config['task']} is scored on "
            f"(it has {', '.join(splits) or 'none'})"
        )
    source = (
        config.get("fewshot_split")
        or (config.get("fewshot_config") or {}).get("split")
        or config.get("training_split")
        or config.get("validation_split")
        or evaluated
    )
    own_examples = (config.get("fewshot_config") or {}).get("samples") is not None
    if shots and source not in splits and not own_examples:
        raise UsageError(
            f"{config['task']} with {shots} few-shot examples draws them from the split "
            f"{source!r} of {part.dataset}, which is not there (it has {', '.join(splits)}); "
            "use --num-fewshot 0, or a data folder that has that split"
        )
    for key in ("training_split", "validation_split", "fewshot_split"):
        if config.get(key) not in splits:
            config.pop(key, None)
    fewshot = config.get("fewshot_config")
    if fewshot and fewshot.get("split") not in splits:
        config["fewshot_config"] = {k: v for k, v in fewshot.items() if k != "split"}


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
            metadata=(task.config.task, doc.index, 1),
            apply_chat_template=chat,
            chat_template=context.render_chat,
        )
    except Exception as error:
        raise DataError(
            f"{task.config.task}, doc {doc.index}: the row does not fit the task "
            f"({_brief(error)}); "
            f"its columns are {', '.join(fields)}"
        ) from None
    return built if isinstance(built, list) else [built]


def _to_request(instance: Instance) -> Request:
    arguments = instance.args
    if instance.request_type == "loglikelihood":
        return LogLikelihood(arguments[0], arguments[1])
    if instance.request_type == "loglikelihood_rolling":
        return RollingLogLikelihood(arguments[0])
    context, options = arguments
    known = normalize_gen_kwargs(options, DEFAULT_MAX_GEN_TOKS)
    until = tuple(known.get("until") or ())
    return GenerateUntil(context, until, known["max_gen_toks"], _temperature(options))


def _temperature(options: Mapping[str, Any]) -> float:
    """0, greedy decoding, unless a definition asks for sampling."""
    return float(options.get("temperature") or 0.0) if options.get("do_sample") else 0.0


def _check_generation_options(config: Mapping[str, Any]) -> None:
    """Refuse, before anything is asked, what would be answered otherwise than lm-eval does."""
    options = config.get("generation_kwargs") or {}
    harmless = {"top_p", "top_k"} if _temperature(options) == 0 else set()
    if options.get("num_beams") == 1:
        harmless |= {"num_beams"}
    unknown = sorted(set(options) - GENERATION_OPTIONS - harmless)
    if unknown:
        raise UsageError(
            f"lm-eval's {config['task']} sets the generation options {', '.join(unknown)}; "
            f"this harness knows {', '.join(sorted(GENERATION_OPTIONS))}"
        )


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


def _merged(records: Sequence[DataRecord]) -> list[DataRecord]:
    """Sample files that several parts share are recorded once."""
    unique: dict[tuple[str, str | None, tuple[tuple[str, str], ...]], DataRecord] = {}
    for record in records:
        config = None if record.origin == "samples" else record.config
        unique.setdefault((record.dataset, config, tuple(record.files.items())), record)
    return list(unique.values())


def _brief(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
