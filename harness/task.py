"""What a task is: declared in a file under ``tasks/``, opened with its data when a run needs it.

A declaration (`Task`) costs nothing to import. `Task.open` reads the data and gives an `OpenTask`,
which turns docs into requests and responses into scores. Adding a benchmark is one file::

    from harness.data import Dataset
    from harness.task import lm_eval_task

    piqa = lm_eval_task(
        "piqa", yaml="piqa/piqa.yaml", primary="acc_norm", datasets=[Dataset("baber/piqa")]
    )
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.data import DataFolders, Dataset
from harness.errors import UsageError
from harness.metrics.metric import Metric
from harness.records import DataRecord
from harness.types import Doc, Request, Response, Score

LM_EVAL_PREFIX = "lm-eval:"
"""``--tasks lm-eval:piqa`` names a task of lm-eval's that has no file here."""

RenderChat = Callable[..., str]
"""lm-eval's ``apply_chat_template(messages, add_generation_prompt=...)``."""


@dataclass(frozen=True)
class TaskContext:
    """What opening a task depends on.

    Attributes:
        folders: where data may come from.
        num_fewshot: shots, ``None`` for the task's default.
        limit: how many docs, ``None`` for all.
        seed: seed of the few-shot sampler (lm-eval's default is 1234).
        render_chat: the model's chat template, if prompts go through it.
    """

    folders: DataFolders
    num_fewshot: int | None = None
    limit: int | None = None
    seed: int = 1234
    render_chat: RenderChat | None = None


class OpenTask(Protocol):
    """A task with its data read: docs in, requests out; responses in, scores out."""

    @property
    def version(self) -> str:
        """The definition's version: scores of two versions are not comparable."""
        ...

    @property
    def num_fewshot(self) -> int:
        """Examples in each prompt."""
        ...

    @property
    def docs(self) -> Sequence[Doc]:
        """What is asked, in evaluation order."""
        ...

    @property
    def metrics(self) -> Sequence[Metric]:
        """How the docs' statistics are reduced."""
        ...

    @property
    def data(self) -> Sequence[DataRecord]:
        """What the data sets resolved to."""
        ...

    def requests(self, doc: Doc) -> Sequence[Request]:
        """What to ask about a doc; always the same for the same doc."""
        ...

    def target(self, doc: Doc) -> str:
        """The gold answer, as a reader should see it."""
        ...

    def scores(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Score]:
        """What the responses to `requests(doc)` are worth; usually one Score."""
        ...


@dataclass(frozen=True)
class Task:
    """A benchmark as declared.

    Attributes:
        name: snake_case.
        primary: the metric for the leaderboard.
        datasets: what it reads, for offline checks before anything heavy is imported.
        open: reads the data; raises DataError, or UsageError for settings it cannot honour.
        about: one line for ``harness list tasks``.
        default_fewshot: lm-eval's default number of shots, for listing.
    """

    name: str
    primary: str
    datasets: tuple[Dataset, ...]
    open: Callable[[Task, TaskContext], OpenTask]
    about: str
    default_fewshot: int = 0

    def with_config(self, config: str) -> Task:
        """The same task on another configuration of its data set (``--dataset-config``).

        Raises:
            UsageError: the task reads several configurations.
        """
        if len(self.datasets) != 1:
            raise UsageError(
                f"--dataset-config {config}: {self.name} reads {len(self.datasets)} configurations "
                "of its data set; only a task that reads one can be pointed elsewhere"
            )
        return replace(self, datasets=(replace(self.datasets[0], config=config),))


@dataclass(frozen=True)
class TaskChoice:
    """A task within a suite, with the suite's settings for it."""

    task: str
    num_fewshot: int | None = None
    limit: int | None = None
    primary: str | None = None


@dataclass(frozen=True)
class Suite:
    """A named set of tasks and settings, from ``tasks/suites/<name>.yaml``."""

    name: str
    about: str
    tasks: tuple[TaskChoice, ...]
    samples: bool = False
    source: str = field(default="", compare=False)


