"""GPTQ and AWQ: quantized for real on a tiny model, and every mistake that a recipe can hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.model import load_model
from harness.errors import TrainingError
from tests.engine.architectures import CONTEXT, WORDS, save_tokenizer
from tests.training.quantization.wide import PACKED, PARAMETERS, made, save_wide, work
from training.calibration import HELD_OUT, draw
from training.layers import choose_group_size, input_widths
from training.steps import awq, gptq

pytest.importorskip("gptqmodel", reason="the extra `quant` is not installed")

FEW: dict[str, Any] = {"calibration_texts": 8, "calibration_length": 64}
STEPS = {"gptq": gptq, "awq": awq}


def logits(folder: Path) -> torch.Tensor:
    ids = torch.arange(2, 90)[None]
    with torch.no_grad():
        found: torch.Tensor = load_model(folder, "float32", False, "float32").causal(ids).logits[0]
    return found.float()


@pytest.mark.parametrize("method", STEPS)
def test_quantized_for_real(
    method: str,
    wide_model: Path,
    pages: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The widths are 128 and 192: 64 is the largest size that divides both.

    A group has a scale of 16 bits and a zero point of 4, GPTQ's layers also a number of 32 bits for
    each input: at most 4 + 20/64 + 32 * 14 * 192 / 245,760 = 4.7 bits a weight.
    """
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    capfd.readouterr()
    result = made(STEPS[method], wide_model, tmp_path, pages, **FEW)
    assert capfd.readouterr() == ("", "")
    assert not list(here.iterdir()), "a step writes where it was told to, not where it was called"
    assert result.chosen["group_size"] == 64
    name = "Salesforce/wikitext wikitext-2-raw-v1 validation"
    assert result.chosen["calibration"] == name and len(result.data[name]) == 64
    figures = result.figures
    assert (figures["quantized_layers"], figures["parameters"]) == (14, PARAMETERS)
    assert 4.25 <= figures["bits_per_weight"] <= 4.75
    assert figures["memory_bytes"] < 0.2 * 4 * PACKED + 4 * (PARAMETERS - PACKED)
    assert figures["loss"] == pytest.approx(figures["parent_loss"], rel=0.05)
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))["quantization_config"]
    assert (config["quant_method"], config["bits"], config["group_size"]) == (method, 4, 64)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert "quant_log.csv" not in files
    assert "/tmp" not in (tmp_path / "out/config.json").read_text("utf-8")
    p, q = (torch.log_softmax(logits(each), -1) for each in (wide_model, tmp_path / "out"))
    # Rounding changes answers; another model is several nats away.
    assert 1e-4 < float((p.exp() * (p - q)).sum(-1).mean()) < 1


def test_the_same_seed_is_the_same_checkpoint(
    wide_model: Path, pages: Path, tmp_path: Path
) -> None:
    digests = [
        made(gptq, wide_model, tmp_path / name, pages, seed=seed, **FEW).data
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    ]
    one, same, other = ((tmp_path / name / "out/model.safetensors").read_bytes() for name in
                        ("one", "same", "other"))  # fmt: skip
    assert digests[0] == digests[1] != digests[2]
    assert one == same != other


def test_without_data_or_hub_the_shipped_questions_serve(
    wide_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.data._why_no_hub", lambda: "no network")
    monkeypatch.setattr("harness.hub.cached", lambda *_: None)
    said: list[str] = []
    step = work(wide_model, tmp_path)
    object.__setattr__(step, "tell", said.append)
    result = gptq.run(gptq.Options(**FEW), step)
    assert result.chosen["calibration"] == "sft default"
    assert "WikiText-2 is in no data folder" in said[0]


@pytest.mark.parametrize("method", STEPS)
def test_a_group_size_that_does_not_fit(method: str, wide_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"group_size: 128 .*\(128 and 192\); .*auto, 64, 32"):
        made(STEPS[method], wide_model, tmp_path, group_size=128)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("asked", "widths", "chosen"),
    [
        ("auto", {1024, 2816}, 128),  # Qwen1.5-0.5B: 2,816 is 22 times 128
        ("auto", {576, 1536}, 64),  # SmolLM2-135M: 576 is 4.5 times 128
        ("auto", {96, 384}, 32),
        (32, {576, 1536}, 32),
    ],
)
def test_group_sizes(asked: int | str, widths: set[int], chosen: int) -> None:
    assert choose_group_size(asked, widths) == chosen


