"""Errors advise the commands that are there: make's in a checkout, the plain ones of a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import __version__, checkout
from tests.compared import answers, stored_run
from tests.conftest import REPOSITORY, Command
from tests.test_compare import BASE


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Makefile lies beside the package."""
    monkeypatch.setattr(checkout, "PACKAGE", tmp_path / "site-packages" / "harness")


MAKES = {
    "train": "make .venv/.installed-train",
    "quant": "make .venv/.installed-quant",
    "ray": ".venv/bin/pip install -c constraints.txt -e '.[ray]'",
    "mlflow": ".venv/bin/pip install -c constraints.txt -e '.[mlflow]'",
    "vllm": "pip install -e '.[vllm]' in an environment of its own, without constraints",
}
PLAIN = {
    "train": "pip install 'lineup-harness[train]'",
    "quant": "pip install --no-build-isolation 'lineup-harness[quant]'",
    "ray": "pip install 'lineup-harness[ray]'",
    "mlflow": "pip install 'lineup-harness[mlflow]'",
    "vllm": f"pip install './lineup_harness-{__version__}-py3-none-any.whl[vllm]'"
    " in an environment of its own, without constraints",
}


def test_an_extra_of_a_checkout_keeps_to_its_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(REPOSITORY / ".venv"))
    assert {extra: checkout.how_to_install(extra) for extra in MAKES} == MAKES
    targets = (REPOSITORY / "Makefile").read_text("utf-8")
    assert all(f"\n{how.split()[1]}:" in targets for how in MAKES.values() if how[:5] == "make ")


def test_an_extra_of_a_checkout_in_another_environment_goes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert checkout.how_to_install("train") == "pip install -c constraints.txt -e '.[train]'"
    assert checkout.how_to_install("quant") == "pip install --no-build-isolation -e '.[quant]'"
    assert checkout.how_to_install("vllm") == MAKES["vllm"]


@pytest.mark.usefixtures("wheel")
def test_an_extra_of_a_wheel() -> None:
    assert {extra: checkout.how_to_install(extra) for extra in PLAIN} == PLAIN


def test_the_commands_of_a_checkout() -> None:
    assert checkout.how_to_eval() == "make eval"
    assert checkout.how_to_eval("a b") == "make eval MODEL='a b'"
    assert checkout.how_to_train("m", force=True) == "make train MODEL=m ARGS=--force"
    assert checkout.how_to_accept("m") == "make accept-baseline MODEL=m"
    assert checkout.how_to_mix("x") == "make data MIXTURE=x DATA=dir"


@pytest.mark.usefixtures("wheel")
def test_without_a_makefile_no_advice_names_make(harness: Command, tmp_path: Path) -> None:
    assert checkout.how_to_mix("x") == "harness-train data x --data dir"
    for words, advice in (
        (["list", "runs"], "`harness eval` makes the first"),
        (["show"], "with `harness eval`"),
        (["report"], "with `harness eval`"),
        (["export", "--format", "csv", "--out", str(tmp_path / "a.csv")], "with `harness eval`"),
        (["eval", "--model", "tiny-sft"], "`harness-train tiny-sft` is the command that builds"),
        (["gate", "--model", "tiny", "--baseline", "b"], "newest run of b: harness accept b"),
        (["compare", "tiny", "tiny-sft"], "This makes one: harness eval --model tiny"),
    ):
        _, out, told = harness(*words)
        assert advice in out + told and "make " not in out + told, out + told
    stored_run(tmp_path / "reports/runs", "tiny", {"arc_easy": answers(BASE)}, data="a b", limit=9)
    _, _, told = harness("compare", "tiny", "tiny-sft")
    advised = "harness eval --model tiny-sft --tasks arc_easy --limit 9 --data 'a b'\n"
    assert told.endswith(advised)
