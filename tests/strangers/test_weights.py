"""Weights that are programs, and checkpoints that lead to code or weights elsewhere."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness import pickles, unpickle
from harness.errors import RegistryError, WeightsError
from harness.presence import presence
from harness.quantization import declared
from harness.sources import resolve
from harness.zoo import Zoo, load_zoo
from tests.tiny_checkpoint import checkpoint, pickle, safetensors

REPOSITORY = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMING = "transformers_weights"
HUB, OWN = Path("models/org/name"), Path("own")
Write = Callable[..., Zoo]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HARNESS_LOCK", str(tmp_path / "lock.yaml"))
    (tmp_path / "lock.yaml").write_text("schema: 1\n", "utf-8")
    monkeypatch.chdir(tmp_path)

    def zoo(source: str, more: str = "") -> Zoo:
        entry = f"{{family: f, stage: base, source: {{{source}}}{more}}}"
        Path("zoo.yaml").write_text(f"models: {{m: {entry}}}", "utf-8")
        return load_zoo(Path("zoo.yaml"))

    return zoo


def lay_pickle(folder: Path, content: bytes) -> None:
    checkpoint(folder)
    (folder / "model.safetensors").unlink()
    (folder / pickles.PICKLE).write_bytes(content)


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(("source", "folder"), [("hub: org/name", HUB), ("path: own", OWN)])
def test_a_pickle_is_read_only_where_the_registry_allows_it(
    write: Write, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_MODELS", "models")
    Path("models").mkdir()
    lay_pickle(folder, pickle({"w": [1.0]}))
    zoo = write(source)
    assert presence(zoo.get("m"), zoo).state == "absent"
    with pytest.raises(WeightsError, match=r"m: .*a pickle only .*`allow_pickle: true`"):
        resolve(zoo.get("m"), zoo)
    assert not Path("cache").exists(), "refused before it was read"
    if folder == HUB:
        return  # its conversion: tests/test_pickles.py

    zoo = write(source, ", allow_pickle: true")
    found = resolve(zoo.get("m"), zoo)
    assert "converted to safetensors" in found.notes[0]
    assert set(found.files) == {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.mark.parametrize("config", [{NAMING: "sub/model.safetensors"}, {"text": {NAMING: "p.bin"}}])
def test_a_config_names_no_other_weights(write: Write, config: dict[str, Any]) -> None:
    """Transformers would load them, and two models that differ there only would be one here."""
    checkpoint(OWN)
    (OWN / "config.json").write_text(json.dumps({"model_type": "llama", **config}), "utf-8")
    (OWN / "sub").mkdir()
    (OWN / "sub/model.safetensors").write_bytes(safetensors(5))
    zoo = write("path: own")
    with pytest.raises(WeightsError, match=r"names the weights that are to be loaded \(transf"):
        resolve(zoo.get("m"), zoo)


@pytest.mark.parametrize("decoy", ["x.safetensors", "model.fp16.safetensors"])
@pytest.mark.parametrize(("source", "folder"), [("hub: org/name", HUB), ("path: own", OWN)])
def test_tensors_that_no_loader_takes_hide_no_pickle(
    write: Write, source: str, folder: Path, decoy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_MODELS", "models")
    Path("models").mkdir()
    lay_pickle(folder, b"never read")
    (folder / decoy).write_bytes(safetensors())
    zoo = write(source)
    with pytest.raises(WeightsError, match=r"a pickle only .*`allow_pickle: true`"):
        resolve(zoo.get("m"), zoo)
    (folder / pickles.PICKLE).rename(folder / "pytorch_model-00001-of-00001.bin")
    with pytest.raises(WeightsError, match="holds its weights as pickles only"):
        resolve(zoo.get("m"), zoo)
    (folder / "pytorch_model-00001-of-00001.bin").unlink()
    with pytest.raises(WeightsError, match=f"no loader takes weights of another name .{decoy}"):
        resolve(zoo.get("m"), zoo)


@pytest.mark.parametrize(
    "header",
    [b"[" * 200_000, b'{"w": {"data_offsets": [0, 1e999]}}'],
    ids=["brackets without end", "a number without end"],
)
def test_a_header_that_no_parser_bears_is_refused(write: Write, header: bytes) -> None:
    checkpoint(OWN)
    (OWN / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    zoo = write("path: own")
    with pytest.raises(
        WeightsError, match=r"is not a safetensors file: its header is not readable"
    ):
        resolve(zoo.get("m"), zoo)


def test_brackets_without_end_are_no_index_and_no_quantization(write: Write) -> None:
    checkpoint(OWN)
    for name in ("quantize_config.json", "quant_config.json"):
        (OWN / name).write_bytes(b"[" * 200_000)
    assert declared(OWN) is None
    (OWN / "model.safetensors.index.json").write_bytes(b"[" * 200_000)
    zoo = write("path: own")
    with pytest.raises(
        WeightsError, match=r"index\.json has no readable weight_map: copy it again"
    ):
        resolve(zoo.get("m"), zoo)


@pytest.mark.parametrize("named", ["sub/model-1.safetensors", "../model-1.safetensors", "p.bin"])
def test_an_index_names_files_beside_it_only(write: Write, named: str) -> None:
    checkpoint(OWN)
    (OWN / "sub").mkdir()
    for there in (OWN / named, OWN / "model-1.safetensors"):
        there.write_bytes(safetensors())
    index = {"weight_map": {"v": "model-1.safetensors", "w": named}}
    (OWN / "model.safetensors").unlink()
    (OWN / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    zoo = write("path: own")
    with pytest.raises(WeightsError, match=f"is incomplete: .* names {named}, which is not there"):
        resolve(zoo.get("m"), zoo)


def test_no_loader_falls_back_to_a_pickle(tiny_model: Path, tmp_path: Path) -> None:
    """Also not one that is handed a folder which nobody checked."""
    from harness.engine.model import load_model

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_model, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / pickles.PICKLE)
    (folder / "model.safetensors").rename(folder / "x.safetensors")
    with pytest.raises(WeightsError, match=r"no file named model\.safetensors"):
        load_model(folder, "auto", False, "model")


def test_every_loader_of_weights_asks_for_safetensors() -> None:
    """All that name a class which loads weights, but for GGUF, which is not a folder."""
    for path in sorted([*REPOSITORY.glob("harness/**/*.py"), *REPOSITORY.glob("training/**/*.py")]):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            loader, named = ast.unparse(call.func), {word.arg for word in call.keywords}
            if call.func.attr != "from_pretrained" or not loader.startswith(("AutoModel", "kind.")):
                continue
            assert named & {"use_safetensors", "gguf_file"}, f"{path}: {loader}"


def test_a_permission_stands_where_a_pickle_can_be(write: Write) -> None:
    package = f"package: p==1, file: a.gguf, sha256: {'a' * 64}"
    with pytest.raises(RegistryError, match=r"allow_pickle: it is for a source \{hub: \.\.\.\}"):
        write(package, ", allow_pickle: true")


def test_the_shipped_registry_allows_it_to_those_that_need_it() -> None:
    shipped = load_zoo(REPOSITORY / "model_zoo.yaml")
    allowed = {name for name, spec in shipped.models.items() if spec.allow_pickle}
    ranks = {f"dialogrpt-{what}" for what in ("updown", "human-vs-rand", "depth", "width")}
    assert allowed == ranks | {"deberta-v3-base", "deberta-xlarge-mnli"}


def test_a_small_pickle_of_a_vast_tensor_is_refused(tmp_path: Path) -> None:
    """One number said to be a terabyte of them: making it real would fill the memory."""
    vast = torch.zeros(1).expand(1 << 20, 1 << 18)
    (tmp_path / "p").write_bytes(saved({"w": vast}))
    assert (tmp_path / "p").stat().st_size < 10_000
    said = unpickle.unpickle(tmp_path / "p", tmp_path / "s")
    assert said is not None and "far larger than the file" in said
    assert not (tmp_path / "s").exists()


def snapshot(**files: Any) -> Path:
    folder = Path("hub/models--org--name/snapshots") / COMMIT
    checkpoint(folder)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs/main").write_text(COMMIT)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


CODE = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
TRUSTED = ", trust_remote_code: true"


def test_code_runs_at_a_commit_only(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot(config={"auto_map": CODE})
    for source in ("hub: org/name", "hub: org/name@main"):
        zoo = write(source, TRUSTED)
        with pytest.raises(WeightsError, match=r"no commit of it is named.*@COMMIT.*harness lock"):
            resolve(zoo.get("m"), zoo)
    zoo = write(f"hub: org/name@{COMMIT}", TRUSTED)
    assert resolve(zoo.get("m"), zoo).revision == COMMIT
    zoo = write("hub: org/name")
    assert resolve(zoo.get("m"), zoo).revision == COMMIT, "without the permission none runs"

    pin = f"{{origin: hub, commit: {COMMIT}, files: {{}}}}"
    Path("lock.yaml").write_text(f'schema: 1\nmodels: {{"org/name": {pin}}}\n', "utf-8")
    zoo = write("hub: org/name", TRUSTED)
    with pytest.raises(WeightsError, match="does not pin"):
        resolve(zoo.get("m"), zoo)  # pinned to a commit, and held to its files

    checkpoint(HUB)
    Path("lock.yaml").write_text("schema: 1\n", "utf-8")
    assert resolve(zoo.get("m"), zoo, Path("models")).revision is None, "a folder of one's own"


@pytest.mark.parametrize(
    "files",
    [
        {"config": {"auto_map": {"AutoConfig": "evil/repo--code.Config"}}},
        {"tokenizer_config": {"auto_map": {"AutoTokenizer": [None, "evil/repo--code.Slow"]}}},
        {"tokenizer_config": {"auto_map": "evil/repo--code.Slow"}},
    ],
)
def test_code_of_another_repository_is_refused(write: Write, files: dict[str, Any]) -> None:
    """The loader would fetch it from that repository's main branch, whatever is pinned here."""
    snapshot(**files)
    zoo = write(f"hub: org/name@{COMMIT}", TRUSTED)
    with pytest.raises(WeightsError, match=r"another repository \(evil/repo--code"):
        resolve(zoo.get("m"), zoo)
    zoo = write(f"hub: org/name@{COMMIT}")
    assert resolve(zoo.get("m"), zoo).files


