"""Hostile data sets: scripts, bombs, lines without end, cards that name files of this machine."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness import hub, row_files
from harness.data import Dataset, FoundData, load
from harness.errors import DataError

SECRET = "the secret of this machine"


def read(path: Path) -> Any:
    return load(FoundData(Dataset("o/n"), "mirror", {"test": path}))[0]["test"]


def test_a_gzip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 KB that unpack to 20 MB, where 1 MB is allowed: it is read no further than that."""
    monkeypatch.setattr(row_files, "LARGEST_FILE", 1_000_000)
    bomb = tmp_path / "test.jsonl.gz"
    with gzip.open(bomb, "wb") as file:
        for _ in range(200):
            file.write(json.dumps({"a": "x" * 100_000}).encode() + b"\n")
    assert bomb.stat().st_size < 50_000
    with pytest.raises(DataError, match=r"more than 1,000,000 bytes unpacked, which no benchmark"):
        read(bomb)


@pytest.mark.parametrize("packed", [True, False])
def test_a_line_without_end_is_stopped(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse terabyte, and a packed bomb in one line: neither is held in memory."""
    monkeypatch.setattr(row_files, "LONGEST_LINE", 1_000_000)
    path = tmp_path / f"test.jsonl{'.gz' if packed else ''}"
    if packed:
        path.write_bytes(gzip.compress(b'{"a": "' + bytes(20_000_000)))
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(DataError, match=r"line 1 has more than 1,000,000 bytes"):
        read(path)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"a": ' + "[" * 100_000, "line 2: not JSON that can be read .maximum recursion depth"),
        ('{"a": ' + "9" * 6_000 + "}", "line 2: not JSON that can be read .*4300 digits"),
        ('{"a": ' + "[" * 900 + "]" * 900 + "}", "rows do not make a table"),
        ('{"a": "\\ud800"}', r"line 2: it holds '\\ud800', half a pair of UTF-16"),
        ('{"a": 99999999999999999999999}', "rows do not make a table"),
    ],
)
def test_a_hostile_row_is_explained(row: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"a": 1}\n' + row + "\n", "utf-8")
    with pytest.raises(DataError, match=says):
        read(path)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub cache's folder of a data set, with a file of rows."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "hub/datasets--o--n/snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text('{"a": "a row"}\n', "utf-8")
    (tmp_path / "secret.jsonl").write_text(json.dumps({"a": SECRET}) + "\n", "utf-8")
    return folder


def serve(snapshot: Path, **options: Any) -> Any:
    dataset = Dataset("o/n", load_options=options)
    return load(FoundData(dataset, "hub cache", snapshot=snapshot))[0]


def test_a_loading_script_is_refused(snapshot: Path) -> None:
    (snapshot / f"{snapshot.name}.py").write_text("open('was-run', 'w')\n", "utf-8")
    with pytest.raises(DataError, match="scripts are no longer supported"):
        serve(snapshot, trust_remote_code=True)
    assert not Path("was-run").exists()


def card(place: Any) -> str:
    files = json.dumps([{"split": "test", "path": place}])
    return f"---\nconfigs:\n- config_name: default\n  data_files: {files}\n---\n# A data set\n"


@pytest.mark.parametrize(
    "place",
    [
        "../../../../secret.jsonl",
        "a/../../../../../secret.jsonl",
        "/etc/passwd",
        "~/secret.jsonl",
        "file:///etc/passwd",
        "http://127.0.0.1:9/x.jsonl",
        "zip://x.jsonl::/tmp/x.zip",
        ["test.jsonl", "../../../../secret.jsonl"],
    ],
)
def test_a_card_names_no_file_elsewhere(snapshot: Path, place: Any) -> None:
    """`datasets` would read the user's file into the records of the run."""
    (snapshot / "README.md").write_text(card(place), "utf-8")
    with pytest.raises(DataError, match=r"names '.*' as data: the files of a data set are those"):
        serve(snapshot)


@pytest.mark.parametrize("before", ["\n", "\r\n \t\n", "  ", "\u2003\n", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_card_is_read_as_the_library_reads_it(snapshot: Path, before: str, end: str) -> None:
    """huggingface_hub finds the head behind blanks and empty lines, too."""
    written = before + card("../../../../secret.jsonl").replace("\n", end)
    if end == "\r":
        written = written.replace("---\r#", "---\n#")  # after its end it takes no such line
    (snapshot / "README.md").write_bytes(written.encode())
    with pytest.raises(DataError, match=r"README.md names '\.\./.*' as data"):
        serve(snapshot)


def test_the_second_card_is_held_to_the_same(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` takes what .huggingface.yaml says before what README.md says."""
    (snapshot / "README.md").write_text(card("test.jsonl"), "utf-8")
    second = snapshot / ".huggingface.yaml"
    second.write_text(card("../../../../secret.jsonl").split("---")[1], "utf-8")
    with pytest.raises(DataError, match=r"huggingface.yaml names '\.\./.*' as data"):
        serve(snapshot)
    there = hub.RemoteRepo("a" * 40, {".huggingface.yaml": "git:0"}, {})
    monkeypatch.setattr(hub, "remote", lambda *_: there)
    monkeypatch.setattr(hub, "dataset_file", lambda name, commit, file: snapshot / file)
    with pytest.raises(DataError, match=r"huggingface.yaml names '\.\./.*' as data"):
        load(FoundData(Dataset("o/n"), "hub"))
    second.write_text("license: mit\n", "utf-8")
    assert serve(snapshot)["test"]["a"] == ["a row"]


def test_a_card_that_names_its_own_files_serves(snapshot: Path) -> None:
    (snapshot / "README.md").write_text(card("test.jsonl"), "utf-8")
    assert serve(snapshot)["test"]["a"] == ["a row"]


def test_a_card_on_the_hub_is_read_before_its_files(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snapshot / "README.md").write_text(card("/etc/passwd"), "utf-8")
    there = hub.RemoteRepo("a" * 40, {"README.md": "git:0"}, {})
    monkeypatch.setattr(hub, "remote", lambda *_: there)
    monkeypatch.setattr(hub, "dataset_file", lambda name, commit, file: snapshot / file)
    with pytest.raises(DataError, match=r"names '/etc/passwd' as data"):
        load(FoundData(Dataset("o/n"), "hub"))


def test_the_folder_is_the_configuration_where_the_card_has_none(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the cache as from the hub; rows are read whole, of the commit that was looked up."""
    import datasets

    (snapshot / "test.jsonl").unlink()
    (snapshot / "README.md").write_text("---\nlicense: mit\n---\n", "utf-8")
    for folder in ("a", "b"):
        (snapshot / folder).mkdir()
        (snapshot / folder / "test.jsonl").write_text(f'{{"a": "of {folder}"}}\n', "utf-8")
    options = {"data_dir": "a", "revision": "main", "streaming": True}
    dataset = Dataset("o/n", "a", load_options=options)
    splits, record = load(FoundData(dataset, "hub cache", snapshot=snapshot))
    assert splits["test"]["a"] == ["of a"] and record.config == "a"

    asked: list[Any] = []
    monkeypatch.setattr(hub, "remote", lambda *_: hub.RemoteRepo("a" * 40, {}, {}))

    def load_dataset(*names: Any, **more: Any) -> dict[str, Any]:
        asked.append((names, more))
        return {}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    load(FoundData(dataset, "hub"))
    assert asked == [(("o/n", None), {"revision": "a" * 40, "data_dir": "a"})]


def test_how_files_are_read_holds_in_the_cache_too(snapshot: Path) -> None:
    (snapshot / "x.csv").write_text("q;a\n1;2\n", "utf-8")
    splits = serve(snapshot, data_files={"test": "x.csv"}, sep=";")
    assert splits["test"]["q"] == [1]


@pytest.mark.parametrize(
    "head", ["configs: " + "[" * 100_000, "configs: &a [*a]", "configs: !!python/name:os.system"]
)
def test_a_card_that_is_a_bomb_is_refused(snapshot: Path, head: str) -> None:
    (snapshot / "README.md").write_text(f"---\n{head}\n---\n", "utf-8")
    with pytest.raises(DataError, match=r"its card .* cannot be read"):
        serve(snapshot)
