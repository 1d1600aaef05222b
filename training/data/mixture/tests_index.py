"""The project's test docs as hashed word sequences, and which rows share any with them.

A doc is every text in its row. A training row is contaminated where ``ngram`` words in a row stand
in both. A question of fewer words is looked for whole: of `ANYWHERE_WORDS` or more anywhere in a
row, of `LEAST_WORDS` or more where it is a sentence of its own. Shorter ones are everybody's, and
so are those that several docs ask with other choices: they are found with their choices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data_card import Tested
from training.data.mixture.sentences import stands_alone
from training.data.mixture.tested_docs import DocTexts, TestSet
from training.data.mixture.words import (
    Hashes,
    Texts,
    all_grams,
    grams,
    hashed,
    split_words,
    starts_within,
)

LEAST_WORDS = 5
ANYWHERE_WORDS = 8
_TABLE_BITS = 26
_SHORT_TABLE_BITS = 20
_LETTERS = ("ABCDEFGHIJ", "123456789")


@dataclass(frozen=True)
class TestDoc:
    """A doc of a task's test data."""

    __test__ = False  # pytest takes it for a test by its name

    task: str
    number: int


@dataclass(frozen=True)
class Hit:
    """What a row shares with a test doc: so many words, from its word ``at`` on."""

    doc: TestDoc
    at: int
    words: int


class TestsIndex:
    """What rows are held against.

    Attributes:
        docs: every doc once.
    """

    __test__ = False

    def __init__(self, sets: Sequence[TestSet], ngram: int) -> None:
        self.ngram, self.sets = ngram, tuple(sets)
        self.docs = [
            TestDoc(each.task, number) for each in sets for number in range(1, len(each.docs) + 1)
        ]
        texts = [doc for each in sets for doc in each.docs]
        short = _ShortQuestions(texts, ngram)
        self._fates = short.fates
        self._short = _Table(*short.keys(), _SHORT_TABLE_BITS)
        whole = [(text, place) for place, doc in enumerate(texts) for text in doc.every]
        keys = [_every(whole, ngram), short.with_choices()]
        self._long = _Table(
            np.concatenate([each for each, _ in keys]),
            np.concatenate([owners for _, owners in keys]),
            _TABLE_BITS,
        )

    @property
    def digest(self) -> str:
        """Sha256 over everything that is looked for."""
        found = hashlib.sha256(f"{self.ngram}".encode())
        for table in (self._long, self._short):
            found.update(table.keys.tobytes())
        return found.hexdigest()

    @property
    def grams(self) -> int:
        """How many different sequences of words are looked for."""
        return len(self._long.keys) + len(self._short.keys)

    def hits(self, texts: Texts, raw: Sequence[str]) -> dict[int, Hit]:
        """The rows that share words with a test doc, each with the first place where it does.

        Args:
            texts: each row's whole text.
            raw: the same, as it stands.
        """
        found: dict[int, Hit] = {}
        least = LEAST_WORDS if len(self._short.keys) else self.ngram
        shared = list(all_grams(texts.words, min(least, self.ngram), self.ngram))
        for length, here in reversed(shared):
            table = self._long if length == self.ngram else self._short
            for row, doc, at in table.found(here, texts.offsets, length):
                if row in found:
                    continue
                if length >= min(ANYWHERE_WORDS, self.ngram) or stands_alone(raw[row], at, length):
                    found[row] = Hit(self.docs[doc], at, length)
        return dict(sorted(found.items()))

    def tested(self, hits: Mapping[str, int]) -> tuple[Tested, ...]:
        """What the card says of each task, given how many rows were dropped because of it."""
        by_task: dict[str, list[TestSet]] = {}
        for each in self.sets:
            by_task.setdefault(each.task, []).append(each)
        sentences, choices = (
            _counted(self.docs, self._fates == fate) for fate in (_SENTENCE, _CHOICES)
        )
        return tuple(
            Tested(
                task=task,
                docs=sum(len(each.docs) for each in sets),
                origin=", ".join(sorted({each.origin for each in sets})),
                files={name: digest for each in sets for name, digest in each.files.items()},
                found=hits.get(task, 0),
                as_sentence=sentences.get(task, 0),
                with_choices=choices.get(task, 0),
            )
            for task, sets in by_task.items()
        )


def shared_words(hit: Hit, text: str) -> str:
    """What a row shares, in words."""
    words = " ".join(split_words(text)[hit.at : hit.at + hit.words])
    return f"shares with {hit.doc.task}, doc {hit.doc.number}: {words}"


_ANYWHERE, _SENTENCE, _CHOICES = range(3)
"""Where a doc's question is found: anywhere, as a sentence, or at most with its choices."""


