"""nf4 and int8 through bitsandbytes: quantized for real, saved, loaded again and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.engine.model import load_model
from harness.errors import TrainingError
from tests.training.quantization.wide import PACKED, PARAMETERS, made
from training.steps import bnb

pytest.importorskip("bitsandbytes", reason="the extra `quant` is not installed")


def logits(folder: Path, dtype: str = "float32") -> torch.Tensor:
    ids = torch.arange(2, 90)[None]
    with torch.no_grad():
        found: torch.Tensor = load_model(folder, dtype, False, "float32").causal(ids).logits[0]
    return found.float()


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean divergence of one model's next-token distribution from another's, in nats."""
    p, q = torch.log_softmax(one, -1), torch.log_softmax(other, -1)
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize(
    ("options", "bits"),
    [
        # nf4: 4 bits, and a float32 scale for each block of 64: 4 + 32/64 = 4.5; a table of 16
        # float32 levels in each of the 14 layers: 14 * 16 * 32 / 245,760 = 0.03.
        ({"scheme": "nf4"}, 4.53),
        # Double quantization: the scales take 8 bits: 4 + 8/64 = 4.125; the two tables (16 and 256
        # float32), the scales' own scales (one for 256 blocks, here one or two a layer) and their
        # offset: 14 * (272 + 1 + 1 to 2) * 32 / 245,760 = 0.5.
        ({"scheme": "nf4", "double_quantization": True}, 4.63),
        # int8: 8 bits, and a float32 scale for each row: 8 + 32 * 1,792 / 245,760 = 8.23 (rows:
        # 2 * (128 + 64 + 64 + 128 + 192 + 192 + 128) = 1,792).
        ({"scheme": "int8"}, 8.23),
    ],
    ids=["nf4", "nf4-double", "int8"],
)
def test_bytes_and_answers(
    options: dict[str, object], bits: float, wide_model: Path, tmp_path: Path
) -> None:
    result = made(bnb, wide_model, tmp_path, **options)
    figures = result.figures
    assert figures["parameters"] == PARAMETERS and figures["quantized_layers"] == 14
    assert figures["bits_per_weight"] == pytest.approx(bits, abs=0.02)
    # What is not packed has the dtype that products are computed in.
    own = 2 if result.chosen["compute_dtype"] == "bfloat16" else 4
    expected = PACKED * figures["bits_per_weight"] / 8 + own * (PARAMETERS - PACKED)
    assert figures["memory_bytes"] == pytest.approx(expected, rel=0.01)
    apart = distance(logits(wide_model), logits(tmp_path / "out"))
    # Rounding changes answers, int8 less than nf4; another model's are several nats away.
    assert 1e-5 < apart < (0.02 if options["scheme"] == "int8" else 0.5)


def test_double_quantization_is_recorded(wide_model: Path, tmp_path: Path) -> None:
    made(bnb, wide_model, tmp_path, double_quantization=True)
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert config["quantization_config"]["bnb_4bit_use_double_quant"] is True


def test_nothing_is_said(
    wide_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made(bnb, wide_model, tmp_path, scheme="int8")
    logits(tmp_path / "out", "bfloat16")
    assert capfd.readouterr() == ("", "")


def test_a_quantized_parent_is_refused(wide_model: Path, tmp_path: Path) -> None:
    made(bnb, wide_model, tmp_path / "first")
    with pytest.raises(TrainingError, match="is quantized"):
        made(bnb, tmp_path / "first/out", tmp_path / "second")
