"""EasyQuant: what is stored, what it costs, and whether it beats round-to-nearest for that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.easyquant import EasyQuantLinear, Packed, gaps
from harness.engine.model import load_model
from tests.conftest import REPOSITORY
from tests.training.quantization import rtn
from tests.training.quantization.wide import PACKED, PARAMETERS, made
from training.easyquant import LONGEST_GAP, MOST, outliers_of, pack
from training.layers import linear_layers
from training.steps import easyquant

EVERYTHING = 1e9
"""A sigma beyond which nothing lies."""


def layer_of(packed: Packed, bits: int = 4) -> EasyQuantLinear:
    outputs, inputs = packed.weight.shape
    layer = EasyQuantLinear(inputs, outputs, bits, int(packed.outliers.sum()), bias=False)
    layer.fill(packed, None)
    return layer


def unpacked(packed: Packed, bits: int = 4) -> torch.Tensor:
    return layer_of(packed, bits).unpacked(torch.float32)


def size(layer: EasyQuantLinear) -> int:
    """Bits of all that is stored: levels, scales, outliers and where they stand."""
    return 8 * sum(tensor.numel() * tensor.element_size() for tensor in layer.buffers())


@pytest.mark.parametrize("sign", [1, -1])
def test_levels_times_a_scale_are_found(sign: int) -> None:
    """-4, -3.5, ..., 3.5 are the levels -8 to 7 times 0.5; turned round, 7 to -8 times -0.5."""
    weight = sign * torch.arange(-8, 8)[None] * 0.5
    packed = pack(weight, 4, EVERYTHING, 8)
    assert packed.scale.tolist() == [sign * 0.5]
    assert packed.levels.tolist() == [list(range(-8, 8))]
    assert torch.equal(unpacked(packed), weight)


def test_the_scale_is_the_least_squares_one() -> None:
    """For the levels that were chosen no other scale has a smaller error: by the derivative,
    sum w q / sum q^2.
    """
    weight = rtn.heavy_tailed(8, 256)
    packed = pack(weight, 4, EVERYTHING, 50)
    levels = packed.levels.float()
    best = (levels * weight).sum(1) / levels.square().sum(1)
    assert torch.allclose(packed.scale, best, rtol=1e-4)


def test_no_turn_raises_the_error() -> None:
    weight = rtn.heavy_tailed(64, 256)
    errors = [rtn.error(weight, unpacked(pack(weight, 4, 3.0, turns))) for turns in range(6)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0]


def test_outliers_are_kept_exactly() -> None:
    weight = torch.full((4, 100), 0.01).bfloat16()
    weight[:, ::2] *= -1
    weight[2, 17] = 3.140625
    packed = pack(weight, 4, 3.0, 8)
    assert packed.outliers.nonzero().tolist()[-1] == [2, 17]
    assert float(unpacked(packed)[2, 17]) == 3.140625
    # The others' range is their own: 3.14 would have made each of them 0.
    assert float((unpacked(packed)[2, :17].abs() - 0.01).abs().max()) < 1e-4


def test_outliers_are_fewer_than_one_in_a_hundred() -> None:
    """Of 5,000 weights at most 49 are, though 5% of them are ten times as wide as the rest."""
    torch.manual_seed(0)
    weight = torch.randn(50, 100)
    weight[:, ::20] *= 10
    chosen = outliers_of(weight, 2.0)
    assert MOST * weight.numel() == 50
    assert 30 < int(chosen.sum()) <= 49
    assert float(weight[chosen].abs().median()) > 10


def test_gaps_fit_into_a_byte() -> None:
    """Outliers at places 3 and 703, 700 apart, the first 4 behind -1: 700 = 255 + 255 + 190."""
    weight = torch.full((100, 100), 0.01)
    weight[:, ::2] *= -1
    weight.view(-1)[[3, 703]] = 5.0
    chosen = outliers_of(weight, 3.0)
    assert gaps(chosen).tolist() == [4, 255, 255, 190]
    assert torch.equal(unpacked(pack(weight, 4, 3.0, 8))[chosen], weight[chosen])
    # Nothing far apart can push the number over its bound.
    wide = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
    for sigma in (2.0, 2.5, 3.0, 3.5, 4.0, 4.5):
        chosen = outliers_of(wide, sigma)
        assert int(chosen.sum()) < MOST * wide.numel()
        assert int(gaps(chosen).max()) <= LONGEST_GAP


@pytest.mark.parametrize(("bits", "columns"), [(4, 63), (4, 64), (8, 63)])
def test_packing_loses_nothing(bits: int, columns: int) -> None:
    weight = rtn.heavy_tailed(32, columns)
    packed = pack(weight, bits, 3.0, 4)
    by_hand = torch.where(
        packed.outliers, weight, packed.levels.float() * packed.scale.float()[:, None]
    )
    assert torch.equal(unpacked(packed, bits), by_hand)
    least, most = int(packed.levels.min()), int(packed.levels.max())
    assert -(2 ** (bits - 1)) <= least < most <= 2 ** (bits - 1) - 1


def test_zeros_stay_zeros() -> None:
    weight = torch.zeros(4, 64)
    weight[1] = torch.linspace(-1, 1, 64)
    assert torch.equal(unpacked(pack(weight, 4, 3.0, 8))[[0, 2, 3]], torch.zeros(3, 64))


class TestAgainstRoundToNearest:
    """Reconstruction error, at no more bits than the other takes."""

    weight = rtn.heavy_tailed(512, 1024).bfloat16()

    def compare(self, sigma: float) -> tuple[float, float]:
        """Bits per weight and error; a scale takes 16 bits, an outlier 24."""
        packed = pack(self.weight, 4, sigma, 8)
        layer = layer_of(packed)
        share = float(packed.outliers.float().mean())
        bits = size(layer) / self.weight.numel()
        assert bits == pytest.approx(4 + 16 / 1024 + 24 * share)
        return bits, rtn.error(self.weight, unpacked(packed))

    def test_per_channel(self) -> None:
        """Without outliers both store 4 bits a weight and 16 a channel: 4.015625."""
        bits, error = self.compare(EVERYTHING)
        assert bits * self.weight.numel() == rtn.bits(self.weight) == 4.015625 * 512 * 1024
        assert error < 0.8 * rtn.error(self.weight, rtn.symmetric(self.weight))
        assert error < rtn.error(self.weight, rtn.asymmetric(self.weight))

    def test_per_channel_with_a_fifth_bit(self) -> None:
        """Outliers against as many bits spent on a fifth one for the channels that need it most."""
        bits, error = self.compare(2.75)
        rest = rtn.symmetric(self.weight)
        finer = rtn.symmetric(self.weight, None, levels=32)
        lost = (rest - self.weight.float()).square().sum(1)
        share = bits - rtn.bits(self.weight) / self.weight.numel()
        worst = lost.topk(math.ceil(share * len(lost))).indices
        rest[worst] = finer[worst]
        assert error < 0.6 * rtn.error(self.weight, rest)

    def test_per_group_of_64(self) -> None:
        """A scale for 64 weights is a quarter bit more a weight, with a zero point 5/16 bits."""
        bits, error = self.compare(2.75)
        assert bits * self.weight.numel() <= rtn.bits(self.weight, 64) == 4.25 * 512 * 1024
        assert error < 0.8 * rtn.error(self.weight, rtn.symmetric(self.weight, 64))
        assert error < rtn.error(self.weight, rtn.asymmetric(self.weight, 64))


def test_a_checkpoint_like_any_other(wide_model: Path, tmp_path: Path) -> None:
    """Loaded by transformers, it answers as the model with the rounded weights written out."""
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    result = made(easyquant, wide_model, tmp_path)
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))["quantization_config"]
    assert (config["quant_method"], config["bits"], len(config["layers"])) == ("easyquant", 4, 14)
    plain, loaded = auto.from_pretrained(wide_model), auto.from_pretrained(tmp_path / "out")
    for layer in linear_layers(plain).values():
        rounded = unpacked(pack(layer.weight.detach(), 4, 2.75, 8))
        assert not torch.equal(rounded, layer.weight)
        layer.weight.data = rounded
    ids = torch.arange(2, 90)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, plain(ids).logits)
    # Saved again, it is the same.
    loaded.save_pretrained(tmp_path / "again")
    with torch.no_grad():
        again = auto.from_pretrained(tmp_path / "again")(ids).logits
    assert torch.equal(again, plain(ids).logits)
    # The parent is float32: 1,792 scales and the outliers have 32 bits, and a place has 8.
    figures = result.figures
    share = figures["outlier_share"]
    assert figures["parameters"] == PARAMETERS and 0.001 < share < 0.01
    assert figures["bits_per_weight"] == pytest.approx(4 + 32 * 1792 / PACKED + 40 * share)
    expected = PACKED * figures["bits_per_weight"] / 8 + 4 * (PARAMETERS - PACKED)
    assert figures["memory_bytes"] == pytest.approx(expected, abs=1000)
    assert 0 < figures["reconstruction_error"] < 0.01


@pytest.mark.parametrize("name", ["gpt2", "bloom", "phi"])
def test_other_architectures(name: str, tmp_path: Path) -> None:
    """GPT-2 keeps its weights the other way round, all three have biases."""
    from tests.engine.architectures import save_checkpoint

    parent = save_checkpoint(tmp_path / "parent", name)
    made(easyquant, parent, tmp_path / "made", bits=8)
    ids = torch.arange(2, 60)[None]
    with torch.no_grad():
        one, other = (
            load_model(folder, "float32", False, "float32").causal(ids).logits
            for folder in (parent, tmp_path / "made/out")
        )
    assert 0 < float((one - other).abs().mean()) < 0.05 * float(one.std())


@pytest.mark.smol
@pytest.mark.slow
def test_perplexity_of_the_real_model(
    smol_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """On the shipped pages, paired by windows of 512 tokens, at no more than 4.25 bits a weight."""
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    tokenizer: Any = transformers.AutoTokenizer
    rows = (REPOSITORY / "tasks/samples/wikitext/test.jsonl").read_text("utf-8").splitlines()
    text = "\n\n".join(str(json.loads(row)["page"]) for row in rows)
    ids = tokenizer.from_pretrained(smol_path)(text, verbose=False).input_ids
    windows = [torch.tensor([ids[at : at + 512]]) for at in range(0, len(ids) - 511, 512)]
    model = auto.from_pretrained(smol_path, dtype=torch.bfloat16)
    layers = linear_layers(model)
    own = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    total = sum(weight.numel() for weight in own.values())

    def nats(rounding: Callable[[torch.Tensor], torch.Tensor]) -> tuple[torch.Tensor, float]:
        """Of every window's tokens, on average; and the reconstruction error."""
        lost = energy = 0.0
        for name, layer in layers.items():
            rounded, weight = rounding(own[name]), own[name].float()
            lost += float((rounded.float() - weight).square().sum())
            energy += float(weight.square().sum())
            layer.weight.data = rounded.bfloat16()
        losses: list[float] = []
        with torch.no_grad():
            for window in windows:
                logits = model(window).logits[0, :-1].float()
                losses.append(float(torch.nn.functional.cross_entropy(logits, window[0, 1:])))
        return torch.tensor(losses), lost / energy

    stored = 0

    def easy(weight: torch.Tensor) -> torch.Tensor:
        nonlocal stored
        layer = layer_of(pack(weight, 4, 2.75, 8))
        stored += size(layer)
        return layer.unpacked(torch.float32)

    ours, error = nats(easy)
    grouped, grouped_error = nats(lambda weight: rtn.symmetric(weight, 64))
    whole, whole_error = nats(rtn.symmetric)
    assert stored <= sum(rtn.bits(weight, 64) for weight in own.values()) == 4.25 * total
    assert error < grouped_error < whole_error
    for other in (grouped, whole):
        apart = ours - other
        half = 2.18 * float(apart.std()) / len(apart) ** 0.5  # t, 12 degrees of freedom, 95%
        assert float(apart.mean()) + half < 0
    for name, value in (("easyquant", ours), ("group of 64", grouped), ("channel", whole)):
        record_property(name, float(value.mean().exp()))
