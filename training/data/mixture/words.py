"""Texts as sequences of hashed words: what duplicates, test questions and splits are found by.

A word is a run of letters and digits, or one character of a script that is written without spaces;
case, width, signs that are not seen (soft hyphens) and all that stands between words do not count,
and entities of HTML are the characters that they stand for. The hashes are xxh3's, the same on
every machine.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(rf"[^\W_{_UNSPACED}]+|[{_UNSPACED}]")
"""A word in a text that is `normalized`."""
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]+"
)
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that every place in a sequence counts."""
_KNOWN_WORDS = 2_000_000


@dataclass(frozen=True)
class Texts:
    """Several texts as one array.

    Attributes:
        words: one hash per word, text after text.
        offsets: where each text begins, and the end of the last: one more than there are texts.
    """

    words: Hashes
    offsets: npt.NDArray[np.int64]


def split_words(text: str) -> list[str]:
    """The words of a text, normalized."""
    if "&" in text:
        text = html.unescape(text)
    if text.isascii():
        return text.translate(_ASCII).split()  # three times as fast as the pattern, and the same
    return WORD.findall(_seen(text))


def normalized(text: str) -> str:
    """A text in which `WORD` finds what `split_words` gives."""
    return _seen(html.unescape(text))


def _seen(text: str) -> str:
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()


def hashed(texts: Sequence[str]) -> Texts:
    """Hash the words of each text."""
    lists = [split_words(text) for text in texts]
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(words) for words in lists], out=offsets[1:])
    hashes = map(_KNOWN.__getitem__, chain.from_iterable(lists))
    words = np.fromiter(hashes, np.uint64, int(offsets[-1]))
    _KNOWN.forget_many()
    return Texts(words, offsets)


def grams(words: Hashes, length: int) -> Hashes:
    """A hash for every ``length`` words in a row: element i covers the words from i on; empty where
    there are too few.
    """
    found = [each for size, each in all_grams(words, length, length) if size == length]
    return found[0] if found else np.empty(0, np.uint64)


def all_grams(words: Hashes, least: int, most: int) -> Iterator[tuple[int, Hashes]]:
    """The `grams` of every length from ``least`` to ``most`` for which there are words enough, in
    about the time that those of the greatest length take alone.
    """
    sums = words.copy()
    for length in range(1, min(most, len(words)) + 1):
        if length > 1:
            sums = sums[:-1]
            sums *= _BASE
            sums += words[length - 1 :]
        if length >= least:
            # Neighbouring sums are alike in their low bits, which tables look at: mix them.
            found = sums ^ (sums >> np.uint64(32))
            found *= _BASE
            found ^= found >> np.uint64(29)
            yield length, found


def starts_within(offsets: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.bool_]:
    """Which of the `grams` of all texts lie within one text: those that reach into the next one
    are none of anybody's.
    """
    count = max(int(offsets[-1]) - length + 1, 0)
    ends = np.repeat(offsets[1:], np.diff(offsets))[:count]
    inside: npt.NDArray[np.bool_] = np.arange(count) + length <= ends
    return inside


def key(text: str, seed: int = 0) -> int:
    """64 bits of a text as it stands."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed)


def question_key(text: str, seed: int = 0) -> int:
    """64 bits of a question: equal for questions of the same words."""
    return key(" ".join(split_words(text)) or text.strip(), seed)


class _Known(dict[str, int]):
    """Words that were met, with their hashes."""

    def __missing__(self, word: str) -> int:
        self[word] = found = xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass"))
        return found

    def forget_many(self) -> None:
        if len(self) > _KNOWN_WORDS:
            self.clear()


_KNOWN = _Known()
