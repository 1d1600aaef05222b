"""The page of one run: what was scored and how, the estimates, and the docs to read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.marks import Mark, by_doc, read_marks
from harness.records import Row, Run, TaskResult
from harness.report.beside import Beside, answers_beside
from harness.report.captions import noise_layouts, noise_words
from harness.report.docs import ShownDoc, first_rows, shown_beside, shown_doc
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
    """One task's section: its docs as far as the page has room, and notes on the rest."""

    result: TaskResult
    docs: tuple[ShownDoc, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """A line of the header."""

    name: str
    text: str
    code: bool = False


def run_html(
    folder: RunFolder,
    run: Run,
    besides: Mapping[str, Beside] | None = None,
    *,
    back: str = "../leaderboard.html",
    docs_per_task: int = DOCS_PER_TASK,
) -> str:
    """Render a run's page.

    Args:
        folder: where the rows are.
        run: what ``folder`` holds, as read.
        besides: whose answers stand beside its own, by task.
        back: address of the leaderboard, relative to the page.
        docs_per_task: the most docs of one task to show; fewer where the page would outgrow
            `PAGE_BYTES`, which a browser still opens at once.
    """
    marks, torn = _marks(folder)
    tasks = _task_docs(folder, run, besides or {}, marks, docs_per_task)
    parent = next((beside.parent for beside in (besides or {}).values() if beside.run), "")
    return render(
        "run.html.j2",
        {
            "beside": drawn_beside(besides or {}),
            "parent": clean(parent),
            "parents_docs": any(doc.beside for task in tasks for doc in task.docs),
            "marks": marks,
            "torn_marks": torn,
            "run": run,
            "back": back,
            "model_facts": _model_facts(run),
            "run_facts": _run_facts(run),
            "data_facts": _data_facts(run),
            "sampled": [clean(name) for name, each in run.results.items() if each.on_samples],
            "missing": [clean(task) for task in run.settings.tasks if task not in run.results],
            "methods": _methods(run),
            "noises": _noises(run),
            "metrics_of": metrics_of,
            "tasks": tasks,
            "any_docs": any(task.docs for task in tasks),
        },
        scripts=("report.js", "review.js"),
    )


def drawn_beside(besides: Mapping[str, Beside]) -> str:
    """Name what stands beside a page's docs: a page with something else there is out of date."""
    told = {
        task: beside.run.run.id if beside.run else beside.why for task, beside in besides.items()
    }
    return hashlib.sha256(repr(sorted(told.items())).encode("utf-8", "replace")).hexdigest()[:16]


def _marks(folder: RunFolder) -> tuple[list[Mark], str]:
    """The reviewers' marks, and why there are none if they cannot be read."""
    try:
        return read_marks(folder), ""
    except RecordError as error:
        return [], f"The marks of this run cannot be shown: {clean(str(error))}."


def _task_docs(
    folder: RunFolder,
    run: Run,
    besides: Mapping[str, Beside],
    marks: Sequence[Mark],
    docs_per_task: int,
) -> list[TaskDocs]:
    room = PAGE_BYTES
    sections = []
    for done, result in enumerate(run.results.values()):
        try:
            rows = first_rows(folder, result, docs_per_task + 1)
        except RecordError as error:
            # A run may come without its texts (committed baselines): the figures still stand.
            note = f"The docs of this task cannot be shown: {clean(str(error))}."
            sections.append(TaskDocs(result, (), (note,)))
            continue
        beside = besides.get(result.task, Beside("", None))
        docs = _shown(rows[:docs_per_task], result, beside, marks)
        docs = _fitting(docs, room // (len(run.results) - done))
        room -= sum(doc.weight for doc in docs)
        notes = [beside.why] if beside.why else []
        if len(docs) < len(rows):
            name = folder.rows_path(result.task).name
            notes.insert(
                0,
                f"This page shows the first {len(docs):,} of {counted(result.docs, 'doc')}; "
                f"all are in rows/{name} in the run's folder. Filters see only what is shown.",
            )
        sections.append(TaskDocs(result, tuple(docs), tuple(notes)))
    return sections


def _shown(
    rows: Sequence[Row], result: TaskResult, beside: Beside, marks: Sequence[Mark]
) -> list[ShownDoc]:
    """The docs with what was said of them, and the parent's answers beside them."""
    said, others = by_doc(marks, result.task), answers_beside(beside, result, rows)
    docs = []
    for row in rows:
        doc = shown_doc(row, result, said.get(row.doc_id, ()))
        other = others.get(row.doc_id)
        docs.append(doc if other is None else shown_beside(doc, other))
    return docs


def _fitting(docs: Sequence[ShownDoc], room: int) -> list[ShownDoc]:
    """The docs that fit into ``room`` bytes, at least one."""
    shown: list[ShownDoc] = []
    for doc in docs:
        room -= doc.weight
        if room < 0 and shown:
            break
        shown.append(doc)
    return shown


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
