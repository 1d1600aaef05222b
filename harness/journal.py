"""The journal: every answer that a model gave, kept so that it is never asked for twice.

A journal is a file ``<reports>/journal/<key>.jsonl`` per backend identity: a header, then one line
per answer, each with a checksum::

    {"schema":1,"identity":{"backend":"lm_eval 0.4.13","weights":"..."},"created":"..."}
    {"crc32":"89abcdef","kind":"logprob","question":"<digest>","logprob":-3.25,...}

It holds responses, never scores. It is only ever appended to, whole lines under a lock, so a kill
at any moment, a full disk and a second process cost at most the line being written; that one
fails its checksum and is asked again. The checksum begins with the file's key: a line that came
from another model's journal is damage, not an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec

from harness.backends.backend import Backend
from harness.errors import StorageError
from harness.journal_line import DECODER, JournalLine, journal_line
from harness.storage import UNDECODABLE, explained
from harness.types import Answer, Generation, LogProb, Question, Resembled

SCHEMA = 1

_HEADER = b'{"schema":'
_LEAD = b'{"crc32":"'
_CHECKED_FROM = len(_LEAD) + 8
"""Where a line's checked bytes begin: after the checksum itself, eight hexadecimal digits."""


class _Header(msgspec.Struct, frozen=True):
    """First line of a file, for people and for other versions; answers do not depend on it."""

    schema: int
    identity: dict[str, str]
    created: str = ""


def journal_path(folder: Path, identity: Mapping[str, str]) -> Path:
    """The file that holds the answers of a backend with this identity."""
    asked = json.dumps([SCHEMA, dict(identity)], sort_keys=True)
    return folder / (hashlib.blake2b(asked.encode(), digest_size=16).hexdigest() + ".jsonl")


class Journal:
    """The stored answers of one backend identity, open for look-up and appending.

    Args:
        folder: the journals' folder, made if it is not there.
        identity: `Backend.identity` and what else an answer depends on.
        tell: takes lines for the user: what is stored, what is damaged or of another schema.

    Raises:
        StorageError: the file cannot be opened, read or written.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self.path = journal_path(folder, identity)
        self.damaged = 0
        self._seed = zlib.crc32(self.path.stem.encode())
        self._answers: dict[str, JournalLine] = {}
        self._early: set[str] = set()
        self._unsynced = False
        self._closed = False
        with explained(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._open(identity, tell)
            except BaseException:
                os.close(self._file)
                raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # On a full disk the error that ends the run was raised already.
            with contextlib.suppress(*([StorageError] if error is not None else [])):
                self.sync()
        finally:
            self._closed = True
            os.close(self._file)

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, digest: bytes, index: int = 0) -> Answer | None:
        """The stored answer to the question with this digest, which stands at ``index``."""
        line = self._answers.get(digest.hex())
        if line is None:
            return None
        return Answer(index, line.response(), line.tokens_in, line.tokens_out, stored=True)

    def add(self, digest: bytes, answer: Answer) -> None:
        """Write an answer down; one without a response, or with a NaN, is not worth keeping.

        Raises:
            StorageError: it could not be written; all earlier ones are kept.
        """
        line = journal_line(digest.hex(), answer)
        if line is None:
            return
        if line.question in self._early:
            self._early.discard(line.question)
        else:
            self._write(line)
        self._answers.setdefault(line.question, line)

    def add_early(self, digest: bytes, answer: Answer) -> None:
        """Write down an answer that nobody has waited for yet; `add` will make it known.

        Until then `find` does not have it: it was paid for by this run, and is not `stored`.

        Raises:
            StorageError: it could not be written; all earlier ones are kept.
        """
        line = journal_line(digest.hex(), answer)
        if line is not None and line.question not in self._early:
            self._write(line)
            self._early.add(line.question)

    def _write(self, line: JournalLine) -> None:
        if self._closed:  # its number may be another file's by now
            raise ValueError(f"{self.path} is closed")
        rest = b'",' + msgspec.json.encode(line)[1:]
        with explained(self.path), _locked(self._file):
            self._append(_LEAD + self._checksum(rest) + rest + b"\n")

    def sync(self) -> None:
        """Have the system put what was written on the disk."""
        if self._unsynced:
            with explained(self.path):
                os.fsync(self._file)
            self._unsynced = False

    def _open(self, identity: Mapping[str, str], tell: Callable[[str], None]) -> None:
        with _locked(self._file):  # or another process's half-written line would count as damage
            if os.fstat(self._file).st_size == 0:
                _tell_other_schemas(self.path, identity, tell)
                now = datetime.now(UTC).isoformat(timespec="seconds")
                self._append(msgspec.json.encode(_Header(SCHEMA, dict(identity), now)) + b"\n")
                return
            with open(self._file, "rb", closefd=False) as file:
                file.seek(0)
                content = file.read()
        self._read(content)
        if self._answers:
            tell(f"journal: {len(self._answers):,} answers of this model are stored ({self.path})")
        if self.damaged:
            tell(
                f"journal: damaged lines are left out, {self.damaged:,} of them, and what they "
                f"answered is asked again ({self.path})"
            )

    def _read(self, content: bytes) -> None:
        """Take in every line that is whole; of two answers to one question the first counts."""
        _, *lines = content.split(b"\n")  # the header is for people: the file's name says it all
        for line in lines:
            if not line or line.startswith(_HEADER):
                continue
            answer = self._believed(line)
            if answer is None:
                self.damaged += 1
            else:
                self._answers.setdefault(answer.question, answer)

    def _believed(self, line: bytes) -> JournalLine | None:
        """The line's answer, if its checksum says that it is what was written."""
        checksum = line[len(_LEAD) : _CHECKED_FROM]
        if not line.startswith(_LEAD) or checksum != self._checksum(line[_CHECKED_FROM:]):
            return None
        try:
            return DECODER.decode(line)
        except UNDECODABLE:
            return None

    def _checksum(self, content: bytes) -> bytes:
        return b"%08x" % zlib.crc32(content, self._seed)

    def _append(self, lines: bytes) -> None:
        """Write at the end; what a killed process left there without a line end stays a line."""
        self._unsynced = True
        end = os.lseek(self._file, 0, os.SEEK_END)
        if end:
            os.lseek(self._file, end - 1, os.SEEK_SET)
            if os.read(self._file, 1) != b"\n":
                lines = b"\n" + lines
        while lines:
            lines = lines[os.write(self._file, lines) :]


