"""Writing files: whole or not at all, with errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from harness.errors import StorageError

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on damaged JSON: bytes that are no UTF-8, brackets without end."""

_LONGEST = 200
"""Bytes of a file's name to which more can be added: file systems allow 255."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it."""
    part = _part(path)
    data = content.encode() if isinstance(content, str) else content
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to piece by piece; it becomes ``path`` when it is whole.

    Raises:
        StorageError: it cannot be written, or its folder does not exist; what was there stays.
    """
    part = _part(path)
    with explained(path):
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """Where a file is until it is whole: beside it, by a name that is not too long."""
    name = os.fsencode(path.name)
    kept = path.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()
    return path.with_name(f".{kept}.{os.getpid()}.part")


@contextlib.contextmanager
def alone(folder: Path, tell: Callable[[str], None]) -> Iterator[bool]:
    """Keep a second process from making the same folder at the same time: it waits, and says so.
    The system lets go when a process ends, however it ends.

    Yields:
        Whether the lock is held: not where the system has none.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield False
        return
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another process that makes {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield True


class explained:
    """Turn an OSError on ``path`` into a StorageError that says what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            advice = {
                errno.ENOSPC: "the disk is full: free some room, then run the same command again",
                errno.EDQUOT: "the disk quota is used up: free some room, then run it again",
                errno.EACCES: "no permission to write there: choose another folder",
                errno.EROFS: "that file system is read-only: choose another folder",
                errno.ENOTDIR: "a file stands where a folder is needed: choose another folder",
            }.get(error.errno or 0, "choose another folder")
            message = f"cannot write {self._path}: {error.strerror or error}; {advice}"
            raise StorageError(message) from None
