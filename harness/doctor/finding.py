"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "missing"]

DEFAULT_MODEL = "smol"
"""The model of a plain `harness eval`, which a package carries."""
DEFAULT_SUITE = "quick"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: ``ok``; ``note``: something cannot be done, or is not as it should be; ``missing``:
            for want of this the embedded default (`harness eval` on the shipped samples) could not
            be scored here.
        what: the thing, in a word or two.
        detail: what is here.
        cost: what cannot be done because of it.
        mend: the command or setting that mends it.
    """

    state: State
    what: str
    detail: str
    cost: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Where:
    """The places that a command was told of; ``None`` leaves each to its variable and default.

    Attributes:
        reports: where runs and reports are kept.
        data: folder of data sets.
        models: folder that holds ``org/name/`` of hub models.
        zoo: the registry's file.
        tasks: folder of task files.
        base_url: address of a server that models are to be asked at.
    """

    reports: Path
    data: str | None = None
    models: Path | None = None
    zoo: Path | None = None
    tasks: Path | None = None
    base_url: str | None = None
