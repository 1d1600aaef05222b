"""Token perplexity in disjoint windows of a joined text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.data import Dataset, find, load
from harness.errors import DataError, UsageError
from harness.metrics.metric import Metric
from harness.metrics.perplexity import perplexity
from harness.open_task import TaskContext, make_docs
from harness.records import DataRecord
from harness.types import (
    Doc,
    Request,
    Response,
    Score,
    Unanswered,
    WindowedLogLikelihood,
    WindowLogProbs,
)


@dataclass(frozen=True)
class WindowedTask:
    """One doc, the joined text; its windows are the units that are scored and resampled."""

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    window: int
    max_windows: int | None
    metrics: Sequence[Metric] = (perplexity("token_perplexity"),)
    version: str = "1"
    num_fewshot: int = 0

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Ask for all windows at once: where they lie depends on the model's tokenizer."""
        return [WindowedLogLikelihood(doc.fields["text"], self.window, self.max_windows)]

    def target(self, doc: Doc) -> str:
        """The text is its own target."""
        return ""

    def scores(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Score]:
        """One score per window: its log-likelihood over ``window - 1`` predicted tokens."""
        (response,) = responses
        if isinstance(response, Unanswered):
            return [Score({}, unscored=response.reason)]
        if not isinstance(response, WindowLogProbs):
            raise TypeError(f"a windowed request got a {type(response).__name__}")
        if not response.logprobs:
            return [Score({}, unscored=f"the text is shorter than one window of {self.window}")]
        return [
            Score({"token_perplexity": (logprob, self.window - 1.0)}, unit=f"window-{number}")
            for number, logprob in enumerate(response.logprobs)
        ]


def open_windowed_task(dataset: Dataset, window: int, context: TaskContext) -> WindowedTask:
    """Read the test split and join its lines with blank lines, as the GPTQ code does.

    Raises:
        DataError: there is no test split with a ``text`` column.
        UsageError: few-shot examples were asked for.
    """
    if context.num_fewshot:
        raise UsageError("perplexity takes no few-shot examples: leave --num-fewshot out")
    splits, record = load(find(dataset, context.folders))
    if "test" not in splits or "text" not in splits["test"].column_names:
        raise DataError(f"{dataset}: a test split with a column 'text' is needed")
    text = "\n\n".join(splits["test"]["text"])
    return WindowedTask(make_docs([({"text": text}, None)]), [record], window, context.limit)
