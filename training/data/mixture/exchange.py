"""Pairs from the scored answers of a question-and-answer site (Stack Exchange)."""

from __future__ import annotations

import html
import math
import re
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
_CELLS = frozenset(("td", "th"))
_NAMES = (
    "a|abbr|b|big|blockquote|br|center|cite|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img|"
    "ins|kbd|li|ol|p|pre|q|s|samp|small|span|strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|"
    "thead|tr|tt|u|ul|var"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
_INSIDE = rf"/?(?:{_NAMES})(?:\s+[\w:-]+\s*=\s*{_VALUE})*\s*/?>|!--[^>]{{0,200}}-->"
_TAG = re.compile(f"<(?:{_INSIDE})", re.I)
_NO_TAG = re.compile(f"<(?!{_INSIDE})", re.I)


@dataclass(frozen=True)
class _Answer:
    text: str
    score: float


def exchange_pairs(row: FileRow, votes: Votes, group: str) -> list[Pair]:
    """A question's answers against one another: the higher score is preferred.

    A score is the votes (``score``), plus the bonus where the answer is the accepted one
    (``accepted`` or ``selected``); or the answer's ``pm_score``, a logarithm of the votes that has
    a point for the accepted answer in it (Askell et al. 2021, arXiv:2112.00861), and gets no bonus.
    The gap is in the unit of the score. Pairs come widest gap first; of equal gaps the better
    answer first.

    Raises:
        DataError: the row is not as it should be.
        Refused: no two answers are far enough apart.
    """
    asked = _question(row)
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
    """A text without its HTML: its tags are gone, its entities are characters. What is no tag of
    HTML stays, such as ``<`` in a formula.
    """
    if not _TAG.search(text):
        return html.unescape(text).strip()
    reader = _Plain()
    reader.feed(_NO_TAG.sub("&lt;", text))
    reader.close()
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
    column = "pm_score" if inside.has("pm_score") else "score"
    score = inside.value(column)
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise inside.error(column, f"is {score!r}; it is a number of votes")
    accepted = bool(content.get("accepted", content.get("selected", False)))
    bonus = votes.bonus if accepted and column == "score" else 0.0
    text = plain_text(inside.text("text", may_be_empty=True))
    return _Answer(text, float(score) + bonus)


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
        if tag in _CELLS and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
