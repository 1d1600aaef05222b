"""The work on each row, done in shards that outlive an interruption.

A shard is some thousands of a source's drawn rows: read, cleaned, held against the tests, and kept
with what the choice among them needs. Its counts are written last, so what has counts is whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, get_origin

import msgspec
import numpy as np

from harness.errors import DataError
from harness.storage import UNDECODABLE, replacing, write_atomic
from training.data.mixture.cleaning import (
    Count,
    actions,
    cleaned,
    question_of,
    text_of,
    token_counter,
)
from training.data.mixture.declared import Mixture
from training.data.mixture.layouts import Row, rows_of
from training.data.mixture.near import Signatures, signatures
from training.data.mixture.reading import Unreadable
from training.data.mixture.refused import DECIDED, Refused
from training.data.mixture.surveying import Drawn, Survey
from training.data.mixture.tally import Tally
from training.data.mixture.tests_index import TestsIndex, shared_words
from training.data.mixture.words import Hashes, hashed, key, question_key
from training.data.mixture.written import line

SHARD_ROWS = 20_000
_BATCH = 512


@dataclass(frozen=True)
class Shard:
    """A finished shard on disk.

    Attributes:
        rows: file of one output row a line.
        arrays: file of what the choice needs, an element per line of ``rows``.
        through: number of the last row of the source that it covers.
    """

    rows: Path
    arrays: Path
    through: int
    tally: Tally


@dataclass(frozen=True)
class Kept:
    """What is known of rows, an element for each.

    Attributes:
        keys: of the draw.
        numbers: the row of the source that it came of.
        texts: hash of the whole text, white space and case aside.
        questions: hash of the question's words.
        signatures: of the words; no columns where near-duplicates are not looked for.
    """

    keys: Hashes
    numbers: Hashes
    texts: Hashes
    questions: Hashes
    signatures: Signatures

    @classmethod
    def read(cls, path: Path) -> Kept:
        """Load a shard's arrays."""
        with np.load(path) as stored:
            return cls(**{name: stored[name] for name in stored.files})

    @classmethod
    def joined(cls, parts: list[Kept]) -> Kept:
        """Several shards' arrays, one after the other."""
        names = cls.__dataclass_fields__
        parts = [part for part in parts if len(part.keys)] or parts[:1]
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        )


@dataclass
class Worker:
    """What all shards of a mixture share.

    Attributes:
        tests: ``None`` where rows are not held against any.
    """

    mixture: Mixture
    tests: TestsIndex | None
    folder: Path
    _tokens: Count | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.mixture.max_tokens is not None:
            self._tokens = token_counter(self.mixture.tokenizer)

    def shards(
        self, number: int, survey: Survey, advance: Callable[[int], None]
    ) -> Iterator[Shard]:
        """A source's shards: those that are there, then those that are made.

        Args:
            number: the source's place in the mixture.
            survey: what was drawn of it.
            advance: told of drawn rows that are done.

        Raises:
            DataError: a row cannot be read, and the mixture says that this stops it.
            StorageError: a shard cannot be written.
        """
        through, place = 0, 0
        while (found := _finished(self._stem(number, place))) is not None:
            advance(found.tally.rows)
            yield found
            through, place = found.through, place + 1
        begun: _Begun | None = None
        for drawn in survey.drawn_rows():
            if drawn.number <= through:
                continue
            begun = begun or _Begun(self, survey)
            begun.take(drawn)
            advance(1)
            if begun.tally.rows == SHARD_ROWS:
                yield begun.finish(self._stem(number, place))
                begun, place = None, place + 1
        if begun is not None:
            yield begun.finish(self._stem(number, place))

    def _stem(self, number: int, place: int) -> Path:
        return self.folder / f"{number:03}-{place:05}"


