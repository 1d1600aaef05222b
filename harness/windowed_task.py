"""Token perplexity in disjoint windows of a joined text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from harness.data import Dataset, find, load
from harness.errors import DataError, UsageError
from harness.metrics.metric import Metric
from harness.metrics.perplexity import perplexity
from harness.open_task import OneRound, TaskContext, make_docs
from harness.records import DataRecord
from harness.types import Doc, Request, Response, RollingLogProb, Score, WindowLogLikelihood

_TITLE = re.compile(r" = (?!=).+(?<!=) = \n?")
"""A page of WikiText begins so; the headings within it have more signs."""


@dataclass(frozen=True)
class WindowedTask(OneRound):
    """One doc per window. Models with the same tokenizer get the same docs; others cannot be
    compared, as their perplexities per token cannot.
    """

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    metrics: Sequence[Metric] = (perplexity("token_perplexity"),)
    version: str = "1"
    num_fewshot: int = 0

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Ask for the window's log-likelihood."""
        return [WindowLogLikelihood(tuple(doc.fields["tokens"]))]

    def target(self, doc: Doc) -> str:
        """A window is its own target."""
        return ""

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """The log-likelihood over the predicted tokens: all but the window's first."""
        (response,) = responses
        if not isinstance(response, RollingLogProb):
            raise TypeError(f"a window got a {type(response).__name__}")
        predicted = len(doc.fields["tokens"]) - 1.0
        return Score({"token_perplexity": (response.logprob, predicted)})


def open_windowed_task(dataset: Dataset, window: int, context: TaskContext) -> WindowedTask:
    """Join the test split's lines with blank lines, tokenize the whole, and cut it into windows.

    This is the perplexity of the GPTQ paper (Frantar et al. 2022, arXiv 2210.17323): a window's
    first token is given, not predicted, and what is left after the last whole one is dropped.

    Raises:
        DataError: there is no test split with a ``text`` column, or not one whole window of it.
        UsageError: few-shot examples were asked for.
    """
    if context.num_fewshot:
        raise UsageError("perplexity takes no few-shot examples: leave --num-fewshot out")
    if context.tokenize is None:
        raise TypeError("windows of tokens need the model's tokenizer")
    splits, record = load(find(dataset, context.folders))
    if "text" not in splits[dataset.split].column_names:
        raise DataError(
            f"{dataset}: a column 'text' is needed, it has {splits[dataset.split].column_names}"
        )
    lines = splits[dataset.split]["text"]
    tokens = list(context.tokenize("\n\n".join(lines)))
    count = len(tokens) // window
    if count == 0:
        raise DataError(f"{dataset} has {len(tokens)} tokens, not one window of {window}")
    if context.limit is not None:
        count = min(count, context.limit)
    windows = [tokens[start * window : (start + 1) * window] for start in range(count)]
    pages = _pages(lines, context.tokenize, [start * window for start in range(count)])
    return WindowedTask(make_docs([({"tokens": ids}, None) for ids in windows], pages), [record])


def _pages(
    lines: Sequence[str], tokenize: Callable[[str], Sequence[int]], starts: Sequence[int]
) -> list[str]:
    """The page in which each window begins, to within a few tokens: pages are counted one by one,
    and where two meet the joined text may have another token.
    """
    pages: list[list[str]] = [[]]
    for line in lines:
        if _TITLE.fullmatch(line) and pages[-1]:
            pages.append([])
        pages[-1].append(line)
    added = len(tokenize(""))  # what a tokenizer puts around every text
    ends = list(accumulate(len(tokenize("\n\n".join([*page, ""]))) - added for page in pages))
    return [f"page {bisect_right(ends, start)}" for start in starts]
