"""A model hub: whether it can be reached, what is cached of it, what it holds, how to fetch.

huggingface_hub reads its environment when it is imported; here it is read at every call, and the
library is imported only where something is fetched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.credentials import struck_out
from harness.errors import HarnessError
from harness.prepared import cache_folder as own_cache
from harness.storage import expanded, remove_parts, write_atomic
from harness.weights import DigestCache, git_blob_id

DEADLINE = 1.5
"""Seconds that finding out whether the hub can be reached may take, name look-up included."""

Kind = Literal["model", "dataset"]
_FOLDERS: Mapping[Kind, str] = {"model": "models", "dataset": "datasets"}


class HubError(HarnessError):
    """The hub did not give what was asked; callers say for which model or data set."""


@dataclass(frozen=True)
class RemoteRepo:
    """What the hub says about one repository at one revision.

    Attributes:
        commit: the commit that the revision stands for.
        files: file name to digest, ``sha256:...`` or, for files outside large-file storage,
            ``git:...`` (the git blob id, which the hub gives instead).
        sizes: file name to bytes, where the hub says.
    """

    commit: str
    files: Mapping[str, str]
    sizes: Mapping[str, int]


def endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT``, else huggingface_hub's default."""
    written = os.environ.get("HF_ENDPOINT")
    if written:
        return written.rstrip("/")
    from huggingface_hub import constants

    return constants.ENDPOINT


def offline() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE=1``)."""
    written = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return written.upper() in ("1", "ON", "YES", "TRUE")


def cache_folder() -> Path:
    """The hub's cache on this machine."""
    for variable, inside in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        if written := os.environ.get(variable):
            return expanded(os.path.expandvars(written)) / inside
    return expanded("~/.cache/huggingface/hub")


def unreachable() -> str | None:
    """Why the hub cannot be reached, in words, or ``None`` if something answers at its address.

    Takes at most `DEADLINE` seconds. Where a proxy is configured, it is the proxy that is tried.
    What was written as an address and is none is a reason too.
    """
    if offline():
        return "HF_HUB_OFFLINE=1 forbids the network"
    address, variable = endpoint(), "HF_ENDPOINT"
    try:
        url = urllib.parse.urlsplit(address)
        host, port = _host_and_port(address, url.scheme)
        proxy = urllib.request.getproxies().get(url.scheme)
        if proxy and not urllib.request.proxy_bypass(host):
            address, variable = proxy, f"{url.scheme}_proxy"
            host, port = _host_and_port(proxy if "//" in proxy else f"//{proxy}", url.scheme)
    except ValueError:
        # Only behind a scheme can a password be told from a host.
        shown = struck_out(address) if "//" in address else address.rpartition("@")[2]
        return f"{variable}={shown} is no address; write http://HOST:PORT or https://HOST"
    failure: list[str] = [f"no answer from {host} within {DEADLINE} s"]

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=DEADLINE).close()
            failure.clear()
        except (OSError, ValueError) as error:  # the latter for a name that no host can have
            failure[:] = [f"no connection to {host}: {getattr(error, 'strerror', None) or error}"]

    # A name look-up cannot be given a time limit; a thread that nobody waits for can.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return failure[0] if failure else None


def _host_and_port(address: str, scheme: str) -> tuple[str, int]:
    """Where an address leads; raises ValueError where it leads nowhere.

    Args:
        address: with two slashes before the host.
        scheme: which port is meant where none is written.
    """
    url = urllib.parse.urlsplit(address)
    if not url.hostname:
        raise ValueError("it names no host")
    return url.hostname, url.port or (80 if scheme == "http" else 443)


def cached(name: str, revision: str | None, kind: Kind = "model") -> Path | None:
    """The cache's folder for a repository, or ``None``; its last part is the commit.

    Args:
        name: ``org/name``.
        revision: a branch, tag or commit; ``None`` for the default branch.
        kind: what the repository holds.
    """
    repo = cache_folder() / f"{_FOLDERS[kind]}--{name.replace('/', '--')}"
    commit = revision or "main"
    with contextlib.suppress(OSError, ValueError):  # a commit has no file among the refs
        commit = (repo / "refs" / commit).read_text(encoding="ascii").strip() or commit
    snapshot = repo / "snapshots" / commit
    # A ref that a kill left empty, or that holds a path, must not lead to another folder.
    inside = snapshot.parent == repo / "snapshots" and snapshot.name != ".."
    return snapshot if inside and snapshot.is_dir() else None


