"""A child process that answers, watched: above its memory limit it is killed, and that is a result.

The limit is on resident memory, read from outside. A limit on address space would refuse what torch
maps and never touches.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
import psutil

from harness.errors import HarnessError
from tests.bench.messages import Ask, Failed, Loaded, Round, Setup, line
from tests.bench.necessary import Needed

LOOK_EVERY_SECONDS = 0.1
ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")


class ChildLost(HarnessError):
    """The child is gone; the message says why."""


class Child:
    """One side in its own process, loaded and waiting."""

    def __init__(self, setup: Setup, memory_limit: int) -> None:
        self._limit = memory_limit
        self._killed_at: int | None = None
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "setup.json"
        file.write_bytes(msgspec.json.encode(setup))
        self._errors = (Path(self._folder.name) / "stderr").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.child", str(file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._loaded: Loaded | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def loaded(self) -> Loaded:
        """What it loaded; waits for it.

        Raises:
            ChildLost: it could not.
        """
        if self._loaded is None:
            self._loaded = msgspec.convert(self._read(), Loaded)
        return self._loaded

    def answer(self, batch: int, first: int | None = None) -> Round | Failed:
        """Answer all requests, or the first so many, once."""
        try:
            answer = self._ask(Ask("answer", batch, first))
        except ChildLost as lost:
            return Failed(str(lost))
        if "reason" in answer:
            return msgspec.convert(answer, Failed)
        return msgspec.convert(answer, Round)

    def needed(self, texts: tuple[str, ...]) -> Needed:
        """What the requests need at the least (lm-eval's side only)."""
        return msgspec.convert(self._ask(Ask("needed", texts=texts)), Needed)

    def rate(self) -> float:
        """Operations per second of matrix multiplication."""
        return float(self._ask(Ask("rate")))

    @property
    def alive(self) -> bool:
        """Whether it can be asked more."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._done.set()
        if self.alive:
            self._process.kill()
        self._process.wait()
        self._watcher.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream:
                stream.close()
        self._folder.cleanup()

    def _ask(self, ask: Ask) -> Any:
        self.loaded  # noqa: B018  # the first line that it writes
        assert self._process.stdin
        try:
            self._process.stdin.write(line(ask))
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the end of its output says why
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        text = self._process.stdout.readline()
        if not text.endswith(b"\n"):
            raise ChildLost(self._why())
        return msgspec.json.decode(text)

    def _why(self) -> str:
        code = self._process.wait()
        if self._killed_at is not None:
            return f"killed at {self._killed_at / 2**30:.1f} GiB"
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        return f"ended with code {code}: {''.join(last)}"

    def _watch(self) -> None:
        try:
            process = psutil.Process(self._process.pid)
            while not self._done.wait(LOOK_EVERY_SECONDS):
                resident = process.memory_info().rss
                if resident > self._limit:
                    self._killed_at = resident
                    self._process.kill()
                    return
        except psutil.NoSuchProcess:
            return
