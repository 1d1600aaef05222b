"""What a run leaves on disk, and how to read it back.

A run is a folder ``<runs>/<run id>/``::

    run.json                  the run: model, settings, environment, a TaskResult per finished task
    rows/<task>.jsonl         one Row per doc, in the order in which docs were finished
    rows/<task>.jsonl.part    the same while the task is being scored
    cards/<digest>.json       cards of the data that the model learned from (`harness.learned`)

``run.json`` is replaced atomically after every task, and rows are appended as they come, so that
a run that stops at any moment keeps its finished tasks.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import RecordError
from harness.records import SCHEMA, Row, Run
from harness.storage import UNDECODABLE, explained, remove_parts, write_atomic

RowT = TypeVar("RowT")

CARDS = "cards"
_CARD = "[0-9a-f]" * 16 + ".json"
_UNBEGUN_SECONDS = 3600


class RunFolder:
    """A run's folder, open for writing or reading.

    Args:
        path: the folder.
        rows: the folder of its rows within it; a baseline's, which lack all texts, are elsewhere.
    """

    def __init__(self, path: Path, rows: str = "rows") -> None:
        self.path, self._rows = path, rows

    def create(self) -> bool:
        """Make the folder, and say whether it is new; raises StorageError where it cannot be."""
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.path.mkdir()
            except FileExistsError:
                return False
            (self.path / "rows").mkdir()
        return True

    def discard_if_empty(self) -> None:
        """Remove the folder again if no run was ever written into it, and nothing but its cards."""
        cards = self.path / CARDS
        if not _holds_run(self.path) and not cards.is_symlink():
            remove_parts(cards)
            for card in cards.glob(_CARD):
                with contextlib.suppress(OSError):
                    card.unlink()
        for folder in (cards, self.path / "rows", self.path):
            try:
                folder.rmdir()
            except OSError:  # not empty, or not there: both are fine
                continue

    def write(self, run: Run) -> None:
        """Replace ``run.json`` atomically."""
        write_atomic(self.path / "run.json", msgspec.json.format(msgspec.json.encode(run)))

    def read(self) -> Run:
        """Read ``run.json``; raises RecordError if it is missing, torn or of another schema."""
        path = self.path / "run.json"
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise RecordError(
                f"no run at {self.path}: it has no run.json (`harness list runs` names the runs)"
            ) from None
        except OSError as error:
            raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None
        try:
            schema = msgspec.json.decode(text, type=dict[str, Any]).get("schema")
            if schema != SCHEMA:
                raise RecordError(
                    f"{path}: schema {schema!r}, this version of the harness reads {SCHEMA}; "
                    "score the model again, or read it with the version that wrote it"
                )
            return msgspec.json.decode(text, type=Run)
        except UNDECODABLE as error:
            raise RecordError(f"{path} is not a readable run: {error}") from None

    def rows_path(self, task: str, *, partial: bool = False) -> Path:
        """Path of a task's rows; the task's name is quoted so that it cannot leave the folder."""
        name = urllib.parse.quote(task, safe=" ") + ".jsonl" + (".part" if partial else "")
        return self.path / self._rows / name

    def rows(self, task: str) -> Iterator[Row]:
        """Yield a finished task's rows, in file order.

        Raises:
            RecordError: they cannot be read, or are not there: a committed baseline has no rows.
        """
        return self.rows_as(task, Row)

    def rows_as(self, task: str, kind: type[RowT]) -> Iterator[RowT]:
        """Yield the rows as another dataclass with some of a Row's fields: the rest is not read.

        Raises:
            RecordError: as `rows` does.
        """
        return (row for *_, row in self.rows_at(task, kind))

    def rows_at(self, task: str, kind: type[RowT]) -> Iterator[tuple[int, int, RowT]]:
        """Yield the rows as `rows_as` does, each after its line's first byte and size.

        Raises:
            RecordError: as `rows` does.
        """
        with self.open_rows(task) as lines:
            yield from rows_in(lines, self.rows_path(task), kind)

    def open_rows(self, task: str) -> io.BufferedReader:
        """Open a finished task's rows, for who reads them more than once: `rows_in` reads them.

        Raises:
            RecordError: as `rows` does.
        """
        path = self.rows_path(task)
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise RecordError(
                f"the rows of {task} are not here: there is no {path} (a run that was copied or "
                "committed without its rows, such as a baseline, has figures only)"
            ) from None
        except OSError as error:
            raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None


def rows_in(
    lines: io.BufferedReader, path: Path, kind: type[RowT]
) -> Iterator[tuple[int, int, RowT]]:
    """Yield the rows of an open file as `RunFolder.rows_at` does; ``path`` is its name in errors.

    Raises:
        RecordError: a line is no row, or cannot be read.
    """
    decoder, at = msgspec.json.Decoder(kind), 0
    try:
        for number, line in enumerate(lines, 1):
            try:
                row = decoder.decode(line)
            except UNDECODABLE as error:
                raise RecordError(f"{path}, line {number}: {error}") from None
            yield at, len(line), row
            at += len(line)
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None


class RowWriter:
    """Appends rows to a task's partial file and, on `finish`, gives it its final name."""

    def __init__(self, folder: RunFolder, task: str) -> None:
        self._part = folder.rows_path(task, partial=True)
        self._final = folder.rows_path(task)
        with explained(self._part):
            self._file = self._part.open("wb")

    def append(self, row: Row) -> None:
        """Write one row and hand it to the operating system at once."""
        with explained(self._part):
            self._file.write(msgspec.json.encode(row) + b"\n")
            self._file.flush()

    def finish(self) -> None:
        """Sync the file to disk and give it its final name."""
        with explained(self._part):
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._final)

    def close(self) -> None:
        """Leave the partial file where it is."""
        # On a full disk what could be written is written, and that error was raised already.
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Keep other processes from writing the same run; the system lets go when the process ends.

    Yields:
        Whether the lock is held: not where the system or the file system has none.

    Raises:
        RecordError: another process holds it, or the folder cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield False
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RecordError(
            f"the folder of run {folder.name} cannot be opened: {error.strerror or error} "
            f"({folder}); run the same command again"
        ) from None
    locked = True
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(f"run {folder.name} is still going in another process") from None
        except OSError:  # not every file system has locks
            locked = False
        yield locked
    finally:
        os.close(descriptor)


def remove_unbegun(runs: Path) -> None:
    """Remove the folders of runs that were killed before anything was written into them.

    A link stays, as it leads to somebody's own folder. One that is younger than an hour stays, too:
    its process may not have come to hold it yet. Where there are no locks all stay: nobody can tell
    there whether a process is still to begin.
    """
    for path in runs.iterdir() if runs.is_dir() else ():
        with contextlib.suppress(OSError, RecordError):
            if path.is_symlink() or not path.is_dir() or _holds_run(path):
                continue
            if _age(path) > _UNBEGUN_SECONDS:
                with held(path) as locked:
                    if locked:
                        remove_parts(path)
                        RunFolder(path).discard_if_empty()


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def list_runs(runs: Path) -> list[Path]:
    """Folders under ``runs`` that hold a run, oldest first by name; a damaged one is among them.

    Raises:
        RecordError: ``runs`` is there but cannot be listed.
    """
    try:
        folders = sorted(runs.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RecordError(f"{runs} cannot be read: {error.strerror or error}") from None
    return [folder for folder in folders if _holds_run(folder)]


def _holds_run(folder: Path) -> bool:
    try:
        (folder / "run.json").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a folder that may not be entered: `RunFolder.read` says why
        return True
    return True
