"""The work on each row, done in shards that outlive an interruption.

A shard is some thousands of a source's drawn rows: read, cleaned, held against the tests, and kept
with what the choice among them needs. Its counts are written last, so what has counts is whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, get_origin

import msgspec
import numpy as np

from harness.errors import DataError
from harness.storage import UNDECODABLE, explained, replacing, write_atomic
from training.data.mixture.asked import ending_of, question_of
from training.data.mixture.cleaning import actions, answers_of, cleaned, text_of
from training.data.mixture.declared import PERSONAL, Mixture
from training.data.mixture.layouts import Row, rows_of
from training.data.mixture.near import Signatures, ending_signatures, figures, signatures
from training.data.mixture.personal import masked
from training.data.mixture.reading import Unreadable
from training.data.mixture.refused import DECIDED, Refused
from training.data.mixture.surveying import Drawn, Survey
from training.data.mixture.tally import Tally
from training.data.mixture.tests_index import TestsIndex, shared_words
from training.data.mixture.tokenizing import Tokens
from training.data.mixture.words import Hashes, Texts, hashed, key, question_key
from training.data.mixture.written import line

SHARD_ROWS = 20_000
"""Of the source, or that came of them, whichever is reached first."""
SHARD_BYTES = 64 * 2**20
"""Of rows that are kept: a shard of long rows ends sooner."""
_BATCH = 512
_BATCH_CHARS = 4 * 2**20


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
        figures: hash of the text's numbers.
        signatures: of the words; no columns where near-duplicates are not looked for.
        endings: the same of what is asked and answered; see `ending_of`.
    """

    keys: Hashes
    numbers: Hashes
    texts: Hashes
    questions: Hashes
    figures: Hashes
    signatures: Signatures
    endings: Signatures

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


