"""`harness gate`: may this model take the place of a committed baseline?"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.commands.compare_command import advice_for, runs_of, stored_runs
from harness.commands.eval_command import runs_folder
from harness.compare import StoredRun
from harness.errors import IncomparableRuns
from harness.gate.baseline import read_baseline
from harness.gate.decide import Outcome, decide
from harness.gate.policy import load_policy
from harness.progress import note
from harness.same_work import work_differences
from harness.storage import write_atomic
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command: 0 go on, 1 it fails, 2 wrong use, 3 too few docs."""
    policy = load_policy(options.policy, options.profile)
    base = read_baseline(Path(options.reports) / "baselines", options.baseline)
    stored = stored_runs(runs_folder(options))
    runs = runs_of(options.model, stored, load_zoo(options.zoo), options)
    model = _equal(base, runs)
    try:
        outcome = decide(base, model, policy)
    except IncomparableRuns as error:
        advice = advice_for(base.run, model.run)
        raise IncomparableRuns(error.base, error.model, error.differences, advice) from None
    _publish(outcome, options)
    return outcome.exit_code


def _equal(base: StoredRun, runs: Sequence[StoredRun]) -> StoredRun:
    """The newest run of the baseline's work, or the newest of all, to say what differs."""
    equal = (each for each in runs if not work_differences(base.run, each.run))
    return next(equal, runs[0])


def _publish(outcome: Outcome, options: argparse.Namespace) -> None:
    from rich.console import Console

    from harness.report.gate import outcome_markdown, print_outcome
    from harness.report.gate_ci import junit_xml, workflow_commands

    page = outcome_markdown(outcome)
    path = Path(options.reports) / "gate.md"
    write_atomic(path, page)
    if options.junit:
        write_atomic(options.junit, junit_xml(outcome))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(outcome)).decode("utf-8"))
    else:
        print_outcome(outcome, Console())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(outcome):
            print(line)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(page)
    note(f"report: {path}")
