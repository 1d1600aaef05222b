"""Checkpoints whose weights are a pickle only: refused, or converted once and then kept.

A pickle is a program. Where the registry says ``allow_pickle: true``, ``pytorch_model.bin`` is read
by torch with ``weights_only=True``, which runs none, in a process of its own, and written to the
cache as safetensors beside the other files that decide what the model answers. Nothing loads a
pickle afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness import prepared, unpickle, weights
from harness.errors import WeightsError
from harness.prepared import Prepared, Progress
from harness.zoo import ModelSpec

PICKLE = "pytorch_model.bin"
"""The name under which transformers saved pickles; those in several parts are not converted."""


def deciding_files(names: Iterable[str]) -> list[str]:
    """`weights.deciding_files`, and the pickle where a loader would take it."""
    names = list(names)
    found = weights.deciding_files(names)
    return sorted([*found, PICKLE]) if pickled(names) else found


def pickled(names: Iterable[str]) -> bool:
    """Whether the weights among a checkpoint's files are a pickle only: safetensors that no loader
    takes, beside it, are none.
    """
    names = set(names)
    return PICKLE in names and not weights.loadable(names)


def check_allowed(spec: ModelSpec, where: str) -> None:
    """Refuse a pickle that the registry does not allow.

    Raises:
        WeightsError: it does not; says what to write.
    """
    if not spec.allow_pickle:
        raise WeightsError(
            f"{spec.name}: {where} holds its weights as a pickle only ({PICKLE}), and a pickle is "
            "a program. If you trust it, write `allow_pickle: true` into its entry in the "
            "registry: it is then read with weights_only=True, in a process of its own, and "
            "converted to safetensors. Weights saved with `model.save_pretrained(folder)` need no "
            "permission"
        )


def obtain(
    folder: Path, files: Mapping[str, str], name: str, model: str, progress: Progress
) -> Prepared:
    """The checkpoint with its weights as safetensors; converts them the first time.

    Args:
        folder: the checkpoint.
        files: `deciding_files` of it, each with its sha256.
        name: what the hub calls it, or its folder's name.
        model: what the registry calls it.
        progress: told that it is converted.

    Raises:
        WeightsError: the pickle holds anything but tensors, or is damaged.
        StorageError: the cache cannot be written.
    """
    key = f"{weights.weights_id(files)[:16]}-v{unpickle.VERSION}"
    kept = prepared.cache_folder() / "pickles" / name.replace("/", "--") / key
    make = partial(_make, folder, files, name, model, progress)
    return prepared.obtain(kept, model, make, progress)


def _make(
    folder: Path,
    files: Mapping[str, str],
    name: str,
    model: str,
    progress: Progress,
    made: Path,
    work: Path,
) -> dict[str, Any]:
    progress(
        f"{model}: {name} holds its weights as a pickle only: converting it to safetensors, once "
        "(read with weights_only=True, which runs no code)"
    )
    _convert(folder / PICKLE, made / "model.safetensors", model)
    for other in files:
        if other != PICKLE:
            (made / other).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / other, made / other)
    weights.check_folder(made, model)
    note = f"its weights were a pickle ({PICKLE}) and were converted to safetensors"
    return {"hub": name, "pickle": files[PICKLE], "converter": unpickle.VERSION, "notes": [note]}


def _convert(pickle: Path, target: Path, model: str) -> None:
    # -P: neither the working directory nor this folder (its types.py!) may shadow a library.
    command = [sys.executable, "-P", str(Path(unpickle.__file__)), str(pickle), str(target)]
    environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1]) if not done.returncode else None
    except (ValueError, IndexError):
        said = None
    if not isinstance(said, dict):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        killed = ": it was killed, most likely for lack of memory" if done.returncode < 0 else ""
        raise WeightsError(
            f"{model}: {pickle} could not be converted (exit {done.returncode}{killed}): {last}"
        )
    if "refused" in said:
        raise WeightsError(
            f"{model}: {pickle} is refused: {said['refused']}. If you trust it, load it yourself "
            "and save it with `model.save_pretrained(folder)`, which writes *.safetensors; a "
            "folder DIR/org/name/ with those serves as MODELS=DIR"
        )
