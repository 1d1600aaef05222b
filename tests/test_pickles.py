"""Weights that are a pickle only: converted once to safetensors, or refused, and never run."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness import pickles, unpickle
from harness.errors import WeightsError
from harness.presence import presence
from harness.sources import resolve
from harness.zoo import Zoo, load_zoo
from tests.tiny_checkpoint import checkpoint, pickle, safetensors

HUB = Path("models/org/name")


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "zoo.yaml"
    entry = "{family: f, stage: base, source: {hub: org/name}, allow_pickle: true}"
    path.write_text(f"models: {{m: {entry}}}", "utf-8")
    return load_zoo(path)


def lay(content: bytes) -> None:
    checkpoint(HUB)
    (HUB / "model.safetensors").unlink()
    (HUB / pickles.PICKLE).write_bytes(content)


def kept() -> list[Path]:
    return [path for path in Path("cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("zipped", [True, False])
def test_every_tensor_comes_through(tmp_path: Path, zipped: bool) -> None:
    """Tied, transposed and partial tensors too, which safetensors does not write as they are."""
    weight = torch.arange(6.0).reshape(2, 3)
    table = {
        "tied": weight,
        "also.tied": weight,
        "turned": weight.T,
        "part": weight[1],
        "half": torch.tensor([0.1, -0.2], dtype=torch.float16),
        "count": torch.tensor(7),
    }
    torch.save(table, tmp_path / "p", _use_new_zipfile_serialization=zipped)
    assert unpickle.unpickle(tmp_path / "p", tmp_path / "s") is None
    loaded = load_file(tmp_path / "s")
    assert set(loaded) == set(table)
    assert all(torch.equal(loaded[name], table[name]) for name in table)
    assert loaded["half"].dtype == torch.float16


def test_it_is_converted_once_and_said(zoo: Zoo) -> None:
    lay(pickle({"w": [1.0, 2.0]}))
    spec = zoo.get("m")
    before = presence(spec, zoo)
    assert (before.state, before.disk_bytes) == ("present", (HUB / pickles.PICKLE).stat().st_size)
    told: list[str] = []
    first = resolve(spec, zoo, progress=told.append)
    assert len(told) == 1 and "weights_only=True" in told[0] and "org/name" in told[0]
    assert "were converted to safetensors" in first.notes[0]
    assert first.source == "hub org/name, from the models folder"
    assert set(first.files) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert not list(first.path.glob("*.bin"))
    assert resolve(spec, zoo, progress=told.append) == first
    assert len(told) == 1
    (HUB / pickles.PICKLE).write_bytes(pickle({"w": [1.0, 3.0]}))
    assert resolve(spec, zoo).weights_id != first.weights_id


def test_the_same_tensors_have_the_same_identity_however_they_are_pickled(zoo: Zoo) -> None:
    ids = []
    for order in (("a", "b"), ("b", "a")):
        (HUB / pickles.PICKLE).unlink() if HUB.exists() else lay(b"")
        (HUB / pickles.PICKLE).write_bytes(pickle({name: [1.0] for name in order}))
        ids.append(resolve(zoo.get("m"), zoo).weights_id)
    assert ids[0] == ids[1]


class Program:
    def __reduce__(self) -> Any:
        return os.mkdir, ("was-run",)


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (saved({"w": torch.zeros(1), "x": Program()}), r"it asks for \w+\.mkdir"),
        (saved([torch.zeros(1)]), "it is not a table of tensors"),
        (saved({"w": torch.zeros(1), "step": 3}), "not a table of tensors: it holds step"),
        (saved({}), "it is not a table of tensors"),
        (pickle({"w": [1.0]})[:-40], "damaged"),
        (b"", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "damaged"),
    ],
)
def test_what_is_more_or_less_than_tensors_is_refused(
    content: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p").write_bytes(content)
    assert re.search(says, unpickle.unpickle(Path("p"), Path("s")) or "")
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_refused_pickle_leaves_nothing_and_is_explained(zoo: Zoo) -> None:
    lay(saved({"w": torch.zeros(1), "x": Program()}))
    with pytest.raises(WeightsError) as caught:
        resolve(zoo.get("m"), zoo)
    for part in ("m: ", "pytorch_model.bin is refused: it asks for", ".mkdir", "save_pretrained"):
        assert part in str(caught.value)
    assert not Path("was-run").exists()
    assert not kept()


def test_a_process_that_is_killed_leaves_nothing(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(pickle({"w": [1.0]}))

    def die(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_bytes(safetensors()[:20])
        return subprocess.CompletedProcess(command, -9, "", "")

    monkeypatch.setattr(pickles.subprocess, "run", die)
    with pytest.raises(WeightsError, match=r"could not be converted .*killed.* lack of memory"):
        resolve(zoo.get("m"), zoo)
    assert not kept()
    monkeypatch.undo()


def test_safetensors_go_before_a_pickle(zoo: Zoo) -> None:
    checkpoint(HUB)
    (HUB / pickles.PICKLE).write_bytes(b"never read")
    artifact = resolve(zoo.get("m"), zoo)
    assert artifact.path.samefile(HUB) and not artifact.notes
