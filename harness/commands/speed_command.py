"""`harness speed`: how fast models read and write, all of them in one run, in turn."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from harness.ancestry import check_ancestry
from harness.backends.backend import check_backend, check_dtype
from harness.errors import UsageError
from harness.progress import note
from harness.ready import load_options
from harness.records import Settings
from harness.sources import resolve
from harness.speed import RECORD, probe
from harness.storage import write_atomic
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    check_backend(options.backend)
    check_dtype(options.dtype)
    if options.backend == "api":
        raise UsageError(
            "what a server takes says nothing of the model alone: speed is probed on this machine, "
            "with --backend hf or lm_eval"
        )
    zoo = load_zoo(options.zoo)
    names = [name.strip() for given in options.models for name in given.split(",")]
    specs = [zoo.get(name) for name in filter(None, names)]
    if not specs:
        raise UsageError("no model is named: harness speed MODEL... (`harness list models`)")
    settings = Settings((), None, None, None, options.backend, options.dtype, None, False)
    models = []
    for spec in specs:
        if spec.judges:
            raise UsageError(f"{spec.name} marks answers and gives none: it has no speed to probe")
        check_ancestry(spec, zoo, options.models_dir)
        artifact = resolve(spec, zoo, options.models_dir, note)
        models.append((spec.name, load_options(settings, spec, artifact)))
    found = probe(models, options.backend, options.rounds, note)
    path = Path(options.reports) / RECORD
    content = msgspec.json.format(msgspec.json.encode(found))
    write_atomic(path, content + b"\n")
    if options.json:
        print(content.decode("utf-8"))
    else:
        from rich.console import Console

        from harness.report.terminal_speed import print_speed

        print_speed(found, Console())
    note(f"report: {path}")
    return 0
