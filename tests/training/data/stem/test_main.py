"""The shipped evaluation set is what the generator writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.data.formats import read_pairs
from training.data.sets import held_out_pairs
from training.data.stem.__main__ import main

SAMPLES = Path(__file__).resolve().parents[4] / "tasks" / "samples"


def test_the_shipped_files_are_what_is_generated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert "stem.jsonl: 406 rows" in capsys.readouterr().out
    for name in ("stem.jsonl", "stem_pairs.jsonl"):
        written, shipped = (folder / name for folder in (tmp_path, SAMPLES))
        assert written.read_bytes() == shipped.read_bytes(), (
            f"write {name} anew: python -m training.data.stem tasks/samples"
        )


def test_every_shipped_row_says_from_what_it_is_held_out() -> None:
    lines = (SAMPLES / "stem.jsonl").read_text("utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    assert [row["held_out"] for row in rows] == ["template"] * 301 + ["numbers"] * 105


def test_the_shipped_pairs_are_read_as_preferences() -> None:
    """Those of held-out templates come first, and are what training reports on."""
    found = read_pairs(SAMPLES / "stem_pairs.jsonl")
    held_out = held_out_pairs().rows
    assert len(held_out) == 301
    assert tuple(found[:301]) == held_out
    assert len(found) == 406


def test_a_folder_that_cannot_be_written_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert "cannot write" in error and "choose another folder" in error
