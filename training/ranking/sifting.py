"""Which questions can be ranked, and why the others cannot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.openai_api.chat import CUT_OFF
from training.ranking.candidates import Answered
from training.ranking.questions import Question

NO_SOLUTION, ONE_ANSWER = "no solution", "a single answer"
CONFIDENCE = "asks for a confidence score"
EMPTY_ANSWER, SAME_ANSWER, CUT = "empty", "identical to another", "cut off at max_tokens"
_CONFIDENCE = re.compile(r"\bconfidence score\b|\bhow confident are you\b", re.IGNORECASE)
"""Not a confidence interval or level, which statistics asks for."""


@dataclass(frozen=True)
class Rankable:
    """A question with at least two different answers."""

    question: Question
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Sifted:
    """What can be ranked.

    Attributes:
        kept: in order.
        dropped: questions that were left out, by reason.
        answers: answers that were read.
        left_out: answers that were left out of the questions, by reason.
    """

    kept: list[Rankable]
    dropped: Counter[str]
    answers: int
    left_out: Counter[str]


def sift(rows: Iterable[Answered], *, unsolved: bool) -> Sifted:
    """Leave out empty, cut off and identical answers, then questions that cannot be ranked.

    Args:
        rows: questions with answers.
        unsolved: keep questions without a reference solution.
    """
    found = Sifted([], Counter(), 0, Counter())
    answers = 0
    for row in rows:
        answers += len(row.candidates)
        texts: dict[str, None] = {}
        for candidate in row.candidates:
            text = candidate.text.strip()
            if not text:
                found.left_out[EMPTY_ANSWER] += 1
            elif candidate.made.get("finish") == CUT_OFF:
                found.left_out[CUT] += 1
            elif text in texts:
                found.left_out[SAME_ANSWER] += 1
            else:
                texts[text] = None
        reason = _reason(row.question, len(texts), unsolved)
        if reason is None:
            found.kept.append(Rankable(row.question, tuple(texts)))
        else:
            found.dropped[reason] += 1
    return Sifted(found.kept, found.dropped, answers, found.left_out)


def _reason(question: Question, answers: int, unsolved: bool) -> str | None:
    if not unsolved and not question.reference.strip():
        return NO_SOLUTION
    if _CONFIDENCE.search(question.last()):
        return CONFIDENCE
    return ONE_ANSWER if answers < 2 else None
