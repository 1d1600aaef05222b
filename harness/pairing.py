"""Pairs the docs of two runs by id, and holds their prompts against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.run_folder import RunFolder
from harness.types import Statistic


@dataclass(frozen=True, slots=True)
class ScoredDoc:
    """What a comparison reads of a `harness.records.Row`."""

    doc_id: str
    index: int
    group: str | None
    continuations: tuple[str, ...]
    logprobs: tuple[float, ...]
    scores: Mapping[str, Statistic]
    unscored: str | None
    request_digest: str
    cluster: str | None = None


Pair = tuple[ScoredDoc, ScoredDoc]
"""One doc, of the base and of the model."""


def pair_docs(base: RunFolder, model: RunFolder, task: str) -> tuple[list[Pair], list[str]]:
    """Read a task's rows of both runs and pair them by the docs' ids.

    Returns:
        The pairs, in the base's order, and what differs, a line each: docs of one side alone, and
        docs with other prompts.

    Raises:
        RecordError: rows are missing or damaged, or a doc stands twice in them.
    """
    first, second = docs_by_id(base, task), docs_by_id(model, task)
    pairs = paired_by_id(first, second)
    found = []
    if len(pairs) < max(len(first), len(second)):
        alone = f"{len(first) - len(pairs):,} docs only in {base.path.name}"
        found.append(f"{task}: {alone}, {len(second) - len(pairs):,} only in {model.path.name}")
    if others := asked_otherwise(pairs):
        found.append(f"{task}: {others:,} of {len(pairs):,} docs with other prompts")
    return pairs, found


def docs_by_id(folder: RunFolder, task: str) -> dict[str, ScoredDoc]:
    """Read a task's rows.

    Raises:
        RecordError: they are missing or damaged, or a doc stands twice in them.
    """
    docs: dict[str, ScoredDoc] = {}
    for doc in folder.rows_as(task, ScoredDoc):
        if docs.setdefault(doc.doc_id, doc) is not doc:
            raise RecordError(f"{folder.rows_path(task)}: the doc {doc.doc_id} stands twice in it")
    return docs


def paired_by_id(base: Mapping[str, ScoredDoc], model: Mapping[str, ScoredDoc]) -> list[Pair]:
    """The docs that both have, in the task's order."""
    pairs = [(doc, model[name]) for name, doc in base.items() if name in model]
    return sorted(pairs, key=lambda pair: pair[0].index)


def asked_otherwise(pairs: Sequence[Pair]) -> int:
    """How many docs were asked with other prompts."""
    return sum(one.request_digest != other.request_digest for one, other in pairs)


def groups_of(pairs: Sequence[Pair]) -> list[str | None] | None:
    """The docs' groups, or ``None`` where the task has none."""
    groups = [doc.group for doc, _ in pairs]
    return groups if any(group is not None for group in groups) else None


def clusters_of(pairs: Sequence[Pair]) -> list[str] | None:
    """The documents or passages that the docs come from, one of its own for a doc that names none;
    ``None`` where no two docs share one.
    """
    clusters = [base.cluster or model.cluster or f"doc {base.doc_id}" for base, model in pairs]
    return clusters if len(set(clusters)) < len(clusters) else None
