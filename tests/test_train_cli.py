"""`harness-train` says what it would do, and that it cannot do it yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_checkpoint import checkpoint
from training.cli import main

ZOO = """
models:
  root: {family: f, stage: base, source: {hub: org/name}}
  tuned: {parent: root, step: {kind: dpo, beta: 0.3}}
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    path = tmp_path / "model_zoo.yaml"
    path.write_text(ZOO, encoding="utf-8")
    return str(path)


def test_the_walk_is_printed_and_the_refusal_is_honest(
    zoo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path / "models" / "org" / "name")
    assert main(["tuned", "--zoo", zoo, "--models", str(tmp_path / "models")]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("root -> tuned\n")
    assert "root: present, models folder" in out
    assert "step: dpo\n" in out
    assert "beta: 0.3\n" in out
    assert "warmup_steps: 200 (default)\n" in out
    assert "cannot build tuned yet" in err


def test_what_is_there_needs_no_building(
    zoo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "cache" / "artifacts" / "tuned")
    (folder / "lineage.json").write_text("{}", encoding="utf-8")
    assert main(["tuned", "--zoo", zoo]) == 0
    assert "nothing to build" in capsys.readouterr().out
    assert main(["root", "--zoo", zoo]) == 1
    assert "root is not made by a step" in capsys.readouterr().err


def test_wrong_use_is_exit_code_two(zoo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tund", "--zoo", zoo]) == 2
    assert "unknown model 'tund': did you mean 'tuned'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])
