"""Where an entry of the registry says that its weights and its tokenizer are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from harness.errors import RegistryError, UsageError
from harness.storage import expanded
from harness.strict_yaml import Table

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*")
_PACKAGE = re.compile(r"([A-Za-z0-9][\w.-]*)==([A-Za-z0-9][\w.+!-]*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """Where a root's weights are.

    Attributes:
        kind: ``hub`` (a model hub's ``org/name``), ``path`` (a folder), ``package`` (a file
            inside a published Python package) or ``server`` (no weights: a server has them).
        name: ``org/name``; the folder as written; ``name==version``; what the server calls it.
        revision: hub only: branch, tag or commit; ``None`` for the default branch.
        file, sha256: package only: the file inside the package, and its digest.
    """

    kind: Literal["hub", "path", "package", "server"]
    name: str
    revision: str | None = None
    file: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.kind} {self.name}{at}"


def read_source(table: Table) -> Source:
    """A root's ``source``.

    Raises:
        RegistryError: none or several of its kinds are written, or what is written is no name,
            path, package or digest.
    """
    kinds = [kind for kind in ("hub", "path", "package", "server") if kind in table]
    if len(kinds) != 1:
        table.only(("hub", "path", "package", "server", "file", "sha256"))
        written = " and ".join(kinds) or "none of them"
        raise table.error(
            None, f"one of hub, path, package and server is needed, {written} is written"
        )
    if kinds == ["hub"]:
        table.only(["hub"])
        name, _, revision = table.text("hub").partition("@")
        _check_hub_name(table, "hub", name)
        valid = _REVISION.fullmatch(revision) and ".." not in revision
        if "@" in table.text("hub") and not valid:
            raise table.error("hub", f"{revision!r} is not a branch, a tag or a commit")
        return Source("hub", name, revision=revision or None)
    if kinds == ["path"]:
        table.only(["path"])
        return Source("path", _path(table, "path"))
    if kinds == ["server"]:
        table.only(["server"])
        return Source("server", table.text("server"))
    table.only(["package", "file", "sha256"])
    package, file, sha256 = table.text("package"), table.text("file"), table.text("sha256")
    if not _PACKAGE.fullmatch(package):
        raise table.error("package", f"{package!r} is not of the form name==version")
    inner = PurePosixPath(file)
    if inner.is_absolute() or ".." in inner.parts or "\\" in file:
        raise table.error("file", f"{file!r} is not a path inside the package")
    if not _SHA256.fullmatch(sha256):
        raise table.error(
            "sha256", f"{sha256!r} is not a sha256 digest: 64 digits and letters a to f"
        )
    return Source("package", package, file=file, sha256=sha256)


def read_tokenizer(table: Table) -> str:
    """An entry's ``tokenizer``: a hub name, or a folder as it is written.

    Raises:
        RegistryError: it is neither.
    """
    try:
        inner = table.table("tokenizer", f"the tokenizer of {table.what}")
    except RegistryError:
        return _path(table, "tokenizer")
    inner.only(["hub"])
    name = inner.text("hub")
    _check_hub_name(inner, "hub", name)
    return name


def is_hub_name(name: str) -> bool:
    """Whether it can be the name of a repository: ``name`` or ``org/name``."""
    return bool(_HUB_NAME.fullmatch(name)) and ".." not in name


def _path(table: Table, key: str) -> str:
    """A path as it is written, if its home folder is known."""
    path = table.text(key)
    try:
        expanded(path)
    except UsageError as error:
        raise table.error(key, str(error)) from None
    return path


def _check_hub_name(table: Table, key: str, name: str) -> None:
    if not is_hub_name(name):
        raise table.error(key, f"{name!r} is not a hub name: org/name, or org/name@revision")