class _ShortQuestions:
    """The questions of fewer than ``ngram`` words.

    Attributes:
        fates: of each doc, where its question is found.
    """

    def __init__(self, docs: Sequence[DocTexts], ngram: int) -> None:
        self._docs, self._ngram = docs, ngram
        self.fates = np.full(len(docs), _ANYWHERE, np.int8)
        self._own: dict[str, list[int]] = {}
        self._joined: list[tuple[str, int, int]] = []
        for place, doc in enumerate(docs):
            for text in doc.asked:
                self._add(place, split_words(text), doc.choices)
        for question in [each for each, owners in self._own.items() if self._is_everybodys(owners)]:
            self.fates[self._own.pop(question)] = _CHOICES

    def keys(self) -> tuple[Hashes, npt.NDArray[np.int32]]:
        """A hash of each question's words, and of those with choices that are as short; and whose
        each is.
        """
        found = [(question, owners[0]) for question, owners in self._own.items()]
        found += [(text, place) for text, place, _ in self._joined]
        texts = hashed([text for text, _ in found])
        begins, sizes = texts.offsets[:-1], np.diff(texts.offsets)
        keys, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
        every = np.array([place for _, place in found], np.int32)
        for size, here in all_grams(texts.words, LEAST_WORDS, self._ngram - 1):
            mine = sizes == size
            keys.append(here[begins[mine]])
            owners.append(every[mine])
        return np.concatenate(keys), np.concatenate(owners)

    def with_choices(self) -> tuple[Hashes, npt.NDArray[np.int32]]:
        """The sequences of ``ngram`` words that begin in a question and end in its choices, which
        no other doc has.
        """
        texts = hashed([text for text, _, _ in self._joined])
        here = grams(texts.words, self._ngram)
        places = np.flatnonzero(starts_within(texts.offsets, self._ngram))
        rows = np.searchsorted(texts.offsets, places, side="right") - 1
        asked = np.array([words for _, _, words in self._joined], np.int64)
        owners = np.array([place for _, place, _ in self._joined], np.int32)
        begun = places - texts.offsets[rows] < asked[rows]
        return here[places[begun]], owners[rows[begun]]

    def _add(self, place: int, words: list[str], choices: Sequence[str]) -> None:
        if not words or len(words) >= self._ngram:
            return
        question = " ".join(words)
        if len(words) >= LEAST_WORDS:
            self._own.setdefault(question, []).append(place)
        if len(words) < min(ANYWHERE_WORDS, self._ngram):
            self.fates[place] = _SENTENCE if len(words) >= LEAST_WORDS else _CHOICES
        if choices:
            self._joined += [
                (f"{question} {listed}", place, len(words)) for listed in _listed(choices)
            ]

    def _is_everybodys(self, owners: Sequence[int]) -> bool:
        """Whether docs that ask the same have no choice in common."""
        given = {frozenset(map(str.casefold, self._docs[owner].choices)) for owner in owners}
        given.discard(frozenset())
        return any(one.isdisjoint(other) for one in given for other in given)


class _Table:
    """Hashes, each with a doc that has it."""

    def __init__(self, keys: Hashes, owners: npt.NDArray[np.int32], bits: int) -> None:
        self.keys, first = np.unique(keys, return_index=True)
        self._owners = owners[first]
        self._shift = np.uint64(64 - bits)
        self._likely = np.zeros(2**bits, np.bool_)
        self._likely[self.keys >> self._shift] = True

    def found(
        self, here: Hashes, offsets: npt.NDArray[np.int64], length: int
    ) -> Iterator[tuple[int, int, int]]:
        """Row, doc and place in the row of each of the `grams` that are in the table, and lie
        within one row.
        """
        places = np.flatnonzero(self._likely[here >> self._shift])
        if not len(places) or not len(self.keys):
            return iter(())
        rows = np.searchsorted(offsets, places, side="right") - 1
        nearest = np.searchsorted(self.keys, here[places])
        nearest[nearest == len(self.keys)] = 0
        same = (self.keys[nearest] == here[places]) & (places + length <= offsets[rows + 1])
        rows, owners = rows[same], self._owners[nearest[same]]
        at = places[same] - offsets[rows]
        return zip(rows.tolist(), owners.tolist(), at.tolist(), strict=True)


def _every(texts: Sequence[tuple[str, int]], ngram: int) -> tuple[Hashes, npt.NDArray[np.int32]]:
    """The sequences of words of texts, and whose each is."""
    words = hashed([text for text, _ in texts])
    counts = np.maximum(np.diff(words.offsets) - ngram + 1, 0)
    found = grams(words.words, ngram)[starts_within(words.offsets, ngram)]
    return found, np.repeat(np.array([owner for _, owner in texts], np.int32), counts)


def _listed(choices: Sequence[str]) -> Iterator[str]:
    """Choices one after the other: without letters, with letters, with numbers."""
    yield " ".join(choices)
    for letters in _LETTERS:
        if len(choices) <= len(letters):
            pairs = zip(letters, choices, strict=False)
            yield " ".join(f"{letter} {choice}" for letter, choice in pairs)


def _counted(docs: Sequence[TestDoc], which: npt.NDArray[np.bool_]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place in np.flatnonzero(which).tolist():
        found[docs[place].task] = found.get(docs[place].task, 0) + 1
    return found
