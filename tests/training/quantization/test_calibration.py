"""Text to calibrate on: what becomes of a file that is there and cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from tests.training.quantization.wide import work
from training.calibration import calibration


def test_a_damaged_text_is_not_passed_over(tmp_path: Path) -> None:
    """The user would take the model for one that was calibrated on it."""
    rows = tmp_path / "data/Salesforce/wikitext/wikitext-2-raw-v1/train.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text('{"text": "One', "utf-8")
    step = work(tmp_path, tmp_path, tmp_path / "data")
    with pytest.raises(DataError, match=r"train\.jsonl"):
        calibration("wikitext2", 8, 64, 7, None, step)
