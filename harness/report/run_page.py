"""The page of one run: what was scored and how, the estimates, and the docs to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.records import Run, TaskResult
from harness.report.captions import noise_layouts, noise_words
from harness.report.docs import ShownDoc, first_docs
from harness.report.html import render
from harness.report.leaderboard import total_cost
from harness.report.wording import (
    clean,
    counted,
    metric_name,
    parameters,
    seconds,
    size,
    speed,
)
from harness.run_folder import RunFolder

DOCS_PER_TASK = 500
PAGE_BYTES = 4_700_000


@dataclass(frozen=True)
class TaskDocs:
    """One task's section: its docs as far as the page has room, and a note on the rest."""

    result: TaskResult
    docs: tuple[ShownDoc, ...]
    note: str


@dataclass(frozen=True)
class Fact:
    """A line of the header."""

    name: str
    text: str
    code: bool = False


def run_html(
    folder: RunFolder,
    run: Run,
    *,
    back: str = "../leaderboard.html",
    docs_per_task: int = DOCS_PER_TASK,
) -> str:
    """Render a run's page.

    Args:
        folder: where the rows are.
        run: what ``folder`` holds, as read.
        back: address of the leaderboard, relative to the page.
        docs_per_task: the most docs of one task to show; fewer where the page would outgrow
            `PAGE_BYTES`, which a browser still opens at once.
    """
    tasks = _task_docs(folder, run, docs_per_task)
    return render(
        "run.html.j2",
        {
            "run": run,
            "back": back,
            "model_facts": _model_facts(run),
            "run_facts": _run_facts(run),
            "data_facts": _data_facts(run),
            "missing": [clean(task) for task in run.settings.tasks if task not in run.results],
            "methods": _methods(run),
            "noises": _noises(run),
            "metrics_of": metrics_of,
            "tasks": tasks,
            "any_docs": any(task.docs for task in tasks),
        },
    )


def _task_docs(folder: RunFolder, run: Run, docs_per_task: int) -> list[TaskDocs]:
    room = PAGE_BYTES
    sections = []
    for done, result in enumerate(run.results.values()):
        docs, note = _fitting(folder, result, docs_per_task, room // (len(run.results) - done))
        room -= sum(doc.weight for doc in docs)
        sections.append(TaskDocs(result, docs, note))
    return sections


def _fitting(
    folder: RunFolder, result: TaskResult, most: int, room: int
) -> tuple[tuple[ShownDoc, ...], str]:
    """The docs that fit into ``room`` bytes, and what to say about the others."""
    try:
        docs: Sequence[ShownDoc] = first_docs(folder, result, most + 1)
    except RecordError as error:
        # A run may come without its texts (committed baselines): the figures still stand.
        return (), f"The docs of this task cannot be shown: {clean(str(error))}."
    shown: list[ShownDoc] = []
    for doc in docs[:most]:
        room -= doc.weight
        if room < 0 and shown:
            break
        shown.append(doc)
    if len(shown) == len(docs):
        return tuple(shown), ""
    name = folder.rows_path(result.task).name
    note = (
        f"This page shows the first {len(shown):,} of {counted(result.docs, 'doc')}; "
        f"all are in rows/{name} in the run's folder. Filters see only what is shown."
    )
    return tuple(shown), note


def _model_facts(run: Run) -> list[Fact]:
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


def _run_facts(run: Run) -> list[Fact]:
    asked, at = run.settings, run.environment
    total = total_cost(run.results.values())
    packages = ", ".join(f"{name} {version}" for name, version in sorted(at.packages.items()))
    configs = ", ".join(f"{task}: {name}" for task, name in asked.dataset_configs.items())
    facts = [
        Fact("Repeat with", clean(run.command), code=True),
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
            f"{seconds(run.load_seconds)} to load",
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


def _data_facts(run: Run) -> list[tuple[str, str, str, str]]:
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


def _methods(run: Run) -> list[str]:
    """How the intervals were made: one line per method, with the metrics it served."""
    served: dict[str, set[str]] = {}
    for result in run.results.values():
        for key, estimate in result.estimates.items():
            served.setdefault(estimate.method, set()).add(metric_name(key))
    return [
        f"{', '.join(sorted(names))}: {clean(method)}" for method, names in served.items() if method
    ]


def _noises(run: Run) -> list[str]:
    """What another batch layout changed, one line per task that was asked again."""
    return [
        f"{clean(result.task)}: {noise_words(result.noise)} ({noise_layouts(result.noise)})"
        for result in run.results.values()
        if result.noise is not None
    ]
