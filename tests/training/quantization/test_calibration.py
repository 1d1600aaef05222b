"""Text to calibrate on: what becomes of a file that is there and cannot be read."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import DataError
from tests.training.quantization.wide import work
from training.calibration import calibration
from training.steps import awq, gptq


def test_a_damaged_text_is_not_passed_over(tmp_path: Path) -> None:
    """The user would take the model for one that was calibrated on it."""
    rows = tmp_path / "data/Salesforce/wikitext/wikitext-2-raw-v1/train.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text('{"text": "One', "utf-8")
    step = work(tmp_path, tmp_path, tmp_path / "data")
    with pytest.raises(DataError, match=r"train\.jsonl"):
        calibration("wikitext2", 8, 64, 7, None, step)


@pytest.mark.parametrize("step", [gptq, awq], ids=["gptq", "awq"])
def test_a_piece_of_one_token_tells_nothing(step: ModuleType) -> None:
    with pytest.raises(ValueError, match="calibration_length is 1; it is at least 2"):
        step.Options(calibration_length=1)
    assert step.Options(calibration_length=2, calibration_texts=1).calibration_length == 2
