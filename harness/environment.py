"""Where a run takes place, and how it was started: versions, machine, git commit, command."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from harness import __version__
from harness.credentials import struck_out
from harness.memory import total_memory
from harness.records import Environment

PACKAGES = ("torch", "transformers", "lm-eval", "tokenizers", "datasets", "numpy", "safetensors")
"""The packages whose version can change a score."""


def describe_environment(device: str) -> Environment:
    """Collect it; imports torch (for the number of threads), which a run has imported anyway.

    Args:
        device: where the model was loaded.
    """
    import torch

    named = device.startswith("cuda") and torch.cuda.is_available()
    return Environment(
        harness=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        processor=processor(),
        cores=cores(),
        threads=torch.get_num_threads(),
        memory_bytes=total_memory(),
        device=torch.cuda.get_device_name(device) if named else device,
        git_commit=_git_commit(),
        packages={name: version_of(name) for name in PACKAGES},
    )


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def program() -> list[str]:
    """The words that start this program the way it was started."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return [sys.executable, "-m", "harness"]
    if shutil.which(started.name) == str(started):
        return [started.name]
    return [os.path.relpath(started) if started.exists() else "harness"]


def describe_command() -> str:
    """What repeats this call: the harness's own environment variables, program and arguments, but
    no secrets.
    """
    settings = [
        f"{name}={shlex.quote(value)}"
        for name, value in sorted(os.environ.items())
        if name.startswith("HARNESS_") and value
    ]
    return struck_out(" ".join([*settings, shlex.join([*program(), *sys.argv[1:]])]))


def version_of(package: str) -> str:
    """An installed distribution's version, or ``not installed``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the harness's own checkout, with ``-dirty`` if it was changed; ``None`` in an
    installed copy.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            [
                "git",
                "-C",
                str(root),
                "describe",
                "--always",
                "--abbrev=40",
                "--dirty",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
