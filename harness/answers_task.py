"""Prompts and references: the model answers each prompt, and its answer is measured.

What is measured is a list of `Measure`s: of the two texts alone (`harness.overlap_measures`), or
with a judge's help, who is asked in the second round. Zero-shot, greedy, through the chat template
where the model has one.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.data import Dataset, find, load
from harness.errors import DataError, UsageError
from harness.metrics.metric import Metric
from harness.open_task import RenderChat, TaskContext, group_of, make_docs, spread_limit
from harness.records import DataRecord
from harness.types import (
    Addressed,
    Doc,
    GenerateUntil,
    Generation,
    Request,
    Response,
    Score,
    Statistic,
)

STOPS = ("Question:", "</s>", "<|im_end|>")
MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Answered:
    """A question without the task's wording around it, the model's answer and the reference, white
    space around each left out.
    """

    question: str
    answer: str
    reference: str


def nothing(answered: Answered) -> Sequence[Request]:
    """No question to a judge."""
    return ()


@dataclass(frozen=True)
class Measure:
    """One way to tell how good an answer is.

    Attributes:
        metrics: how what `score` gives is reduced over docs.
        score: the statistics of an answer, by the metrics' keys, from it and the judge's responses
            to `asks`.
        judge: the name in the registry of who is asked, ``None`` for nobody.
        asks: what the judge is asked.
    """

    metrics: tuple[Metric, ...]
    score: Callable[[Answered, Sequence[Response]], Mapping[str, Statistic]]
    judge: str | None = None
    asks: Callable[[Answered], Sequence[Request]] = nothing


@dataclass(frozen=True)
class Wording:
    """What is asked, and how the answer may run.

    Attributes:
        prompt, reference: texts with columns in braces, as `str.format` takes them.
        question: likewise: what a judge is told that was asked.
        until: what stops an answer.
        max_new_tokens: how long it may be.
    """

    prompt: str
    reference: str
    question: str
    until: tuple[str, ...] = STOPS
    max_new_tokens: int = MAX_NEW_TOKENS

    def __post_init__(self) -> None:
        # A brace left open is told where the task is declared, with file and line.
        _ = self.columns

    @property
    def columns(self) -> list[str]:
        """The columns that the three name; raises ValueError for a brace left open."""
        parts = string.Formatter().parse(self.prompt + self.reference + self.question)
        return list(dict.fromkeys(name for _, name, _, _ in parts if name is not None))


@dataclass(frozen=True)
class AnswersTask:
    """One generation per prompt, then what the measures' judges are asked about it."""

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    wording: Wording
    measures: Sequence[Measure]
    render_chat: RenderChat | None
    version: str = "1"
    num_fewshot: int = 0

    @property
    def metrics(self) -> Sequence[Metric]:
        """Those of all measures, in their order."""
        return [metric for measure in self.measures for metric in measure.metrics]

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Ask for an answer, greedily."""
        prompt = self.wording.prompt.format(**doc.fields)
        if self.render_chat is not None:
            messages = [{"role": "user", "content": prompt}]
            prompt = self.render_chat(messages, add_generation_prompt=True)
        return [GenerateUntil(prompt, self.wording.until, self.wording.max_new_tokens)]

    def follow_up(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Addressed]:
        """Each measure's questions to its judge."""
        answered = self._answered(doc, responses[0])
        return [
            Addressed(measure.judge, request)
            for measure in self.measures
            if measure.judge is not None
            for request in measure.asks(answered)
        ]

    def target(self, doc: Doc) -> str:
        """The reference."""
        return self.wording.reference.format(**doc.fields)

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """What all measures make of the answer; an empty one is an answer like any other."""
        answered = self._answered(doc, responses[0])
        values: dict[str, Statistic] = {}
        taken = 1
        for measure in self.measures:
            asked = len(measure.asks(answered)) if measure.judge is not None else 0
            values |= measure.score(answered, responses[taken : taken + asked])
            taken += asked
        return Score(values)

    def _answered(self, doc: Doc, response: Response) -> Answered:
        if not isinstance(response, Generation):
            raise TypeError(f"a prompt got a {type(response).__name__}")
        question = self.wording.question.format(**doc.fields)
        return Answered(question.strip(), response.text.strip(), self.target(doc).strip())


def open_answers_task(
    dataset: Dataset, wording: Wording, measures: Sequence[Measure], context: TaskContext
) -> AnswersTask:
    """Read the rows. Where there is a column ``group``, a limit is spread over the groups.

    Raises:
        DataError: a column that the wording names is missing, empty or no text, or a group is none.
        UsageError: few-shot examples were asked for.
    """
    if context.num_fewshot:
        raise UsageError(f"{dataset.name} takes no few-shot examples: leave --num-fewshot out")
    found = find(dataset, context.folders)
    splits, record = load(found)
    if dataset.split not in splits:
        raise DataError(f"{dataset} has no rows")
    rows, file = splits[dataset.split], found.files.get(dataset.split)
    where = f"{dataset}, {file.name}" if file is not None else str(dataset)
    if missing := [name for name in wording.columns if name not in rows.column_names]:
        raise DataError(
            f"{where}: the column {', '.join(missing)} is missing; it has "
            f"{', '.join(rows.column_names)}"
        )
    groups: dict[str | None, list[dict[str, str]]] = {}
    for number, row in enumerate(rows, 1):
        place = f"{where}, row {number}"
        fields = {name: _text(row[name], name, place) for name in wording.columns}
        groups.setdefault(group_of(row, place), []).append(fields)
    counts = spread_limit(context.limit, [len(of_group) for of_group in groups.values()])
    docs = make_docs(
        (fields, group)
        for (group, of_group), count in zip(groups.items(), counts, strict=True)
        for fields in of_group[:count]
    )
    return AnswersTask(docs, [record], wording, measures, context.render_chat)


def _text(value: object, column: str, where: str) -> str:
    if not isinstance(value, str | int | float | None):
        raise DataError(f"{where}: {column} is no text but a {type(value).__name__}")
    text = "" if value is None else str(value)
    if not text.strip():
        raise DataError(f"{where}: {column} is empty; leave the row out")
    return text