@dataclass(frozen=True)
class Worker:
    """What all shards of a mixture share.

    Attributes:
        tests: ``None`` where rows are not held against any.
        tokens: ``None`` where they are not counted.
    """

    mixture: Mixture
    tests: TestsIndex | None
    tokens: Tokens | None
    folder: Path

    def shards(
        self, number: int, survey: Survey, advance: Callable[[int], None]
    ) -> Iterator[Shard]:
        """The shards of a source's last round: those that are there, then those that are made.

        Args:
            number: the source's place in the mixture.
            survey: what was drawn of it.
            advance: told of drawn rows that are done.

        Raises:
            DataError: a row cannot be read, and the mixture says that this stops it.
            StorageError: a shard cannot be written.
        """
        through, place = 0, 0
        while (found := _finished(self._stem(number, survey.rounds, place))) is not None:
            advance(found.tally.rows)
            yield found
            through, place = found.through, place + 1
        begun: _Begun | None = None
        try:
            for drawn in survey.drawn_rows():
                if drawn.number <= through:
                    continue
                begun = begun or _Begun(self, survey, self._stem(number, survey.rounds, place))
                begun.take(drawn)
                advance(1)
                if begun.full:
                    yield begun.finish()
                    begun, place = None, place + 1
            if begun is not None:
                yield begun.finish()
        finally:
            if begun is not None:
                begun.close()

    def _stem(self, number: int, draw: int, place: int) -> Path:
        return self.folder / f"{number:03}-{draw:02}-{place:05}"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A clean row that is not yet held against the tests.

    Attributes:
        read: its text before masking.
        question: hash of what it asks.
    """

    drawn: Drawn
    row: Row
    read: str
    question: int


class _Begun:
    """A shard that is being made. Its rows go to the disk as they are settled."""

    def __init__(self, worker: Worker, survey: Survey, stem: Path) -> None:
        self._worker, self._source = worker, survey.taken.source
        self._actions = actions(worker.mixture, self._source)
        self._waiting: list[_Waiting] = []
        self._chars = 0
        self._parts: list[Kept] = []
        self._bytes = 0
        self._last = 0
        self._stem, self._part = stem, stem.with_suffix(".part")
        with explained(self._part):
            self._file: IO[bytes] = self._part.open("wb")
        self.tally = Tally()

    @property
    def full(self) -> bool:
        """Whether it holds as much as a shard may."""
        many = max(self.tally.rows, self.tally.cleaned) >= SHARD_ROWS
        return many or self._bytes >= SHARD_BYTES

    def close(self) -> None:
        """Give it up; what was written is written over by the next call."""
        self._file.close()

    def take(self, drawn: Drawn) -> None:
        """Read and clean a row."""
        where = _where(drawn)
        self.tally.rows += 1
        self._last = drawn.number
        try:
            columns = drawn.raw.columns()
            found = rows_of(self._source, columns, where)
        except (Unreadable, Refused) as error:
            self._refused(error, drawn)
            return
        self.tally.read += len(found)
        if not found:
            return
        asked, seed = question_of(self._source, columns, found[0]), self._worker.mixture.seed
        for row in found:
            try:
                clean = cleaned(
                    row,
                    self._worker.mixture,
                    self._actions,
                    self._worker.tokens.count if self._worker.tokens else None,
                    self.tally.masked,
                )
            except Refused as error:
                source = f"{self._source.name}, {where}"
                self.tally.drop(error.rule, source, str(error), text_of(row))
                continue
            self._waiting.append(_Waiting(drawn, clean, text_of(row), _question_key(asked, seed)))
            self._chars += _length(clean)
            if len(self._waiting) >= _BATCH or self._chars >= _BATCH_CHARS:
                self._settle()

    def finish(self) -> Shard:
        """Write what is there."""
        self._settle()
        rows, arrays, counts = _files(self._stem)
        with explained(rows):
            # The counts are on the disk only after what they count.
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(rows)
        kept = Kept.joined(self._parts) if self._parts else _EMPTY
        with replacing(arrays) as part, part.open("wb") as file:
            np.savez(file, **{name: getattr(kept, name) for name in Kept.__dataclass_fields__})
        done = _Counts(self._last, self.tally)
        write_atomic(counts, msgspec.json.encode(done))
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
        waiting, self._waiting, self._chars = self._waiting, [], 0
        if not waiting:
            return
        texts = [text_of(each.row) for each in waiting]
        words = hashed(texts)
        shared = self._shared(waiting, texts, words)
        found = endings = np.empty((len(texts), 0), np.uint32)
        if self._worker.mixture.near is not None:
            found = signatures(words)
            endings = ending_signatures(hashed([ending_of(each.row) for each in waiting]))
        kept = [place for place in range(len(waiting)) if place not in shared]
        for place, (task, why) in shared.items():
            where = f"{self._source.name}, {_where(waiting[place].drawn)}"
            self.tally.tests[task] += 1
            self.tally.drop("contaminated", where, why, texts[place])
        rows = [waiting[place] for place in kept]
        self._write("".join(line(each.row) for each in rows).encode())
        self._parts.append(
            Kept(
                keys=np.array([each.drawn.key for each in rows], np.uint64),
                numbers=np.array([each.drawn.number for each in rows], np.uint64),
                texts=np.array([_text_key(texts[place]) for place in kept], np.uint64),
                questions=np.array([each.question for each in rows], np.uint64),
                figures=np.array([figures(texts[place]) for place in kept], np.uint64),
                signatures=found[kept],
                endings=endings[kept],
            )
        )

    def _shared(
        self, waiting: list[_Waiting], texts: list[str], words: Texts
    ) -> dict[int, tuple[str, str]]:
        """The rows that share words with a test doc: the task, and what they share. The test docs
        are not masked, so a masked row is held against them as it was read, too.
        """
        tests = self._worker.tests
        if tests is None:
            return {}
        hits = tests.hits(words, texts)
        found = {
            place: (hit.doc.task, shared_words(hit, texts[place])) for place, hit in hits.items()
        }
        masked = [
            place
            for place, each in enumerate(waiting)
            if place not in found and each.read != texts[place]
        ]
        read = [waiting[place].read for place in masked]
        for number, hit in tests.hits(hashed(read), read).items() if read else ():
            why = f"shares with {hit.doc.task}, doc {hit.doc.number}: words that are masked in part"
            found[masked[number]] = (hit.doc.task, why)
        return dict(sorted(found.items()))

    def _write(self, content: bytes) -> None:
        self._bytes += len(content)
        with explained(self._part):
            self._file.write(content)


class _Counts(msgspec.Struct):
    """The file that says that a shard is whole."""

    through: int
    tally: Tally


def _files(stem: Path) -> tuple[Path, Path, Path]:
    """Rows, arrays, counts."""
    return stem.with_suffix(".rows"), stem.with_suffix(".npz"), stem.with_suffix(".json")


def _finished(stem: Path) -> Shard | None:
    rows, arrays, counts = _files(stem)
    if not (rows.is_file() and arrays.is_file()):
        return None
    try:
        content = counts.read_bytes()
        done = msgspec.json.decode(content, type=_Counts, dec_hook=_counter)
    except (OSError, *UNDECODABLE):
        return None
    return Shard(rows, arrays, done.through, done.tally)


def _counter(kind: type, value: dict[str, int]) -> Counter[str]:
    """The one type of a tally that msgspec does not know."""
    assert get_origin(kind) is Counter
    return Counter(value)


def _where(drawn: Drawn) -> str:
    return f"{drawn.file.name}, row {drawn.raw.number}"


def _question_key(question: str, seed: int) -> int:
    """Without personal data, whatever is done about it: what is written may be masked or not."""
    for kind in PERSONAL:
        question = masked(question, kind)[0]
    return question_key(question, seed)


def _length(row: Row) -> int:
    """Characters, without putting them together."""
    return sum(map(len, answers_of(row))) + sum(len(message.content) for message in row.prompt)


def _text_key(text: str) -> int:
    return key(" ".join(text.casefold().split()))


_NONE = np.empty(0, np.uint64)
_UNSIGNED = np.empty((0, 0), np.uint32)
_EMPTY = Kept(_NONE, _NONE, _NONE, _NONE, _NONE, _UNSIGNED, _UNSIGNED)
