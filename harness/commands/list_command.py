"""`harness list`: models as a lineage tree with what is present here; tasks; suites; runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.tree import Tree

from harness.catalog import Catalog, load_catalog
from harness.checkout import how_to_eval
from harness.errors import RecordError
from harness.lineage import Lineage
from harness.presence import Presence, presence
from harness.progress import note
from harness.recipe import SHORT
from harness.run_folder import RunFolder, list_runs
from harness.zoo import ModelSpec, Zoo, load_zoo

PIPE_WIDTH = 180
"""Columns where no terminal says how many it has."""


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    if options.what == "models":
        zoo = load_zoo(options.zoo)
        there = {name: presence(zoo.get(name), zoo, options.models_dir) for name in zoo.models}
        if options.json:
            _print_json([_model_row(zoo, name, there[name]) for name in zoo.models])
        else:
            for spec in zoo.models.values():
                if spec.parent is None:
                    console.print(_tree(zoo, spec, there), soft_wrap=False)
    elif options.what == "runs":
        runs = [_run_row(RunFolder(path)) for path in list_runs(Path(options.reports) / "runs")]
        if options.json:
            _print_json(runs)
        else:
            console.print(
                _table(runs) if runs else f"no runs yet: `{how_to_eval()}` makes the first"
            )
    else:
        catalog = load_catalog(options.tasks_dir)
        rows = _task_rows(catalog) if options.what == "tasks" else _suite_rows(catalog)
        if options.json:
            _print_json(rows)
        else:
            none = (
                f"no {options.what} in {catalog.folder}: --tasks-dir names the folder of task files"
            )
            console.print(_table(rows) if rows else escape(none))
    return 0


def _tree(zoo: Zoo, spec: ModelSpec, there: dict[str, Presence], tree: Tree | None = None) -> Tree:
    state = there[spec.name]
    how = f"[dim]{escape(_how(spec))}[/dim]"
    style = {"present": "green", "absent": "yellow", "not built": "dim"}[state.state]
    label = f"[bold]{spec.name}[/bold]  {how}  [{style}]{state.state}[/{style}]"
    if state.disk_bytes:
        label += f" [dim]{state.disk_bytes / 1e6:,.0f} MB[/dim]"
    if state.others or state.damage:
        label += f" [dim]({'damaged' if state.damage else 'its recipe has changed'})[/dim]"
    lines: list[RenderableType] = [label]
    if state.lineage is not None:
        recipe = f"[dim]{escape(_recipe(spec, state.lineage))}[/dim]"
        lines.append(Padding.indent(recipe, 2))
    branch = Tree(Group(*lines)) if tree is None else tree.add(Group(*lines))
    for child in zoo.children(spec.name):
        _tree(zoo, child, there, branch)
    return branch


def _how(spec: ModelSpec) -> str:
    if spec.source is not None:
        return str(spec.source)
    return spec.step.kind if spec.step is not None else ""


def _recipe(spec: ModelSpec, lineage: Lineage) -> str:
    """The recipe's id, what the registry writes of it, and what the step chose."""
    options = {**(spec.step.options if spec.step is not None else {}), **lineage.chosen}
    written = ", ".join(f"{name} {value}" for name, value in options.items())
    return f"recipe {lineage.recipe_id[:SHORT]}: {written or 'all defaults'}"


def _model_row(zoo: Zoo, name: str, state: Presence) -> dict[str, Any]:
    spec = zoo.get(name)
    return {
        "name": name,
        "family": spec.family,
        "stage": spec.stage,
        "quantization": spec.quantization,
        "lineage": [ancestor.name for ancestor in zoo.lineage(name)],
        "source": str(spec.source) if spec.source else None,
        "state": state.state,
        "detail": state.detail,
        "disk_bytes": state.disk_bytes,
        "path": str(state.path) if state.path else None,
        "built": msgspec.to_builtins(state.lineage) if state.lineage else None,
        "notes": spec.notes,
    }


def _task_rows(catalog: Catalog) -> list[dict[str, Any]]:
    return [
        {
            "task": task.name,
            "metric": task.primary,
            "shots": task.default_fewshot,
            "data": ", ".join(sorted({dataset.name for dataset in task.datasets})),
            "about": task.about,
        }
        for task in catalog.tasks.values()
    ]


def _suite_rows(catalog: Catalog) -> list[dict[str, Any]]:
    return [
        {
            "suite": suite.name,
            "tasks": ", ".join(
                choice.task + (f" ({choice.num_fewshot}-shot)" if choice.num_fewshot else "")
                for choice in suite.tasks
            ),
            "about": suite.about,
        }
        for suite in catalog.suites.values()
    ]


def _run_row(folder: RunFolder) -> dict[str, Any]:
    """What to say of a run; of a damaged one, that it is, and on standard error why."""
    try:
        record = folder.read()
    except RecordError as error:
        note(f"damaged: {error}")
        unknown = dict.fromkeys(("created", "samples"))
        return {"run": folder.path.name, "model": None, "tasks": "", "status": "damaged"} | unknown
    return {
        "run": record.id,
        "model": record.model.name,
        "tasks": ", ".join(record.results),
        "status": record.status,
        "created": record.created,
        "samples": record.on_samples,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(rows[0]):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if value is None else str(value)) for value in row.values()))
    return table


def _print_json(rows: list[dict[str, Any]]) -> None:
    print(json.dumps(rows, indent=2, ensure_ascii=False))
