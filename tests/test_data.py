"""Where data comes from, and every way in which it can be missing or broken."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import data
from harness.data import DataFolders, Dataset, data_folders, find, load
from harness.errors import DataError, UsageError
from tests.conftest import arc_row

ARC = Dataset("allenai/ai2_arc", "ARC-Easy", samples="arc")
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    data._why_no_hub.cache_clear()


@pytest.fixture
def mirror(tmp_path: Path, write_rows: Write) -> Path:
    folder = tmp_path / "mirror"
    write_rows(folder / "allenai/ai2_arc/ARC-Easy/test.jsonl", [arc_row(1), arc_row(2)])
    return folder


def test_a_mirror_serves(mirror: Path, tmp_path: Path) -> None:
    splits, record = load(find(ARC, DataFolders(tmp_path, mirror)))
    assert [row["id"] for row in splits["test"]] == ["q1", "q2"]
    assert record.origin == "mirror"
    assert list(record.files) == ["test.jsonl"] and len(record.files["test.jsonl"]) == 64


def test_gzipped_rows_serve(tmp_path: Path) -> None:
    path = tmp_path / "m/allenai/ai2_arc/ARC-Easy/test.jsonl.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress((json.dumps(arc_row(7)) + "\n").encode()))
    splits, _ = load(find(ARC, DataFolders(tmp_path, tmp_path / "m")))
    assert splits["test"][0]["id"] == "q7"


def test_another_name_of_the_data_set_finds_the_same_rows(
    tmp_path: Path, write_rows: Write
) -> None:
    write_rows(tmp_path / "openai/gsm8k/main/test.jsonl", [{"question": "q", "answer": "#### 1"}])
    assert find(Dataset("gsm8k", "main"), DataFolders(tmp_path, tmp_path)).origin == "mirror"


def test_nothing_serves_names_the_file_that_would(mirror: Path, tmp_path: Path) -> None:
    other = Dataset("allenai/ai2_arc", "ARC-Hard", samples="arc")
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        find(other, DataFolders(tmp_path, mirror))
    assert time.monotonic() - started < 15
    message = str(caught.value)
    assert "allenai/ai2_arc/ARC-Hard/test.jsonl" in message
    assert "ARC-Easy" in message, "the configs that are there are named"
    assert "--data" in message and "--samples" in message


def test_an_unreachable_hub_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """192.0.2.0/24 is reserved for documentation (RFC 5737): nothing ever answers there.

    The promise is 2 s; the bound here only tells giving up from hanging, on any machine.
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://192.0.2.1:9")
    started = time.monotonic()
    with pytest.raises(DataError, match="the hub cannot be reached"):
        find(ARC, DataFolders(tmp_path))
    assert time.monotonic() - started < 15


def test_the_hubs_cache_serves_without_a_network(tmp_path: Path) -> None:
    import pandas

    commit = "0" * 40
    repo = tmp_path / "hf" / "hub" / "datasets--org--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    folder = repo / "snapshots" / commit / "easy"
    folder.mkdir(parents=True)
    pandas.DataFrame([arc_row(3)]).to_parquet(folder / "test-00000-of-00001.parquet")
    configs = "- config_name: easy\n  data_files:\n  - {split: test, path: easy/test-*}\n"
    (folder.parent / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    splits, record = load(find(Dataset("org/name", "easy"), DataFolders(tmp_path)))
    assert splits["test"][0]["id"] == "q3"
    assert record.origin == "hub cache" and record.revision == commit


def test_a_missing_column_is_named_with_its_line(tmp_path: Path, write_rows: Write) -> None:
    row = arc_row(2)
    del row["answerKey"]
    write_rows(tmp_path / "allenai/ai2_arc/ARC-Easy/test.jsonl", [arc_row(1), row])
    with pytest.raises(DataError, match="line 2: the row lacks the column answerKey"):
        load(find(ARC, DataFolders(tmp_path, tmp_path)))


def test_a_torn_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "allenai/ai2_arc/ARC-Easy/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(arc_row(1)) + '\n{"id": "q2", "ques', "utf-8")
    with pytest.raises(DataError, match=r"test\.jsonl, line 2: not JSON"):
        load(find(ARC, DataFolders(tmp_path, tmp_path)))


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "allenai/ai2_arc/ARC-Easy/test.jsonl.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(json.dumps(arc_row(1)).encode() * 50)[:-20])
    with pytest.raises(DataError, match=r"test\.jsonl\.gz cannot be read"):
        load(find(ARC, DataFolders(tmp_path, tmp_path)))


def test_a_data_folder_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        data_folders(tmp_path, str(tmp_path / "nowhere"), False)


def test_samples_are_chosen_by_column(sample_folders: DataFolders) -> None:
    astronomy = Dataset(
        "cais/mmlu", "astronomy", samples="mmlu", samples_where=("subject", "astronomy")
    )
    splits, record = load(find(astronomy, sample_folders))
    assert record.origin == "samples"
    assert set(splits["test"]["subject"]) == {"astronomy"}


def test_a_data_set_without_samples_says_so(sample_folders: DataFolders) -> None:
    with pytest.raises(DataError, match="no samples are shipped"):
        find(Dataset("x/y"), sample_folders)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1}\n{"a": "text"}\n', "do not make a table"),
        (b'{"a": "\\ud800"}\n', "line 1: it holds .* half a pair of UTF-16"),
        (b'{"a": 1}\n[2]\n', "line 2: a row must be an object"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "holds no rows"),
    ],
)
def test_odd_files_are_explained(tmp_path: Path, content: bytes, words: str) -> None:
    from harness.lm_eval_definition import Part
    from harness.lm_eval_task import open_lm_eval_task
    from harness.open_task import TaskContext

    path = tmp_path / "org/name/default/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    part = Part("arc/arc_easy.yaml", None, Dataset("org/name"))
    with pytest.raises(DataError, match=words):
        open_lm_eval_task([part], TaskContext(DataFolders(tmp_path, tmp_path)))


def test_what_is_no_archive_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "org/name/default/test.jsonl.gz"
    path.parent.mkdir(parents=True)
    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    for content in (b"plain text", whole[:20] + b"\0" * 20 + whole[40:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            load(find(Dataset("org/name"), DataFolders(tmp_path, tmp_path)))


def test_a_byte_order_mark_and_any_line_separator_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "org/name/default/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbf" + '{"a": "one\u2028line"}\r\n{"a": "two"}\r\n'.encode())
    splits, _ = load(find(Dataset("org/name"), DataFolders(tmp_path, tmp_path)))
    assert splits["test"]["a"][:] == ["one\u2028line", "two"]


def test_a_mirror_without_the_scored_split_does_not_serve(
    tmp_path: Path, write_rows: Write
) -> None:
    write_rows(tmp_path / "Rowan/hellaswag/default/test.jsonl", [{"a": 1}])
    with pytest.raises(DataError, match=r"Rowan/hellaswag/default/validation\.jsonl"):
        find(Dataset("Rowan/hellaswag", split="validation"), DataFolders(tmp_path, tmp_path))


def test_splits_of_any_name_are_read(tmp_path: Path, write_rows: Write) -> None:
    write_rows(tmp_path / "org/name/default/devtest.jsonl", [{"a": 1}])
    found = find(Dataset("org/name", split="devtest"), DataFolders(tmp_path, tmp_path))
    assert list(found.files) == ["devtest"]
