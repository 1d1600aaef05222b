"""What a run's page says of the run beside its docs: the model, how it was asked, its figures."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, replace
from pathlib import Path

from harness.learned import kept_card
from harness.records import Run, TaskResult
from harness.report.captions import noise_layouts, noise_words
from harness.report.data_pages import card_page
from harness.report.leaderboard import total_cost
from harness.report.typed import typed
from harness.report.wording import (
    clean,
    counted,
    metric_name,
    parameters,
    seconds,
    short_digest,
    size,
    speed,
)
from harness.run_folder import RunFolder
from harness.types import Estimate


@dataclass(frozen=True)
class Fact:
    """A line of the header."""

    name: str
    text: str
    code: bool = False
    href: str = ""


def model_facts(run: Run) -> list[Fact]:
    """Which model was scored, as far as the record tells."""
    model = run.model
    kind = [model.family, model.stage, model.quantization]
    facts = [
        Fact("Kind", " · ".join(clean(part) for part in kind if part and part != "none")),
        Fact("Lineage", " → ".join(map(clean, model.lineage))),
        Fact("Source", clean(model.source + (f" @ {model.revision}" if model.revision else ""))),
        Fact("Weights", clean(model.weights_id), code=True),
        Fact(
            "Size",
            f"{parameters(model.parameters)} parameters, {size(model.disk_bytes)} on disk, "
            f"{size(model.memory_bytes)} in memory",
        ),
        Fact("Dtype", clean(model.dtype)),
        Fact("Chat template", "used" if model.chat_template else "not used"),
        Fact("Custom code", "the checkpoint's own code was run" if model.trust_remote_code else ""),
        Fact("Licence", clean(model.licence)),
        Fact("Notes", clean(model.notes)),
    ]
    return [fact for fact in facts if fact.text]


def card_facts(folder: RunFolder, run: Run) -> list[Fact]:
    """What the model and its ancestors learned from, with the way to each card that is kept."""
    return [
        Fact(
            "Learned from",
            f"{clean(mixture)}, data card {short_digest(digest)}",
            href=f"../{urllib.parse.quote(card_page(mixture, digest))}"
            if kept_card(folder.path, digest)
            else "",
        )
        for mixture, digest in run.model.data_cards.items()
    ]


def run_facts(run: Run) -> list[Fact]:
    """What was asked, with what, where, and how long it took."""
    asked, at = run.settings, run.environment
    total = total_cost(run.results.values())
    packages = ", ".join(f"{name} {version}" for name, version in sorted(at.packages.items()))
    configs = ", ".join(f"{task}: {name}" for task, name in asked.dataset_configs.items())
    facts = [
        Fact("Scored again from", clean(run.rescored_from or ""), code=True),
        Fact("Repeat with", clean(typed(run.command, Path.cwd())), code=True),
        Fact("Suite", clean(asked.suite or "")),
        Fact("Limit", "" if asked.limit is None else f"{asked.limit:,} per task"),
        Fact(
            "Shots", "as each task defines" if asked.num_fewshot is None else str(asked.num_fewshot)
        ),
        Fact("Backend", clean(f"{asked.backend}, {asked.dtype}, seed {asked.seed}")),
        Fact("Batches", clean(run.plan)),
        Fact("Data", clean(asked.data or "")),
        Fact("Data set config", clean(configs)),
        Fact(
            "Time",
            f"{seconds(total.seconds)} for {counted(len(run.results), 'task')}, "
            f"{speed(total.tokens_per_second)} tokens/s, "
            f"{seconds(run.load_seconds)} to load"
            # What was not asked took no time: the figure is not the model's.
            + (f", {counted(total.stored, 'answer')} from the journal" if total.stored else ""),
        ),
        Fact(
            "Machine",
            clean(
                f"{at.device}; {at.processor}, {at.threads} of {at.cores} cores, "
                f"{size(at.memory_bytes)}; {at.platform}"
            ),
        ),
        Fact("Versions", clean(f"harness {at.harness}, Python {at.python}, {packages}")),
        Fact("Commit", clean(at.git_commit or ""), code=True),
    ]
    return [fact for fact in facts if fact.text]


def data_facts(run: Run) -> list[tuple[str, str, str, str]]:
    """Task, data set, file and digest, one line per file."""
    return [
        (clean(result.task), clean(f"{data.dataset} {data.config or ''}"), clean(name), digest)
        for result in run.results.values()
        for data in result.data
        for name, digest in [
            *data.files.items(),
            *([("revision", data.revision)] if data.revision else []),
        ]
    ]


def metrics_of(result: TaskResult) -> list[str]:
    """The task's metric keys, the primary one first."""
    others = [key for key in result.estimates if key != result.primary]
    return [*([result.primary] if result.primary in result.estimates else []), *others]


def groups_of(result: TaskResult) -> list[tuple[str, Estimate | None]]:
    """The task's groups with their primary figure, all in the task's unit: one whose docs all
    happen to be 0 or 1 was recorded as a proportion, whatever the others are.
    """
    whole = result.estimates.get(result.primary)
    figures = {group: each.get(result.primary) for group, each in result.groups.items()}
    return [
        (group, replace(own, unit=whole.unit) if own and whole else own)
        for group, own in figures.items()
    ]


def methods(run: Run) -> list[str]:
    """How the intervals were made: one line per method, with the metrics it served."""
    served: dict[str, set[str]] = {}
    for result in run.results.values():
        for key, estimate in result.estimates.items():
            served.setdefault(estimate.method, set()).add(metric_name(key))
    return [
        f"{', '.join(sorted(names))}: {clean(method)}" for method, names in served.items() if method
    ]


def noises(run: Run) -> list[str]:
    """What another batch layout changed, one line per task that was asked again."""
    return [
        f"{clean(result.task)}: {noise_words(result.noise)} ({noise_layouts(result.noise)})"
        for result in run.results.values()
        if result.noise is not None
    ]
