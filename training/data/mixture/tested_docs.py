"""The texts of the tasks' test docs: all of them, and which of them ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalog import Catalog
from harness.data import DataFolders, Dataset, on_disk
from harness.errors import DataError
from training.data.mixture.declared import Source
from training.data.mixture.locating import kept_files
from training.data.mixture.reading import Unreadable, raw_rows

_ASK = ("question", "instruction", "prompt", "ctx", "sent_more", "sent_less")
"""Columns whose text is a doc's question, or what it is scored on in place of one."""
_CHOICES = ("choices", "endings", "options")


@dataclass(frozen=True)
class DocTexts:
    """A test doc's texts.

    Attributes:
        every: all of them.
        asked: its question; several where it has several.
        choices: the answers to choose from, in their order.
    """

    every: tuple[str, ...]
    asked: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestSet:
    """A task's test docs, located."""

    __test__ = False  # pytest takes it for a test by its name

    task: str
    origin: str
    files: Mapping[str, str]
    docs: tuple[DocTexts, ...]


def test_sets(catalog: Catalog, mirror: Path | None) -> tuple[list[TestSet], dict[str, str]]:
    """The test docs of all tasks that are at hand, and why others are not. Data that several tasks
    share is the first one's.

    Raises:
        DataError: a file is damaged.
    """
    folders = DataFolders(catalog.samples, mirror)
    seen: set[tuple[str, str | None, str]] = set()
    found: list[TestSet] = []
    missing: dict[str, str] = {}
    for task in catalog.tasks.values():
        for dataset in task.datasets:
            identity = (dataset.name, dataset.config, dataset.split)
            if identity in seen:
                continue
            seen.add(identity)
            located = on_disk(dataset, folders)
            partly = located is None or located.origin == "samples"
            if partly and (kept := _in_hubs_cache(dataset)):
                found.append(_test_set(task.name, dataset, "hub cache", kept))
            elif located is None:
                why = "not in the data folder nor the hub's cache, and no samples"
                missing[task.name] = f"{dataset}: {why}"
            else:
                files = [located.files[dataset.split]] if dataset.split in located.files else []
                where = dataset.samples_where if located.origin != "mirror" else None
                found.append(_test_set(task.name, dataset, located.origin, files, where))
    return found, missing


test_sets.__test__ = False  # type: ignore[attr-defined]


def doc_texts(row: Mapping[str, Any]) -> DocTexts:
    """What a row of test data says, and which of it asks."""
    asked = [_text(row, name) for name in _ASK]
    around = [_text(row, name) for name in ("context", "input")]
    if any(around):  # a question about a text that every other doc may ask is told by that text
        asked = ["\n".join(filter(None, (around[0], text, around[1]))) for text in asked if text]
    choices = next((row[name] for name in _CHOICES if name in row), ())
    if isinstance(choices, Mapping):
        choices = choices.get("text", ())
    return DocTexts(
        tuple(_texts(row)), tuple(filter(None, asked)), tuple(filter(None, _texts(choices)))
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _in_hubs_cache(dataset: Dataset) -> tuple[Path, ...]:
    if not dataset.on_hub:
        return ()
    place = (dataset.name, dataset.config or "default", dataset.split)
    folder = str(dataset.load_options.get("data_dir", ""))
    try:
        return kept_files(Source(dataset.name, "alpaca", "unknown", *place, hub_folder=folder))
    except DataError:  # it leads elsewhere: no task is scored on it either
        return ()


def _test_set(
    task: str,
    dataset: Dataset,
    origin: str,
    paths: Sequence[Path],
    where: tuple[str, str] | None = None,
) -> TestSet:
    docs: list[DocTexts] = []
    files: dict[str, str] = {}
    for path in paths:
        for raw in raw_rows(path):
            try:
                row = raw.columns()
            except Unreadable as error:
                raise DataError(f"{path}, row {raw.number} {error}; fetch it again") from None
            if where is None or row.get(where[0]) == where[1]:
                docs.append(doc_texts(row))
        with path.open("rb") as file:
            name = f"{dataset.name}/{dataset.config or 'default'}/{path.name}"
            files[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return TestSet(task, origin, files, tuple(docs))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a row, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
