"""Whether some words of a text are a sentence of their own, and not a part of a longer one."""

from __future__ import annotations

import re

from training.data.mixture.words import WORD, normalized

_LABEL = re.compile(r"(?:question|q|problem|exercise|task|query|prompt)?\d*")
_GOES_ON = re.compile(r"[ \t]*|[-'\u2019/&+]")
"""What stands between two words of one sentence."""


def stands_alone(text: str, at: int, length: int) -> bool:
    """Whether a sentence begins with a text's word ``at``, counted as `words.split_words` does, and
    ends after ``length`` words. Signs, line ends, numbers and labels such as ``Question`` part it
    from what is before.
    """
    text = normalized(text)
    words = list(WORD.finditer(text))
    return _begins(text, words, at) and _ends(text, words, at + length)


def _begins(text: str, words: list[re.Match[str]], at: int) -> bool:
    if at == 0:
        return True
    before = words[at - 1]
    gap = text[before.end() : words[at].start()]
    return not _GOES_ON.fullmatch(gap) or bool(_LABEL.fullmatch(before[0]))


def _ends(text: str, words: list[re.Match[str]], after: int) -> bool:
    if after == len(words):
        return True
    gap = text[words[after - 1].end() : words[after].start()]
    return not _GOES_ON.fullmatch(gap.replace(",", ""))
