"""An open task: a benchmark with its data read, ready to be asked.

What every kind of task shares: the protocol that the runner talks to, what opening depends on, how
docs get their ids, and how a limit is spread over groups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.data import DataFolders, Dataset, find, load
from harness.errors import DataError, UsageError
from harness.metrics.metric import Metric
from harness.records import DataRecord
from harness.types import Addressed, Doc, Request, Response, Score

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
        tokenize: the model's tokenizer, for tasks that are made of token windows.
        reference: the registry's name of the model that a task may hold the scored one against;
            ``None`` where there is none.
    """

    folders: DataFolders
    num_fewshot: int | None = None
    limit: int | None = None
    seed: int = 1234
    render_chat: RenderChat | None = None
    tokenize: Callable[[str], Sequence[int]] | None = None
    reference: str | None = None


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

    def follow_up(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Addressed]:
        """What to ask others about the doc once the model has answered `requests(doc)`."""
        ...

    def target(self, doc: Doc) -> str:
        """The gold answer, as a reader should see it."""
        ...

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """What the responses to `requests(doc)` are worth, with those to the follow-up behind."""
        ...


class OneRound:
    """An open task, or a part of one, that asks nobody but the model that is scored."""

    def follow_up(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Addressed]:
        """Nothing."""
        return ()


ClusterOf = Callable[[Mapping[str, Any]], str | None]
"""Names the document or passage that a row comes from; ``None`` where it does not tell."""


def make_docs(
    rows: Iterable[tuple[Mapping[str, Any], str | None]],
    clusters: Sequence[str | None] | None = None,
) -> list[Doc]:
    """Give every row its id: a hash of its content and its occurrence among equal rows.

    Args:
        rows: fields and group, in evaluation order.
        clusters: names of their documents or passages, of which docs keep a digest.
    """
    seen: dict[str, int] = {}
    docs: list[Doc] = []
    listed = list(rows)
    named = zip(listed, clusters or [None] * len(listed), strict=True)
    for index, ((fields, group), shared) in enumerate(named):
        text = json.dumps(fields, sort_keys=True, ensure_ascii=False, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        occurrence = seen.get(digest, 0)
        seen[digest] = occurrence + 1
        cluster = None if shared is None else hashlib.sha256(shared.encode()).hexdigest()[:16]
        docs.append(Doc(f"{digest}-{occurrence}", index, fields, group, cluster))
    return docs


def group_of(row: Mapping[str, Any], where: str) -> str | None:
    """The group that a row names in its column ``group``; ``None`` where it names none.

    Raises:
        DataError: it is neither a text nor a whole number.
    """
    group = row.get("group")
    if isinstance(group, bool) or not isinstance(group, str | int | None):
        raise DataError(
            f"{where}: the group is {group!r}; it must be a text or a whole number, or empty"
        )
    return None if group is None else str(group) or None


def grouped_docs(
    groups: Mapping[str | None, Sequence[Mapping[str, Any]]], limit: int | None
) -> list[Doc]:
    """Docs of rows by group, a limit spread over the groups."""
    counts = spread_limit(limit, [len(rows) for rows in groups.values()])
    return make_docs(
        (fields, group)
        for (group, rows), count in zip(groups.items(), counts, strict=True)
        for fields in rows[:count]
    )


def shipped_rows(
    dataset: Dataset, context: TaskContext, columns: Sequence[str]
) -> tuple[Any, DataRecord]:
    """Read the rows of a task without few-shot examples.

    Raises:
        DataError: there are none, or a column is missing.
        UsageError: few-shot examples were asked for.
    """
    if context.num_fewshot:
        raise UsageError(f"{dataset.name} takes no few-shot examples: leave --num-fewshot out")
    splits, record = load(find(dataset, context.folders))
    if dataset.split not in splits:
        raise DataError(f"{dataset} has no rows")
    rows = splits[dataset.split]
    if missing := [name for name in columns if name not in rows.column_names]:
        raise DataError(
            f"{dataset}: the column {', '.join(missing)} is missing; it has "
            f"{', '.join(rows.column_names)}"
        )
    return rows, record


def merged_records(records: Sequence[DataRecord]) -> list[DataRecord]:
    """What data sets resolved to; sample files that several of them share are recorded once."""
    unique: dict[tuple[str, str | None, tuple[tuple[str, str], ...]], DataRecord] = {}
    for record in records:
        config = None if record.origin == "samples" else record.config
        unique.setdefault((record.dataset, config, tuple(record.files.items())), record)
    return list(unique.values())


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
