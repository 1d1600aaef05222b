"""What a container, a batch system or systemd allows this process: its control groups' limits.

The system's own figures (free memory, processors) know nothing of them. A process is in a group of
each hierarchy, and every group above it has its limits too: the smallest holds. Linux only;
elsewhere, and where nothing is limited, there is no limit to tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED = 1 << 60
"""Bytes from which a limit is none: version 1 writes the largest number that it knows."""


@dataclass(frozen=True)
class MemoryLimit:
    """One group's limit.

    Attributes:
        limit: bytes that its processes may hold together.
        used: bytes that they hold, less cached files that the system gives up when asked.
        file: where the limit is written.
    """

    limit: int
    used: int
    file: Path

    @property
    def free(self) -> int:
        """Bytes that can still be taken, at least 0."""
        return max(0, self.limit - self.used)


def memory_limits(system: Path = Path("/")) -> list[MemoryLimit]:
    """The memory limits that hold for this process, its own group's first, then those above it.

    Args:
        system: the folder that holds ``proc`` and ``sys``.
    """
    found: list[MemoryLimit] = []
    for folder in _groups(system, "memory", system / "sys/fs/cgroup/memory"):
        found += _memory(folder, ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_")
    for folder in _groups(system, "", system / "sys/fs/cgroup"):
        found += _memory(folder, ("memory.max", "memory.high"), "memory.current", "")
    return found


def processor_limit(system: Path = Path("/")) -> float | None:
    """Processors' worth of time that this process may use; ``None`` without a limit.

    Args:
        system: the folder that holds ``proc`` and ``sys``.
    """
    shares = []
    for folder in _groups(system, "cpu", system / "sys/fs/cgroup/cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and quota > 0 and period:
            shares.append(quota / period)
    for folder in _groups(system, "", system / "sys/fs/cgroup"):
        words = _text(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            shares.append(int(words[0]) / int(words[1]))
    return min(shares, default=None)


def _groups(system: Path, controller: str, mount: Path) -> Iterator[Path]:
    """The folders of a controller's groups that this process is in, innermost first.

    Inside a container the group is often named as the host knows it, and the container sees its
    own group as the top: folders that are not there are passed over, the top is always looked at.
    """
    for line in _text(system / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controller not in controllers.split(",") or (not controller and number != "0"):
            continue
        inner = PurePosixPath(name.lstrip("/"))
        if ".." not in inner.parts:
            for group in (inner, *inner.parents):
                if group.parts and (mount / group).is_dir():
                    yield mount / group
        yield mount


def _memory(folder: Path, names: tuple[str, ...], used: str, prefix: str) -> Iterator[MemoryLimit]:
    holds = _number(folder / used)
    if holds is None:
        return
    cached = 0
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == f"{prefix}inactive_file" and value.strip().isdigit():
            cached = int(value)
    for name in names:
        limit = _number(folder / name)
        if limit is not None and limit < UNLIMITED:
            yield MemoryLimit(limit, max(0, holds - cached), folder / name)


def _number(path: Path) -> int | None:
    """The whole number that a file holds; ``None`` without one (``max``: no limit)."""
    with contextlib.suppress(ValueError):
        return int(_text(path))
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
