"""Mixtures that were made: where they lie, and the files of their splits."""

from __future__ import annotations

from pathlib import Path

from harness.prepared import cache_folder


def mixture_folder(name: str, limit: int | None = None) -> Path:
    """Where a mixture is made unless it is said otherwise; one of some rows has its own place."""
    trial = f"-first-{limit}" if limit is not None else ""
    return cache_folder() / "mixtures" / f"{name}{trial}"
