"""Preference pairs: a prompt, the better answer and the worse one, in two common formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    up to the assistant's last turn (hh-rlhf), which begins with ``Human:``.

    Raises:
        DataError: columns are missing, or a pair has an empty side, equal sides, or transcripts
            that part before the last turn.
    """
    splits, record = load(find(dataset, context.folders))
    if dataset.split not in splits:
        raise DataError(f"{dataset} has no rows")
    rows = splits[dataset.split]
    read = _reader(dataset, rows.column_names)
    groups: dict[str | None, list[Mapping[str, str]]] = {}
    for number, row in enumerate(rows, 1):
        fields = read(row, f"{dataset}, row {number}")
        _check(fields, f"{dataset}, row {number}")
        groups.setdefault(row.get("group") or None, []).append(fields)
    counts = spread_limit(context.limit, [len(of_group) for of_group in groups.values()])
    return make_docs(_taken(groups, counts)), record


def _taken(
    groups: Mapping[str | None, Sequence[Mapping[str, str]]], counts: Sequence[int]
) -> Iterator[tuple[Mapping[str, str], str | None]]:
    for (group, of_group), count in zip(groups.items(), counts, strict=True):
        for fields in of_group[:count]:
            yield fields, group


def _reader(dataset: Dataset, columns: Sequence[str]) -> Any:
    if {"instruction", "chosen", "rejected"} <= set(columns):
        return _instruction
    if {"chosen", "rejected"} <= set(columns):
        return _transcripts
    raise DataError(
        f"{dataset}: the columns instruction, chosen and rejected (or transcripts chosen and "
        f"rejected) are needed; it has {', '.join(columns)}"
    )


def _instruction(row: Mapping[str, Any], where: str) -> dict[str, str]:
    parts = [str(row[name]) for name in ("instruction", "input") if row.get(name)]
    return {
        "prompt": "\n".join(parts),
        "chosen": str(row["chosen"] or ""),
        "rejected": str(row["rejected"] or ""),
    }


def _transcripts(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """Two transcripts that are equal up to the assistant's last turn."""
    sides = [str(row[name] or "").rpartition(_TURN) for name in ("chosen", "rejected")]
    (before, turn, chosen), (other, _, rejected) = sides
    if not turn or before != other:
        raise DataError(
            f"{where}: the transcripts part before the assistant's last turn, so that there is no "
            "prompt that both answer; leave the row out"
        )
    return {"prompt": before.strip(), "chosen": chosen.strip(), "rejected": rejected.strip()}


def _check(fields: Mapping[str, str], where: str) -> None:
    for name in ("prompt", "chosen", "rejected"):
        if not fields[name].strip():
            raise DataError(f"{where}: {name} is empty; leave the row out")
    if fields["chosen"].strip() == fields["rejected"].strip():
        raise DataError(f"{where}: chosen and rejected are the same text; leave the row out")
