"""The replies of a server, kept as they come, so that nothing is asked or paid for twice.

One JSON object per line, appended in one write: what was asked (a digest, see `Chat.digest`), the
reply, and how many attempts it took. Requests that got none are written down too, for attempts
count towards a budget. A line that a kill tore is passed over, and asked again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.openai_api.reply import Reply
from harness.storage import UNDECODABLE, explained


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reply as it is written down, or that there was none.

    Attributes:
        asked: the request's digest.
        text, finish, refusal, model, silent: as in `Reply`.
        tokens_in, tokens_out: of all attempts, as the server counts them. Where ``estimated``, some
            are from the texts, or all that an attempt may take whose answer did not come whole.
        attempts: how often the server was asked.
        failed: why there is no reply, in a few words; else empty.
    """

    asked: str
    text: str
    tokens_in: int
    tokens_out: int
    estimated: bool = False
    attempts: int = 1
    finish: str = ""
    refusal: str = ""
    model: str = ""
    failed: str = ""
    silent: bool = False

    @property
    def reply(self) -> Reply:
        """What the server said."""
        return Reply(self.text, self.finish, self.refusal, self.model, silent=self.silent)


class Replies:
    """The kept replies of one file.

    Attributes:
        path: the file.
        kept: the replies, by what was asked.
        failed: requests that got none, as often as they were put.
    """

    def __init__(self, path: Path, descriptor: int, tell: Callable[[str], None]) -> None:
        self.path, self._file = path, descriptor
        self.kept: dict[str, Kept] = {}
        self.failed: list[Kept] = []
        with open(descriptor, "rb", closefd=False) as file:
            *lines, self._torn = file.read().split(b"\n")
        damaged = sum(not self._take(line) for line in lines if line)
        # A whole last line without its line end is as good as any other.
        damaged += bool(self._torn) and not self._take(self._torn)
        if self.kept:
            tell(f"{len(self.kept):,} replies are kept in {path}")
        if damaged:
            tell(f"damaged lines are left out, {damaged:,} of them, and asked again ({path})")

    def add(self, new: Kept) -> None:
        """Write a reply down, or that there was none.

        Raises:
            StorageError: it could not be written; all earlier ones are kept.
        """
        content = (b"\n" if self._torn else b"") + msgspec.json.encode(new) + b"\n"
        with explained(self.path):
            while content:
                self._torn = content  # until all of it is written
                content = content[os.write(self._file, content) :]
        self._torn = b""
        self._put(new)

    def _put(self, one: Kept) -> None:
        if one.failed:
            self.failed.append(one)
        else:
            self.kept.setdefault(one.asked, one)

    def _take(self, line: bytes) -> bool:
        try:
            found = msgspec.json.decode(line, type=Kept)
        except UNDECODABLE:
            return False
        self._put(found)
        return True


@contextmanager
def open_replies(path: Path, tell: Callable[[str], None]) -> Iterator[Replies]:
    """The replies of a file, which is made if it is not there, held against other processes.

    Raises:
        UsageError: another process writes to it.
        StorageError: it cannot be read or written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if not _held(descriptor):
            raise UsageError(f"{path}: another process writes to it; wait until it has ended")
        with explained(path):
            replies = Replies(path, descriptor, tell)
        yield replies
        with explained(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_replies(path: Path) -> dict[str, Kept]:
    """The replies of a file that is left as it is; none where there is no file."""
    if not path.exists():
        return {}
    with explained(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return Replies(path, descriptor, lambda line: None).kept
        finally:
            os.close(descriptor)


def _held(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not every file system has locks
        return True
    return True