@pytest.mark.parametrize("place", ["sub/code.Model", "../other/code.Model", "sub\\code.Model"])
def test_code_in_another_folder_is_refused(write: Write, place: str) -> None:
    """Its files are not among those that make the model's identity."""
    snapshot(config={"auto_map": {"AutoModelForCausalLM": place}})
    zoo = write(f"hub: org/name@{COMMIT}", TRUSTED)
    with pytest.raises(WeightsError, match=r"names code in another folder \(.*only code beside"):
        resolve(zoo.get("m"), zoo)


def test_code_that_generates_is_refused(write: Write) -> None:
    """A loader runs custom_generate/generate.py of a checkpoint whose code may run, unasked."""
    (snapshot() / "custom_generate").mkdir()
    zoo = write(f"hub: org/name@{COMMIT}", TRUSTED)
    with pytest.raises(WeightsError, match="holds a folder custom_generate"):
        resolve(zoo.get("m"), zoo)
    zoo = write(f"hub: org/name@{COMMIT}")
    assert resolve(zoo.get("m"), zoo).files, "without the permission it does not run"


@pytest.mark.parametrize(
    "name",
    [
        "additional_chat_templates/default.jinja",
        "chat_template.jinja",
        "dict.txt",
        "sentencepiece.bpe.model",
        "source.spm",
        "tekken.json",
        "vocab.bpe",
    ],
)
@pytest.mark.parametrize("more", ["", ", tokenizer: ./tok"])
def test_two_tokenizers_that_differ_are_two_models(write: Write, name: str, more: str) -> None:
    """Also where the difference is a template that goes before the one in the folder itself."""
    checkpoint(OWN)
    checkpoint(Path("tok"))
    file, zoo = (Path("tok") if more else OWN) / name, write("path: own", more)
    before = resolve(zoo.get("m"), zoo)
    file.parent.mkdir(exist_ok=True)
    identities = {before.weights_id}
    for content in ("good", "evil"):
        file.write_text(content, "utf-8")
        found = resolve(zoo.get("m"), zoo)
        identities.add(found.weights_id)
        assert set(found.files) - set(before.files) == {f"tokenizer/{name}" if more else name}
    assert len(identities) == 3


