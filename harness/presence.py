"""What of a model is on this machine: a look at folders, without network, torch or digests."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness import hub, packages, pickles, prepared, weights
from harness.checkout import how_to_ask, how_to_eval, how_to_train
from harness.errors import UsageError, WeightsError
from harness.lineage import Lineage, built_folder, other_recipes, read_lineage
from harness.origin import Source
from harness.storage import expanded
from harness.zoo import ModelSpec, Zoo


@dataclass(frozen=True)
class Presence:
    """What is on this machine of a model, as far as a look can tell.

    Attributes:
        state: ``present``, ``absent`` (can be fetched) or ``not built`` (a step makes it).
        detail: where it is, or how to get it.
        path: its folder, if present.
        disk_bytes: size of its tensor files, if present.
        lineage: how it was made, if a step made it and it is present.
        damage: what is wrong with what was built, if it counts as not built for that.
        others: ids of the recipes by which it was built before, if not by the present one.
    """

    state: Literal["present", "absent", "not built"]
    detail: str
    path: Path | None = None
    disk_bytes: int | None = None
    lineage: Lineage | None = None
    damage: str | None = None
    others: tuple[str, ...] = ()


def presence(spec: ModelSpec, zoo: Zoo, models_dir: Path | None = None) -> Presence:
    """Look for a model without network, torch or reading its weights.

    Args:
        spec: the model.
        zoo: the registry that it is of.
        models_dir: folder that holds ``org/name/``; without one, ``HARNESS_MODELS``.
    """
    if spec.source is None:
        return _built(spec, zoo)
    fetch = f"`{how_to_eval(spec.name)}` fetches it"
    if spec.source.kind == "server":
        return Presence("absent", f"a server has it: `{how_to_ask(spec.name)}`")
    if spec.source.kind == "package":
        folder = packages.kept_folder(spec.source)
        if not folder.is_dir():
            return Presence("absent", f"package {spec.source.name}: {fetch}")
        if damage := prepared.damage(folder):
            return Presence("absent", f"damaged: {damage} (rm -r {folder})")
        return _present(folder, f"package {spec.source.name}")
    if spec.source.kind == "path":
        folder = own_folder(spec.source, zoo)
        if looks_whole(folder, pickle=spec.allow_pickle):
            return _present(folder, f"folder {spec.source.name}")
        return Presence("absent", f"no checkpoint in {folder}")
    for folder, words in hub_folders(spec.source, models_folder(models_dir), None):
        meant = words == "models folder" or has_tokenizer(spec, folder)
        if meant and looks_whole(folder, pickle=spec.allow_pickle):
            return _present(folder, words)
    return Presence("absent", f"hub {spec.source.name}: {fetch}, or MODELS=dir")


def hub_folders(source: Source, models: Path | None, commit: str | None) -> list[tuple[Path, str]]:
    """The folders on this machine that may serve a hub name, best first."""
    folders: list[tuple[Path, str]] = []
    if models is not None and (models / source.name).is_dir():
        folders.append((models / source.name, "models folder"))
    if snapshot := hub.cached(source.name, commit or source.revision):
        folders.append((snapshot, "hub cache"))
    return folders


def models_folder(given: Path | None) -> Path | None:
    """The folder that holds ``org/name/``: the one given, or that of ``HARNESS_MODELS``, or none.

    Raises:
        UsageError: it does not exist.
    """
    written = os.environ.get("HARNESS_MODELS") or None
    folder = given or (Path(written) if written else None)
    if folder is None:
        return None
    folder = expanded(folder)
    if not folder.is_dir():
        raise UsageError(
            f"the models folder {folder} does not exist; MODELS=DIR (HARNESS_MODELS) names a "
            "folder that holds models as DIR/org/name/"
        )
    return folder


def own_folder(source: Source, zoo: Zoo) -> Path:
    """The folder of a ``path``, which is seen from the registry's file."""
    return zoo.path.parent / expanded(source.name)


def looks_whole(folder: Path, pickle: bool = False) -> bool:
    """Whether a folder has a config and every tensor file, without opening the tensors.

    Args:
        folder: the checkpoint.
        pickle: whether a pickle may stand for them, as it may for a hub's.
    """
    try:
        names = weights.folder_files(folder)
    except OSError:
        return False
    if "config.json" not in names or not weights.loadable(names):
        return pickle and "config.json" in names and (folder / pickles.PICKLE).is_file()
    return all(
        set(weights.shards(folder / name)) <= set(names)
        for name in names
        if name.endswith(".safetensors.index.json")
    )


def has_tokenizer(spec: ModelSpec, folder: Path) -> bool:
    """Whether a folder of the hub's cache holds what the model takes its tokenizer from: another
    program may have fetched the weights alone.
    """
    return bool(spec.tokenizer or weights.tokenizer_files(weights.file_names(folder)))


def _built(spec: ModelSpec, zoo: Zoo) -> Presence:
    folder, how = built_folder(spec, zoo), f"`{how_to_train(spec.name)}` builds it"
    damage = None
    try:
        lineage = read_lineage(folder, spec.name)
    except WeightsError:
        lineage, damage = None, f"{folder / 'lineage.json'} is not readable"
    if lineage is not None:
        if looks_whole(folder):
            detail = f"built, recipe {folder.name}"
            return replace(_present(folder, detail), lineage=lineage)
        damage = f"files of {folder} are missing"
    if damage is not None:
        return Presence("not built", f"damaged: {damage}; {how}", damage=damage)
    others = tuple(path.name for path in other_recipes(spec, zoo))
    known = f" (another recipe was: {', '.join(others)})" if others else ""
    return Presence("not built", f"{how}{known}", others=others)


def _present(folder: Path, detail: str) -> Presence:
    names = pickles.deciding_files(weights.file_names(folder))
    tensors = [name for name in names if name.endswith((".safetensors", pickles.PICKLE))]
    size = sum((folder / name).stat().st_size for name in tensors)
    return Presence("present", detail, folder, size)
