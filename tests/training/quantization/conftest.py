"""The model that is quantized, and what each step makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.training.quantization.wide import made, save_wide

SCHEMES = ("nf4", "int8", "gptq", "awq", "easyquant")


@pytest.fixture(scope="session")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tests.training.quantization.wide.save_wide`."""
    return save_wide(tmp_path_factory.mktemp("models") / "wide")


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a WikiText-2 of the shipped pages, validation split."""
    samples = REPOSITORY / "tasks/samples/wikitext/test.jsonl"
    base = tmp_path_factory.mktemp("data")
    folder = base / "Salesforce/wikitext/wikitext-2-raw-v1"
    folder.mkdir(parents=True)
    texts = [json.loads(line)["page"] for line in samples.read_text("utf-8").splitlines()]
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "validation.jsonl").write_text(rows, "utf-8")
    return base


@pytest.fixture(scope="session")
def quantized(
    wide_model: Path, pages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of the model quantized by a scheme, made when it is first asked for."""
    from training.steps import awq, bnb, easyquant, gptq

    base = tmp_path_factory.mktemp("quantized")

    def folder(scheme: str) -> Path:
        where = base / scheme
        if where.is_dir():
            return where / "out"
        if scheme in ("nf4", "int8"):
            pytest.importorskip("bitsandbytes", reason="the extra `train` is not installed")
            made(bnb, wide_model, where, scheme=scheme)
        elif scheme == "easyquant":
            made(easyquant, wide_model, where)
        else:
            pytest.importorskip("gptqmodel", reason="the extra `quant` is not installed")
            step = gptq if scheme == "gptq" else awq
            made(step, wide_model, where, pages, calibration_texts=8, calibration_length=64)
        return where / "out"

    return folder
