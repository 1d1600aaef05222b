"""Whether two runs did the same work, as far as their records tell; the docs tell the rest.

What a model is, and how it was run, may differ: that is what a comparison is about. What it was
asked, and how the answers were scored, may not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache

from harness.others import PARENT, REFERENCE
from harness.records import DataRecord, Run, TaskResult
from harness.units import DIVERGENCES

_FIXED = ("perplexity", "bits/byte", "bleu", "of 100", *DIVERGENCES)


def labels(runs: Sequence[Run]) -> list[str]:
    """Names for runs: those of their models, or the runs' own where one model made several."""
    made = Counter(run.model.name for run in runs)
    return [run.model.name if made[run.model.name] == 1 else run.id for run in runs]


def paired_tasks(base: Run, model: Run) -> list[str]:
    """Name the tasks of two runs that can stand side by side.

    What a task measures of a model against the model's own parent is left out where the two have
    not the same parent, or one has none: it says how far each has moved, from another place. All
    tasks where nothing else would be left.
    """
    tasks = list({**base.results, **model.results})

    def parent(run: Run, task: str) -> str | None:
        return run.results[task].others.get(PARENT) if task in run.results else None

    return [task for task in tasks if parent(base, task) == parent(model, task)] or tasks


def asked_twice(
    data: Mapping[str, Sequence[DataRecord]], docs: Callable[[str], Collection[str]]
) -> dict[str, str]:
    """Name the tasks whose questions an earlier one asks in another way (``arc_easy_answer`` those
    of ``arc_easy``), with that one: together they are one sample of docs, not two.

    They read one data set and have docs in common. Other splits or subjects of a data set
    (``anli_r1`` and ``anli_r2``) are other questions.

    Args:
        data: by task, the accuracy tasks alone, in order.
        docs: the ids of a task's docs; asked only where data sets are the same.
    """
    ids = cache(lambda task: frozenset(docs(task)))
    once: dict[frozenset[tuple[str, str | None]], list[str]] = {}
    found = {}
    for task, records in data.items():
        earlier = once.setdefault(frozenset((each.dataset, each.config) for each in records), [])
        first = next((other for other in earlier if not ids(task).isdisjoint(ids(other))), None)
        if first is None:
            earlier.append(task)
        else:
            found[task] = first
    return found


def work_differences(
    base: Run,
    model: Run,
    tasks: Sequence[str] | None = None,
    names: tuple[str, str] | None = None,
) -> list[str]:
    """Say what differs, a line each; empty where the records know of nothing.

    Files of data may differ: a data set from the hub and from a folder has other files and equal
    docs, which the docs' ids tell.

    Args:
        base: a run.
        model: another.
        tasks: the tasks that count; by default `paired_tasks`.
        names: what the lines call the two; by default their `labels`.
    """
    first, second = names or labels((base, model))
    found: list[str] = []
    asked = list(tasks) if tasks is not None else paired_tasks(base, model)
    for name, other, run in ((first, second, model), (second, first, base)):
        if missing := [task for task in asked if task not in run.results]:
            where = f"only {name} has" if tasks is None else f"{other} has no result for"
            found.append(f"tasks: {where} {', '.join(missing)}")
    if base.model.chat_template != model.model.chat_template:
        with_it, without = (first, second) if base.model.chat_template else (second, first)
        found.append(f"prompts: {with_it} is asked in its chat template, {without} in none")
    if base.settings.seed != model.settings.seed:
        found.append(f"seed: {_two(first, base.settings.seed, second, model.settings.seed)}")
    for task in asked:
        if task in base.results and task in model.results:
            lines = _of_task(base.results[task], model.results[task], first, second)
            if not lines and base.results[task].prompt_digest != model.results[task].prompt_digest:
                lines = ["other docs or prompts"]
            found += [f"{task}: {line}" for line in lines]
    return found


def _of_task(base: TaskResult, model: TaskResult, first: str, second: str) -> list[str]:
    """What differs in one task, prompts apart, which most of this would explain."""
    found = []
    if base.on_samples != model.on_samples:
        sampled, real = (first, second) if base.on_samples else (second, first)
        found.append(f"{sampled} was scored on the shipped samples, {real} on the benchmark")
    for what, of_base, of_model in (
        ("version", base.version, model.version),
        ("data", _data(base), _data(model)),
        ("examples in the prompt", base.num_fewshot, model.num_fewshot),
        ("docs", base.docs, model.docs),
        ("primary metric", base.primary, model.primary),
    ):
        if of_base != of_model:
            found.append(f"{what}: {_two(first, of_base, second, of_model)}")
    for asked in sorted({*base.others, *model.others}):
        of_base, of_model = base.others.get(asked, "nobody"), model.others.get(asked, "nobody")
        if of_base != of_model:
            named = asked in (REFERENCE, PARENT)
            hint = "; --reference MODEL names one for all" if named else ""
            found.append(f"{asked}: {_two(first, of_base, second, of_model)}{hint}")
    for name, one, other in ((first, base, model), (second, model, base)):
        if extra := sorted(set(one.estimates) - set(other.estimates)):
            found.append(f"metrics: only {name} has {', '.join(extra)}")
    for metric in sorted(set(base.estimates) & set(model.estimates)):
        one_of, other_of = base.estimates[metric], model.estimates[metric]
        if one_of.higher_is_better != other_of.higher_is_better:
            found.append(f"{metric}: its direction differs")
        # A mean is called a proportion or a score after the values that it met.
        if one_of.unit != other_of.unit and {one_of.unit, other_of.unit} & set(_FIXED):
            found.append(f"{metric}: {_two(first, one_of.unit, second, other_of.unit)}")
    return found


def _data(result: TaskResult) -> str:
    if result.on_samples:
        return "samples"
    return _listed(f"{data.dataset} {data.config or ''}".strip() for data in result.data)


def _listed(names: Iterable[str]) -> str:
    known = sorted(set(names))
    return ", ".join(known) if len(known) < 4 else f"{known[0]} and {len(known) - 1} more"


def _two(first: str, of_base: object, second: str, of_model: object) -> str:
    def said(value: object) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    return f"{said(of_base)} for {first}, {said(of_model)} for {second}"