class _Begun:
    """A shard that is being made."""

    def __init__(self, worker: Worker, survey: Survey) -> None:
        self._worker, self._source = worker, survey.taken.source
        self._actions = actions(worker.mixture, self._source)
        self._waiting: list[tuple[Drawn, Row]] = []
        self._lines: list[str] = []
        self._parts: list[Kept] = []
        self._last = 0
        self.tally = Tally()

    def take(self, drawn: Drawn) -> None:
        """Read and clean a row."""
        where = _where(drawn)
        self.tally.rows += 1
        self._last = drawn.number
        try:
            found = rows_of(self._source, drawn.raw.columns(), where)
        except (Unreadable, Refused) as error:
            self._refused(error, drawn)
            return
        self.tally.read += len(found)
        for row in found:
            try:
                clean = cleaned(
                    row,
                    self._worker.mixture,
                    self._actions,
                    self._worker._tokens,
                    self.tally.masked,
                )
            except Refused as error:
                source = f"{self._source.name}, {where}"
                self.tally.drop(error.rule, source, str(error), text_of(row))
                continue
            self._waiting.append((drawn, clean))
        if len(self._waiting) >= _BATCH:
            self._settle()

    def finish(self, stem: Path) -> Shard:
        """Write what is there."""
        self._settle()
        rows, arrays = stem.with_suffix(".rows"), stem.with_suffix(".npz")
        with replacing(rows) as part, part.open("wb") as file:
            file.write("".join(self._lines).encode())
            _sync(file)
        kept = Kept.joined(self._parts) if self._parts else _EMPTY
        with replacing(arrays) as part, part.open("wb") as file:
            np.savez(file, **{name: getattr(kept, name) for name in Kept.__dataclass_fields__})
            _sync(file)
        done = _Counts(self._last, self.tally)
        write_atomic(stem.with_suffix(".json"), msgspec.json.encode(done))
        return Shard(rows, arrays, self._last, self.tally)

    def _refused(self, error: Unreadable | Refused, drawn: Drawn) -> None:
        if error.rule in DECIDED and self._worker.mixture.unreadable == "stop":
            raise DataError(
                f"{self._source.name}: {drawn.file}, row {drawn.raw.number}: {error}. "
                "`unreadable: drop` in the mixture would drop and count such rows"
            )
        text = drawn.raw.content[:4000].decode("utf-8", "replace")
        self.tally.drop(error.rule, f"{self._source.name}, {_where(drawn)}", str(error), text)

    def _settle(self) -> None:
        """Hold the waiting rows against the tests, all at once, and keep the others."""
        self.tally.cleaned += len(self._waiting)
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        texts = [text_of(row) for _, row in waiting]
        words = hashed(texts)
        tests = self._worker.tests
        hits = tests.hits(words, [_asked(row) for _, row in waiting]) if tests else {}
        near = self._worker.mixture.near is not None
        found = signatures(words) if near else np.empty((len(texts), 0), np.uint32)
        kept = [place for place in range(len(waiting)) if place not in hits]
        for place, hit in hits.items():
            drawn, row = waiting[place]
            self.tally.tests[hit.doc.task] += 1
            self.tally.drop(
                "contaminated",
                f"{self._source.name}, {_where(drawn)}",
                shared_words(hit, texts[place], self._worker.mixture.ngram or 0),
                text_of(row),
            )
        seed = self._worker.mixture.seed
        rows = [waiting[place] for place in kept]
        self._lines += [line(row) for _, row in rows]
        self._parts.append(
            Kept(
                keys=np.array([drawn.key for drawn, _ in rows], np.uint64),
                numbers=np.array([drawn.number for drawn, _ in rows], np.uint64),
                texts=np.array([_text_key(texts[place]) for place in kept], np.uint64),
                questions=np.array(
                    [question_key(question_of(row), seed) for _, row in rows], np.uint64
                ),
                signatures=found[kept],
            )
        )


def _sync(file: IO[bytes]) -> None:
    """The counts are on the disk only after what they count."""
    file.flush()
    os.fsync(file.fileno())


class _Counts(msgspec.Struct):
    """The file that says that a shard is whole."""

    through: int
    tally: Tally


def _finished(stem: Path) -> Shard | None:
    try:
        content = stem.with_suffix(".json").read_bytes()
        done = msgspec.json.decode(content, type=_Counts, dec_hook=_counter)
    except (OSError, *UNDECODABLE):
        return None
    return Shard(stem.with_suffix(".rows"), stem.with_suffix(".npz"), done.through, done.tally)


def _counter(kind: type, value: dict[str, int]) -> Counter[str]:
    """The one type of a tally that msgspec does not know."""
    assert get_origin(kind) is Counter
    return Counter(value)


def _where(drawn: Drawn) -> str:
    return f"{drawn.file.name}, row {drawn.raw.number}"


def _asked(row: Row) -> list[str]:
    return [message.content for message in row.prompt if message.role == "user"]


def _text_key(text: str) -> int:
    return key(" ".join(text.casefold().split()))


_NONE = np.empty(0, np.uint64)
_EMPTY = Kept(_NONE, _NONE, _NONE, _NONE, np.empty((0, 0), np.uint32))
