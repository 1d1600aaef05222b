"""Checkpoints of a training that goes on: which one to resume from, which are not to be trusted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.weights import folder_files
from training.step import Work

FOLDER = "checkpoints"
_LAST_WRITTEN = "trainer_state.json"
_PACKAGES = ("torch", "transformers", "trl", "peft")


def resumable(work: Work, training: Mapping[str, Any]) -> Path | None:
    """The newest whole checkpoint of this very training.

    Whatever else lies there is deleted: what a killed process left half-written, and checkpoints
    of other options, other data, another parent or other versions of the libraries.

    Args:
        work: the step.
        training: what tells it from others: the recipe's options, the data's sha256.
    """
    folder = work.scratch / FOLDER
    identity = _identity(work, training)
    note = folder / "identity.json"
    if not note.is_file() or note.read_text("utf-8") != identity:
        if folder.exists():
            work.tell(f"{work.name}: checkpoints of another recipe or parent are discarded")
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


def _identity(work: Work, training: Mapping[str, Any]) -> str:
    parent = [work.parent / name for name in folder_files(work.parent)]
    stats = {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in parent}
    known = {
        "training": dict(training),
        "parent": hashlib.sha256(json.dumps(stats, sort_keys=True).encode()).hexdigest(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }
    return json.dumps(known, sort_keys=True, indent=1)
