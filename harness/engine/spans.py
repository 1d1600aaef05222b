"""What is scored: spans of tokens, each predicted from all before it in its sequence."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from harness.types import (
    Answer,
    LogProb,
    Question,
    RollingLogLikelihood,
    RollingLogProb,
    Tokens,
    Unanswered,
)


@dataclass(frozen=True)
class Span:
    """Tokens to predict.

    Attributes:
        sequence: what the model is fed: all tokens but the last.
        first: position whose output predicts the first wanted token.
        targets: the wanted tokens; ``len(sequence) - first`` of them.
    """

    sequence: Tokens
    first: int
    targets: Tokens


def spans_of(question: Question, max_length: int) -> list[Span]:
    """The spans whose log-probabilities add up to a question's answer.

    A text longer than the context is cut into lm-eval's disjoint windows.
    """
    if isinstance(question.request, RollingLogLikelihood):
        (ids,) = question.tokens
        windows = get_rolling_token_windows(
            token_list=ids[1:].tolist(), prefix_token=ids[0], max_seq_len=max_length, context_len=1
        )
        pairs = map(make_disjoint_window, windows)
        return [_span(array("i", context), array("i", tail)) for context, tail in pairs]
    if len(question.tokens) == 2:
        return [_span(*question.tokens)]
    (ids,) = question.tokens
    return [_span(ids[:1], ids[1:])]


def _span(context: Tokens, targets: Tokens) -> Span:
    return Span((context + targets)[:-1], len(context) - 1, targets)


class Sums:
    """Adds up log-probabilities until a question has all of its tokens'.

    Args:
        questions: the questions, by their index.
        spans: which question each span belongs to.
        sizes: how many tokens each span predicts.
    """

    def __init__(
        self, questions: Mapping[int, Question], spans: Sequence[int], sizes: Sequence[int]
    ) -> None:
        self._questions = questions
        self._indices = list(questions)
        place = {index: number for number, index in enumerate(self._indices)}
        self._owner = np.array([place[index] for index in spans])
        self._missing = np.bincount(self._owner, sizes, len(place)).astype(np.int64)
        self._sum = np.zeros(len(place))
        self._greedy = np.ones(len(place), dtype=bool)

    def add(
        self,
        spans: npt.NDArray[np.int64],
        logprobs: npt.NDArray[np.float32],
        greedy: npt.NDArray[np.bool_],
    ) -> Iterator[Answer]:
        """Add tokens of some spans; yield the questions that are complete now."""
        owners = self._owner[spans]
        np.add.at(self._sum, owners, logprobs)
        np.logical_and.at(self._greedy, owners, greedy)
        np.subtract.at(self._missing, owners, 1)
        for number in np.unique(owners):
            if self._missing[number] == 0:
                yield self._answer(int(number))

    def _answer(self, number: int) -> Answer:
        index = self._indices[number]
        question = self._questions[index]
        tokens = sum(map(len, question.tokens)) - 1
        logprob = float(self._sum[number])
        if not np.isfinite(logprob):
            return Answer(index, Unanswered(f"the log-probability is {logprob}"), tokens)
        if len(question.tokens) == 1:
            return Answer(index, RollingLogProb(logprob), tokens)
        greedy = bool(self._greedy[number])
        return Answer(index, LogProb(logprob, greedy, question.truncated), tokens)
