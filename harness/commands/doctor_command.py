"""`harness doctor`: what this machine has, what is missing, and what each missing piece costs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape

from harness import hub
from harness.catalog import load_catalog
from harness.data import data_folders, find
from harness.errors import HarnessError
from harness.prepared import cache_folder
from harness.sources import presence
from harness.zoo import load_zoo

NEEDED_DISK = 2_000_000_000
OPTIONAL = {
    "bitsandbytes": "int8 and nf4 models cannot be loaded: pip install 'lineup-harness[quant]'",
    "gptqmodel": "GPTQ and AWQ models cannot be loaded: pip install 'lineup-harness[quant]'",
    "trl": "models cannot be trained: pip install 'lineup-harness[train]'",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report: ``ok``, ``missing`` (something will not work) or ``note``."""

    state: str
    what: str
    detail: str


def run(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 if the embedded default could not be scored here."""
    findings = list(_findings(options))
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        console = Console(soft_wrap=True)
        colours = {"ok": "green", "missing": "red", "note": "yellow"}
        for finding in findings:
            colour = colours[finding.state]
            console.print(
                f"[{colour}]{finding.state:<8}[/{colour}]{finding.what:<14}{escape(finding.detail)}"
            )
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} at {sys.executable}")
    yield _torch()
    for package, cost in OPTIONAL.items():
        version = _version(package)
        yield Finding("ok", package, version) if version else Finding("note", package, cost)
    memory = psutil.virtual_memory().available
    enough = memory > 2_000_000_000
    yield Finding("ok" if enough else "missing", "memory", f"{memory / 1e9:.1f} GB available")
    yield from _folders(options)
    if reason := hub.unreachable():
        needed = "models need MODELS=dir or a cache, data sets DATA=dir"
        yield Finding("note", "hub", f"not reachable ({reason}): {needed}")
    else:
        yield Finding("ok", "hub", "reachable")
    yield from _data(options)
    yield from _models(options)


def _torch() -> Finding:
    version = _version("torch")
    if version is None:
        return Finding("missing", "torch", "no model can be run: pip install 'torch>=2.13,<2.14'")
    import torch

    if torch.cuda.is_available():
        return Finding("ok", "torch", f"{version}, {torch.cuda.get_device_name(0)}")
    return Finding("ok", "torch", f"{version}, CPU with {torch.get_num_threads()} threads")


def _folders(options: argparse.Namespace) -> Iterator[Finding]:
    for what, folder in (("cache", cache_folder()), ("reports", Path(options.reports))):
        existing = next(
            path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
        )
        free = shutil.disk_usage(existing).free
        if not os.access(existing, os.W_OK):
            yield Finding("missing", what, f"{folder} is not writable")
        elif free < NEEDED_DISK:
            yield Finding("missing", what, f"{folder}: only {free / 1e9:.1f} GB free, 2 are needed")
        else:
            yield Finding("ok", what, f"{folder}, {free / 1e9:.0f} GB free")


def _data(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        catalog = load_catalog(options.tasks_dir)
        folders = data_folders(catalog.samples, options.data, False)
    except HarnessError as error:
        yield Finding("missing", "tasks", str(error))
        return
    for task in catalog.tasks.values():
        try:
            origins = {find(dataset, folders).origin for dataset in task.datasets[:1]}
            yield Finding("ok", "data", f"{task.name}: {', '.join(sorted(origins))}")
        except HarnessError:
            names = ", ".join(sorted({dataset.name for dataset in task.datasets}))
            yield Finding("note", "data", f"{task.name}: no {names} here (DATA=dir would serve)")


def _models(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        zoo = load_zoo(options.zoo)
    except HarnessError as error:
        yield Finding("missing", "registry", str(error))
        return
    present = [n for n in zoo.models if presence(zoo.get(n), zoo, None).state == "present"]
    yield Finding(
        "ok", "models", f"{len(zoo.models)} in {zoo.path}; here: {', '.join(present) or 'none yet'}"
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
