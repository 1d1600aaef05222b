"""Pairs from the scored answers of a question-and-answer site (Stack Exchange)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import combinations
from typing import Any

from training.data.files import FileRow
from training.data.mixture.declared import Votes
from training.data.mixture.refused import Refused
from training.data.rows import Message, Pair

_BLOCKS = frozenset(
    ("p", "br", "div", "li", "ul", "ol", "pre", "blockquote", "tr", "h1", "h2", "h3")
)


@dataclass(frozen=True)
class _Answer:
    text: str
    score: float


def exchange_pairs(row: FileRow, votes: Votes, group: str) -> list[Pair]:
    """A question's answers against one another: the higher score is preferred.

    A score is the votes (``score`` or ``pm_score`` of an answer), plus the bonus where the answer
    is the accepted one (``accepted`` or ``selected``). Pairs come widest gap first; of equal gaps
    the better answer first.

    Raises:
        DataError: the row is not as it should be.
        Refused: no two answers are far enough apart.
    """
    asked = _question(row)
    if not asked.strip():
        raise Refused("empty", "the question is markup without text")
    given = row.value("answers")
    if not isinstance(given, list):
        raise row.error("answers", "is not a list of answers")
    answers = [_answer(row, place, content, votes) for place, content in enumerate(given)]
    answers = [answer for answer in answers if answer.text]
    apart = [
        (better, worse)
        for better, worse in _ordered(answers)
        if better.score - worse.score >= max(votes.gap, math.ulp(0.0)) and better.text != worse.text
    ]
    if not apart:
        raise Refused("too close", f"{len(answers)} answers, none {votes.gap:g} above another")
    apart.sort(key=lambda pair: (pair[1].score - pair[0].score, -pair[0].score))
    prompt = (Message("user", asked),)
    return [Pair(prompt, good.text, bad.text, group) for good, bad in apart[: votes.pairs]]


def plain_text(text: str) -> str:
    """A text without its HTML; one that has none stays as it is, signs such as ``<`` too.

    Raises:
        Refused: it is no HTML that can be read.
    """
    if "</" not in text and "<br" not in text and "<p>" not in text:
        return text.strip()
    reader = _Plain()
    try:
        reader.feed(text)
        reader.close()
    except AssertionError:  # html.parser's word for a declaration that is none
        raise Refused("malformed", "its markup cannot be read") from None
    lines = [line.rstrip() for line in "".join(reader.parts).splitlines()]
    kept = [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]
    return "\n".join(kept).strip()


def _question(row: FileRow) -> str:
    question = plain_text(row.text("question"))
    if row.columns.get("title"):
        return f"{row.text('title').strip()}\n\n{question}"
    return question


def _answer(row: FileRow, place: int, content: Any, votes: Votes) -> _Answer:
    if not isinstance(content, dict):
        raise row.error(f"answers[{place}]", "is not an object")
    inside = FileRow(f"{row.where}, answers[{place}]", content)
    score = inside.value("pm_score" if inside.has("pm_score") else "score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise inside.error("score", f"is {score!r}; it is a number of votes")
    accepted = bool(content.get("accepted", content.get("selected", False)))
    text = plain_text(inside.text("text", may_be_empty=True))
    return _Answer(text, float(score) + (votes.bonus if accepted else 0.0))


def _ordered(answers: list[_Answer]) -> Iterator[tuple[_Answer, _Answer]]:
    for one, other in combinations(answers, 2):
        yield (one, other) if one.score >= other.score else (other, one)


class _Plain(HTMLParser):
    """Collects a page's text, a line feed for what begins a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
