"""The machine: memory, processors, the device, how fast bfloat16 is, the browser for pictures."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.cgroups import memory_limits, processor_limit
from harness.doctor.finding import Finding
from harness.doctor.installed import version_of
from harness.environment import cores
from harness.memory import available_memory, total_memory

NEEDED_MEMORY = 1_100_000_000
"""Bytes: `smol` on the suite quick takes 1.04 GB at its peak."""
SIDE = 768
"""Of the square matrices whose products are timed: 0.9 billion operations, some ten ms a core."""
ROUNDS = 3


def memory_finding(system: Path = Path("/")) -> Finding:
    """Whether the default fits, with the limit of a container where that is the least.

    Args:
        system: the folder that holds ``proc`` and ``sys``.
    """
    free, total = available_memory(system), total_memory(system)
    detail = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB can be taken"
    least = min(memory_limits(system), key=lambda each: each.free, default=None)
    if least is not None and least.free <= free:
        detail += f", as {least.file} allows"
    if free >= NEEDED_MEMORY:
        return Finding("ok", "memory", detail)
    return Finding(
        "missing",
        "memory",
        detail,
        f"scoring the smallest model takes {NEEDED_MEMORY / 1e9:.1f} GB",
        "end other programs, or raise the limit of the container or job",
    )


def processor_finding(threads: int, system: Path = Path("/")) -> Finding:
    """Processors and threads, and whether a limit lets fewer of them run.

    Args:
        threads: that torch computes with.
        system: the folder that holds ``proc`` and ``sys``.
    """
    limit, here = processor_limit(system), cores()
    detail = f"{here}, {threads} {'thread' if threads == 1 else 'threads'} in use"
    if limit is not None:
        detail += f", a limit allows the time of {limit:g}"
    allowed = here if limit is None else min(here, limit)
    if threads > max(1, round(allowed)):
        few = max(1, round(allowed))
        cost = f"{threads} threads wait for one another"
        return Finding("note", "processors", detail, cost, f"OMP_NUM_THREADS={few}")
    if threads < round(allowed) and os.environ.get("OMP_NUM_THREADS"):
        cost = "scoring is slower than it could be"
        return Finding("note", "processors", detail, cost, "unset OMP_NUM_THREADS")
    return Finding("ok", "processors", detail)


def torch_findings() -> Iterator[Finding]:
    """Torch, the device that models run on, and how fast bfloat16 is there."""
    version = version_of("torch")
    if version is None:
        return  # said among the packages
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding(
            "missing",
            "torch",
            f"{version} cannot be loaded: {error}",
            "no model can be run",
            f"pip install --force-reinstall torch=={version.partition('+')[0]}",
        )
        return
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(0)
        memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        yield Finding("ok", "device", f"{torch.cuda.get_device_name(0)}, {memory}; torch {version}")
        supported = torch.cuda.is_bf16_supported(False)
    else:
        detail = f"CPU: torch {version} sees no GPU, so larger models are slow"
        yield Finding("ok", "device", detail)
        supported = None
    yield processor_finding(torch.get_num_threads())
    yield _bfloat16(supported, *([0.0, 0.0] if supported is not None else rates(torch)))


def rates(torch: Any) -> tuple[float, float]:
    """Billions of operations a second of a matrix product in float32 and in bfloat16, each the
    best of `ROUNDS`.
    """
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(SIDE, SIDE, dtype=dtype)
        matrix @ matrix  # once to prepare it
        best = float("inf")
        for _ in range(ROUNDS):
            start = time.perf_counter()
            matrix @ matrix
            best = min(best, time.perf_counter() - start)
        found.append(2 * SIDE**3 / best / 1e9)
    return found[0], found[1]


def _bfloat16(supported: bool | None, float32: float, bfloat16: float) -> Finding:
    """The class of speed: by the GPU's word, or by how the two rates stand to one another."""
    slower = "models that are stored in bfloat16, such as smol, are slower than they need be"
    mend = "--dtype float32 (DTYPE=float32), for twice the memory"
    if supported is not None:
        detail = f"the GPU {'computes' if supported else 'does not compute'} in it"
        return (
            Finding("ok", "bfloat16", detail)
            if supported
            else Finding("note", "bfloat16", detail, slower, mend)
        )
    ratio = bfloat16 / float32
    measured = f"{bfloat16:,.0f} GFLOP/s, float32 {float32:,.0f}"
    if ratio >= 1.25:
        return Finding("ok", "bfloat16", f"faster than float32 ({measured})")
    if ratio >= 0.8:
        return Finding("ok", "bfloat16", f"as fast as float32 ({measured})")
    return Finding("note", "bfloat16", f"slower than float32 ({measured})", slower, mend)


def browser_finding() -> Finding:
    """Chromium with its driver, which photographs pages; only a checkout can."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if not lacking:
        return Finding("ok", "chromium", "chromium and chromedriver are here")
    return Finding(
        "note",
        "chromium",
        f"not here: {', '.join(lacking)}",
        "make screenshots takes no pictures, and the tests in a browser skip",
        "apt-get install chromium chromium-driver",
    )
