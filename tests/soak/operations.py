"""Counts what this process does to files, and ends it at the n-th time, or in the middle of it."""

from __future__ import annotations

import builtins
import io
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMED = ("replace", "rename", "mkdir", "rmdir", "unlink", "utime")


@dataclass(frozen=True)
class Moment:
    """Where a process is killed.

    Attributes:
        number: before its how manieth operation, from 1 on; ``None`` lets it live, and counts.
        torn: whether the operation, if it is a write, is done by half before.
    """

    number: int | None
    torn: bool = False


class Operations:
    """Every write, sync, rename, removal and creation below some folders, from `install` on.

    Args:
        roots: the folders.
        moment: when to kill this process.
        log: gets a line per operation: its kind and path.
    """

    def __init__(self, roots: Sequence[Path], moment: Moment, log: Path) -> None:
        self._roots = tuple(f"{root.resolve()}{os.sep}" for root in roots)
        self._moment, self._count = moment, 0
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        self._os = {name: getattr(os, name) for name in (*_NAMED, "open", "write", "fsync")}

    def install(self) -> None:
        """Put counters in the place of this process's system calls; there is no way back."""
        for name in _NAMED:
            setattr(os, name, self._counted(name))
        replaced: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "write": self._write,
            "fsync": self._fsync,
        }
        for name, function in replaced.items():
            setattr(os, name, function)
        opened = io.open
        io.open = builtins.open = self._opener(opened)

    def at(self, kind: str, path: str, half: Callable[[], object] | None = None) -> None:
        """Count one operation; this is where the process ends if it is the one."""
        self._count += 1
        self._os["write"](self._log, f"{kind} {path}\n".encode())
        if self._count == self._moment.number:
            if half is not None and self._moment.torn:
                half()
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, path: Any) -> str | None:
        """The path as words, if it lies below one of the folders."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        words = os.path.abspath(os.fsdecode(path))
        return words if words.startswith(self._roots) else None

    def _counted(self, name: str) -> Callable[..., Any]:
        original = self._os[name]

        def call(path: Any, *rest: Any, **more: Any) -> Any:
            if words := self.watched(path):
                self.at(name, words)
            return original(path, *rest, **more)

        return call

    def _open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT and (words := self.watched(path)):
            self.at("create", words)
        descriptor: int = self._os["open"](path, flags, *rest, **more)
        return descriptor

    def _write(self, descriptor: int, data: Any) -> int:
        if words := self.watched(descriptor):
            self.at("write", words, lambda: self._half(descriptor, data))
        written: int = self._os["write"](descriptor, data)
        return written

    def _half(self, descriptor: int, data: Any) -> None:
        self._os["write"](descriptor, bytes(data)[: len(data) // 2])

    def _fsync(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        if words := self.watched(number):
            self.at("fsync", words)
        self._os["fsync"](descriptor)

    def _opener(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        operations = self

        class Watched(io.FileIO):
            def write(self, data: Any) -> int:
                data = bytes(data)
                words = operations.watched(self.fileno()) or "?"
                operations.at("write", words, lambda: super(Watched, self).write(_half_of(data)))
                return super().write(data)

        def open_(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
            writes = not isinstance(file, int) and set(mode) & set("wax+")
            words = operations.watched(file) if writes else None
            if words is None:
                return opened(file, mode, buffering, *rest, **more)
            operations.at("open", words)
            buffered = io.BufferedWriter(Watched(file, mode.replace("b", "").replace("t", "")))
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **more)

        return open_


def _half_of(data: bytes) -> bytes:
    return data[: len(data) // 2]
