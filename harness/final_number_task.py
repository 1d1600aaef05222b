"""Questions with worked answers, judged by the number they end in: GSM8K's way, for own data.

Zero-shot, worded as lm-eval's GSM8K words a question. Nothing stops a generation at a blank line: a
model that sets its steps apart with one is not cut off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.data import Dataset
from harness.errors import DataError
from harness.metrics.accuracy import mean
from harness.metrics.metric import Metric
from harness.open_task import (
    OneRound,
    RenderChat,
    TaskContext,
    group_of,
    grouped_docs,
    shipped_rows,
)
from harness.records import DataRecord
from harness.types import Doc, GenerateUntil, Generation, Request, Response, Score

COLUMNS = ("question", "answer", "group")
STOPS = ("Question:", "</s>", "<|im_end|>")
MAX_NEW_TOKENS = 200
STRICT, FLEXIBLE = "exact_match,strict-match", "exact_match,flexible-extract"

# A minus belongs to a number unless something stands before it that it could be subtracted from.
_NUMBER = r"(?:(?<![\d)])-)?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_LAST = re.compile(_NUMBER)
_MARKED = re.compile(rf"####\s*\$?({_NUMBER})")


@dataclass(frozen=True)
class FinalNumberTask(OneRound):
    """One generation per question. ``strict-match`` reads the number after the first ``####``,
    ``flexible-extract`` the last number of the text.
    """

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    render_chat: RenderChat | None
    metrics: Sequence[Metric] = (mean(FLEXIBLE), mean(STRICT))
    version: str = "1"
    num_fewshot: int = 0

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Ask for the worked answer, greedily."""
        prompt = f"Question: {doc.fields['question']}\nAnswer:"
        if self.render_chat is not None:
            messages = [{"role": "user", "content": prompt}]
            prompt = self.render_chat(messages, add_generation_prompt=True)
        return [GenerateUntil(prompt, STOPS, MAX_NEW_TOKENS)]

    def target(self, doc: Doc) -> str:
        """The worked answer."""
        return str(doc.fields["answer"])

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """Whether the final number is the worked answer's, as a number: 4, 4.0 and 4.00 agree."""
        (response,) = responses
        if not isinstance(response, Generation):
            raise TypeError(f"a question got a {type(response).__name__}")
        gold = marked_number(self.target(doc))
        return Score(
            {
                FLEXIBLE: float(last_number(response.text) == gold),
                STRICT: float(marked_number(response.text) == gold),
            }
        )


def last_number(text: str) -> Fraction | None:
    """The last number of a text, ``None`` where there is none, or one of thousands of digits."""
    found = _LAST.findall(text)
    return _value(found[-1]) if found else None


def marked_number(text: str) -> Fraction | None:
    """The number after the first ``####``, ``None`` where there is none."""
    found = _MARKED.search(text)
    return _value(found.group(1)) if found else None


def open_final_number_task(dataset: Dataset, context: TaskContext) -> FinalNumberTask:
    """Read the rows; a limit is spread over their groups.

    Raises:
        DataError: a column is missing, an answer has no ``#### <number>``, or a group is no text.
        UsageError: few-shot examples were asked for.
    """
    rows, record = shipped_rows(dataset, context, COLUMNS)
    groups: dict[str | None, list[dict[str, str]]] = {}
    for number, row in enumerate(rows, 1):
        where = f"{dataset}, row {number}"
        if marked_number(str(row["answer"])) is None:
            raise DataError(f"{where}: the answer does not end in #### <number>")
        fields = {"question": row["question"], "answer": row["answer"]}
        groups.setdefault(group_of(row, where), []).append(fields)
    docs = grouped_docs(groups, context.limit)
    return FinalNumberTask(docs, [record], context.render_chat)


def _value(number: str) -> Fraction | None:
    try:
        return Fraction(number.replace(",", ""))
    except ValueError:  # more digits than Python turns into a number: a model that repeats itself
        return None
