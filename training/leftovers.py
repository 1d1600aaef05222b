"""What lies beside a model while it is built, and what a killed build leaves there."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.lineage import FILE
from harness.report.wording import size

BEGUN = "begun.json"
"""Says in a scratch folder what the attempt was begun from."""


def beside(folder: Path, what: str) -> Path:
    """A hidden folder beside a model's: ``partial``, ``former`` or ``scratch``."""
    return folder.with_name(f".{folder.name}.{what}")


def remove_leftovers(folder: Path) -> None:
    """Remove what no build goes on from, beside a model that is whole; nothing while it is built
    again. The scratch folder of a rebuild that was broken off stays: ``--force`` goes on from it.
    """
    left = [path for path in (beside(folder, "partial"), beside(folder, "former")) if path.is_dir()]
    scratch = beside(folder, "scratch")
    if scratch.is_dir() and _modified(scratch / BEGUN) < _modified(folder / FILE):
        left.append(scratch)
    if not left:
        return
    try:
        import fcntl
    except ImportError:  # not on Windows: nobody can tell there whether it is being built
        return
    with contextlib.suppress(OSError), beside(folder, "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in left:
            shutil.rmtree(path, ignore_errors=True)


def abandoned(folders: Iterable[Path]) -> str:
    """What builds of other recipes left that were broken off, in a line; empty if there is none.

    They go on only where the registry says again what it said then, which nobody else can know.

    Args:
        folders: of the models that are to be built.
    """
    left = [
        path
        for folder in folders
        for what in ("scratch", "partial")
        for path in sorted(folder.parent.glob(f".[0-9a-f]*.{what}"))
        if path != beside(folder, what)
    ]
    if not left:
        return ""
    return (
        f"builds of other recipes that were broken off take {size(sum(map(_bytes, left)))}; unless "
        f"one is under way or wanted again, remove them with `rm -r {shlex.join(map(str, left))}`"
    )


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            total += path.lstat().st_size if path.is_file() else 0
    return total


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
