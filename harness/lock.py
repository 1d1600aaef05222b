"""``harness.lock.yaml``: what hub names stood for when `harness lock` asked; holds files to it.

A pin is a commit and digests that were read from the hub, or digests of the files of a local
folder (a mirror has no commit). What nothing could resolve is listed with the reason: nothing is
pinned that was not read. Digests are ``sha256:...``, or ``git:...`` where the hub gives the git
blob id instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from harness.errors import DataError, WeightsError
from harness.plain_text import printable
from harness.storage import write_atomic
from harness.strict_yaml import Table, find_file, parse
from harness.weights import git_blob_id, tokenizer_files

SCHEMA = 1
LOCK_FILE = "harness.lock.yaml"
_ORIGINS = ("hub", "hub cache", "mirror")
COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST_KEY = 1_000
"""Characters of a key with its quotes: YAML takes 1,024."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}")


@dataclass(frozen=True)
class Pin:
    """What one name stood for.

    Attributes:
        origin: ``hub``, ``hub cache`` (an earlier download) or ``mirror`` (a local folder).
        commit: the hub's commit; ``None`` for a mirror.
        files: file name to digest.
    """

    origin: Literal["hub", "hub cache", "mirror"]
    commit: str | None
    files: Mapping[str, str]


@dataclass(frozen=True)
class Lock:
    """A lock file's content.

    Attributes:
        models: ``org/name`` or ``org/name@revision`` to Pin.
        datasets: ``org/name/config`` to Pin (``default`` where a data set has no configs).
        unresolved: name to the reason why it could not be pinned.
        path: the file that it was read from.
    """

    models: Mapping[str, Pin] = field(default_factory=dict)
    datasets: Mapping[str, Pin] = field(default_factory=dict)
    unresolved: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def model(self, name: str, revision: str | None) -> Pin | None:
        """The pin of a hub model as the registry writes it, if there is one."""
        return self.models.get(model_key(name, revision))

    def dataset(self, name: str, config: str | None) -> Pin | None:
        """The pin of a data set's config, if there is one."""
        return self.datasets.get(dataset_key(name, config))


def model_key(name: str, revision: str | None) -> str:
    """How the lock file calls a model."""
    return f"{name}@{revision}" if revision else name


def dataset_key(name: str, config: str | None) -> str:
    """How the lock file calls a data set's config."""
    return f"{name}/{config or 'default'}"


def write_lock(lock: Lock, path: Path) -> None:
    """Write a lock file, atomically; raises StorageError where that is not possible."""
    lines = [
        "# Written by `harness lock`: what the hub's names stood for. Later runs are held to it;",
        "# to take what is there now, run `harness lock` again.",
        f"schema: {SCHEMA}",
    ]
    for title, pins in (("models", lock.models), ("datasets", lock.datasets)):
        lines.append(f"{title}:" if pins else f"{title}: {{}}")
        for name in sorted(pins):
            pin = pins[name]
            lines.append(f"  {_quoted(name)}:")
            lines.append(f"    origin: {pin.origin}")
            if pin.commit:
                lines.append(f"    commit: {_quoted(pin.commit)}")
            lines.append("    files:" if pin.files else "    files: {}")
            lines += [
                f"      {_quoted(file)}: {_quoted(pin.files[file])}" for file in sorted(pin.files)
            ]
    lines.append("unresolved:" if lock.unresolved else "unresolved: {}")
    lines += [
        # A reason may quote a stranger: what a terminal would obey is refused when it is read.
        f"  {_quoted(name)}: {_quoted(printable(lock.unresolved[name]))}"
        for name in sorted(lock.unresolved)
    ]
    write_atomic(path, "\n".join(lines) + "\n")


def readable(pin: Pin) -> Pin:
    """The pin, unless no later command could read it back.

    Raises:
        DataError: the hub's commit or a digest is none, or a file's name is no text, or too long.
    """
    if pin.commit is not None and not COMMIT.fullmatch(pin.commit):
        raise DataError(f"the hub names {pin.commit!a} as its commit, which is none")
    for file, digest in pin.files.items():
        if not _DIGEST.fullmatch(digest):
            raise DataError(f"{file!a} has no digest: the hub gives {digest!a}")
        if len(_quoted(file)) > _LONGEST_KEY or any("\ud800" <= c <= "\udfff" for c in file):
            why = f"it is not UTF-8, or has more than {_LONGEST_KEY} characters; rename the file"
            raise DataError(f"the file name {file!a} cannot be written down: {why}")
    return pin


def _quoted(text: str) -> str:
    """A text in quotes, as YAML reads it: as JSON, but for characters beyond U+FFFF, of which JSON
    writes two halves that YAML refuses.
    """
    escaped = (json.dumps(c)[1:-1] if c <= "\uffff" else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(escaped)}"'


