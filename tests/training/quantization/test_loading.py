"""Quantized checkpoints in the engine: loaded, counted, and answering as their own forward pass."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.backend import LoadOptions, load_backend
from harness.checkout import how_to_install
from harness.engine.model import load_model
from harness.engine.quantized import Footprint, check
from harness.errors import WeightsError
from harness.quantization import Declared, declared
from harness.types import GenerateUntil, Generation, LogLikelihood, LogProb
from tests.engine.architectures import CONTEXT
from tests.engine.plain import Plain
from tests.engine.test_contract import ask, mixed_bag
from tests.training.quantization import foreign
from tests.training.quantization.conftest import SCHEMES

Quantized = Callable[[str], Path]


class Judge(Plain):
    """The quantized model's own forward pass, one question at a time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, CONTEXT)
        self.model = load_model(folder, "float32", False, "float32").causal


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_engine_answers_as_the_model_does(scheme: str, quantized: Quantized) -> None:
    folder = quantized(scheme)
    options = LoadOptions(folder, folder, "float32", quantization=scheme)
    backend, judge = load_backend("hf", options), Judge(folder)
    assert backend.facts.plan.startswith("packed"), backend.facts.plan
    requests: list[Any] = [*mixed_bag(judge), GenerateUntil("The cat", ("\n",), 12)]
    # int8 rounds what flows through its layers, and which columns it spares depends on the batch;
    # gptqmodel's kernel for AWQ rounds it to float16.
    apart = {"int8": 0.05, "awq": 5e-4}.get(scheme, 5e-5)
    for request, response in zip(requests, ask(backend, requests), strict=True):
        expected = judge.answer(request)
        assert type(response) is type(expected), (request, response)
        if isinstance(response, Generation) and scheme != "int8":
            assert response == expected
        if isinstance(response, LogProb) and isinstance(expected, LogProb):
            tokens = max(1, len(judge.encode_pair(request.context, request.continuation)[1]))
            assert response.logprob == pytest.approx(expected.logprob, abs=apart * tokens), request


@pytest.mark.parametrize("scheme", SCHEMES)
def test_facts_and_identity(scheme: str, quantized: Quantized, wide_model: Path) -> None:
    folder = quantized(scheme)
    backend = load_backend("hf", LoadOptions(folder, folder, quantization=scheme))
    plain = load_backend("hf", LoadOptions(wide_model, wide_model, quantization="none"))
    assert backend.facts.parameters == plain.facts.parameters
    assert backend.facts.memory_bytes < 0.7 * plain.facts.memory_bytes
    assert "14 " in backend.identity["kernels"] and "kernels" not in plain.identity


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lm_eval_gives_the_same_answers(scheme: str, quantized: Quantized) -> None:
    folder = quantized(scheme)
    options = LoadOptions(folder, folder, "float32", quantization=scheme)
    requests = [LogLikelihood("The cat sat on", " the mat"), LogLikelihood("Rain falls", " down")]
    ours, theirs = (ask(load_backend(name, options), requests) for name in ("hf", "lm_eval"))
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, LogProb) and isinstance(other, LogProb)
        assert one.logprob == pytest.approx(other.logprob, abs=0.2 if scheme == "int8" else 1e-3)


@pytest.mark.parametrize("beside", [False, True], ids=["in-config", "beside"])
@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_checkpoints_of_the_archived_packages(
    method: str, beside: bool, wide_model: Path, tmp_path: Path
) -> None:
    """What the packed numbers stand for, unpacked by their formats' own description."""
    pytest.importorskip("gptqmodel", reason="the extra `quant` is not installed")
    folder = foreign.write(method, wide_model, tmp_path / "made-elsewhere", beside=beside)
    ids = torch.arange(2, 90)[None]
    with torch.no_grad():
        loaded = load_model(folder, "float32", False, "float32", method).causal(ids).logits
        meant = load_model(tmp_path / "made-elsewhere-plain", "float32", False, "float32", "none")
        expected = meant.causal(ids).logits
    # gptqmodel multiplies levels and scales in float16; zero points off by one are off by far more.
    assert float((loaded - expected).abs().max()) < 0.02 * float(expected.std())


