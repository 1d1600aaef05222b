"""The lock file: pins what was read, lists what could not be, and holds later runs to it.

The hub is a small server of this test that speaks the endpoints which huggingface_hub asks.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.errors import DataError, RegistryError, WeightsError
from harness.lock import (
    Lock,
    Pin,
    check_dataset,
    dataset_key,
    find_lock,
    model_key,
    read_lock,
    write_lock,
)
from harness.pinning import make_lock
from harness.sources import resolve
from harness.zoo import Zoo, load_zoo
from tests.tiny_checkpoint import checkpoint, pickle, safetensors

COMMIT, DATA_COMMIT, OTHER = "c" * 40, "d" * 40, "e" * 40
ROW = b"{}\n"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": safetensors(),
    "pytorch_model.bin": b"a pickle",
    "README.md": b"read me",
}
ZOO = """
models:
  hubbed: {family: f, stage: base, source: {hub: org/name}}
  pickled: {family: f, stage: base, source: {hub: org/pickled}}
  one: {family: f, stage: base, source: {hub: org/one}, allow_pickle: true}
  gated: {family: f, stage: base, source: {hub: org/gated}}
  bare: {family: f, stage: base, source: {path: mine}, tokenizer: {hub: org/tok}}
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


A = f"sha256:{'a' * 64}"


class Hub(BaseHTTPRequestHandler):
    repos: ClassVar[dict[str, dict[str, bytes]]]
    commit: ClassVar[str]

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[0] == "api":
            self.api(parts[1], "/".join(parts[2:4]), parts[5] if len(parts) > 5 else None)
        elif parts[2] == "resolve":
            self.file(self.repos["models:" + "/".join(parts[:2])][parts[4]])

    def api(self, kind: str, name: str, revision: str | None) -> None:
        if name == "org/gated":
            self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        files = self.repos.get(f"{kind}:{name}")
        if files is None:
            self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        if revision not in (None, "main", self.commit):
            self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        siblings: list[dict[str, Any]] = []
        for file, content in files.items():
            entry = {"rfilename": file, "size": len(content), "blobId": git_id(content)}
            if file.endswith((".safetensors", ".bin", ".parquet")):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 1}
            siblings.append(entry)
        answer = {"id": name, "sha": self.commit, "siblings": siblings}
        self.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def file(self, content: bytes) -> None:
        headers = {"X-Repo-Commit": self.commit, "ETag": f'"{git_id(content)}"'}
        self.reply(200, content, headers)

    def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_LOCK", raising=False)
    path = tmp_path / "model_zoo.yaml"
    path.write_text(ZOO, encoding="utf-8")
    return load_zoo(path)


