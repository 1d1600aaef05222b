"""Processes that run one command and may be killed: forks of this one, which has imported all."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 120.0
"""Seconds after which a process counts as hanging."""

_CRASHED = 99


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; ``None`` if SIGKILL ended it, less than 0 if another signal did.
        said: all that it printed.
        seconds: how long it ran.
    """

    code: int | None
    said: str
    seconds: float


@dataclass(frozen=True)
class Process:
    """A process that runs a command."""

    number: int
    said: Path
    started: float

    def kill_after(self, seconds: float) -> Ended:
        """Kill it with SIGKILL after so many seconds, unless it has ended by then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            number, status = os.waitpid(self.number, os.WNOHANG)
            if number:
                return self._ended(status)
            time.sleep(0.003)
        os.kill(self.number, signal.SIGKILL)
        return self._ended(os.waitpid(self.number, 0)[1])

    def wait(self) -> Ended:
        """Wait until it has ended; one that hangs is killed, and that is a failure.

        Raises:
            AssertionError: it hangs.
        """
        ended = self.kill_after(LONGEST)
        assert ended.seconds < LONGEST, f"a command hangs:\n{ended.said}"
        return ended

    def _ended(self, status: int) -> Ended:
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        code = None if killed else os.waitstatus_to_exitcode(status)
        said = self.said.read_text("utf-8", "replace")
        return Ended(code, said, time.monotonic() - self.started)


def start(
    main: Callable[[Sequence[str]], int],
    command: Sequence[str],
    said: Path,
    prepare: Callable[[], None] = lambda: None,
) -> Process:
    """Fork, and run a command line there.

    Args:
        main: `harness.cli.main` or its like.
        command: its words.
        said: the file for what it prints.
        prepare: called in the new process, before the command.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    said.write_bytes(b"")
    number = os.fork()
    if number:
        return Process(number, said, time.monotonic())
    code = _CRASHED
    try:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        prepare()
        code = main(command)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
