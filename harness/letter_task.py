"""Multiple choice by explained answers: the model explains itself, the harness finds the letter.

Zero-shot. The choices are lettered A, B, C and so on, whatever the data calls them (ARC calls some
1 to 4). How the letter is found: `harness.letters`; the rule that told is in the row's note. An
answer that settles on no letter is counted by ``extracted`` and is wrong for ``acc``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.data import Dataset, find, load
from harness.errors import DataError, UsageError
from harness.letters import LETTERS, extract
from harness.metrics.accuracy import macro_mean, mean
from harness.metrics.metric import Metric
from harness.open_task import (
    OneRound,
    RenderChat,
    TaskContext,
    make_docs,
    merged_records,
    spread_limit,
)
from harness.records import DataRecord
from harness.types import Doc, GenerateUntil, Generation, Request, Response, Score

STOPS = ("Question:", "</s>", "<|im_end|>")
MAX_NEW_TOKENS = 128
INSTRUCTION = 'Explain briefly, then give the letter of the right choice after "The answer is".'


@dataclass(frozen=True)
class Choices:
    """A row's question as it is asked.

    Attributes:
        question: its text.
        texts: the choices'.
        gold: position of the right one.
    """

    question: str
    texts: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class LetterTask(OneRound):
    """One generation per question; ``acc`` and ``extracted`` are shares of all docs."""

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    render_chat: RenderChat | None
    grouped: bool
    version: str = "2"
    num_fewshot: int = 0

    @property
    def metrics(self) -> Sequence[Metric]:
        """With groups, beside each its mean over them."""
        names = ("acc", "extracted")
        macros = [macro_mean(f"{name}_macro", of=name) for name in names] if self.grouped else []
        return [*map(mean, names), *macros]

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Ask for an explanation and a letter, greedily."""
        asked = choices_of(doc.fields)
        listed = [f"{letter}. {text}" for letter, text in zip(LETTERS, asked.texts, strict=False)]
        prompt = "\n".join([f"Question: {asked.question}", *listed, INSTRUCTION])
        if self.render_chat is None:
            prompt += "\nExplanation:"
        else:
            messages = [{"role": "user", "content": prompt}]
            prompt = self.render_chat(messages, add_generation_prompt=True)
        return [GenerateUntil(prompt, STOPS, MAX_NEW_TOKENS)]

    def target(self, doc: Doc) -> str:
        """The right choice with its letter."""
        asked = choices_of(doc.fields)
        return f"{LETTERS[asked.gold]}. {asked.texts[asked.gold]}"

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """Whether the letter that the answer settles on is the right one."""
        (response,) = responses
        if not isinstance(response, Generation):
            raise TypeError(f"a question got a {type(response).__name__}")
        asked = choices_of(doc.fields)
        found = extract(response.text, asked.texts)
        if found is None:
            return Score({"acc": 0.0, "extracted": 0.0}, note="no letter found")
        values = {"acc": float(found.choice == asked.gold), "extracted": 1.0}
        return Score(values, note=f"{LETTERS[found.choice]}, {found.rule}")


def open_letter_task(datasets: Sequence[Dataset], context: TaskContext) -> LetterTask:
    """Read the rows; of several data sets each is a group, and a limit is spread over them.

    Raises:
        DataError: a row is neither as ARC's nor as MMLU's are, or has no right choice.
        UsageError: few-shot examples were asked for.
    """
    if context.num_fewshot:
        raise UsageError(
            f"{datasets[0].name} with explained answers takes no few-shot examples: leave "
            "--num-fewshot out"
        )
    groups: dict[str | None, list[Mapping[str, Any]]] = {}
    records: list[DataRecord] = []
    for dataset in datasets:
        found = find(dataset, context.folders)
        splits, record = load(found)
        if dataset.split not in splits:
            continue  # the samples cover some of MMLU's subjects, not all
        rows = list(splits[dataset.split])
        for number, row in enumerate(rows, 1):
            _check(row, f"{dataset}, row {number}")
        groups[dataset.config if len(datasets) > 1 else None] = rows
        records.append(record)
    if not groups:
        raise DataError(f"no rows for {datasets[0]}")
    counts = spread_limit(context.limit, [len(rows) for rows in groups.values()])
    docs = make_docs(
        (row, group)
        for (group, rows), count in zip(groups.items(), counts, strict=True)
        for row in rows[:count]
    )
    return LetterTask(docs, merged_records(records), context.render_chat, len(datasets) > 1)


def choices_of(row: Mapping[str, Any]) -> Choices:
    """Read a row of ARC (``choices`` with texts and labels, ``answerKey``) or of MMLU (a list of
    ``choices``, ``answer`` as a position).

    Raises:
        KeyError, TypeError, ValueError: it is neither.
    """
    listed = row["choices"]
    if "answerKey" in row:
        texts, gold = listed["text"], list(listed["label"]).index(row["answerKey"])
    else:
        texts, gold = listed, int(row["answer"])
    if not isinstance(texts, list):
        raise TypeError("the choices are no list")
    if not 2 <= len(texts) <= len(LETTERS) or not 0 <= gold < len(texts):
        raise ValueError(f"{len(texts)} choices, of which number {gold + 1} is right")
    if not all(isinstance(text, str) and text.strip() for text in (row["question"], *texts)):
        raise ValueError("the question or a choice is empty")
    return Choices(row["question"].strip(), tuple(texts), gold)


def _check(row: Mapping[str, Any], where: str) -> None:
    try:
        choices_of(row)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{where}: no question with choices and a right one ({what}); its columns are "
            f"{', '.join(row)}"
        ) from None
