"""Checkpoints of `tests.engine.architectures`, written once per session when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.architectures import save_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an architecture's tiny model."""
    import transformers

    logging: Any = transformers.utils.logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("architectures")

    def folder(name: str) -> Path:
        path = root / name
        return path if path.is_dir() else save_checkpoint(path, name)

    return folder
