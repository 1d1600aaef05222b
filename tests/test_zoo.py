"""The registry: what it takes, and that every mistake in it is named with its line."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import RegistryError, UnknownName
from harness.origin import Source
from harness.step_options import STEPS, kinds, options_class
from harness.zoo import Zoo, load_zoo

ROOT = "  root: {family: f, stage: base, source: {hub: org/name}}\n"


def read(folder: Path, text: str) -> Zoo:
    path = folder / "model_zoo.yaml"
    path.write_text(text, encoding="utf-8")
    return load_zoo(path)


@pytest.fixture(scope="module")
def shipped() -> Zoo:
    return load_zoo(STEPS.parent.parent / "model_zoo.yaml")


def test_shipped_registry_holds_the_families_and_their_descendants(shipped: Zoo) -> None:
    assert {
        *("smol", "qwen", "qwen-1.8b", "bloom-560m", "openelm-450m", "openelm-1.1b"),
        *("phi-1.5", "stablelm-2-1.6b", "distilgpt2", "smollm2-135m", "smol-dpo-easyquant"),
    } < set(shipped.models)
    made = {"sft", "dpo", "dpo-int4", "dpo-int8", "dpo-gptq", "dpo-awq"}
    for family in ("smol", "qwen"):
        assert {f"{family}-{suffix}" for suffix in made} < set(shipped.models)
    assert [spec.name for spec in shipped.lineage("qwen-dpo-int4")] == [
        *("qwen", "qwen-sft", "qwen-dpo", "qwen-dpo-int4")
    ]
    quantizations = {name: shipped.get(name).quantization for name in shipped.models}
    assert quantizations["smol-dpo-int4"] == "nf4"
    assert quantizations["qwen-dpo-int8"] == "int8"
    assert quantizations["smol-dpo-easyquant"] == "easyquant"
    assert "smol-dpo-awq" in [spec.name for spec in shipped.children("smol-dpo")]


def test_shipped_registry_says_what_openelm_needs(shipped: Zoo) -> None:
    spec = shipped.get("openelm-450m")
    assert (spec.trust_remote_code, spec.add_bos) == (True, True)
    assert spec.tokenizer == "meta-llama/Llama-2-7b-hf"
    assert "gated" in spec.notes and "transformers 5" in spec.notes
    others = [s.name for s in shipped.models.values() if s.trust_remote_code]
    assert others == ["openelm-450m", "openelm-1.1b"]


def test_shipped_registry_says_that_smol_is_dequantized_and_pins_no_commit(shipped: Zoo) -> None:
    assert "de-quantized" in shipped.get("smol").notes
    assert all(s.source is None or s.source.revision is None for s in shipped.models.values())


def test_loading_is_quick(shipped: Zoo) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        load_zoo(shipped.path)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.06


def test_loading_imports_neither_torch_nor_training() -> None:
    code = (
        "import sys; from harness.zoo import load_zoo; load_zoo();"
        "from harness import sources, lock;"
        "print([m for m in ('torch', 'transformers', 'training') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=STEPS.parent.parent,
    )
    assert done.stdout.strip() == "[]"


def test_a_registry_can_be_sent_to_another_process(shipped: Zoo) -> None:
    assert pickle.loads(pickle.dumps(shipped)) == shipped


def test_descendants_have_what_their_parent_has(tmp_path: Path) -> None:
    zoo = read(
        tmp_path,
        "models:\n"
        "  late: {parent: early, step: {kind: bnb, scheme: int8}, dtype: float16}\n"
        "  early: {parent: root, step: {kind: dpo, learning_rate: 5e-5, epochs: 2}}\n"
        "  root:\n"
        "    {family: f, stage: base, source: {hub: org/name@v1}, dtype: float32, licence: MIT,\n"
        "     chat_template: true, tokenizer: {hub: org/tok}, add_bos: true, backend: vllm}\n",
    )
    assert list(zoo.models) == ["late", "early", "root"]
    root, early, late = zoo.lineage("late")
    assert root.source == Source("hub", "org/name", revision="v1")
    assert (early.family, early.stage, early.quantization) == ("f", "dpo", "none")
    assert early.step is not None
    assert early.step.options == {"learning_rate": 5e-5, "epochs": 2.0}
    assert isinstance(early.step.options["epochs"], float)
    assert (late.stage, late.quantization, late.dtype) == ("dpo", "int8", "float16")
    inherited = (late.licence, late.chat_template, late.tokenizer, late.add_bos, late.backend)
    assert inherited == ("MIT", True, "org/tok", True, "vllm")


def test_registry_is_searched_in_the_environment_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, named = tmp_path / "here", tmp_path / "named"
    here.mkdir(), named.mkdir()
    read(here, "models:\n" + ROOT)
    read(named, "models:\n" + ROOT.replace("root", "other"))
    monkeypatch.chdir(here)
    monkeypatch.delenv("HARNESS_ZOO", raising=False)
    assert list(load_zoo().models) == ["root"]
    monkeypatch.setenv("HARNESS_ZOO", str(named / "model_zoo.yaml"))
    assert list(load_zoo().models) == ["other"]
    monkeypatch.setenv("HARNESS_ZOO", str(named / "gone.yaml"))
    with pytest.raises(RegistryError, match=r"no registry: looked for .*gone\.yaml"):
        load_zoo()


def test_unknown_model_offers_the_closest_and_says_where(shipped: Zoo) -> None:
    with pytest.raises(UnknownName, match=r"unknown model 'qwen-dpo-int': did you mean.*int4.*zoo"):
        shipped.get("qwen-dpo-int")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("models:\n" + ROOT + ROOT, 3, "'root' is written twice in models, first in line 2"),
        ("modles:\n" + ROOT, 1, "unknown key 'modles' in the file: did you mean 'models'?"),
        ("models: {}\n", 1, "no model is written here"),
        ("models: [a]\n", 1, "a list stands where a mapping is needed"),
        ("- a\n", 1, "a list stands where a mapping is needed"),
        ("models:\n  Root: {}\n", 2, "'Root' is not a valid model name"),
        ("models:\n  ../up: {}\n", 2, "'../up' is not a valid model name"),
        ("models:\n  1: {}\n", 2, 'keys are texts: write "1"'),
        ("models:\n  a:\n    family: f\n    famly: g\n", 4, "unknown key 'famly' in model 'a'"),
        ("models:\n  a:\n    family: f\n    family: g\n", 4, "'family' is written twice"),
        ("models:\n  a: {family: f, stage: base}\n", 2, "neither a source nor a parent"),
        (
            "models:\n" + ROOT + "  a:\n    source: {hub: o/n}\n    parent: root\n",
            5,
            "a source (a root) or a parent and a step (a descendant), not both",
        ),
        ("models:\n" + ROOT + "  a: {parent: root}\n", 3, "a descendant also needs a step"),
        (
            "models:\n" + ROOT + "  a:\n    parent: rot\n    step: {kind: sft}\n",
            4,
            "unknown model 'rot': did you mean 'root'?",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: dop}\n",
            5,
            "unknown step 'dop': did you mean 'dpo'",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step:\n      kind: dpo\n"
            "      betta: 1\n",
            7,
            "unknown key 'betta' in the step of model 'a': did you mean 'beta'?",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step:\n      kind: dpo\n"
            "      beta: high\n",
            7,
            "beta: 'high' is not valid: a number is needed",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: dpo, beta: true}\n",
            5,
            "beta: True is not valid: a number is needed",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: dpo, batch_size: 1.5}\n",
            5,
            "batch_size: 1.5 is not valid: a whole number is needed",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: dpo, method: lroa}\n",
            5,
            "method: 'lroa' is not valid: lora or full is needed",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: dpo, epochs: .inf}\n",
            5,
            "epochs: inf is not valid: a number is needed",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: dpo, epochs: .nan}\n",
            5,
            "epochs: nan is not valid: a number is needed",
        ),
        (
            "models:\n"
            + ROOT
            + "  a:\n    parent: root\n    step: {kind: dpo, learning_rate: 1e999}\n",
            5,
            "learning_rate: inf is not valid: a number is needed",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step:\n      kind: dpo\n"
            "      beta: -1\n",
            7,
            "beta is -1.0; it is above 0",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    step: {kind: gptq, group_size: 48}\n",
            5,
            "group_size is 48; it is auto, 32, 64 or 128",
        ),
        (
            "models:\n" + ROOT + "  a:\n    parent: root\n    quantization: awq\n"
            "    step: {kind: gptq}\n",
            5,
            "'awq' contradicts the step 'gptq', which makes 'gptq'",
        ),
        (
            "models:\n  a: {family: f, stage: base, quantization: 4, source: {hub: o/n}}\n",
            2,
            "quantization: 4 is a whole number; valid: none, nf4",
        ),
        (
            "models:\n  a: {family: f, stage: base, quantization: int4, source: {hub: o/n}}\n",
            2,
            "unknown value 'int4': did you mean 'int8'",
        ),
        (
            "models:\n  a: {family: 3, stage: base, source: {hub: o/n}}\n",
            2,
            'family: 3 is a whole number, not a text; if 3 is meant, write "3"',
        ),
        (
            "models:\n  a: {family: f, stage: base, chat_template: 'yes', source: {hub: o/n}}\n",
            2,
            "chat_template: 'yes' is neither true nor false",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {}}\n",
            2,
            "one of hub, path, package and server",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {hub: o/n, path: x}}\n",
            2,
            "hub and path is written",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {hub: ../../etc}}\n",
            2,
            "'../../etc' is not a hub name",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {hub: 'o/n@'}}\n",
            2,
            "'' is not a branch, a tag or a commit",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {package: p, file: x, sha256: y}}\n",
            2,
            "'p' is not of the form name==version",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {package: p==1, file: ../x, "
            "sha256: y}}\n",
            2,
            "'../x' is not a path inside the package",
        ),
        (
            "models:\n  a: {family: f, stage: base, source: {package: p==1, file: x, "
            "sha256: abc}}\n",
            2,
            "'abc' is not a sha256 digest",
        ),
        ("models:\n  a: {family: f\n  b: }\n", 3, "not readable as YAML"),
        ("models:\n\ta: {}\n", 2, "not readable as YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'model_zoo.yaml'}:{line}"), message
    assert says in message


def test_a_circle_is_named(tmp_path: Path) -> None:
    step = "step: {kind: sft}"
    with pytest.raises(RegistryError, match=r"zoo\.yaml:\d: .* is a circle \(b -> c -> a -> b\)"):
        read(
            tmp_path,
            f"models:\n  b: {{parent: a, {step}}}\n  c: {{parent: b, {step}}}\n"
            f"  a: {{parent: c, {step}}}\n",
        )
    with pytest.raises(RegistryError, match=r"a circle \(a -> a\)"):
        read(tmp_path, f"models:\n  a: {{parent: a, {step}}}\n")


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_file_without_yaml_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model_zoo.yaml"
    path.write_bytes(content)
    with pytest.raises(RegistryError, match=says):
        load_zoo(path)


@pytest.mark.parametrize("kind", ["dpo", "kto", "qlora", "reward", "sft"])
def test_a_seed_that_no_generator_takes_is_refused(tmp_path: Path, kind: str) -> None:
    """NumPy takes 0 to 2^32 - 1."""
    for seed in (-1, 2**32):
        step = f"step: {{kind: {kind}, seed: {seed}}}"
        with pytest.raises(RegistryError, match=f"seed is {seed}; it is 0 to 4294967295"):
            read(tmp_path, f"models:\n{ROOT}  a: {{parent: root, {step}}}\n")
    read(tmp_path, f"models:\n{ROOT}  a: {{parent: root, step: {{kind: {kind}, seed: 0}}}}\n")


@pytest.mark.parametrize("kind", ["dpo", "kto", "sft"])
def test_a_full_training_has_no_adapter_to_keep(tmp_path: Path, kind: str) -> None:
    step = f"step: {{kind: {kind}, method: full, adapter: keep}}"
    with pytest.raises(RegistryError, match="adapter is keep, but method: full makes no adapter"):
        read(tmp_path, f"models:\n{ROOT}  a: {{parent: root, {step}}}\n")


@pytest.mark.parametrize("kind", ["qlora, objective: dpo", "reward"])
def test_steps_that_do_not_ask_their_parent_have_no_pairs_of_gsm8k(
    tmp_path: Path, kind: str
) -> None:
    step = f"step: {{kind: {kind}, data: gsm8k}}"
    with pytest.raises(RegistryError, match="data is gsm8k, which has no wrong answers"):
        read(tmp_path, f"models:\n{ROOT}  a: {{parent: root, {step}}}\n")
    read(tmp_path, f"models:\n{ROOT}  a: {{parent: root, step: {{kind: qlora, data: gsm8k}}}}\n")


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind != "reward"])
def test_what_judges_gives_no_answers_after_a_step_either(tmp_path: Path, kind: str) -> None:
    judge = "  judge: {parent: root, step: {kind: reward}}\n"
    text = f"models:\n{ROOT}{judge}  a:\n    parent: judge\n    step: {{kind: {kind}}}\n"
    with pytest.raises(RegistryError, match=f"'{kind}' .* 'judge' judges them .* made from 'root'"):
        read(tmp_path, text)
    assert read(tmp_path, text.replace(f"kind: {kind}", "kind: reward")).get("a").judges


def test_every_kind_of_step_has_options_with_defaults() -> None:
    assert kinds() == ["awq", "bnb", "dpo", "easyquant", "gptq", "kto", "qlora", "reward", "sft"]
    for kind in kinds():
        options = options_class(kind)()
        assert options.__doc__
        trains, quantizes = hasattr(options, "stage"), hasattr(options, "quantization")
        assert trains != quantizes, kind
