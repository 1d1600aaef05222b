"""Disks that fill: a small file system that grows a little whenever a run has failed on it."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.soak.compared import check_survived
from tests.soak.ground import Ground, ended_with, evaluation, next_command

FULL = "a full disk"
_LARGE = 64_000
"""Kilobytes in which everything has room."""


def why_not(folder: Path) -> str | None:
    """Why no disk can be filled here, or ``None``."""
    try:
        with _disk(folder / "tried"):
            return None
    except PermissionError as error:
        return str(error)


def filled(ground: Ground, chance: random.Random, times: int = 2) -> Counter[str]:
    """Let a run fail for want of room, several times, on a disk that is larger each time."""
    faults = Counter[str]()
    sizes = sorted(chance.randint(1, ground.kilobytes // 4) * 4 for _ in range(times))
    with _disk(ground.fresh()) as disk:
        reports = disk / "reports"
        command = evaluation()
        for kilobytes in sizes:
            _resize(disk, kilobytes)
            ended = ground.begin(command, reports).wait()
            ended_with(ended, 0, 1)
            if ended.code:
                assert "disk is full" in ended.said, ended.said
                faults[FULL] += 1
            command = next_command(reports, "tiny", chance.random() < 0.5)
        _resize(disk, _LARGE)
        ended_with(ground.begin(command, reports).wait(), 0)
        check_survived(reports, ground.expected)
    return faults


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mounted = _run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder))
    if mounted.returncode:
        raise PermissionError(f"no small disk can be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))
        folder.rmdir()


def _resize(folder: Path, kilobytes: int) -> None:
    _run("mount", "-o", f"remount,size={kilobytes}k", str(folder))


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 127, "", str(error))
