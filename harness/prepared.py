"""Folders that are made once and kept in the harness's cache, checked whenever they are used.

A folder appears there by one rename, whole or not at all, with a ``source.json`` that says what it
was made of and holds the digest of every file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import weights
from harness.errors import StorageError, WeightsError
from harness.storage import alone, expanded

Progress = Callable[[str], None]
Make = Callable[[Path, Path], Mapping[str, Any]]
"""Fills its first folder, may write what it likes into its second, which is removed; returns what
``source.json`` shall say, ``notes`` among it: what a user should know."""
_SCHEMA = 1


@dataclass(frozen=True)
class Prepared:
    """A checked folder of the cache.

    Attributes:
        path: the folder.
        files: every file's sha256, by its path inside the folder.
        notes: what a user should know about how it was made.
    """

    path: Path
    files: dict[str, str]
    notes: tuple[str, ...]


def cache_folder() -> Path:
    """The harness's cache: ``HARNESS_CACHE``, else ``~/.cache/lineup-harness``."""
    written = os.environ.get("HARNESS_CACHE")
    return expanded(written or "~/.cache/lineup-harness")


def damage(folder: Path) -> str | None:
    """Why a folder cannot be whole, judged by sizes alone; ``None`` if it can."""
    try:
        listed = _read_source(folder)["files"]
        for name, entry in listed.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {entry['size']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "source.json is not readable"
    return None


def obtain(folder: Path, model: str, make: Make, progress: Progress) -> Prepared:
    """The checked folder; made if it is not there.

    Args:
        folder: where it lies in the cache.
        model: whose it is, for errors.
        make: makes it.
        progress: told who is waited for.

    Raises:
        WeightsError: it cannot be made, or is damaged.
        StorageError: the cache cannot be written.
    """
    if not folder.is_dir():
        try:
            with _alone(folder, progress):
                # Whoever held the lock before may have made it.
                if not folder.is_dir():
                    _make(folder, make)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free some room" if full else "choose another folder: HARNESS_CACHE=dir"
            raise StorageError(
                f"{model}: cannot write to the cache {cache_folder()}: "
                f"{error.strerror or error}; {advice}, then run the same command again"
            ) from None
    return _verified(folder, model)


def _make(folder: Path, make: Make) -> None:
    with tempfile.TemporaryDirectory(prefix=_part(folder), dir=folder.parent) as scratch:
        made, work = Path(scratch) / "made", Path(scratch) / "work"
        made.mkdir()
        work.mkdir()
        said = make(made, work)
        listed = {
            path.relative_to(made).as_posix(): {
                "size": path.stat().st_size,
                "sha256": weights.sha256(path),
            }
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
        content = {"schema": _SCHEMA, **said, "files": listed}
        (made / "source.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        try:
            made.rename(folder)
        except OSError:
            # Without file locks (not every system has them) another process can be first; its
            # folder is whole, for folders only ever appear by a rename.
            if not folder.is_dir():
                raise


def _verified(folder: Path, model: str) -> Prepared:
    fix = f"remove it, and it is made again: rm -r {folder}"
    try:
        content = _read_source(folder)
        listed = {str(name): dict(entry) for name, entry in content["files"].items()}
        notes = tuple(str(note) for note in content.get("notes", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(f"{model}: {folder / 'source.json'} is damaged; {fix}") from None
    remembered = weights.DigestCache(cache_folder())
    files: dict[str, str] = {}
    for name, entry in listed.items():
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{model}: {path} is missing; the folder is damaged; {fix}")
        files[name] = remembered.sha256(path)
        if files[name] != entry.get("sha256"):
            raise WeightsError(
                f"{model}: {path} is damaged: it has {path.stat().st_size} bytes, sha256 "
                f"{files[name]}; it was written with {entry.get('size')} bytes, sha256 "
                f"{entry.get('sha256')}; {fix}"
            )
    if added := sorted(set(weights.folder_files(folder)) - set(files)):
        raise WeightsError(
            f"{model}: {folder} holds {', '.join(added)}, which was not written with it; {fix}"
        )
    return Prepared(folder, files, notes)


@contextlib.contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Keep a second process from making the same folder at the same time."""
    with alone(folder, progress) as held:
        for left in folder.parent.glob(f"{_part(folder)}*") if held else ():
            shutil.rmtree(left, ignore_errors=True)  # by a process that was killed
        yield


def _part(folder: Path) -> str:
    return f".part-{folder.name}-"


def _read_source(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "source.json").read_bytes())
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        raise ValueError(content)
    return content