def open_journal(
    folder: Path | None, identity: Mapping[str, str], tell: Callable[[str], None]
) -> AbstractContextManager[Journal | None]:
    """The journal of this identity; none without a folder, or for weights without a digest: their
    answers could be anyone's.
    """
    if folder is None or not identity.get("weights"):
        return contextlib.nullcontext()
    return Journal(folder, identity, tell)


def answered(
    backend: Backend, questions: Sequence[Question], journal: Journal | None
) -> Iterator[Answer]:
    """Answer every question once: from the journal what it holds, from the backend the rest.

    Questions with equal digests are asked once, with or without a journal, and the answer is given
    to each; the tokens and seconds count for the first. What the backend answers is in the journal
    before it is yielded.

    Args:
        backend: asked for what is not stored.
        questions: as `Backend.encode` made them.
        journal: of this backend; ``None`` goes past it.

    Raises:
        StorageError: an answer could not be written down.
    """
    alike: dict[bytes, int] = {}
    asked: list[tuple[bytes | None, list[int]]] = []
    for index, question in enumerate(questions):
        if question.refused is not None:
            asked.append((None, [index]))  # there is no answer that could be shared
            continue
        digest = question.digest()
        if journal is not None and (stored := journal.find(digest, index)) is not None:
            yield _for(question, stored)
        elif digest in alike:
            asked[alike[digest]][1].append(index)
        else:
            alike[digest] = len(asked)
            asked.append((digest, [index]))
    if not asked:
        return
    for answer in backend.answer([questions[places[0]] for _, places in asked]):
        maybe_digest, places = asked[answer.index]
        if journal is not None and maybe_digest is not None:
            journal.add(maybe_digest, answer)
        for index in places:
            yield _for(questions[index], replace(answer, index=index))
            answer = replace(answer, tokens_in=0, tokens_out=0, seconds=0.0)
    if journal is not None:
        journal.sync()


def _for(question: Question, answer: Answer) -> Answer:
    """The answer as this question gets it: equal tokens may be a whole prompt or what was left of a
    longer one, so whether it was cut is the question's own.
    """
    response = answer.response
    if (
        not question.tokens
        or not isinstance(response, LogProb | Generation | Resembled)
        or response.truncated == question.truncated
    ):
        return answer
    return replace(answer, response=replace(response, truncated=question.truncated))


def _tell_other_schemas(
    path: Path, identity: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """Name the journals that another version of the harness wrote for the same backend."""
    for other in sorted(path.parent.glob("*.jsonl")):
        try:
            with other.open("rb") as file:
                header = msgspec.json.decode(file.readline(1_000_000), type=_Header)
        except (*UNDECODABLE, OSError):
            continue
        if header.schema != SCHEMA and header.identity == dict(identity):
            tell(
                f"journal: {other} is of schema {header.schema}, this version writes {SCHEMA}: it "
                "is left alone, and its answers are asked again"
            )


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the file against other processes; the system lets go when this one ends."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):  # not every (file) system has locks
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
            held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        yield
