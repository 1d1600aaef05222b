"""Memory of this process: what it can still take, its peak, and giving back what is free."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from pathlib import Path

import psutil

from harness.cgroups import memory_limits

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def available_memory(system: Path = Path("/")) -> int:
    """Bytes of main memory that can still be taken: what the system has free, or what the limits of
    a container or batch job leave, if that is less.

    Args:
        system: the folder that holds ``proc`` and ``sys``.
    """
    free = int(psutil.virtual_memory().available)
    return min([free, *(each.free for each in memory_limits(system))])


def total_memory(system: Path = Path("/")) -> int:
    """Bytes of main memory that this process could take at most, were all of it free.

    Args:
        system: the folder that holds ``proc`` and ``sys``.
    """
    total = int(psutil.virtual_memory().total)
    return min([total, *(each.limit for each in memory_limits(system))])


def reset_peak_resident() -> None:
    """Forget the peak so far, where the system can (Linux: ``clear_refs`` 5, see proc(5))."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_resident() -> int | None:
    """Peak resident bytes since the last reset (since the start, where no reset is possible)."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def give_back_free_memory() -> None:
    """Return to the system what the allocator keeps of freed memory (glibc; nothing elsewhere)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