def read_lock(path: Path) -> Lock:
    """Read a lock file strictly.

    Raises:
        RegistryError: it is missing, broken, of another schema, or holds an unknown key.
    """
    top = parse(path)
    top.only(["schema", "models", "datasets", "unresolved"])
    schema = top.scalar("schema") if "schema" in top else None
    if schema != SCHEMA:
        raise top.error(
            "schema", f"it is {schema!r}, this version reads {SCHEMA}: run `harness lock` again"
        )
    sections: dict[str, dict[str, Pin]] = {"models": {}, "datasets": {}}
    for title, pins in sections.items():
        if title in top:
            table = top.table(title, title)
            for name in table.nodes:
                pins[name] = _read_pin(table.table(name, f"the pin of {name}"))
    unresolved: dict[str, str] = {}
    if "unresolved" in top:
        table = top.table("unresolved", "unresolved")
        unresolved = {name: table.text(name) for name in table.nodes}
    return Lock(sections["models"], sections["datasets"], unresolved, path)


def find_lock() -> Lock | None:
    """The lock file in force: ``HARNESS_LOCK``, ``./harness.lock.yaml``, the installed package's,
    the checkout's; ``None`` if there is none.

    Raises:
        RegistryError: it is not valid, or ``HARNESS_LOCK`` names a file that is not there.
    """
    places = find_file(LOCK_FILE, "HARNESS_LOCK")
    for place in places:
        if place.is_file() or len(places) == 1:
            return read_lock(place)
    return None


def check_model(
    lock: Lock | None,
    name: str,
    revision: str | None,
    folder: Path,
    digests: Mapping[str, str],
    commit: str | None,
) -> None:
    """Hold a hub model's files to the lock.

    Args:
        lock: the lock in force, if any.
        name: the hub's name.
        revision: as the registry writes it.
        folder: where the files are.
        digests: deciding file's name to sha256, of what is there.
        commit: the commit that they are of, if that is known.

    Raises:
        WeightsError: a file differs, is missing, or is not in the pin; names both digests.
    """
    pin = lock.model(name, revision) if lock else None
    if lock is None or pin is None:
        return
    accept = "if what is there is meant, run `harness lock` to pin it"
    there = f"{folder} (commit {commit})" if commit else str(folder)
    pinned = f"{lock.path} (commit {pin.commit})" if pin.commit else str(lock.path)
    wanted = set(pin.files)
    if "config.json" not in digests:  # a tokenizer for another model's weights
        wanted = set(tokenizer_files(pin.files))
    if missing := sorted(wanted - set(digests)):
        raise WeightsError(
            f"{name}: {there} lacks {', '.join(missing)}, which {pinned} pins; {accept}"
        )
    if extra := sorted(set(digests) - wanted):
        raise WeightsError(
            f"{name}: {there} holds {', '.join(extra)}, which {pinned} does not pin; {accept}"
        )
    for file in sorted(wanted):
        kind = pin.files[file].partition(":")[0]
        found = f"sha256:{digests[file]}" if kind == "sha256" else _git(folder / file)
        if found != pin.files[file]:
            raise WeightsError(
                f"{name}: {file} is not the one that is pinned: {there} has {found}, "
                f"{pinned} pins {pin.files[file]}; {accept}"
            )


def check_dataset(
    lock: Lock | None,
    name: str,
    config: str | None,
    digests: Mapping[str, str],
    commit: str | None,
) -> None:
    """Hold a data set to the lock, as far as the two can be compared: a mirror's files with a
    mirror's, a commit with a commit.

    Args:
        lock: the lock in force, if any.
        name: the hub's name.
        config: the config; ``None`` where there is none.
        digests: a mirror's file name to sha256; empty for the hub.
        commit: the hub's commit; ``None`` for a mirror.

    Raises:
        DataError: they differ; names both.
    """
    pin = lock.dataset(name, config) if lock else None
    if lock is None or pin is None:
        return
    key, accept = dataset_key(name, config), "if it is meant, run `harness lock` to pin it"
    if commit and pin.commit and commit != pin.commit:
        raise DataError(f"{key} is at commit {commit}, {lock.path} pins {pin.commit}; {accept}")
    if pin.origin != "mirror":
        return
    for file, digest in sorted(digests.items()):
        wanted = pin.files.get(file)
        if wanted is None:
            raise DataError(f"{key}: {file} is not pinned by {lock.path}; {accept}")
        if wanted != f"sha256:{digest}":
            raise DataError(
                f"{key}: {file} is not the one that is pinned: it is sha256:{digest}, "
                f"{lock.path} pins {wanted}; {accept}"
            )


def _git(path: Path) -> str:
    return f"git:{git_blob_id(path)}"


def _read_pin(table: Table) -> Pin:
    table.only(["origin", "commit", "files"])
    origin = cast(Literal["hub", "hub cache", "mirror"], table.choice("origin", _ORIGINS))
    commit = table.text("commit") if "commit" in table else None
    if commit is not None and not COMMIT.fullmatch(commit):
        raise table.error("commit", f"{commit!r} is not a commit: 40 digits and letters a to f")
    if "files" not in table:
        raise table.error(None, "the key 'files' is missing: file name to digest")
    inner = table.table("files", table.what)
    files: dict[str, str] = {}
    for name in inner.nodes:
        files[name] = inner.text(name)
        if not _DIGEST.fullmatch(files[name]):
            raise inner.error(
                name, f"{files[name]!r} is not a digest: sha256: or git: and its digits"
            )
    return Pin(origin, commit, files)