class TestTheLoadedModelIsWhatItIsSaidToBe:
    def test_the_registry_says_quantized(self, wide_model: Path) -> None:
        with pytest.raises(WeightsError, match=r"says `quantization: nf4`, but .* not quantized"):
            load_backend("hf", LoadOptions(wide_model, wide_model, quantization="nf4"))

    def test_the_registry_says_not(self, quantized: Quantized) -> None:
        folder = quantized("easyquant")
        for backend in ("hf", "lm_eval"):
            with pytest.raises(WeightsError, match=r"easyquant at 4\.\d\d bits a weight: write"):
                load_backend(backend, LoadOptions(folder, folder, quantization="none"))

    def test_the_config_says_what_the_files_do_not_hold(
        self, wide_model: Path, tmp_path: Path
    ) -> None:
        folder = _claiming(wide_model, tmp_path, {"quant_method": "easyquant", "layers": {}})
        with pytest.raises(WeightsError, match=r"by easyquant, its config says, .* not quantized"):
            load_backend("hf", LoadOptions(folder, folder))

    def test_a_single_layer_makes_no_quantized_model(
        self, quantized: Quantized, wide_model: Path, tmp_path: Path
    ) -> None:
        """One of the 14 layers, 128 x 128 of 245,760 weights, is 7%."""
        from safetensors.torch import load_file, save_file

        one = "model.layers.0.self_attn.q_proj"
        packed = load_file(quantized("easyquant") / "model.safetensors")
        tensors = load_file(wide_model / "model.safetensors")
        del tensors[f"{one}.weight"]
        tensors |= {name: tensor for name, tensor in packed.items() if name.startswith(f"{one}.")}
        claim = {"quant_method": "easyquant", "layers": {one: len(tensors[f"{one}.values"])}}
        folder = _claiming(wide_model, tmp_path, claim)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(WeightsError, match=r"by easyquant in 7% of its linear weights only"):
            load_backend("hf", LoadOptions(folder, folder))

    def test_packed_weights_without_the_config_that_says_so(
        self, quantized: Quantized, tmp_path: Path
    ) -> None:
        """None of the 14 layers' weights is found: transformers would draw them at random."""
        folder = tmp_path / "nameless"
        shutil.copytree(quantized("easyquant"), folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        del config["quantization_config"]
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        with pytest.raises(WeightsError, match=r"lack 14 of its weights, such as"):
            load_backend("hf", LoadOptions(folder, folder))

    @pytest.mark.parametrize("part", ["scale", "packed"])
    def test_a_quantized_layer_that_lacks_a_part(
        self, part: str, quantized: Quantized, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "torn"
        shutil.copytree(quantized("easyquant"), folder)
        tensors = load_file(folder / "model.safetensors")
        del tensors[f"model.layers.0.self_attn.q_proj.{part}"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(WeightsError, match=rf"lack 1 of its weights, such as .*q_proj\.{part}"):
            load_backend("hf", LoadOptions(folder, folder))

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"quant_method": "gptq", "bits": "four"}, "'four' bits"),
            ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf3"}, "quantized by nf3, which this"),
        ],
    )
    def test_a_config_that_makes_no_sense(
        self, config: dict[str, Any], says: str, wide_model: Path, tmp_path: Path
    ) -> None:
        folder = _claiming(wide_model, tmp_path, config)
        with pytest.raises(WeightsError, match=says):
            load_backend("hf", LoadOptions(folder, folder))

    def test_weights_that_a_loader_unpacked(self) -> None:
        unpacked = Footprint(100, 200, {"gptq": 1}, 16.0, 1.0, "1 Linear")
        with pytest.raises(WeightsError, match=r"16\.00 bits a weight .* its loader unpacked it"):
            check(unpacked, Declared("gptq", 4, {}), "gptq", Path("folder"))

    def test_a_method_that_cannot_be_checked(self, wide_model: Path, tmp_path: Path) -> None:
        folder = _claiming(wide_model, tmp_path, {"quant_method": "hqq"})
        with pytest.raises(WeightsError, match=r"by hqq, which .* it knows nf4, fp4, int8"):
            load_backend("hf", LoadOptions(folder, folder))


@pytest.mark.parametrize(
    ("config", "says", "extra"),
    [
        ({"load_in_4bit": True}, "bitsandbytes, which loads", "train"),
        ({"quant_method": "gptq"}, "gptqmodel and optimum", "quant"),
        ({"quant_method": "awq"}, "gptqmodel, which loads", "quant"),
    ],
    ids=["bnb", "gptq", "awq"],
)
def test_the_missing_package_is_named(
    config: dict[str, Any],
    says: str,
    extra: str,
    wide_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = _claiming(wide_model, tmp_path, config)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(WeightsError, match=f"{says}.*{re.escape(how_to_install(extra))}"):
        load_model(folder, "auto", False, "float32")


def test_what_files_declare(wide_model: Path, tmp_path: Path) -> None:
    assert declared(wide_model) is None
    found = declared(_claiming(wide_model, tmp_path, {"quant_method": "gptq", "bits": 8}))
    assert found is not None and (found.scheme, found.bits, found.inside) == ("gptq", 8, True)
    nested = {"text_config": {"quantization_config": {"load_in_8bit": True}}}
    (tmp_path / "claiming/config.json").write_text(json.dumps(nested), "utf-8")
    found = declared(tmp_path / "claiming")
    assert found is not None and (found.scheme, found.bits) == ("int8", 8)


def test_awq_is_not_run_in_float16_on_a_cpu(quantized: Quantized) -> None:
    if torch.cuda.is_available():
        pytest.skip("on a GPU float16 is the right one")
    folder = quantized("awq")
    assert load_model(folder, "auto", False, "float32").causal.dtype == torch.bfloat16


def _claiming(parent: Path, base: Path, config: dict[str, Any]) -> Path:
    """The parent's folder with a ``quantization_config`` written into its config.json."""
    folder = base / "claiming"
    shutil.copytree(parent, folder)
    written = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(
        json.dumps(written | {"quantization_config": config}), "utf-8"
    )
    return folder