@pytest.fixture
def hub(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    class ThisHub(Hub):
        repos: ClassVar = {
            "models:org/name": dict(FILES),
            "models:org/tok": {"tokenizer.json": b"{}", "model.safetensors": b"", "a.md": b""},
            "models:org/pickled": {"config.json": b"{}", "pytorch_model-1-of-1.bin": b""},
            "models:org/one": {
                "config.json": b"{}",
                "tokenizer.json": b"{}",
                "pytorch_model.bin": pickle({"w": [1.0, 2.0]}),
                "training_args.bin": b"a program",
            },
            "datasets:org/data": {"one/test.parquet": b"1", "two/test.parquet": b"2"},
        }
        commit = COMMIT

    server = ThreadingHTTPServer(("127.0.0.1", 0), ThisHub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    # The library reads these when it is imported, which another test may have caused already.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    yield ThisHub
    server.shutdown()
    server.server_close()


def test_the_hubs_commits_and_digests_are_pinned(zoo: Zoo, hub: type[Hub]) -> None:
    lock = make_lock(zoo, [("org/data", "two"), ("org/none", None)], None, None)
    assert lock.models["org/name"] == Pin(
        "hub",
        COMMIT,
        {
            "config.json": f"git:{git_id(FILES['config.json'])}",
            "model.safetensors": f"sha256:{sha256(FILES['model.safetensors'])}",
            "tokenizer.json": f"git:{git_id(FILES['tokenizer.json'])}",
        },
    )
    assert set(lock.models["org/tok"].files) == {"tokenizer.json"}
    assert lock.datasets == {
        "org/data/two": Pin("hub", COMMIT, {"two/test.parquet": f"sha256:{sha256(b'2')}"})
    }
    assert set(lock.unresolved) == {"org/gated", "org/none/default", "org/pickled"}
    assert "is gated: accept its terms" in lock.unresolved["org/gated"]
    assert "knows no org/none" in lock.unresolved["org/none/default"]
    assert "pickles only (pytorch_model-1-of-1.bin)" in lock.unresolved["org/pickled"]


def test_what_was_written_is_read_back(zoo: Zoo, hub: type[Hub], tmp_path: Path) -> None:
    lock = make_lock(zoo, [("org/data", None)], None, None)
    path = tmp_path / "harness.lock.yaml"
    write_lock(lock, path)
    again = read_lock(path)
    assert (again.models, again.datasets) == (lock.models, lock.datasets)
    assert (again.unresolved, again.path) == (lock.unresolved, path)
    write_lock(Lock(), path)
    assert read_lock(path) == Lock(path=path)


def test_what_strangers_call_things_can_be_read_back(tmp_path: Path) -> None:
    path, files = tmp_path / "harness.lock.yaml", {"\U0001f600\u2028\x7f\x1b.csv": A}
    write_lock(Lock({}, {"a/b": Pin("mirror", None, files)}, {"c": "\U0001f600 \x1b[2J"}), path)
    lock = read_lock(path)
    assert lock.datasets == {"a/b": Pin("mirror", None, files)}
    assert lock.unresolved == {"c": "\U0001f600 [2J"}


@pytest.mark.parametrize(
    "name", [b"\xff.jsonl", b"\x01" * 200 + b".jsonl"], ids=["not UTF-8", "too long"]
)
def test_a_name_that_cannot_be_written_down_is_unresolved(
    zoo: Zoo, tmp_path: Path, name: bytes
) -> None:
    folder = tmp_path / "data" / "org" / "data" / "default"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(name)).write_bytes(ROW)
    path = tmp_path / "harness.lock.yaml"
    write_lock(make_lock(zoo, [("org/data", None)], None, tmp_path / "data"), path)
    assert "cannot be written down" in read_lock(path).unresolved["org/data/default"]


def test_what_is_no_digest_and_no_commit_is_unresolved(zoo: Zoo, hub: type[Hub]) -> None:
    hub.commit = "main"
    lock = make_lock(zoo, [], None, None)
    assert "names 'main' as its commit, which is none" in lock.unresolved["org/name"]
    assert not lock.models


def test_offline_nothing_is_invented(zoo: Zoo) -> None:
    lock = make_lock(zoo, [("org/data", None)], None, None)
    assert (lock.models, lock.datasets) == ({}, {})
    assert set(lock.unresolved) == {
        *("org/name", "org/one", "org/pickled", "org/gated", "org/tok", "org/data/default")
    }
    assert all("HF_HUB_OFFLINE=1" in reason for reason in lock.unresolved.values())


def test_mirrors_are_pinned_by_their_files(zoo: Zoo, tmp_path: Path) -> None:
    models, data = tmp_path / "models", tmp_path / "data"
    checkpoint(models / "org" / "name")
    (data / "org" / "data" / "two").mkdir(parents=True)
    (data / "org" / "data" / "two" / "test.jsonl").write_bytes(ROW)
    lock = make_lock(zoo, [("org/data", "two"), ("org/data", "one")], models, data)
    pin = lock.models["org/name"]
    assert (pin.origin, pin.commit) == ("mirror", None)
    assert pin.files["model.safetensors"] == f"sha256:{sha256(safetensors())}"
    assert lock.datasets["org/data/two"].files == {"test.jsonl": f"sha256:{sha256(ROW)}"}
    assert f"no org/data/one/ in {data}" in lock.unresolved["org/data/one"]


def test_the_hubs_cache_is_pinned_with_its_commit(zoo: Zoo, tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--org--name"
    checkpoint(repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    pin = make_lock(zoo, [], None, None).models["org/name"]
    assert (pin.origin, pin.commit) == ("hub cache", COMMIT)


def test_weights_without_the_tokenizer_that_they_need_are_not_pinned(
    zoo: Zoo, tmp_path: Path
) -> None:
    """The tokenizer that is fetched later would not be one of the pin's files."""
    repo = tmp_path / "hub" / "models--org--name"
    folder = checkpoint(repo / "snapshots" / COMMIT, tokenizer=False)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    lock = make_lock(zoo, [], None, None)
    assert "org/name" not in lock.models
    assert lock.unresolved["org/name"] == f"{folder} holds no tokenizer"
    mirror = checkpoint(tmp_path / "models" / "org" / "name", tokenizer=False)
    lock = make_lock(zoo, [], tmp_path / "models", None)
    assert lock.unresolved["org/name"] == f"{mirror} holds no tokenizer"


def test_weights_whose_tokenizer_is_another_models_are_pinned_alone(
    zoo: Zoo, tmp_path: Path
) -> None:
    text = zoo.path.read_text().replace(
        "{hub: org/name}", "{hub: org/name}, tokenizer: {hub: org/tok}"
    )
    zoo.path.write_text(text)
    checkpoint(tmp_path / "models" / "org" / "name", tokenizer=False)
    lock = make_lock(load_zoo(zoo.path), [], tmp_path / "models", None)
    assert "tokenizer.json" not in lock.models["org/name"].files


def test_a_model_is_fetched_at_the_pinned_commit_and_checked(
    zoo: Zoo, hub: type[Hub], tmp_path: Path
) -> None:
    path = tmp_path / "harness.lock.yaml"
    write_lock(make_lock(zoo, [], None, None), path)
    told: list[str] = []
    artifact = resolve(zoo.get("hubbed"), zoo, progress=told.append)
    assert artifact.revision == COMMIT
    assert told == ["hubbed: fetching org/name from the hub (0 MB)"]
    assert sorted(artifact.files) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert not (artifact.path / "pytorch_model.bin").exists()
    told.clear()
    assert resolve(zoo.get("hubbed"), zoo, progress=told.append) == artifact
    assert told == []

    hub.commit = OTHER
    write_lock(Lock({"org/name": Pin("hub", COMMIT.replace("c", "f"), {})}), path)
    with pytest.raises(WeightsError, match="org/name has no revision 'ffff"):
        resolve(zoo.get("hubbed"), zoo)


def test_what_was_fetched_once_serves_offline(
    zoo: Zoo, hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolve(zoo.get("hubbed"), zoo)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(zoo.get("hubbed"), zoo) == first
    write_lock(
        Lock({"org/name": Pin("hub", OTHER, {"config.json": f"git:{git_id(b'')}"})}),
        Path("harness.lock.yaml"),
    )
    with pytest.raises(WeightsError, match=f"at the pinned commit {OTHER}"):
        resolve(zoo.get("hubbed"), zoo)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_bytes_that_are_not_as_announced_are_refused_and_fetched_again(
    zoo: Zoo, hub: type[Hub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
) -> None:
    """The library compares sizes only: as many other bytes would pass for the model."""
    reply, right = hub.file, FILES[file]

    def wrong(self: Hub, content: bytes) -> None:
        reply(self, bytes(byte ^ 1 for byte in content) if content == right else content)

    with monkeypatch.context() as patched:
        patched.setattr(hub, "file", wrong)
        for _ in range(2):
            with pytest.raises(WeightsError) as error:
                resolve(zoo.get("hubbed"), zoo)
            message = str(error.value)
            assert f"{file} of org/name did not come as the hub announced it" in message
            assert "run the same command again" in message
    assert not list((tmp_path / "hub" / "models--org--name" / "snapshots").rglob(file))
    artifact = resolve(zoo.get("hubbed"), zoo)
    assert artifact.files[file] == sha256(right)


def test_a_fetch_by_commit_that_was_broken_off_is_gone_on_with(
    zoo: Zoo, hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its commit a folder is found in the cache without a word of whether it is whole."""
    zoo.path.write_text(
        f"{ZOO}  at: {{family: f, stage: base, source: {{hub: org/name@{COMMIT}}}}}"
    )
    zoo = load_zoo(zoo.path)
    reply = hub.file

    def refused(self: Hub, content: bytes) -> None:
        if content == FILES["tokenizer.json"]:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            reply(self, content)

    with monkeypatch.context() as patched:
        patched.setattr(hub, "file", refused)
        with pytest.raises(WeightsError, match="the hub did not give org/name"):
            resolve(zoo.get("at"), zoo)
    assert set(resolve(zoo.get("at"), zoo).files) == {
        *("config.json", "model.safetensors", "tokenizer.json")
    }


def test_weights_that_another_program_fetched_get_their_tokenizer(
    zoo: Zoo, hub: type[Hub], tmp_path: Path
) -> None:
    repo = tmp_path / "hub" / "models--org--name"
    folder = checkpoint(repo / "snapshots" / COMMIT, tokenizer=False)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    artifact = resolve(zoo.get("hubbed"), zoo)
    assert (artifact.path, artifact.revision) == (folder, COMMIT)
    assert "tokenizer.json" in artifact.files


def test_a_pinned_tokenizer_that_was_fetched_in_part_is_gone_on_with(
    zoo: Zoo, hub: type[Hub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(hub.repos["models:org/tok"], "tokenizer_config.json", b"{}")
    write_lock(make_lock(zoo, [], None, None), tmp_path / "harness.lock.yaml")
    checkpoint(tmp_path / "mine", tokenizer=False)
    broken_off = tmp_path / "hub" / "models--org--tok" / "snapshots" / COMMIT
    broken_off.mkdir(parents=True)
    (broken_off / "tokenizer.json").write_bytes(b"{}")
    files = resolve(zoo.get("bare"), zoo).files
    assert {"tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"} <= set(files)


def test_what_the_hub_refuses_is_explained(zoo: Zoo, hub: type[Hub]) -> None:
    with pytest.raises(WeightsError, match="gated: org/gated is gated: accept its terms"):
        resolve(zoo.get("gated"), zoo)
    with pytest.raises(WeightsError, match=r"pickles only \(pytorch_model-1-of-1\.bin\)"):
        resolve(zoo.get("pickled"), zoo)


def test_a_pickle_of_the_hub_is_pinned_fetched_and_converted(
    zoo: Zoo, hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, spec = tmp_path / "harness.lock.yaml", zoo.get("one")
    write_lock(make_lock(zoo, [], None, None), path)
    pin = read_lock(path).models["org/one"]
    assert set(pin.files) == {"config.json", "tokenizer.json", "pytorch_model.bin"}
    first = resolve(spec, zoo)
    assert set(first.files) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert first.revision == COMMIT
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(spec, zoo) == first
    write_lock(Lock({"org/one": replace(pin, files={**pin.files, "pytorch_model.bin": A})}), path)
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is not the one that is pinned"):
        resolve(spec, zoo)


def test_a_mirror_is_held_to_what_the_hub_said(zoo: Zoo, hub: type[Hub], tmp_path: Path) -> None:
    path, models = tmp_path / "harness.lock.yaml", tmp_path / "models"
    write_lock(make_lock(zoo, [], None, None), path)
    folder = checkpoint(models / "org" / "name")
    resolve(zoo.get("hubbed"), zoo, models)

    (folder / "config.json").write_text('{"model_type": "mamba"}', encoding="utf-8")
    with pytest.raises(WeightsError) as caught:
        resolve(zoo.get("hubbed"), zoo, models)
    message = str(caught.value)
    assert "config.json is not the one that is pinned" in message
    assert git_id(FILES["config.json"]) in message
    assert git_id(b'{"model_type": "mamba"}') in message
    (folder / "config.json").write_bytes(FILES["config.json"])

    (folder / "model.safetensors").write_bytes(safetensors(5))
    with pytest.raises(WeightsError, match=sha256(safetensors(5))):
        resolve(zoo.get("hubbed"), zoo, models)
    (folder / "model.safetensors").write_bytes(safetensors())

    (folder / "vocab.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"holds vocab\.json, which .* does not pin"):
        resolve(zoo.get("hubbed"), zoo, models)
    (folder / "vocab.json").unlink()
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_text("")
    with pytest.raises(WeightsError, match=r"lacks tokenizer\.json, which .* pins"):
        resolve(zoo.get("hubbed"), zoo, models)


def test_a_pinned_tokenizer_is_checked_too(zoo: Zoo, tmp_path: Path) -> None:
    models = tmp_path / "models"
    checkpoint(tmp_path / "mine", tokenizer=False)
    tokenizer = checkpoint(models / "org" / "tok")
    write_lock(make_lock(zoo, [], models, None), tmp_path / "harness.lock.yaml")
    resolve(zoo.get("bare"), zoo, models)
    (tokenizer / "tokenizer.json").write_text('{"other": 1}')
    with pytest.raises(WeightsError, match=r"org/tok: tokenizer\.json is not the one"):
        resolve(zoo.get("bare"), zoo, models)


def test_data_is_held_to_the_lock_where_the_two_can_be_compared() -> None:
    mirror = Lock(datasets={"org/data/default": Pin("mirror", None, {"test.jsonl": "sha256:aa"})})
    check_dataset(None, "org/data", None, {"test.jsonl": "bb"}, None)
    check_dataset(mirror, "org/other", None, {"test.jsonl": "bb"}, None)
    check_dataset(mirror, "org/data", None, {"test.jsonl": "aa"}, None)
    check_dataset(mirror, "org/data", None, {}, COMMIT)
    with pytest.raises(DataError, match=r"it is sha256:bb, .* pins sha256:aa"):
        check_dataset(mirror, "org/data", None, {"test.jsonl": "bb"}, None)
    with pytest.raises(DataError, match=r"train\.jsonl is not pinned"):
        check_dataset(mirror, "org/data", None, {"train.jsonl": "aa"}, None)
    remote = Lock(datasets={"org/data/default": Pin("hub", COMMIT, {"x.parquet": "sha256:aa"})})
    check_dataset(remote, "org/data", None, {"test.jsonl": "bb"}, None)
    check_dataset(remote, "org/data", None, {}, COMMIT)
    with pytest.raises(DataError, match=f"at commit {DATA_COMMIT}, .* pins {COMMIT}"):
        check_dataset(remote, "org/data", None, {}, DATA_COMMIT)


def test_the_lock_file_is_searched_like_the_registry(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named.yaml"
    write_lock(Lock(unresolved={"here": "x"}), tmp_path / "harness.lock.yaml")
    write_lock(Lock(unresolved={"named": "x"}), named)
    found = find_lock()
    assert found is not None
    assert set(found.unresolved) == {"here"}
    monkeypatch.setenv("HARNESS_LOCK", str(named))
    found = find_lock()
    assert found is not None
    assert set(found.unresolved) == {"named"}
    named.unlink()
    with pytest.raises(RegistryError, match=r"cannot read .*named\.yaml"):
        find_lock()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schema: 2\n", "it is 2, this version reads 1: run `harness lock` again"),
        ("schema: 1\nmodel: {}\n", "unknown key 'model' in the file: did you mean 'models'"),
        ("schema: 1\nmodels: {a: {origin: web, files: {}}}\n", "unknown value 'web'"),
        (
            "schema: 1\nmodels: {a: {origin: hub, commit: abc, files: {}}}\n",
            "'abc' is not a commit",
        ),
        ("schema: 1\nmodels: {a: {origin: hub}}\n", "the key 'files' is missing"),
        ("schema: 1\nmodels: {a: {origin: hub, files: {f: 'md5:1'}}}\n", "is not a digest"),
    ],
)
def test_a_lock_file_is_read_strictly(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "harness.lock.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError) as caught:
        read_lock(path)
    assert says in str(caught.value)
    assert f"{path}:" in str(caught.value)


def test_keys_of_the_lock_file() -> None:
    assert (model_key("o/n", None), model_key("o/n", "v1")) == ("o/n", "o/n@v1")
    assert (dataset_key("o/d", None), dataset_key("o/d", "c")) == ("o/d/default", "o/d/c")