def remote(name: str, revision: str | None, kind: Kind = "model") -> RemoteRepo:
    """Ask the hub for a repository's commit and digests.

    Raises:
        HubError: it does not exist, is gated, or the hub does not answer.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint())
    with _Explained(name, revision):
        ask = api.model_info if kind == "model" else api.dataset_info
        info = ask(name, revision=revision, files_metadata=True, timeout=30)
    if not info.sha:
        raise HubError(f"the hub does not say which commit {name} is at")
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for sibling in info.siblings or ():
        if sibling.lfs is not None:
            files[sibling.rfilename] = f"sha256:{sibling.lfs.sha256}"
        elif sibling.blob_id:
            files[sibling.rfilename] = f"git:{sibling.blob_id}"
        if sibling.size is not None:
            sizes[sibling.rfilename] = sibling.size
    return RemoteRepo(info.sha, files, sizes)


def download(
    name: str, revision: str | None, repo: RemoteRepo, files: Sequence[str], kind: Kind = "model"
) -> Path:
    """Fetch files into the hub's cache, hold them to the hub's digests, and return the folder that
    they lie in.

    Args:
        name: ``org/name``.
        revision: what was asked for; later look-ups by this name find the commit.
        repo: what the hub says of it.
        files: names of the files, with their folders.
        kind: what the repository holds.

    Raises:
        HubError: the hub does not give them, or gives other bytes than it announced.
    """
    from huggingface_hub import hf_hub_download

    # A folder without a config is no checkpoint: one that was broken off before the end is not
    # taken for a whole one, also where it is looked for by its commit.
    ordered = sorted(files, key=lambda file: file == "config.json")
    for file in ordered:
        with _Explained(name, repo.commit):
            fetched = hf_hub_download(
                name,
                file,
                repo_type=kind,
                revision=repo.commit,
                endpoint=endpoint(),
                cache_dir=cache_folder(),
            )
        _check_digest(name, Path(fetched), repo.files[file])
    snapshot = Path(fetched).parents[ordered[-1].count("/")]
    if revision != repo.commit:
        # Fetching by commit does not record what the branch stood for; offline, that is needed.
        reference = snapshot.parent.parent / "refs" / (revision or "main")
        write_atomic(reference, repo.commit)
        remove_parts(reference.parent)
    return snapshot


def dataset_file(name: str, commit: str, file: str) -> Path:
    """Fetch one file of a data set into the hub's cache.

    Raises:
        HubError: the hub does not give it.
    """
    from huggingface_hub import hf_hub_download

    with _Explained(name, commit):
        path = hf_hub_download(
            name,
            file,
            revision=commit,
            repo_type="dataset",
            endpoint=endpoint(),
            cache_dir=cache_folder(),
        )
    return Path(path)


def _check_digest(name: str, path: Path, announced: str) -> None:
    """Remove a file that is not what the hub said it would be: the library looks at sizes only."""
    kind = announced.partition(":")[0]
    digest = DigestCache(own_cache()).sha256(path) if kind == "sha256" else git_blob_id(path)
    if f"{kind}:{digest}" == announced:
        return
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    raise HubError(
        f"{path.name} of {name} did not come as the hub announced it: it has {kind}:{digest}, "
        f"announced was {announced}. It was removed; run the same command again to fetch it again"
    )


class _Explained:
    """Turn what huggingface_hub raises into a HubError that says what to do."""

    def __init__(self, name: str, revision: str | None) -> None:
        self._name, self._revision = name, revision

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception):
            return
        from huggingface_hub import errors

        if isinstance(error, errors.GatedRepoError):
            message = (
                f"{self._name} is gated: accept its terms on its page, then log in with "
                "`hf auth login` (or set HF_TOKEN)"
            )
        elif isinstance(error, errors.RevisionNotFoundError):
            message = f"{self._name} has no revision {self._revision!r}"
        elif isinstance(error, errors.RepositoryNotFoundError):
            message = (
                f"the hub knows no {self._name}, or it is private: check the name; for a private "
                "one log in with `hf auth login` (or set HF_TOKEN)"
            )
        else:
            first = (str(error).strip().splitlines() or [""])[0]
            message = f"the hub did not give {self._name}: {type(error).__name__}: {first}"
        # An address can hold a password, and a lock file keeps the reason.
        raise HubError(struck_out(message)) from None
