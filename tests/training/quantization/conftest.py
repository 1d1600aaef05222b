"""Shared by the tests of the steps."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tests.training.quantization.wide.save_wide`."""
    from tests.training.quantization.wide import save_wide

    return save_wide(tmp_path_factory.mktemp("models") / "wide")
