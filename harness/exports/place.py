"""Where an export may be written: over nothing but an earlier export of the same format."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

from harness.errors import UsageError

BEGINNINGS: Mapping[str, str] = {
    "csv": r'"?run"?,"?(created|model)"?,',
    "parquet": "PAR1",
    "lm-eval": r'\{\s*"results"',
    "mlflow": "SQLite format 3\0",
}
"""How a file of each format begins; a model card says itself what is its own."""


def checked_place(out: str, kind: str, runs: Path) -> Path:
    """Check, before the work, where an export is to be written.

    Args:
        out: a file's name, as given. A link is followed.
        kind: the format.
        runs: the folder of all runs, in which nothing is written.

    Raises:
        UsageError: there is no such folder, or it is no file, or one that is not an export.
    """
    if out == "-":
        raise UsageError("--out -: an export is a file, not standard output: name one")
    try:
        return _checked(Path(out), kind, runs)
    except (OSError, RuntimeError) as error:  # a name too long, a link in a circle
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--out {out}: {reason}; name another file") from None


def _checked(out: Path, kind: str, runs: Path) -> Path:
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file in it")
    path = out.resolve() if out.is_symlink() else out
    if (out.exists() and not out.is_file()) or path.parent == Path("/dev"):
        raise UsageError(f"--out {out} is no ordinary file: name one")
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {path.parent}; make it first")
    if path.resolve().is_relative_to(runs.resolve()):
        raise UsageError(f"--out {out} is among the records of runs: name a file outside {runs}")
    if kind in BEGINNINGS and path.exists() and not _is_of(path, kind):
        raise UsageError(
            f"--out {out} is there and no {kind} file that this command wrote: name another file"
        )
    return path


def _is_of(path: Path, kind: str) -> bool:
    """Whether a file is empty, or begins as an export does."""
    with path.open("rb") as file:
        begins = file.read(100).decode("utf-8", "replace")
    return not begins or re.match(BEGINNINGS[kind], begins) is not None
