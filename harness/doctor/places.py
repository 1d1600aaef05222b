"""Folders and files: the cache, reports and journal, who holds them, the mirrors, the lock file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.doctor.finding import Finding, Where
from harness.errors import HarnessError
from harness.lock import find_lock
from harness.prepared import cache_folder
from harness.storage import expanded

FETCHED_DISK = 1_000_000_000
"""Bytes that fetching the default takes: package, GGUF file and converted folder."""
WRITTEN_DISK = 50_000_000
"""Bytes that a small run with its pages and journal takes, and some room."""


def disk_findings(where: Where, fetched: bool) -> Iterator[Finding]:
    """Whether the cache and the report folder can be written, and how much room they have.

    Args:
        where: the places.
        fetched: whether the default model is in the cache already.
    """
    cache = cache_folder()
    problem, room = _not_writable(cache), _free(cache)
    if problem or room < FETCHED_DISK:
        yield Finding(
            "note" if fetched else "missing",
            "cache",
            f"{cache}: {problem or _room(room)}",
            "no model can be fetched or built",
            "free some room there, or name another folder: HARNESS_CACHE=dir",
        )
    else:
        yield Finding("ok", "cache", f"{cache}, {room / 1e9:.0f} GB free")
    problem, room = _not_writable(where.reports), _free(where.reports)
    if problem or room < WRITTEN_DISK:
        yield Finding(
            "missing",
            "reports",
            f"{where.reports}: {problem or _room(room)}",
            "no run can be written",
            "free some room there, or name another folder: --reports DIR (HARNESS_REPORTS)",
        )
    else:
        yield Finding("ok", "reports", f"{where.reports}, {room / 1e9:.0f} GB free")


def journal_finding(where: Where) -> Finding:
    """What is stored of earlier answers."""
    folder = where.reports / "journal"
    if folder.exists() and not folder.is_dir():
        cost = "no answer can be kept, so no run begins"
        detail = f"{folder} is no folder"
        return Finding("missing", "journal", detail, cost, "--no-journal, or another --reports DIR")
    sizes = [path.stat().st_size for path in folder.glob("*.jsonl")]
    if not sizes:
        return Finding("ok", "journal", "empty: no answer is stored yet")
    models = f"{len(sizes)} {'model' if len(sizes) == 1 else 'models'}"
    return Finding("ok", "journal", f"answers of {models} in {folder}, {sum(sizes) / 1e6:.1f} MB")


def held_findings(where: Where) -> Iterator[Finding]:
    """Runs and cache folders that another process is writing at this moment."""
    runs = sorted(path.name for path in _listed(where.reports / "runs") if _is_held(path))
    if runs:
        cost = "these runs cannot be resumed or scored again before that"
        yield Finding(
            "note", "locks", f"still going in another process: {', '.join(runs)}", cost, "wait"
        )
    locks = sorted(cache_folder().glob("**/.*.lock"))
    made = [str(path.parent / path.name[1 : -len(".lock")]) for path in locks if _is_held(path)]
    if made:
        cost = "a command that needs them waits"
        yield Finding("note", "locks", f"being made: {', '.join(made)}", cost, "wait")
    if not runs and not made:
        yield Finding("ok", "locks", "nothing is being written by another process")


def lock_file_finding() -> Finding:
    """The lock file, ``harness.lock.yaml``: there, readable, complete."""
    try:
        lock = find_lock()
    except HarnessError as error:
        cost = "no model and no data set can be checked against it, so none is scored"
        return Finding("missing", "lock file", str(error), cost, "harness lock writes it anew")
    if lock is None:
        detail = "none: what hub names stand for is not pinned (harness lock pins it)"
        return Finding("ok", "lock file", detail)
    pinned = f"{lock.path}: {len(lock.models)} models, {len(lock.datasets)} data sets"
    if lock.unresolved:
        return Finding(
            "note",
            "lock file",
            f"{pinned}; {len(lock.unresolved)} names unresolved",
            "what these stand for may change from one run to the next",
            "harness lock, where the hub can be reached",
        )
    return Finding("ok", "lock file", pinned)


def models_folder_finding(where: Where) -> Finding:
    """The folder that serves models instead of the hub."""
    written = os.environ.get("HARNESS_MODELS") or None
    folder = where.models or (Path(written) if written else None)
    if folder is None:
        return Finding("ok", "MODELS=dir", "none: models come from the cache or the hub")
    folder = expanded(folder)
    if not folder.is_dir():
        cost = "every command that needs a model refuses it"
        name = "--models-dir" if where.models else "HARNESS_MODELS"
        return Finding(
            "missing", "MODELS=dir", f"{name}={folder}: no such folder", cost, "name one that is"
        )
    names = sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in _configs(folder))
    if not names:
        cost = "no model is served from it"
        detail = f"{folder} holds no org/name/config.json"
        return Finding("note", "MODELS=dir", detail, cost, "put models there as org/name/")
    return Finding("ok", "MODELS=dir", f"{folder}: {', '.join(names)}")


def _configs(folder: Path) -> list[Path]:
    return list(folder.glob("*/*/config.json"))


def _listed(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in folder.iterdir() if path.is_dir()]
    return []


def _is_held(path: Path) -> bool:
    """Whether another process holds a lock on a file or folder."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if _is_there(path))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, which no folder can have
        return False


def _not_writable(folder: Path) -> str:
    """Why nothing can be written into a folder, or made there; empty if it can.

    A block is really written: quotas and read-only file systems show in no permission bits.
    """
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _free(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _room(room: int) -> str:
    return f"only {room / 1e9:.2f} GB free"
