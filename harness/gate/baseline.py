"""Committed baselines: runs without a word of their data sets, and how others take their place.

A baseline is a run's folder (see `harness.run_folder`) under ``reports/baselines/<model>/``: doc
ids, digests of prompts, and scores. ``history.jsonl`` says which run took whose place, and why
where a figure fell.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.checkout import how_to_accept
from harness.compare import StoredRun
from harness.errors import UnknownName, UsageError
from harness.records import Run, TaskResult
from harness.run_folder import RunFolder, list_runs
from harness.storage import explained, write_atomic
from harness.types import Statistic

HISTORY = "history.jsonl"
DOCS = "docs"
"""Not ``rows``: these have no texts, and nothing that shows docs should take them for such."""


@dataclass(frozen=True)
class _Doc:
    """What is kept of a `harness.records.Row`."""

    doc_id: str
    index: int
    group: str | None
    scores: Mapping[str, Statistic]
    unscored: str | None
    request_digest: str
    continuations: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    cluster: str | None = None


@dataclass(frozen=True)
class Change:
    """A primary metric of the old baseline and of the run that shall take its place.

    Attributes:
        docs: how many each side was asked.
        weaker: in words, why the new one is no full replacement; empty where it is one.
    """

    task: str
    metric: str
    old: float | None
    new: float | None
    docs: tuple[int, int]
    weaker: str


def baseline_folder(baselines: Path, model: str) -> Path:
    """Where a model's baseline lies; its name is made harmless as the name of a folder."""
    name = "".join(c if c.isalnum() or c in "+-_." else "-" for c in model)
    return baselines / (f"-{name}" if name.startswith(".") or not name else name)


def read_baseline(baselines: Path, name: str) -> StoredRun:
    """Read the baseline of that name.

    Raises:
        UnknownName: there is none.
        RecordError: it is damaged, or of another schema.
    """
    folder = RunFolder(baseline_folder(baselines, name), DOCS)
    known = [path.name for path in list_runs(baselines)]
    if folder.path.name not in known:
        if not known:
            raise UsageError(
                f"there is no baseline {name!r}: {baselines} holds none. This makes one of the "
                f"newest run of {name}: {how_to_accept(name)}"
            )
        raise UnknownName("baseline", name, known, str(baselines))
    return StoredRun(folder.read(), folder)


def changes(old: Run, new: Run) -> list[Change]:
    """What would change, task by task."""
    return [_change(result, new.results.get(task)) for task, result in old.results.items()]


def _change(old: TaskResult, new: TaskResult | None) -> Change:
    was = old.estimates[old.primary].value
    if new is None or old.primary not in new.estimates:
        return Change(old.task, old.primary, was, None, (old.docs, 0), "it has no result for it")
    now, better = new.estimates[old.primary].value, old.estimates[old.primary].higher_is_better
    weaker = ""
    if now is None or (was is not None and (now < was if better else now > was)):
        weaker = "the figure falls"
    elif new.docs < old.docs:
        weaker = f"it was asked {new.docs:,} docs instead of {old.docs:,}"
    elif (new.version, new.num_fewshot) != (old.version, old.num_fewshot):
        weaker = "it was asked by another version or with other shots"
    elif new.on_samples and not old.on_samples:
        weaker = "it was asked on the samples"
    return Change(old.task, old.primary, was, now, (old.docs, new.docs), weaker)


def accept(baselines: Path, run: StoredRun, because: str | None) -> Path:
    """Make a run the baseline of its model.

    Args:
        baselines: their folder.
        run: a complete run.
        because: why it may be weaker than the one that it replaces, ``None`` where it is not.

    Returns:
        The baseline's folder.

    Raises:
        UsageError: it is weaker than the one that it replaces, and nobody says why.
        StorageError: it cannot be written; the old baseline stays.
    """
    model = run.run.model.name
    place = baseline_folder(baselines, model)
    old = place.with_name(f".{place.name}.old")
    with explained(place):
        if old.exists() and not place.exists():  # the last acceptance was cut short
            old.rename(place)
    before = RunFolder(place).read() if place.exists() else None
    fallen = [each for each in changes(before, run.run) if each.weaker] if before else []
    if fallen and not because:
        said = "; ".join(f"{each.task}: {each.weaker}" for each in fallen)
        raise UsageError(
            f"run {run.run.id} is a weaker baseline of {model} than the one it would replace "
            f'({said}); say why it may be: --lower "the reason" (BECAUSE="the reason" with make)'
        )
    fresh = RunFolder(place.with_name(f".{place.name}.new"), DOCS)
    with explained(fresh.path):
        shutil.rmtree(fresh.path, ignore_errors=True)
        (fresh.path / DOCS).mkdir(parents=True)
        for task in run.run.results:
            write_atomic(fresh.rows_path(task), b"".join(_lines(run.folder, task)))
    fresh.write(_bare(run.run))
    write_atomic(
        fresh.path / HISTORY, _history(place, run.run, before, because if fallen else None)
    )
    with explained(place):
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        try:
            fresh.path.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)
    return place


def _lines(folder: RunFolder, task: str) -> Sequence[bytes]:
    """A task's docs in their order, each with no text of the data set or of the model."""
    docs = sorted(folder.rows_as(task, _Doc), key=lambda doc: doc.index)
    return [
        msgspec.json.encode(
            replace(doc, scores=_numbers(doc.scores), continuations=(), logprobs=())
        )
        + b"\n"
        for doc in docs
    ]


def _numbers(scores: Mapping[str, Statistic]) -> dict[str, Statistic]:
    """The scores that are numbers; what a corpus metric keeps are texts."""
    return {
        name: statistic
        for name, statistic in scores.items()
        if isinstance(statistic, int | float)
        or all(isinstance(item, int | float) for item in statistic)
    }


def _bare(run: Run) -> Run:
    """The run without places of the machine that it was made on."""
    return replace(run, command="", settings=replace(run.settings, data=None))


def _history(place: Path, run: Run, before: Run | None, because: str | None) -> bytes:
    path = place / HISTORY
    earlier = path.read_bytes() if path.is_file() else b""
    entry = {
        "run": run.id,
        "accepted": datetime.now(UTC).isoformat(timespec="seconds"),
        "replaced": before.id if before else None,
        "lower_because": because,
    }
    return earlier + msgspec.json.encode(entry) + b"\n"
