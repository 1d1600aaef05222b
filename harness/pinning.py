"""`harness lock`: what every hub name of the registry and the tasks stands for now.

Resolved where a run would find it: a local folder, the hub, its cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from harness import hub, pickles
from harness.errors import DataError, HarnessError, WeightsError
from harness.lock import COMMIT, Lock, Pin, dataset_key, model_key, readable
from harness.weights import (
    check_folder,
    digests,
    file_names,
    loadable,
    no_tensors,
    tokenizer_files,
)
from harness.zoo import Zoo

_Need = Literal["weights", "tokenizer", "both"]
"""What the registry takes from a hub name."""


def make_lock(
    zoo: Zoo,
    datasets: Iterable[tuple[str, str | None]],
    models_dir: Path | None,
    data_dir: Path | None,
) -> Lock:
    """Resolve every hub model of the registry, and data sets, where a run would find them.

    Args:
        zoo: its hub sources and tokenizers are resolved.
        datasets: hub id and config of each data set.
        models_dir: folder that holds ``org/name/`` and goes before the hub.
        data_dir: mirror of data sets, ``org/name/config/split.jsonl[.gz]``; goes before the hub.
    """
    models: dict[str, Pin] = {}
    pinned: dict[str, Pin] = {}
    unresolved: dict[str, str] = {}
    reason = hub.unreachable()
    for (name, revision), need in _hub_names(zoo).items():
        try:
            pin = readable(_pin_model(name, revision, need, models_dir, reason))
        except HarnessError as error:
            unresolved[model_key(name, revision)] = str(error)
        else:
            models[model_key(name, revision)] = pin
    for name, config in datasets:
        try:
            pin = readable(_pin_dataset(name, config, data_dir, reason))
        except HarnessError as error:
            unresolved[dataset_key(name, config)] = str(error)
        else:
            pinned[dataset_key(name, config)] = pin
    return Lock(models, pinned, unresolved)


def _hub_names(zoo: Zoo) -> dict[tuple[str, str | None], _Need]:
    """Every hub name of the registry, and what of it is needed."""
    names: dict[tuple[str, str | None], _Need] = {}
    for spec in zoo.models.values():
        if spec.source and spec.source.kind == "hub":
            name = (spec.source.name, spec.source.revision)
            own = not spec.tokenizer or names.get(name) == "both"
            names[name] = "both" if own else "weights"
    for spec in zoo.models.values():
        if spec.tokenizer and zoo.tokenizer_folder(spec) is None:
            name = (spec.tokenizer, None)
            names[name] = "both" if names.get(name, "tokenizer") != "tokenizer" else "tokenizer"
    return names


def _pin_model(
    name: str,
    revision: str | None,
    need: _Need,
    models_dir: Path | None,
    unreachable: str | None,
) -> Pin:
    choose = tokenizer_files if need == "tokenizer" else pickles.deciding_files
    mirror = models_dir / name if models_dir else None
    if mirror is not None and mirror.is_dir():
        _check_folder(mirror, name, need)
        return Pin("mirror", None, _marked(digests(mirror, choose(file_names(mirror)))))
    if unreachable is None:
        remote = hub.remote(name, revision)
        chosen = choose(remote.files)
        if need != "tokenizer" and not (loadable(chosen) or pickles.pickled(chosen)):
            raise WeightsError(no_tensors(map(Path, remote.files), name))
        return Pin("hub", remote.commit, {file: remote.files[file] for file in chosen})
    snapshot = hub.cached(name, revision)
    if snapshot is None:
        raise WeightsError(f"not in the hub's cache, and {unreachable}")
    _check_folder(snapshot, name, need)
    found = digests(snapshot, choose(file_names(snapshot)))
    return Pin("hub cache", _commit(snapshot), _marked(found))


def _check_folder(folder: Path, name: str, need: _Need) -> None:
    """Refuse to pin a folder that lacks what is needed: what is added later would be refused."""
    files = file_names(folder)
    if need != "tokenizer" and not pickles.pickled(files):
        check_folder(folder, name)
    if need != "weights" and not tokenizer_files(files):
        raise WeightsError(f"{folder} holds no tokenizer")


def _commit(snapshot: Path) -> str | None:
    """The commit that a folder of the hub's cache is called by, if it is."""
    return snapshot.name if COMMIT.fullmatch(snapshot.name) else None


def _pin_dataset(
    name: str, config: str | None, data_dir: Path | None, unreachable: str | None
) -> Pin:
    if data_dir is not None:
        folder = data_dir / name / (config or "default")
        files = [f for f in file_names(folder) if f.endswith((".jsonl", ".jsonl.gz"))]
        if files:
            return Pin("mirror", None, _marked(digests(folder, files)))
    if unreachable is None:
        remote = hub.remote(name, None, "dataset")
        chosen = _config_files(remote.files, config)
        return Pin("hub", remote.commit, {file: remote.files[file] for file in chosen})
    snapshot = hub.cached(name, None, "dataset")
    if snapshot is None:
        where = f"no {name}/{config or 'default'}/ in {data_dir}, " if data_dir else ""
        raise DataError(f"{where}not in the hub's cache, and {unreachable}")
    names = [str(p.relative_to(snapshot).as_posix()) for p in snapshot.rglob("*") if p.is_file()]
    return Pin(
        "hub cache", _commit(snapshot), _marked(digests(snapshot, _config_files(names, config)))
    )


def _config_files(names: Iterable[str], config: str | None) -> list[str]:
    """The files of a data set's config: those under a folder of its name, if there is one."""
    data = sorted(name for name in names if not name.startswith(".") and name != "README.md")
    own = [name for name in data if config and config in name.split("/")[:-1]]
    return own or data


def _marked(found: Mapping[str, str]) -> dict[str, str]:
    return {file: f"sha256:{digest}" for file, digest in found.items()}
