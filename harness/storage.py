"""Writing files: whole or not at all, with errors that say what to do; where a path leads."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from harness.errors import StorageError, UsageError

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on damaged JSON: bytes that are no UTF-8, brackets without end."""

_LONGEST = 200
"""Bytes of a file's name to which more can be added: file systems allow 255."""

_PART = re.compile(r"\..+\.\d+\.part", re.DOTALL)
"""The name of a file that is not whole yet."""


def expanded(path: Path | str) -> Path:
    """A path as a user wrote it, with the home folder for ``~`` or ``~user``.

    Raises:
        UsageError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"there is no home folder for {str(path)!r}: write the whole path, or set HOME"
        ) from None


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it."""
    data = content.encode() if isinstance(content, str) else content
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _part(path) as part, part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to piece by piece; in the end it becomes ``path``.

    Raises:
        StorageError: it cannot be written, or its folder does not exist; what was there stays.
    """
    with explained(path), _part(path) as part:
        yield part


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; what is being written stays."""
    try:
        import fcntl
    except ImportError:  # not on Windows: nobody can tell there whether a process still writes
        return
    for part in folder.glob(".*.part"):
        if not _PART.fullmatch(part.name):
            continue
        with contextlib.suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


@contextlib.contextmanager
def _part(path: Path) -> Iterator[Path]:
    """Where a file is until it is whole: beside it, by a name that is not too long; locked, so that
    `remove_parts` can tell it from what a killed process left.
    """
    name = os.fsencode(path.name)
    kept = path.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()
    part = path.with_name(f".{kept}.{os.getpid()}.part")
    descriptor = _made_and_held(part)
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _made_and_held(part: Path) -> int:
    while True:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except (ImportError, OSError):  # not every system, nor every file system, has locks
            return descriptor
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # `remove_parts` was between the two: make it again


@contextlib.contextmanager
def alone(folder: Path, tell: Callable[[str], None]) -> Iterator[bool]:
    """Keep a second process from making the same folder at the same time: it waits, and says so.
    The system lets go when a process ends, however it ends.

    Yields:
        Whether the lock is held: not where the system or the file system has none.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield False
        return
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        locked = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another process that makes {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # not every file system has locks
            locked = False
        yield locked


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Keep other processes from the same meanwhile: they wait. The system lets go when a process
    ends, however it ends.

    Raises:
        StorageError: the folder is not there and cannot be made.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(ImportError, OSError):  # not every system has locks
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