def test_no_group_size_fits() -> None:
    with pytest.raises(TrainingError, match=r"auto .*\(48\); none of 128, 64 and 32 does"):
        choose_group_size("auto", {48})


def test_widths_are_read_without_weights(wide_model: Path) -> None:
    assert input_widths(wide_model, False) == {128, 192}


@pytest.mark.parametrize("method", STEPS)
def test_an_unknown_architecture(method: str, pages: Path, tmp_path: Path) -> None:
    from transformers import BioGptConfig, BioGptForCausalLM

    config = BioGptConfig(
        vocab_size=WORDS, hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=CONTEXT,
    )  # fmt: skip
    parent = tmp_path / "parent"
    BioGptForCausalLM(config).save_pretrained(parent)
    save_tokenizer(parent)
    with pytest.raises(TrainingError, match="does not know the architecture 'biogpt'"):
        made(STEPS[method], parent, tmp_path / "made", pages, **FEW)


def test_a_text_that_is_too_short(wide_model: Path, pages: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"calibration_texts: 9000 of 64 .* ask for fewer"):
        made(gptq, wide_model, tmp_path, pages, calibration_texts=9000, calibration_length=64)


def test_pieces_that_the_parent_cannot_read(pages: Path, tmp_path: Path) -> None:
    """Places beyond the last embedding of one, and tokens of another model's tokenizer."""
    few = FEW | {"calibration_length": 48}
    short = save_wide(tmp_path / "short", max_position_embeddings=32)
    says = r"48 tokens, but the parent reads 32 at most: write calibration_length: 32, or less"
    with pytest.raises(TrainingError, match=says):
        made(gptq, short, tmp_path / "one", pages, **few)
    small = save_wide(tmp_path / "small", vocab_size=100)
    with pytest.raises(TrainingError, match="but the parent knows only 100 tokens"):
        made(gptq, small, tmp_path / "two", pages, **few)


def test_a_ruined_model_is_no_result(
    wide_model: Path, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.calibrated.RUINED", 0.5)
    with pytest.raises(TrainingError, match=r"its loss .* its parent's .*: calibrate on more text"):
        made(gptq, wide_model, tmp_path, pages, **FEW)


def test_windows_are_pieces_of_the_text() -> None:
    """Of 100 tokens ten pieces of ten; two to calibrate on, the other eight to measure with."""
    drawn, kept = draw(list(range(100)), 2, 10, 7, "text")
    assert HELD_OUT == 8 == len(kept) and len(drawn) == 2
    assert sorted(token for window in drawn + kept for token in window) == list(range(100))
    assert draw(list(range(100)), 2, 10, 7, "text") == (drawn, kept)
    assert draw(list(range(100)), 2, 10, 8, "text") != (drawn, kept)


def test_the_clip_search_finds_what_gptqmodels_own_does() -> None:
    """In float64 both sum the same errors, in another order."""
    from gptqmodel.looper.awq_processor import AWQProcessor
    from gptqmodel.quantization.config import AWQConfig

    from training.awq_clip import best_clip

    processor = object.__new__(AWQProcessor)
    processor.qcfg = AWQConfig(bits=4, group_size=32, sym=False)
    torch.manual_seed(0)
    weight = torch.randn(128, 96) * torch.rand(128, 1)
    inputs = torch.randn(1, 700, 96) * (torch.rand(96) + 0.1)
    own = processor._compute_best_clip(weight, inputs)
    ours = best_clip(processor, weight, inputs)
    assert ours.shape == own.shape
    # Where two bounds are as good, rounding may decide.
    assert float((ours == own).float().mean()) > 0.99
