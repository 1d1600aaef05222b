"""Checkpoints of a training that goes on: which one to resume from, which are not to be trusted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.step import Work

FOLDER = "checkpoints"
_LAST_WRITTEN = "trainer_state.json"


def resumable(work: Work, training: Mapping[str, Any]) -> Path | None:
    """The newest whole checkpoint of this very training.

    Whatever else lies there is deleted: what a killed process left half-written, and checkpoints
    of other options or other rows. (The builder sees to it that nothing remains of another parent
    or of other versions of the libraries.)

    Args:
        work: the step.
        training: what tells it from others: the recipe's options, the rows' sha256.
    """
    folder = work.scratch / FOLDER
    identity = json.dumps(training, sort_keys=True, indent=1)
    note = folder / "identity.json"
    if not note.is_file() or note.read_text("utf-8") != identity:
        if folder.exists():
            work.tell(f"{work.name}: checkpoints of other options or rows are discarded")
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        note.write_text(identity, "utf-8")
        return None
    found = {path: _step(path) for path in folder.glob("checkpoint-*")}
    whole = {path: step for path, step in found.items() if step is not None}
    for path in found.keys() - whole.keys():
        shutil.rmtree(path)
    return max(whole, key=whole.__getitem__, default=None)


def newest(work: Work) -> Path | None:
    """The newest whole checkpoint, if any, for a message."""
    found = {path: _step(path) for path in (work.scratch / FOLDER).glob("checkpoint-*")}
    whole = {path: step for path, step in found.items() if step is not None}
    return max(whole, key=whole.__getitem__, default=None)


def _step(checkpoint: Path) -> int | None:
    """The optimizer step it was saved at; ``None`` if it is not whole."""
    try:
        # The trainer writes this file after all others, and deletes older checkpoints after it.
        return int(json.loads((checkpoint / _LAST_WRITTEN).read_text("utf-8"))["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
