"""Records on disk: round trips, torn files, other schemas, full disks."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from harness.errors import RecordError, StorageError
from harness.records import Row
from harness.run_folder import RowWriter, RunFolder, list_runs
from harness.storage import write_atomic
from tests.report.fixtures.runs import realistic

ROW = Row(
    doc_id="ab-0",
    index=0,
    group=None,
    prompt="Q <script>\n\u2028 ü",
    contexts=(),
    continuations=(" a", " b"),
    logprobs=(-1.5, -2.25),
    greedy=(True, False),
    text=None,
    target="a",
    scores={"acc": 1.0, "word_perplexity": (-10.0, 4.0)},
    unscored=None,
    truncated=False,
    request_digest="d",
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "runs" / "one")
    made.create()
    return made


def test_a_run_comes_back_as_it_was(folder: RunFolder) -> None:
    run = realistic()[0]
    folder.write(run)
    assert folder.read() == run
    assert list_runs(folder.path.parent) == [folder.path]


def test_rows_come_back_as_they_were(folder: RunFolder) -> None:
    writer = RowWriter(folder, "arc_easy")
    writer.append(ROW)
    writer.append(replace(ROW, index=1, unscored="no", scores={}))
    assert not folder.rows_path("arc_easy").exists(), "not before the task is finished"
    writer.finish()
    assert next(folder.rows("arc_easy")) == ROW
    assert not folder.rows_path("arc_easy", partial=True).exists()


def test_a_task_name_cannot_leave_the_folder(folder: RunFolder) -> None:
    for name in ("../../evil", "lm-eval:a/b", "..", "a\x00b"):
        assert folder.rows_path(name).resolve().parent == (folder.path / "rows").resolve()


def test_a_torn_record_is_refused_by_name(folder: RunFolder) -> None:
    folder.write(realistic()[0])
    path = folder.path / "run.json"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RecordError, match=r"run\.json is not a readable run"):
        folder.read()


def test_another_schema_is_refused_by_number(folder: RunFolder) -> None:
    folder.write(realistic()[0])
    path = folder.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(RecordError, match="schema 99, this version of the harness reads 1"):
        folder.read()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"it has no run\.json"):
        RunFolder(tmp_path).read()


@pytest.mark.parametrize("content", [b"", b"\xff{", b"[" * 100_000, b"[]", b"null"])
def test_whatever_stands_in_a_record_it_is_refused(folder: RunFolder, content: bytes) -> None:
    (folder.path / "run.json").write_bytes(content)
    with pytest.raises(RecordError, match=r"run\.json is not a readable run"):
        folder.read()


def test_a_record_that_is_a_folder_is_refused_and_listed(folder: RunFolder) -> None:
    (folder.path / "run.json").mkdir()
    with pytest.raises(RecordError, match=r"run\.json cannot be read: Is a directory"):
        folder.read()
    assert list_runs(folder.path.parent) == [folder.path]


def test_a_folder_that_may_not_be_entered_is_listed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (folder.path.parent / "notes.txt").touch()
    assert list_runs(folder.path.parent) == []
    monkeypatch.setattr(Path, "lstat", refuse)
    assert folder.path in list_runs(folder.path.parent)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(RecordError, match="cannot be read: Permission denied"):
        list_runs(folder.path.parent)


def test_rows_that_are_not_here_are_said_to_be_so(folder: RunFolder) -> None:
    with pytest.raises(RecordError, match=r"the rows of mmlu are not here.*baseline"):
        next(folder.rows("mmlu"))
    folder.rows_path("mmlu").mkdir()
    with pytest.raises(RecordError, match=r"mmlu\.jsonl cannot be read: Is a directory"):
        next(folder.rows("mmlu"))


def test_rows_written_with_a_unit_are_still_read(folder: RunFolder) -> None:
    """The field was dropped; a reader skips fields that it does not know."""
    old = json.loads(msgspec.json.encode(ROW)) | {"unit": "window-3"}
    folder.rows_path("arc_easy").write_text(json.dumps(old) + "\n")
    assert list(folder.rows("arc_easy")) == [ROW]


def test_a_torn_row_is_named_with_its_line(folder: RunFolder) -> None:
    writer = RowWriter(folder, "arc_easy")
    writer.append(ROW)
    writer.finish()
    with folder.rows_path("arc_easy").open("ab") as file:
        file.write(b'{"doc_id": "x", "ind')
    with pytest.raises(RecordError, match="line 2"):
        list(folder.rows("arc_easy"))


def test_a_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_atomic(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full: free some room"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path], "no debris"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_rows_on_a_really_full_device(folder: RunFolder) -> None:
    """/dev/full is a device on which every write fails with ENOSPC."""
    part = folder.rows_path("arc_easy", partial=True)
    part.symlink_to("/dev/full")
    writer = RowWriter(folder, "arc_easy")
    with pytest.raises(StorageError, match="the disk is full"):
        writer.append(ROW)
    writer.close()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*choose another folder"):
        RunFolder(tmp_path / "runs" / "one").create()
