"""The errors a user can meet, and the one function that suggests what they may have meant.

Every message says what was wrong, the offending value, what would be valid, and, where one
exists, the command that fixes it. The command line prints the message alone, without a
traceback, and ends with the error's exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """A failure that is explained to the user; exit code 1."""

    exit_code = 1


class UsageError(HarnessError):
    """The command, an option or a name in it is wrong; exit code 2."""

    exit_code = 2


class UnknownName(UsageError):
    """A model, task, suite, metric, step or option that does not exist.

    Raised by every look-up by name, so that all of them read alike: what was asked, the closest
    names, and where they were looked for.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"unknown {kind} {name!r}{closest(name, known)} (looked in {where})")


class RegistryError(UsageError):
    """`model_zoo.yaml`, a suite or a lock file cannot be read as written; names file and line."""


class DataError(HarnessError):
    """A data set is missing, incomplete or not what it should be."""


class WeightsError(HarnessError):
    """A model's weights are missing, damaged or not the ones that were pinned."""


class TrainingError(HarnessError):
    """A step cannot be done, or failed while it was done."""


class IncomparableRuns(HarnessError):
    """Two runs did not do the same work, so a difference between their scores says nothing.

    Attributes:
        base, model: the two, as the user knows them.
        differences: what differs, a line each.
    """

    def __init__(self, base: str, model: str, differences: Iterable[str], advice: str = "") -> None:
        self.base, self.model, self.differences = base, model, tuple(differences)
        lines = [f"{base} and {model} did not do the same work:"]
        lines += [f"  {difference}" for difference in self.differences]
        super().__init__("\n".join([*lines, *([advice] if advice else [])]))


class RecordError(HarnessError):
    """A stored run cannot be read: half-written, of another schema, or not a run at all."""


class MarksError(HarnessError):
    """A file of reviewers' marks cannot be taken in; names every entry that is wrong."""


class StorageError(HarnessError):
    """A record or report cannot be written: no permission, or no room left."""


class Interrupted(HarnessError):
    """The user stopped the run; what was finished is kept. Exit code 130, as a shell expects."""

    exit_code = 130


def closest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a phrase such as ``: did you mean 'arc_easy'?``, or the valid names if few.

    Args:
        name: what the user wrote.
        known: all valid names.
        limit: how many near names to offer at most.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=limit, cutoff=0.5)
    near = near or [candidate for candidate in names if name and name in candidate][:limit]
    if near:
        return ": did you mean " + " or ".join(repr(candidate) for candidate in near) + "?"
    if names and len(names) <= 12:
        return "; valid: " + ", ".join(names)
    return ""
