"""The project's test docs as hashed word sequences, and which rows share any with them.

A doc is every text in its row. A training row is contaminated where ``ngram`` words in a row stand
in both. A text of fewer words (a short question) is found where a line of a row's questions says
exactly it; the shortest ones, under `LEAST_WORDS`, are everybody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.catalog import Catalog
from harness.data import DataFolders, Dataset, FoundData, on_disk
from harness.data_card import Tested
from harness.errors import DataError
from training.data.mixture.reading import Unreadable, raw_rows
from training.data.mixture.words import (
    Hashes,
    Texts,
    grams,
    hashed,
    key,
    split_words,
    starts_within,
)

LEAST_WORDS = 5
_TABLE_BITS = 26


@dataclass(frozen=True)
class TestDoc:
    """A doc of a task's test data."""

    __test__ = False  # pytest takes it for a test by its name

    task: str
    number: int


@dataclass(frozen=True)
class Hit:
    """What a row shares with a test doc.

    Attributes:
        at: the row's word from which on it does; ``None``: it asks a short question whole.
    """

    doc: TestDoc
    at: int | None


@dataclass(frozen=True)
class TestSet:
    """A task's test docs, located.

    Attributes:
        texts: per doc, all its texts.
    """

    __test__ = False

    task: str
    origin: str
    files: Mapping[str, str]
    texts: tuple[tuple[str, ...], ...]


def test_sets(catalog: Catalog, mirror: Path | None) -> tuple[list[TestSet], dict[str, str]]:
    """The test docs of all tasks that are at hand, and why others are not. Data that several tasks
    share is the first one's.

    Raises:
        DataError: a file is damaged.
    """
    folders = DataFolders(catalog.samples, mirror)
    seen: set[tuple[str, str | None, str]] = set()
    found: list[TestSet] = []
    missing: dict[str, str] = {}
    for task in catalog.tasks.values():
        for dataset in task.datasets:
            identity = (dataset.name, dataset.config, dataset.split)
            if identity in seen:
                continue
            seen.add(identity)
            located = on_disk(dataset, folders)
            if located is None:
                missing[task.name] = f"{dataset}: not in the data folder, and no samples"
            else:
                found.append(_test_set(task.name, dataset, located))
    return found, missing


test_sets.__test__ = False  # type: ignore[attr-defined]