def test_a_converted_pickle_keeps_its_templates(write: Write) -> None:
    lay_pickle(OWN, pickle({"w": [1.0]}))
    (OWN / "additional_chat_templates").mkdir()
    (OWN / "additional_chat_templates/tool_use.jinja").write_text("x", "utf-8")
    zoo = write("path: own", ", allow_pickle: true")
    found = resolve(zoo.get("m"), zoo)
    assert "additional_chat_templates/tool_use.jinja" in found.files
    assert (found.path / "additional_chat_templates/tool_use.jinja").read_text("utf-8") == "x"


def test_the_identity_of_what_has_no_such_files_is_as_it_was(write: Write) -> None:
    """Baselines and journals name it."""
    checkpoint(OWN)
    (OWN / "sub").mkdir()
    (OWN / "sub/code.py").write_text("", "utf-8")
    zoo = write("path: own")
    assert resolve(zoo.get("m"), zoo).weights_id.startswith("0a8bc1c5af981909")


def test_a_tokenizer_from_elsewhere_runs_no_code(write: Write) -> None:
    checkpoint(OWN)
    checkpoint(Path("tok"))
    (Path("tok") / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "c.T"}}')
    zoo = write("path: own", ", tokenizer: ./tok" + TRUSTED)
    with pytest.raises(WeightsError, match="the code of a tokenizer from elsewhere does not run"):
        resolve(zoo.get("m"), zoo)


def test_an_adapter_leads_to_no_other_weights(write: Write, tiny_model: Path) -> None:
    """transformers, where peft is installed, loads the base that the file names instead."""
    checkpoint(OWN)
    (OWN / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base"}')
    zoo = write("path: own")
    with pytest.raises(WeightsError, match="would take the weights of 'evil/base' instead"):
        resolve(zoo.get("m"), zoo)


def test_code_without_permission_does_not_run(tiny_model: Path, tmp_path: Path) -> None:
    """Not even where the configuration names it: the loader is asked, not trusted to ask."""
    from harness.engine.model import load_model, load_tokenizer

    folder = tmp_path / "coded"
    shutil.copytree(tiny_model, folder)
    (folder / "code.py").write_text(
        f"open({str(tmp_path / 'was-run')!r}, 'w')\nclass Config: ...\n"
    )
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"model_type": "unheard-of", "auto_map": CODE}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    tokenizer |= {"auto_map": {"AutoTokenizer": ["code.Config", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), "utf-8")
    with pytest.raises(WeightsError, match="contains custom code"):
        load_model(folder, "auto", False, "model")
    with contextlib.suppress(WeightsError):
        load_tokenizer(folder, None, False)
    assert not (tmp_path / "was-run").exists()
