"""Where the tasks' test docs are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.catalog import load_catalog
from tests.conftest import REPOSITORY
from tests.training.data.mixture.fake_hub import COMMIT
from tests.training.data.mixture.rows import parquet
from training.data.mixture.tested_docs import TestSet
from training.data.mixture.tested_docs import test_sets as sets_of_tests


def gsm8k() -> TestSet:
    sets, _ = sets_of_tests(load_catalog(REPOSITORY / "tasks"), None)
    (found,) = [each for each in sets if each.task == "gsm8k"]
    return found


def test_the_hubs_cache_serves_before_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert gsm8k().origin == "samples"
    repo = tmp_path / "datasets--openai--gsm8k"
    snapshot = repo / "snapshots" / COMMIT
    parts = [snapshot / "main" / f"test-0000{part}-of-00002.parquet" for part in range(2)]
    for number, part in enumerate(parts):
        parquet(part, [{"question": f"{number}?", "answer": f"#### {row}"} for row in range(3)])
    (snapshot / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n"
        "  - {split: test, path: main/test-*}\n---\n"
    )
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(COMMIT)
    found = gsm8k()
    assert (found.origin, len(found.docs)) == ("hub cache", 6)
    assert found.docs[3].asked == ("1?",)
    assert list(found.files) == [f"openai/gsm8k/main/{part.name}" for part in parts]
    parts[1].unlink()
    assert gsm8k().origin == "samples", "a part is missing"
