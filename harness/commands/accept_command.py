"""`harness accept`: makes a run the committed baseline of its model, after showing what changes."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.commands.eval_command import runs_folder
from harness.commands.stored import runs_of, stored_runs
from harness.gate.baseline import accept, baseline_folder, changes
from harness.progress import note
from harness.report.wording import clean, metric_name, number
from harness.run_folder import RunFolder
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    stored = stored_runs(runs_folder(options))
    chosen = runs_of(options.run, stored, load_zoo(options.zoo), options)[0]
    baselines = Path(options.reports) / "baselines"
    place = baseline_folder(baselines, chosen.run.model.name)
    if place.exists():
        old = RunFolder(place).read()
        for each in changes(old, chosen.run):
            unit = old.results[each.task].estimates[each.metric].unit
            line = f"{number(each.old, unit)} -> {number(each.new, unit)}"
            docs = f"{each.docs[0]:,} -> {each.docs[1]:,} docs"
            print(f"{clean(each.task)}\t{metric_name(each.metric)}\t{line}\t{docs}")
        for task in sorted(set(chosen.run.results) - set(old.results)):
            print(f"{clean(task)}\tnew")
    written = accept(baselines, chosen, options.lower)
    note(f"baseline: {written} is now run {chosen.run.id}; commit it")
    return 0
