"""Local servers are reached directly, whatever proxy the machine names; models and tasks to ask."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def served_zoo(tiny_zoo: Path) -> Path:
    """The tiny registry with ``far``, which has no weights here."""
    more = """  far:
    family: tiny
    stage: base
    source: {server: tiny}
"""
    tiny_zoo.write_text(tiny_zoo.read_text("utf-8") + more, "utf-8")
    return tiny_zoo


@pytest.fixture
def own_tasks(
    harness: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Add a file of tasks to this repository's."""

    def add(source: str) -> None:
        tasks = shutil.copytree(REPOSITORY / "tasks", tmp_path / "tasks")
        text = f"from harness.data import Dataset\nfrom harness.task import *\n{source}\n"
        (tasks / "own.py").write_text(text, "utf-8")
        monkeypatch.setenv("HARNESS_TASKS", str(tasks))

    return add
