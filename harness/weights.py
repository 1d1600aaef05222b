"""A model's folder: which files decide its answers, whether they are whole, their digests.

Nothing heavy, so that a truncated download is refused before torch is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import StorageError, WeightsError
from harness.storage import remove_parts, write_atomic

BLOCK = 1 << 20
_TOKENIZER = re.compile(
    r"tokenizer.*\.(json|model)"
    r"|(special_tokens_map|added_tokens|vocab|chat_template)\.json"
    r"|chat_template\.jinja"
    r"|merges\.txt|vocab\.(txt|bpe)|(spiece|spm|spm_char|sentencepiece(\.bpe)?)\.model"
    r"|.*\.(tiktoken|spm)|bpe\.codes|dict\.txt|tekken\.json|prophetnet\.tokenizer"
    r"|((entity|target)_vocab|vocab-(src|tgt)|normalizer|emoji|byte_maps)\.json"
)
_TEMPLATES = "additional_chat_templates"
_TEMPLATE = re.compile(rf"{_TEMPLATES}/[^/]+\.jinja")
"""Templates by name; one called ``default`` goes before the tokenizer's own."""
_LOADED = ("model.safetensors", "model.safetensors.index.json")
"""What transformers looks for first; where neither is there, it takes a pickle."""
_DECIDING = re.compile(
    r".*\.safetensors"
    r"|.*\.safetensors\.index\.json"
    r"|(generation_|adapter_)?config\.json"
    r"|quant(ize)?_config\.json"
    r"|.*\.py"
    rf"|{_TOKENIZER.pattern}"
)
_NAMING_WEIGHTS = "transformers_weights"
_LONGEST_HEADER = 100_000_000
_RACY_SECONDS = 2.0


def deciding_files(names: Iterable[str]) -> list[str]:
    """Those of a folder's file names that decide what the model answers, sorted: tensors, configs,
    tokenizer, the model's own code. Where ``model*.safetensors`` stand beside other tensors
    (some publishers add a second copy in their own format), the others are left out.
    """
    found = _matching(_DECIDING, names)
    tensors = [name for name in found if name.endswith(".safetensors")]
    if standard := [name for name in tensors if name.startswith("model")]:
        others = set(tensors) - set(standard)
        found = [name for name in found if name not in others]
    return found


def loadable(names: Iterable[str]) -> bool:
    """Whether a loader takes safetensors of a folder, and nothing else, by its file names."""
    return not set(_LOADED).isdisjoint(names)


def folder_files(folder: Path) -> list[str]:
    """`deciding_files` of what lies in a folder."""
    return deciding_files(_listed(folder))


def file_names(folder: Path) -> list[str]:
    """The files that lie in a folder, and chat templates in the folder for them, sorted; none if
    there is no such folder.
    """
    return _listed(folder) if folder.is_dir() else []


def tokenizer_files(names: Iterable[str]) -> list[str]:
    """Those of a folder's file names that make its tokenizer, sorted."""
    return _matching(_TOKENIZER, names)