class TestsIndex:
    """What rows are held against.

    Attributes:
        docs: every doc once.
    """

    __test__ = False

    def __init__(self, sets: Sequence[TestSet], ngram: int) -> None:
        self.ngram, self.sets = ngram, tuple(sets)
        self.docs: list[TestDoc] = []
        self._short: dict[int, int] = {}
        parts: list[Hashes] = []
        owners: list[npt.NDArray[np.int32]] = []
        for each in sets:
            found, owner = self._add(each)
            parts.append(found)
            owners.append(owner)
        every = np.concatenate(parts) if parts else np.empty(0, np.uint64)
        owning = np.concatenate(owners) if owners else np.empty(0, np.int32)
        self._grams, first = np.unique(every, return_index=True)
        self._owners = owning[first]
        self._table = np.zeros(2**_TABLE_BITS, np.bool_)
        self._table[self._grams >> np.uint64(64 - _TABLE_BITS)] = True

    @property
    def digest(self) -> str:
        """Sha256 over everything that is looked for."""
        found = hashlib.sha256(f"{self.ngram}".encode())
        found.update(self._grams.tobytes())
        found.update(np.array(sorted(self._short), np.uint64).tobytes())
        return found.hexdigest()

    @property
    def grams(self) -> int:
        """How many different sequences of words are looked for."""
        return len(self._grams)

    def hits(self, texts: Texts, questions: Sequence[Sequence[str]]) -> dict[int, Hit]:
        """The rows that share words with a test doc, each with the first place where it does.

        Args:
            texts: each row's whole text.
            questions: each row's questions.
        """
        found = self._shared(texts)
        if self._short:
            for row, asked in enumerate(questions):
                if row not in found and (doc := self._asked(asked)) is not None:
                    found[row] = (doc, None)
        return {row: Hit(self.docs[doc], at) for row, (doc, at) in sorted(found.items())}

    def _shared(self, texts: Texts) -> dict[int, tuple[int, int | None]]:
        here = grams(texts.words, self.ngram)
        likely = self._table[here >> np.uint64(64 - _TABLE_BITS)]
        likely &= starts_within(texts.offsets, self.ngram)
        places = np.flatnonzero(likely)
        if not len(places) or not len(self._grams):
            return {}
        nearest = np.searchsorted(self._grams, here[places])
        nearest[nearest == len(self._grams)] = 0
        same = self._grams[nearest] == here[places]
        places, owners = places[same], self._owners[nearest[same]]
        rows = np.searchsorted(texts.offsets, places, side="right") - 1
        found: dict[int, tuple[int, int | None]] = {}
        for row, doc, place in zip(rows.tolist(), owners.tolist(), places.tolist(), strict=True):
            found.setdefault(row, (doc, place - int(texts.offsets[row])))
        return found

    def _asked(self, questions: Sequence[str]) -> int | None:
        for question in questions:
            for line in question.split("\n"):
                if (short := _short_key(line, self.ngram)) in self._short:
                    return self._short[short]
        return None

    def _add(self, each: TestSet) -> tuple[Hashes, npt.NDArray[np.int32]]:
        """Take in a task's docs; returns their sequences of words, and whose each one is."""
        begin = len(self.docs)
        self.docs += [TestDoc(each.task, number) for number in range(1, len(each.texts) + 1)]
        texts = [(begin + place, text) for place, doc in enumerate(each.texts) for text in doc]
        for number, text in texts:
            for line in text.split("\n"):
                if short := _short_key(line, self.ngram):
                    self._short.setdefault(short, number)
        words = hashed([text for _, text in texts])
        counts = np.maximum(np.diff(words.offsets) - self.ngram + 1, 0)
        found = grams(words.words, self.ngram)[starts_within(words.offsets, self.ngram)]
        return found, np.repeat(np.array([number for number, _ in texts], np.int32), counts)


def shared_words(hit: Hit, text: str, ngram: int) -> str:
    """What a row shares, in words."""
    if hit.at is None:
        return f"asks {hit.doc.task}, doc {hit.doc.number}"
    words = " ".join(split_words(text)[hit.at : hit.at + ngram])
    return f"shares with {hit.doc.task}, doc {hit.doc.number}: {words}"


def tested(index: TestsIndex, hits: Mapping[str, int]) -> tuple[Tested, ...]:
    """What the card says of each task, given how many rows were dropped because of it."""
    by_task: dict[str, list[TestSet]] = {}
    for each in index.sets:
        by_task.setdefault(each.task, []).append(each)
    return tuple(
        Tested(
            task=task,
            docs=sum(len(each.texts) for each in sets),
            origin=", ".join(sorted({each.origin for each in sets})),
            files={name: digest for each in sets for name, digest in each.files.items()},
            found=hits.get(task, 0),
        )
        for task, sets in by_task.items()
    )


def _short_key(line: str, ngram: int) -> int:
    """64 bits of a line of some words, but fewer than ``ngram``; 0 for another."""
    if len(line) > 40 * ngram:
        return 0
    words = split_words(line)
    return key(" ".join(words)) if LEAST_WORDS <= len(words) < ngram else 0


def _test_set(task: str, dataset: Dataset, found: FoundData) -> TestSet:
    path = found.files.get(dataset.split)
    texts: list[tuple[str, ...]] = []
    files: dict[str, str] = {}
    if path is not None:
        where = found.dataset.samples_where if found.origin != "mirror" else None
        for raw in raw_rows(path):
            try:
                row = raw.columns()
            except Unreadable as error:
                raise DataError(f"{path}, row {raw.number} {error}; fetch it again") from None
            if where is None or row.get(where[0]) == where[1]:
                texts.append(tuple(_texts(row)))
        with path.open("rb") as file:
            name = f"{dataset.name}/{dataset.config or 'default'}/{path.name}"
            files[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return TestSet(task, found.origin, files, tuple(texts))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a row, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
