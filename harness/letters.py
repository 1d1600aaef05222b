"""Which letter an explained answer settles on, and the rule that told.

In this order: the first anchored phrase (``the answer is (B)``, ``Answer: B``, ``B is correct``),
since what small models add to an answer is other answers, or where there is none a text that begins
with ``B.``; the last letter that stands alone; the only choice whose text is there.

What is no letter of a choice: an ``A`` or ``I`` without brackets that may be an English word, one
that neither punctuation follows nor a line's end nor ``because`` and the like; the C of ``25 C``,
``vitamin C``, ``point C`` and ``C + O2``; those of ``A or B``, which names neither; those of ``not
B``, ``not B or C`` and ``B is wrong``; the labels of a list of choices. A letter that means
something else in a way that is not foreseen here is taken for a choice: the rows show every text
with its rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

LETTERS = "ABCDEFGHIJ"

Rule = Literal["anchored phrase", "last letter", "choice text"]


@dataclass(frozen=True)
class Extracted:
    """The position of a choice among the choices, and the rule that found it."""

    choice: int
    rule: Rule


@dataclass(frozen=True)
class _Mention:
    """A letter in a text that may name a choice.

    Attributes:
        choice: the choice's position.
        start, end: where it stands, brackets included.
        anchored: whether a phrase says that it is the answer.
        first: whether the text begins with it, as with an answer.
        alone: whether it may be taken without either; a small letter may not.
        denied: whether the text says that it is not the answer.
    """

    choice: int
    start: int
    end: int
    anchored: bool
    first: bool
    alone: bool
    denied: bool


_QUOTES = "*_\"'`‘’“”"
_LETTER = re.compile(
    r"(?P<open>[(\[{]\s*)?(?<![^\W_])(?<![^\W_]_)(?<![^\W_]__)(?<!\w['’])(?P<letter>[A-Za-z])"
    r"(?!_*[^\W_])(?!['’]\w)"
    r"(?P<close>\s*[)\]}])?"
)
_NO_WORD = re.compile(
    rf"[{_QUOTES}]*(?:\s*(?:\Z|[\n.,;:!?/&)\]}}])|\s+[-–—]\s"
    r"|\s+(?:because|since|as|and|or|which|for|so)\b)"
)
_NO_CHOICE = re.compile(
    r"(?:[\d°+]|\b(?:vitamins?|hepatitis|points?|figures?|groups?|types?|plans?|class|sections?"
    r"|graphs?|lines?|objects?|samples?|trials?|students?|planets?|beakers?|Mr\.|Mrs\.|Ms\.|Dr\.))"
    r"[ \t]*\Z",
    re.I,
)
_SYMBOL = re.compile(r"[ \t]*(?:[+=→⇌]|-+>)")
_NAMED = r"(?:the\s+)?(?:(?:answer|letter|option|choice)\s+)?"
_DENIED = re.compile(
    rf"(?:(?:\bnot|n['’]t|\bcannot)\s+(?:be\s+)?|\b(?:neither|nor|if|whether|unlike)\s+"
    r"|\b(?:rather than|instead of|rules? out|eliminates?)\s+"
    rf"|\b(?:incorrect|wrong|false)\s+(?:answer|letter|option|choice)\s*(?:is|would be|[:=])\s*)"
    rf"{_NAMED}[{_QUOTES}]*\Z",
    re.I,
)
_WRONG = re.compile(
    rf"[{_QUOTES}]*\s+(?:(?:is|are|was|were|be|would|could|can|will|does|do|seems?|also|both|all|just"
    r"|clearly|definitely|certainly|obviously|probably|likely|simply|equally|therefore)\s+){0,4}"
    r"(?:not|wrong|incorrect|false|impossible|cannot"
    r"|(?:is|are|was|were|would|could|ca|does|do|wo)n['’]t)\b",
    re.I,
)
_ANSWER = (
    r"\b(?:answer|(?:correct|right|best)\s+(?:choice|option|letter))"
    r"(?:\s+(?:to|for)\s+(?:the|this)\s+question)?\s*\**\s*(?:is|would be|must be|should be|[:=])"
)
_WRAPPER = r"\\(?:boxed|text(?:bf)?|math(?:rm|bf))\s*(?:\{\s*)?"
_LED = re.compile(
    rf"(?:{_ANSWER}|\b(?:I|we)\s+(?:would\s+)?(?:choose|pick|select))[\s:${_QUOTES}]*"
    r"(?:(?:most\s+likely|likely|probably|clearly|definitely|certainly|therefore|thus)\s+)?"
    rf"(?:(?:the\s+)?(?:letter|option|choice)[\s:{_QUOTES}]*)?(?:\\(?:[(\[]\s*)?)?(?:{_WRAPPER})*\Z",
    re.I,
)
_FOLLOWED = re.compile(
    rf"[\s{_QUOTES}]*(?:is|would be|must be)\s+(?:the\s+)?(?:correct|right|best|answer)\b", re.I
)
_FIRST = re.compile(rf"[\s{_QUOTES}]*(?:[.):]|\n|\Z)")
_BETWEEN = re.compile(
    r"[\s*_]*(?:,\s*(?:or|and)?|or|and|/|&)\s*(?:(?:option|choice)\s*)?[*_]*", re.I
)
_LABEL = re.compile(r"[\W_]*(?P<letter>[A-J])[)\].:*_]*[)\].:][*_]*\s")
_REACH = 80
"""Characters before a letter that are looked at for a phrase."""


def extract(text: str, choices: Sequence[str]) -> Extracted | None:
    """Find the choice that a text settles on; ``None`` where no rule tells one.

    Args:
        text: the model's answer.
        choices: the choices' texts, which the prompt gave the letters A, B, C and so on.
    """
    said, unlisted = _without_lists(text)
    mentions = [
        each
        for each in _single(said, list(_mentions(said)))
        if each.choice < len(choices) and not each.denied
    ]
    phrased = [each for each in mentions if each.anchored]
    if anchored := phrased or [each for each in mentions if each.first]:
        return Extracted(anchored[0].choice, "anchored phrase")
    if alone := [each for each in mentions if each.alone]:
        return Extracted(alone[-1].choice, "last letter")
    answer = re.search(_ANSWER, unlisted, re.I)
    for part in (unlisted[answer.end() :] if answer else "", unlisted):
        if len(there := _choices_in(part, choices)) == 1:
            return Extracted(there[0], "choice text")
    return None


def _mentions(text: str) -> Iterator[_Mention]:
    for found in _LETTER.finditer(text):
        letter, start, end = found["letter"], found.start(), found.end()
        before, after = text[max(0, start - _REACH) : start], text[end:]
        led, followed = bool(_LED.search(before)), bool(_FOLLOWED.match(after))
        first = not text[:start].strip(" \n*_\"'`") and bool(found["close"] or _FIRST.match(after))
        bracketed = bool(found["open"] and found["close"])
        closed = bracketed or bool(found["close"]) or bool(_NO_WORD.match(after))
        if not bracketed and (_NO_CHOICE.search(before) or _SYMBOL.match(after)):
            continue
        wordlike = letter in "AI" or letter.islower()
        if wordlike and not closed and not (followed and letter.isupper()):
            continue
        yield _Mention(
            choice=ord(letter.upper()) - ord("A"),
            start=start,
            end=end,
            anchored=led or followed,
            first=first,
            alone=letter.isupper() or bracketed,
            denied=bool(_DENIED.search(before) or _WRONG.match(after)),
        )


def _single(text: str, mentions: Sequence[_Mention]) -> list[_Mention]:
    """The mentions that name one choice, not several between which nothing is decided."""
    undecided: set[int] = set()
    chain: list[int] = []
    for place, (one, other) in enumerate(pairwise(mentions)):
        between = text[one.end : other.start]
        if not _BETWEEN.fullmatch(between):
            chain = []
            continue
        chain += [place, place + 1]
        if between.strip(" \n*_") != ",":
            undecided.update(chain)
    return [each for place, each in enumerate(mentions) if place not in undecided]


def _without_lists(text: str) -> tuple[str, str]:
    """The text without the labels of listed choices, and without their lines.

    A list is two lines or more whose labels follow one another: ``A.``, ``B.``.
    """
    lines = text.split("\n")
    labelled = [
        (number, found) for number, line in enumerate(lines) if (found := _LABEL.match(line))
    ]
    listed: dict[int, int] = {}
    for (one, first), (other, second) in pairwise(labelled):
        if LETTERS.index(second["letter"]) == LETTERS.index(first["letter"]) + 1:
            listed |= {one: first.end(), other: second.end()}
    unlabelled = [line[listed.get(number, 0) :] for number, line in enumerate(lines)]
    unlisted = [line for number, line in enumerate(lines) if number not in listed]
    return "\n".join(unlabelled), "\n".join(unlisted)


def _choices_in(text: str, choices: Sequence[str]) -> list[int]:
    """The choices whose text stands in another, those within a longer one left out."""
    said, plain = _plain(text), [_plain(choice) for choice in choices]
    there = [place for place, choice in enumerate(plain) if choice and _is_said(choice, said)]
    longer = {
        place
        for place in there
        for other in there
        if plain[place] in plain[other] and plain[place] != plain[other]
    }
    return [place for place in there if place not in longer]


def _is_said(choice: str, text: str) -> bool:
    """Whether a choice's text stands in another, somewhere undenied."""
    for found in re.finditer(rf"(?<!\w)(?<!\d[.,]){re.escape(choice)}(?!\w|[.,]\d)", text):
        before = re.sub(
            r"\b(?:an?|the)\s+\Z", "", text[max(0, found.start() - _REACH) : found.start()]
        )
        if not _DENIED.search(before) and not _WRONG.match(text[found.end() :]):
            return True
    return False


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .*")
