"""Folders that cannot be written, are full, are held or are not there."""

import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.doctor import places
from harness.doctor.finding import Where


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_LOCK", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("harness.doctor.places.shutil.disk_usage", lambda path: usage)


def states(where: Where, *, fetched: bool) -> dict[str, str]:
    return {each.what: each.state for each in places.disk_findings(where, fetched)}


def test_folders_that_are_not_there_yet_can_be_made(tmp_path: Path) -> None:
    where = Where(tmp_path / "a" / "b")
    assert states(where, fetched=False) == {"cache": "ok", "reports": "ok"}
    assert not (tmp_path / "a").exists(), "looking makes nothing"


def test_a_name_that_no_folder_can_have(tmp_path: Path) -> None:
    found = list(places.disk_findings(Where(tmp_path / ("x" * 300)), False))
    assert [each.what for each in found] == ["cache", "reports"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """900 MB are too little to fetch the default, and enough to score it where it is."""
    room(monkeypatch, 900_000_000)
    assert states(Where(tmp_path), fetched=False) == {"cache": "missing", "reports": "ok"}
    assert states(Where(tmp_path), fetched=True) == {"cache": "note", "reports": "ok"}
    room(monkeypatch, 40_000_000)
    found = list(places.disk_findings(Where(tmp_path), True))
    assert [each.state for each in found] == ["note", "missing"]
    assert "only 0.04 GB free" in found[1].detail and "--reports DIR" in found[1].mend


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    found = [each for each in places.disk_findings(Where(tmp_path / "reports"), True)]
    assert found[1].state == "missing" and "not a directory" in found[1].detail


def test_what_the_system_refuses_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only and full file systems show in no permission bits, and root passes all of those."""

    def refuse(**keywords: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("harness.doctor.places.tempfile.TemporaryFile", refuse)
    found = list(places.disk_findings(Where(tmp_path), False))
    assert [each.state for each in found] == ["missing", "missing"]
    assert "read-only file system" in found[0].detail and "HARNESS_CACHE=dir" in found[0].mend


def test_the_journal_is_counted(tmp_path: Path) -> None:
    assert "empty" in places.journal_finding(Where(tmp_path)).detail
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "a.jsonl").write_bytes(b"x" * 2_500_000)
    detail = places.journal_finding(Where(tmp_path)).detail
    assert detail == f"answers of 1 model in {tmp_path / 'journal'}, 2.5 MB"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal").write_text("")
    assert places.journal_finding(Where(tmp_path / "other")).state == "missing"


def test_what_another_process_writes_is_named(tmp_path: Path, cache: Path) -> None:
    (quiet,) = places.held_findings(Where(tmp_path))
    assert quiet.state == "ok"
    run, lock = tmp_path / "runs" / "20260101-a", cache / "packages" / ".made.lock"
    run.mkdir(parents=True)
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    held = [os.open(path, os.O_RDONLY) for path in (run, lock)]
    try:
        for descriptor in held:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        found = list(places.held_findings(Where(tmp_path)))
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert [each.state for each in found] == ["note", "note"]
    assert "20260101-a" in found[0].detail
    assert str(cache / "packages" / "made") in found[1].detail


def test_a_broken_lock_file_stops_everything(tmp_path: Path) -> None:
    assert places.lock_file_finding().state == "ok"
    (tmp_path / "harness.lock.yaml").write_text("schema: [")
    finding = places.lock_file_finding()
    assert finding.state == "missing" and "harness.lock.yaml:2" in finding.detail


def test_the_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.models_folder_finding(Where(tmp_path)).state == "ok"
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "gone"))
    gone = places.models_folder_finding(Where(tmp_path))
    assert gone.state == "missing" and f"HARNESS_MODELS={tmp_path / 'gone'}" in gone.detail
    (tmp_path / "models" / "org" / "name").mkdir(parents=True)
    where = Where(tmp_path, models=tmp_path / "models")
    assert places.models_folder_finding(where).state == "note", "no checkpoint in it"
    (tmp_path / "models" / "org" / "name" / "config.json").write_text("{}")
    assert places.models_folder_finding(where).detail.endswith("org/name")
