"""What lies beside a model while it is built, and what a killed build leaves there."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from harness.lineage import FILE

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


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
