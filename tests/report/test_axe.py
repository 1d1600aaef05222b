"""Getting the accessibility checker: what is not the pinned file is never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report import axe
from tests.report.axe import NoAxe, axe_source


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    axe_source.cache_clear()
    yield tmp_path
    axe_source.cache_clear()


def test_another_file_is_refused(cache: Path) -> None:
    (cache / f"axe-core-{axe.VERSION}.tgz").write_bytes(b"alert(1)")
    with pytest.raises(NoAxe, match=r"is not axe-core .*; remove it"):
        axe_source()


def test_without_npm_it_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NoAxe, match=r"no npm to fetch axe-core with"):
        axe_source()
    assert list(cache.iterdir()) == []


def test_what_npm_says_is_passed_on(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = cache / "npm"
    npm.write_text("#!/bin/sh\necho 'no such package' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(npm))
    with pytest.raises(NoAxe, match=r"could not fetch axe-core .*: no such package"):
        axe_source()
