"""`harness doctor`: what this machine has, what is missing, and what each missing piece costs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import harness
from harness.doctor import Finding, Where, examine
from harness.report.wording import clean

COLOURS = {"ok": "green", "missing": "red", "note": "yellow"}


def run(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 if the embedded default could not be scored here."""
    where = Where(
        options.reports,
        options.data,
        options.models_dir,
        options.zoo,
        options.tasks_dir,
        options.base_url,
    )
    # Of the project's own files only a checkout has this one.
    checkout = (Path(harness.__file__).resolve().parent.parent / "constraints.txt").is_file()
    findings = list(_told(examine(where, checkout), not options.json))
    lacking = [finding.what for finding in findings if finding.state == "missing"]
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        Console(soft_wrap=True).print("\n" + _verdict(lacking), highlight=False)
    return 1 if lacking else 0


def _told(findings: Iterator[Finding], print_them: bool) -> Iterator[Finding]:
    """Print each finding as it comes."""
    console = Console(soft_wrap=True)
    for finding in findings:
        if print_them:
            for line in lines(finding):
                console.print(line, highlight=False)
        yield finding


def lines(finding: Finding) -> list[str]:
    """A finding as lines with rich's markup: what is here, then what it costs and what mends it."""
    colour, indent = COLOURS[finding.state], " " * 9
    head = f"[{colour}]{finding.state:<9}[/{colour}]{escape(f'{finding.what:<12}')} "
    told = [head + escape(clean(finding.detail))]
    if finding.cost:
        told.append(f"{indent}cost: {escape(clean(finding.cost))}")
    if finding.mend:
        told.append(f"{indent}mend: {escape(clean(finding.mend))}")
    return told


def _verdict(lacking: Sequence[str]) -> str:
    if not lacking:
        return "The embedded default can be scored here: harness eval"
    return f"The embedded default cannot be scored here, for want of: {escape(', '.join(lacking))}"