def _listed(folder: Path) -> list[str]:
    inner = folder / _TEMPLATES
    found = [*folder.iterdir(), *(inner.iterdir() if inner.is_dir() else ())]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def _matching(pattern: re.Pattern[str], names: Iterable[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if ("/" not in name and pattern.fullmatch(name)) or _TEMPLATE.fullmatch(name)
    )


def weights_id(files: Mapping[str, str]) -> str:
    """The model's identity: the sha256 over its deciding files' names and digests.

    Args:
        files: deciding file's name to sha256.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\n".encode())
    return digest.hexdigest()


def check_folder(folder: Path, model: str) -> list[str]:
    """Check that a folder holds a whole Hugging Face checkpoint, without reading its tensors.

    Returns:
        Names of its tensor files.

    Raises:
        WeightsError: no config.json, or one that names other weights; no safetensors that a loader
            takes; a shard missing or truncated.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise WeightsError(
            f"{model}: {folder} holds no config.json, so it is not a Hugging Face checkpoint"
        )
    if elsewhere := _named_weights(_read_json(config, model)):
        raise WeightsError(
            f"{model}: {config} names the weights that are to be loaded ({_NAMING_WEIGHTS}: "
            f"{elsewhere[0]!r}), and only {' or '.join(_LOADED)} is read: take the key out, and "
            "give the weights that name"
        )
    names = folder_files(folder)
    tensors = [name for name in names if name.endswith(".safetensors")]
    for name in names:
        if name.endswith(".safetensors.index.json"):
            if not (named := shards(folder / name)):
                raise WeightsError(
                    f"{model}: {folder / name} has no readable weight_map: copy it again"
                )
            missing = sorted(named - set(tensors))
            if missing:
                raise WeightsError(
                    f"{model}: {folder} is incomplete: {name} names {', '.join(missing)}, "
                    "which is not there: copy or download the folder again"
                )
    if not tensors or not loadable(names):
        raise WeightsError(f"{model}: {no_tensors(folder.iterdir(), str(folder))}")
    for name in tensors:
        check_safetensors(folder / name, model)
    return tensors


def shards(index: Path) -> set[str]:
    """The tensor files that an index names; empty if it is not readable."""
    try:
        return {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def no_tensors(files: Iterable[Path], where: str) -> str:
    """Say why a checkpoint without safetensors that a loader takes is refused."""
    files = list(files)
    pickled = sorted(path.name for path in files if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickled:
        return (
            f"{where} holds its weights as pickles only ({', '.join(pickled[:3])}), and loading a "
            "pickle can run any program; convert them: load them where you trust them, and save "
            "with `model.save_pretrained(folder)`, which writes *.safetensors"
        )
    if others := sorted(path.name for path in files if path.suffix == ".safetensors"):
        return (
            f"{where} holds no {' or '.join(_LOADED)}, and no loader takes weights of another name "
            f"({', '.join(others[:3])}): the weights or their index are missing"
        )
    return f"{where} holds no *.safetensors: the weights are missing"


def check_safetensors(path: Path, model: str) -> None:
    """Check that a safetensors file is as long as its own header says.

    Raises:
        WeightsError: it is truncated, or is no safetensors file.
    """
    size = path.stat().st_size
    again = "copy or download it again"
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) == 8 and length <= _LONGEST_HEADER and 8 + length > size:
            raise WeightsError(
                f"{model}: {path} is truncated: it has {size} bytes, its header alone is said to "
                f"have {8 + length}: {again}"
            )
        try:
            if len(start) < 8 or length > _LONGEST_HEADER:
                raise ValueError
            header = json.loads(file.read(length))
            ends = [
                int(tensor["data_offsets"][1])
                for name, tensor in header.items()
                if name != "__metadata__"
            ]
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            hint = " (a Git LFS pointer: `git lfs pull`)" if start == b"version " else ""
            raise WeightsError(
                f"{model}: {path} is not a safetensors file: its header is not readable{hint}: "
                f"{again}"
            ) from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        state = "truncated" if size < expected else "too long"
        raise WeightsError(
            f"{model}: {path} is {state}: it has {size} bytes, its header says {expected}: {again}"
        )


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal, read in blocks of 1 MiB."""
    return _hash_file(path, hashlib.sha256())


def digests(
    folder: Path, names: Iterable[str], digest: Callable[[Path], str] = sha256
) -> dict[str, str]:
    """File name to sha256, for files of a folder.

    Args:
        folder: where they are.
        names: their names.
        digest: `DigestCache.sha256` to read big files only once.
    """
    return {name: digest(folder / name) for name in names}


def git_blob_id(path: Path) -> str:
    """The name that git, and so a hub, gives to a file's content."""
    return _hash_file(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size))


def _hash_file(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    text: str = digest.hexdigest()
    return text


class DigestCache:
    """Remembers the sha256 of big files, so that a model is not read twice at every start.

    A file is known by path, size, modification time in ns and inode. A file changed within the
    last two seconds is hashed but not remembered: a second change within the clock's tick could
    go unseen. Where the cache cannot be written, nothing is remembered.

    Args:
        folder: where ``digests.json`` lies.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "digests.json"

    def sha256(self, path: Path) -> str:
        """The file's sha256, from memory where possible."""
        stat = path.stat()
        if stat.st_size < BLOCK:
            return sha256(path)
        key = str(path.resolve())
        mark = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
        known = self._read().get(key, "")
        if known.startswith(mark + " "):
            return known.rpartition(" ")[2]
        digest = sha256(path)
        after = path.stat()
        unchanged = (after.st_size, after.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        if unchanged and time.time() - stat.st_mtime > _RACY_SECONDS:
            # Read again before writing: another process may have added its own meanwhile.
            self._write({**self._read(), key: f"{mark} {digest}"})
        return digest

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {key: value for key, value in known.items() if isinstance(value, str)}

    def _write(self, known: Mapping[str, str]) -> None:
        with contextlib.suppress(StorageError):
            write_atomic(self._path, json.dumps(known, indent=0))
            remove_parts(self._path.parent)


def _named_weights(config: Any) -> list[Any]:
    """The files that a config, or one inside it, names as the weights to be loaded."""
    found, left = [], [config]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            found += [value[key] for key in value if key == _NAMING_WEIGHTS]
            left += value.values()
    return found


def _read_json(path: Path, model: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{model}: {path} is not readable as JSON ({error}): copy or download it again"
        ) from None
    if not isinstance(content, dict):
        raise WeightsError(f"{model}: {path} is not a JSON object: copy or download it again")
    return content
