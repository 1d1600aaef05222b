"""`harness-train` says what it will do and how long, before it does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.checkout import how_to_install
from harness.zoo import ModelSpec
from tests.conftest import REPOSITORY
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
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = tmp_path / "model_zoo.yaml"
    path.write_text(ZOO, encoding="utf-8")
    return str(path)


def test_the_plan_names_every_option_and_builds_nothing(
    zoo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path / "models" / "org" / "name")
    assert main(["tuned", "--plan", "--zoo", zoo, "--models", str(tmp_path / "models")]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("root -> tuned\n")
    assert "root   present, models folder" in out
    assert "tuned  to build (dpo), under a minute: not built" in out
    assert "beta: 0.3\n" in out
    assert "warmup_steps: 200 (default)\n" in out
    assert "1 model to build" in out
    assert not (tmp_path / "cache" / "artifacts").exists()


def test_how_long_waits_for_the_root_s_size(
    zoo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--plan`` fetches nothing and names what it lacks; a build fetches the root, then tells."""
    models = str(tmp_path / "models")
    (tmp_path / "models").mkdir()
    assert main(["tuned", "--plan", "--zoo", zoo, "--models", models]) == 0
    assert "1 model to build: how long is told by the size of root" in capsys.readouterr().out
    fetched: list[str] = []

    def fetch(spec: ModelSpec, *rest: object) -> None:
        fetched.append(spec.name)
        checkpoint(tmp_path / "models" / "org" / "name")

    monkeypatch.setattr("training.cli.resolve", fetch)
    monkeypatch.setattr("training.cli.build", lambda plan, site: None)
    assert main(["tuned", "--zoo", zoo, "--models", models]) == 0
    assert fetched == ["root"]
    assert "1 model to build: under a minute." in capsys.readouterr().out


def test_a_root_is_not_made_by_a_step(
    zoo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["root", "--zoo", zoo]) == 2
    assert "root is not made by a step: `make eval MODEL=root`" in capsys.readouterr().err
    checkpoint(tmp_path / "models" / "org" / "name")
    assert main(["root", "--zoo", zoo, "--models", str(tmp_path / "models")]) == 0
    assert "nothing to build" in capsys.readouterr().out


def test_wrong_use_is_exit_code_two(
    zoo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tund", "--zoo", zoo]) == 2
    assert "unknown model 'tund': did you mean 'tuned'" in capsys.readouterr().err
    assert main(["tuned", "--zoo", zoo, "--data", str(tmp_path / "gone")]) == 2
    assert "gone does not exist; DATA=DIR" in capsys.readouterr().err
    for words, said in (
        ([], "required: MODEL (see `harness-train --help`)"),
        (["tuned", "--plann"], "unknown option --plann: did you mean '--plan'?"),
        (["tuned", ""], "an empty word is no argument"),
        (["tuned", "root"], "'root' is one too many: harness-train takes one name"),
        (["tuned", "--data", ""], "--data is empty: a value is missing"),
        (["data", "--limti", "3"], "unknown option --limti: did you mean '--limit'"),
    ):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.startswith("harness-train: ") and said in err and "usage:" not in err


def test_a_plan_that_cannot_be_is_shown_and_refused(
    zoo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing of the packages is no reason: `make train` installs them."""
    monkeypatch.setattr("training.extras._installed", lambda name: False)
    assert main(["tuned", "--plan", "--zoo", zoo]) == 0
    Path(zoo).write_text(ZOO.replace("beta: 0.3", "data: nosuch"), "utf-8")
    capsys.readouterr()
    assert main(["tuned", "--plan", "--zoo", zoo]) == 2
    out, err = capsys.readouterr()
    assert "data: nosuch\n" in out and "1 model to build" in out and "'nosuch'" in err
    assert main(["tuned", "--plan", "--zoo", zoo, "--models", "/nowhere"]) == 2
    assert "the models folder /nowhere does not exist" in capsys.readouterr().err


def test_a_misspelt_option_is_named_with_file_and_line(
    zoo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(zoo).write_text(ZOO.replace("beta: 0.3", "betta: 0.3"), "utf-8")
    assert main(["tuned", "--zoo", zoo]) == 2
    err = capsys.readouterr().err
    assert f"{zoo}:4: unknown key 'betta'" in err and "did you mean 'beta'?" in err


def test_needs_are_words_for_a_makefile(
    zoo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is installed here must not decide: first nothing is missing, then trl is."""
    monkeypatch.setattr("training.extras._installed", lambda name: True)
    assert main(["tuned", "--needs", "--zoo", zoo]) == 0
    assert main(["root", "--needs", "--zoo", zoo]) == 0
    assert main(["no-such-model", "--needs", "--zoo", zoo]) == 0
    assert capsys.readouterr().out == "build\n"
    monkeypatch.setattr("training.extras._installed", lambda name: name != "trl")
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: ["trl<2,>=1.16; extra == 'train'", "numpy>=2"]
    )
    assert main(["tuned", "--needs", "--zoo", zoo]) == 0
    assert capsys.readouterr().out == "train build\n"
    assert main(["tuned", "--zoo", zoo]) == 1
    err = capsys.readouterr().err
    assert "tuned cannot be built: trl is not installed: `make train MODEL=tuned` installs" in err
    assert f"as does {how_to_install('train')}" in err


def test_what_make_asks_first_imports_no_torch(zoo: str) -> None:
    code = (
        "import sys; from training.cli import main\n"
        f"for what in '--needs', '--plan': main(['tuned', what, '--zoo', {zoo!r}])\n"
        "print([n for n in ('torch', 'transformers', 'lm_eval', 'trl') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.splitlines()[-1] == "[]"
