"""Writes what a comparison found: its page as HTML and Markdown, and their pictures."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.compare import Comparison, StoredRun
from harness.distance import Distance
from harness.errors import UsageError
from harness.gate.policy import Policy, load_policy
from harness.pareto import pareto
from harness.progress import note
from harness.report.comparison_page import (
    Part,
    Picture,
    comparison_page,
    cost_part,
    distance_part,
    steps_part,
)
from harness.report.costs import costs_of
from harness.report.distance import distances_markdown
from harness.report.forest import caption, described, forest
from harness.report.forest_figure import forest_svg
from harness.report.html import run_page
from harness.report.html_comparison import comparison_html
from harness.report.markdown_comparison import comparison_markdown
from harness.report.pareto_figure import pareto_svg
from harness.report.site import PAGES
from harness.report.waterfall import waterfall_markdown
from harness.report.waterfall_figure import waterfall_svg
from harness.speed import last_probe, probed
from harness.storage import write_atomic
from harness.waterfall import Waterfall

FOLDER = "compare"
_LONGEST = 120


@dataclass(frozen=True)
class Compared:
    """A model against the base, the steps between them if there are any, and how far it moved."""

    model: StoredRun
    comparison: Comparison
    steps: Waterfall | None
    moved: Sequence[Distance]


def write_pages(base: StoredRun, found: Sequence[Compared], reports: Path) -> list[Path]:
    """Write ``compare/<base>--<model>.html`` and ``.md`` for each model, with their pictures.

    Args:
        base: what the models were compared with.
        found: the models.
        reports: the folder of reports, whose speed probe and run pages are taken in.

    Returns:
        The pages.

    Raises:
        StorageError: one cannot be written.
    """
    policy, probe = _policy(), last_probe(reports)
    against_cost = _against_cost(base, found, reports)
    written = []
    for each in found:
        comparison, steps = each.comparison, each.steps
        name = f"{file_name(comparison.base.label)}--{file_name(comparison.model.label)}"
        folder = reports / FOLDER
        forest_file, steps_file = f"{name}-forest.svg", f"{name}-steps.svg"
        differences = _differences(comparison, policy)
        labels = comparison.base.label, comparison.model.label
        parts = [distance_part(labels, each.moved)] if each.moved else []
        if steps is not None:
            drawn = waterfall_svg(steps)
            parts.append(steps_part(steps, drawn))
            write_atomic(folder / steps_file, drawn)
        page = comparison_page(
            comparison,
            costs_of(base.run.model, each.model.run.model, probe),
            differences,
            [*parts, *against_cost],
            (_address(base, reports), _address(each.model, reports)),
        )
        markdown = comparison_markdown(
            comparison,
            verdict=page.verdict,
            forest=(forest_file, differences.alt) if differences else None,
        )
        if differences is not None:
            write_atomic(folder / forest_file, differences.svg)
        markdown += "\n" + distances_markdown(labels, each.moved) if each.moved else ""
        if steps is not None:
            markdown += "\n" + waterfall_markdown(steps, steps_file)
        for ending, content in ((".html", comparison_html(page)), (".md", markdown)):
            written.append(folder / f"{name}{ending}")
            write_atomic(written[-1], content)
    return written


def file_name(label: str) -> str:
    """A model's label as a part of a file's name: it cannot lead out of its folder, has no ``--``,
    and no other label has the same.
    """
    plain = re.sub(r"[^\w+.]+|--+", "-", label).strip("-")
    if plain == label and len(plain.encode()) <= _LONGEST:
        return plain
    digest = hashlib.sha256(label.encode("utf-8", "replace")).hexdigest()[:12]
    # File systems allow 255 bytes, for two of them.
    return f"{plain.encode()[: _LONGEST - 40].decode(errors='ignore')}-{digest}"


def _differences(comparison: Comparison, policy: Policy | None) -> Picture | None:
    found = forest(comparison, policy)
    return None if found is None else Picture(forest_svg(found), described(found), caption(found))


def _against_cost(base: StoredRun, found: Sequence[Compared], reports: Path) -> list[Part]:
    """The picture of quality against cost, where several models are compared; also as a file."""
    if len(found) < 2:
        return []
    models, comparisons = [each.model for each in found], [each.comparison for each in found]
    together = pareto(base, models, comparisons, probed(reports))
    if together is None or (drawn := pareto_svg(together)) is None:
        return []
    path = reports / FOLDER / f"{file_name(base.run.model.name)}-pareto.svg"
    write_atomic(path, drawn)
    note(f"quality against cost: {path}")
    return [cost_part(together, drawn)]


def _policy() -> Policy | None:
    """The gate's margins; a policy that cannot be read is said, and stops no comparison."""
    try:
        return load_policy()
    except UsageError as error:
        note(f"the gate's margins are not shown: {error}")
        return None


def _address(of: StoredRun, reports: Path) -> str | None:
    """Where a run's page is, from a comparison's page; ``None`` where it was not drawn."""
    page = run_page(of.run.id)
    if not (reports / PAGES / page).is_file():
        return None
    # Quoted once more: the file's own name may hold percent signs.
    return f"../{PAGES}/{urllib.parse.quote(page)}"
