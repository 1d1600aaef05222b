"""`harness lock`: write what every hub name of the registry and the tasks resolves to."""

from __future__ import annotations

import argparse
import json

from harness.catalog import load_catalog
from harness.data import data_folders
from harness.lock import write_lock
from harness.pinning import make_lock
from harness.progress import note
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 if anything could not be resolved."""
    zoo, catalog = load_zoo(options.zoo), load_catalog(options.tasks_dir)
    folders = data_folders(catalog.samples, options.data, False)
    datasets = sorted(
        {
            (dataset.name, dataset.config)
            for task in catalog.tasks.values()
            for dataset in task.datasets
            if dataset.on_hub
        },
        key=lambda pair: (pair[0], pair[1] or ""),
    )
    lock = make_lock(zoo, datasets, options.models_dir, folders.mirror)
    write_lock(lock, options.out)
    for name, reason in lock.unresolved.items():
        note(f"not resolved: {name}: {reason}")
    resolved = len(lock.models) + len(lock.datasets)
    if options.json:
        print(json.dumps({"file": str(options.out), "unresolved": dict(lock.unresolved)}))
    else:
        print(f"{options.out}: {resolved} resolved, {len(lock.unresolved)} not")
    return 1 if lock.unresolved else 0
