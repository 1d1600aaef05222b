"""Preference pairs: a prompt, the better answer and the worse one, in two common formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Dataset, find, load
from harness.errors import DataError
from harness.open_task import TaskContext, make_docs, spread_limit
from harness.records import DataRecord
from harness.types import Doc

_TURN = "\n\nAssistant:"


def preference_docs(dataset: Dataset, context: TaskContext) -> tuple[list[Doc], DataRecord]:
    """Read pairs: docs with the fields ``prompt``, ``chosen`` and ``rejected``; a limit is spread
    over their groups.

    A prompt is the question alone (LLaMA-Factory's ``instruction`` and ``input``), or a transcript
    up to the assistant's last turn (hh-rlhf), which begins with ``Human:``. A transcript that is no
    pair makes a doc with the field ``unusable``, the reason: the data set is not the user's to
    mend, and what is left out must be counted.

    Raises:
        DataError: columns are missing, or a row with an ``instruction`` is no pair: it has an empty
            side, or equal sides.
    """
    found = find(dataset, context.folders)
    splits, record = load(found)
    place: Path | Dataset = found.files.get(dataset.split, dataset)
    if dataset.split not in splits:
        raise DataError(f"{dataset} has no rows")
    rows = splits[dataset.split]
    read = _reader(place, rows.column_names)
    groups: dict[str | None, list[Mapping[str, str]]] = {}
    for number, row in enumerate(rows, 1):
        fields = read(row, f"{place}, row {number}")
        groups.setdefault(row.get("group") or None, []).append(fields)
    counts = spread_limit(context.limit, [len(of_group) for of_group in groups.values()])
    return make_docs(_taken(groups, counts)), record


def _taken(
    groups: Mapping[str | None, Sequence[Mapping[str, str]]], counts: Sequence[int]
) -> Iterator[tuple[Mapping[str, str], str | None]]:
    for (group, of_group), count in zip(groups.items(), counts, strict=True):
        for fields in of_group[:count]:
            yield fields, group


def _reader(place: Path | Dataset, columns: Sequence[str]) -> Any:
    if {"instruction", "chosen", "rejected"} <= set(columns):
        return _instruction
    if {"chosen", "rejected"} <= set(columns):
        return _transcripts
    raise DataError(
        f"{place}: the columns instruction, chosen and rejected (or transcripts chosen and "
        f"rejected) are needed; it has {', '.join(columns)}"
    )


def _instruction(row: Mapping[str, Any], where: str) -> dict[str, str]:
    parts = [str(row[name]) for name in ("instruction", "input") if row.get(name)]
    fields = {
        "prompt": "\n".join(parts),
        "chosen": str(row["chosen"] or ""),
        "rejected": str(row["rejected"] or ""),
    }
    if reason := _why_no_pair(fields):
        raise DataError(f"{where}: {reason}; leave the row out")
    return fields


def _transcripts(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """Two transcripts, which should be equal up to the assistant's last turn."""
    sides = [str(row[name] or "").rpartition(_TURN) for name in ("chosen", "rejected")]
    (before, turn, chosen), (other, _, rejected) = sides
    if not turn or before != other:
        return {
            "prompt": "",
            "chosen": str(row["chosen"] or ""),
            "rejected": str(row["rejected"] or ""),
            "unusable": "no pair: the transcripts part before the assistant's last turn",
        }
    fields = {"prompt": before.strip(), "chosen": chosen.strip(), "rejected": rejected.strip()}
    reason = _why_no_pair(fields)
    return {**fields, "unusable": f"no pair: {reason}"} if reason else fields


def _why_no_pair(fields: Mapping[str, str]) -> str | None:
    for name in ("prompt", "chosen", "rejected"):
        if not fields[name].strip():
            return f"{name} is empty"
    if fields["chosen"].strip() == fields["rejected"].strip():
        return "chosen and rejected are the same text"
    return None