def lm_eval_task(
    lm_eval_name: str,
    *,
    yaml: str,
    primary: str,
    datasets: Iterable[Dataset],
    about: str,
    name: str | None = None,
    default_fewshot: int = 0,
) -> Task:
    """Declare a benchmark by lm-eval's own definition: its prompts, filters and per-doc metrics.

    Args:
        lm_eval_name: the name in lm-eval.
        yaml: path of the definition under ``lm_eval/tasks``, so that lm-eval's index of all its
            tasks (8 s to build) is not needed.
        primary: metric for the leaderboard, ``metric`` or ``metric,filter``.
        datasets: the one data set the definition reads.
        about: one line for the list.
        name: ours, where it differs.
        default_fewshot: lm-eval's default, for listing.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.lm_eval_task import Part, open_lm_eval_task

        return open_lm_eval_task([Part(yaml, None, task.datasets[0])], context)

    return Task(name or lm_eval_name, primary, tuple(datasets), open_task, about, default_fewshot)


def lm_eval_group(
    name: str,
    *,
    parts: Mapping[str, tuple[str, Dataset]],
    primary: str,
    about: str,
    default_fewshot: int = 0,
) -> Task:
    """Declare several of lm-eval's tasks as one with groups (MMLU and its 57 subjects).

    Micro averages count every doc once, as lm-eval's ``mmlu`` does; beside each stands
    ``<metric>_macro``, the mean over groups.

    Args:
        name: ours.
        parts: group name to the definition's path under ``lm_eval/tasks`` and its data set.
        primary: metric for the leaderboard.
        about: one line for the list.
        default_fewshot: lm-eval's default, for listing.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.lm_eval_task import Part, open_lm_eval_task

        chosen = zip(parts.items(), task.datasets, strict=True)
        return open_lm_eval_task(
            [Part(yaml, group, dataset) for (group, (yaml, _)), dataset in chosen], context
        )

    datasets = tuple(dataset for _, dataset in parts.values())
    return Task(name, primary, datasets, open_task, about, default_fewshot)


def token_perplexity(name: str, *, window: int, dataset: Dataset, about: str) -> Task:
    """Declare perplexity per token in disjoint windows of a joined text (the GPTQ papers' figure).

    Args:
        name: ours.
        window: tokens per window.
        dataset: rows with a ``text`` column, joined with blank lines.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.windowed_task import open_windowed_task

        return open_windowed_task(task.datasets[0], window, context)

    return Task(name, "token_perplexity", (dataset,), open_task, about)


def make_docs(rows: Iterable[tuple[Mapping[str, Any], str | None]]) -> list[Doc]:
    """Give every row its id: a hash of its content and its occurrence among equal rows.

    Args:
        rows: fields and group, in evaluation order.
    """
    seen: dict[str, int] = {}
    docs: list[Doc] = []
    for index, (fields, group) in enumerate(rows):
        text = json.dumps(fields, sort_keys=True, ensure_ascii=False, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        occurrence = seen.get(digest, 0)
        seen[digest] = occurrence + 1
        docs.append(Doc(f"{digest}-{occurrence}", index, fields, group))
    return docs


def spread_limit(limit: int | None, sizes: Sequence[int]) -> list[int]:
    """How many docs to take of each group so that they add up to ``limit``, as evenly as can be.

    The first groups take one more where it does not divide; a group too small for its share leaves
    the rest to the others.
    """
    if limit is None or limit >= sum(sizes):
        return list(sizes)
    taken = [0] * len(sizes)
    left = limit
    while left:
        open_groups = [i for i, size in enumerate(sizes) if taken[i] < size]
        share = max(1, left // len(open_groups))
        for group in open_groups:
            step = min(share, sizes[group] - taken[group], left)
            taken[group] += step
            left -= step
    return taken
