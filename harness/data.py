"""Where a task's data comes from: the shipped samples, a mirror folder, the hub's cache, the hub.

`find` decides which of them serves a data set, without importing torch or datasets and without
waiting for a network that is not there; `load` reads the rows and holds them to the lock file.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import hub
from harness.dataset_card import CARDS, check_card, check_cards
from harness.errors import DataError, HarnessError, UsageError
from harness.lock import check_dataset, find_lock
from harness.records import DataRecord, Origin
from harness.row_files import read_rows
from harness.storage import expanded
from harness.weights import sha256

if TYPE_CHECKING:
    import datasets

ROWS = (".jsonl", ".jsonl.gz")

_OURS = ("revision", "streaming")
"""Options of `datasets.load_dataset` that nobody else gives: the commit is the locked one, or the
newest, and rows are read whole."""

ALIASES: Mapping[str, str] = {
    "ai2_arc": "allenai/ai2_arc",
    "gsm8k": "openai/gsm8k",
    "hellaswag": "Rowan/hellaswag",
    "wikitext": "Salesforce/wikitext",
    "hails/mmlu_no_train": "cais/mmlu",
}
"""Names that lm-eval's tasks use for a data set that a mirror holds under another name."""

STAND_INS: Mapping[tuple[str, str | None], tuple[str, str]] = {
    ("jannalu/crows_pairs_multilingual", "english"): ("nyu-mll/crows_pairs", "crows_pairs"),
}
"""Data sets that a mirror may serve instead: rows of the same kind, not the same rows. The record
names the one that was read."""


@dataclass(frozen=True)
class Dataset:
    """A benchmark's data set, by its name on the hub.

    Attributes:
        name: ``org/name``.
        config: the hub's configuration, ``None`` where it has none (``default`` in a mirror).
        split: the split that is scored; without it the data set is of no use.
        samples: folder under ``tasks/samples`` with sample rows of the same layout, if any.
        samples_where: column and value that select the config's rows from the samples (MMLU keeps
            all subjects in one file), or from the shipped file.
        load_options: further arguments of `datasets.load_dataset`, for the hub and its cache. With
            ``data_dir`` the config is a folder that the hub knows as no configuration.
        shipped: file under ``tasks/samples`` that is the whole data set: it was written for this
            project, is read whatever ``--data`` and ``--samples`` say, and is no sample of
            anything.
    """

    name: str
    config: str | None = None
    split: str = "test"
    samples: str | None = None
    samples_where: tuple[str, str] | None = None
    load_options: Mapping[str, Any] = field(default_factory=dict)
    shipped: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.config})" if self.config else self.name

    @property
    def on_hub(self) -> bool:
        """Whether a hub may have it: it is neither shipped whole nor a user's own, whose name has
        no organization, and which samples stand in for.
        """
        return self.shipped is None and (self.samples is None or "/" in self.name)


@dataclass(frozen=True)
class DataFolders:
    """The places a run may read from.

    Attributes:
        samples: the folder ``tasks/samples`` of the tasks in use.
        mirror: ``--data`` / ``HARNESS_DATA``: ``ORG/NAME/CONFIG/SPLIT.jsonl[.gz]``.
        samples_only: score the shipped samples, whatever else is there.
    """

    samples: Path
    mirror: Path | None = None
    samples_only: bool = False


@dataclass(frozen=True)
class FoundData:
    """A data set's rows, located but not read.

    Attributes:
        files: split to file, for samples and mirrors.
        snapshot: the hub cache's folder, for what was fetched before.
    """

    dataset: Dataset
    origin: Origin
    files: Mapping[str, Path] = field(default_factory=dict)
    snapshot: Path | None = None


def data_folders(samples: Path, data: str | None, samples_only: bool) -> DataFolders:
    """Check ``--data`` (or ``HARNESS_DATA``) and bundle the places to read from.

    Raises:
        UsageError: the folder does not exist, or samples and a data folder were both asked for.
    """
    chosen = data or os.environ.get("HARNESS_DATA") or None
    if samples_only and data:
        raise UsageError("--samples and --data exclude each other: choose one")
    if chosen is None or samples_only:
        return DataFolders(samples, None, samples_only)
    mirror = expanded(chosen)
    if not mirror.is_dir():
        origin = "--data" if data else "HARNESS_DATA"
        raise UsageError(
            f"{origin}={chosen}: no such folder; it must hold ORG/NAME/CONFIG/SPLIT.jsonl[.gz]"
        )
    return DataFolders(samples, mirror, False)


def find(dataset: Dataset, folders: DataFolders) -> FoundData:
    """Locate a data set: shipped whole, else the mirror, then the hub's cache, then the hub.

    One that is nobody's but the user's (a name without an organization) is served by its samples
    where there is no folder with it.

    Raises:
        DataError: nothing serves it; names the files that would.
    """
    if dataset.shipped is not None:
        return _find_shipped(dataset, dataset.shipped, folders)
    if folders.samples_only:
        return _find_samples(dataset, folders)
    if folders.mirror is not None:
        for served in _served(dataset):
            files = _split_files(_mirror_folder(served, folders.mirror))
            if dataset.split in files:
                return FoundData(served, "mirror", files)
    if not dataset.on_hub:
        return _find_samples(dataset, folders)
    if snapshot := hub.cached(dataset.name, None, "dataset"):
        return FoundData(dataset, "hub cache", snapshot=snapshot)
    if reason := _why_no_hub():
        raise DataError(_nothing_serves(dataset, folders, reason))
    return FoundData(dataset, "hub")


def on_disk(dataset: Dataset, folders: DataFolders) -> FoundData | None:
    """Locate a data set among files alone: shipped whole, the mirror, the samples; ``None`` where
    there is none of these.
    """
    if dataset.shipped is None and folders.mirror is not None and not folders.samples_only:
        for served in _served(dataset):
            files = _split_files(_mirror_folder(served, folders.mirror))
            if dataset.split in files:
                return FoundData(served, "mirror", files)
    try:
        return find(dataset, DataFolders(folders.samples, samples_only=True))
    except DataError:
        return None


def load(found: FoundData) -> tuple[dict[str, datasets.Dataset], DataRecord]:
    """Read the rows of every split that is there, and record what they were.

    Raises:
        DataError: a file is damaged, a row lacks a column, or the hub fails.
    """
    if not found.files:
        return _load_from_hub(found)

    splits: dict[str, datasets.Dataset] = {}
    digests: dict[str, str] = {}
    for split, path in found.files.items():
        rows = read_rows(path)
        if found.origin in ("samples", "shipped") and found.dataset.samples_where is not None:
            column, value = found.dataset.samples_where
            rows = [row for row in rows if row.get(column) == value]
        if rows:
            splits[split] = _table(rows, path)
        digests[path.name] = sha256(path)
    dataset = found.dataset
    if found.origin == "mirror":
        check_dataset(find_lock(), dataset.name, dataset.config, digests, None)
    return splits, DataRecord(dataset.name, dataset.config, found.origin, digests)


def _find_shipped(dataset: Dataset, file: str, folders: DataFolders) -> FoundData:
    path = folders.samples / file
    if not path.is_file():
        raise DataError(f"{path}, the data of {dataset}, is missing; install the project again")
    return FoundData(dataset, "shipped", {dataset.split: path})


def _find_samples(dataset: Dataset, folders: DataFolders) -> FoundData:
    if dataset.samples is None:
        raise DataError(
            f"no samples are shipped for {dataset}; score the real data with --data DIR, or the hub"
        )
    files = _split_files(folders.samples / dataset.samples)
    if not files:
        raise DataError(f"the samples {folders.samples / dataset.samples} are missing")
    return FoundData(dataset, "samples", files)


def _served(dataset: Dataset) -> list[Dataset]:
    """What a mirror may serve for a data set: itself, and what stands in for it."""
    stand_in = STAND_INS.get((dataset.name, dataset.config))
    if stand_in is None:
        return [dataset]
    name, config = stand_in
    return [dataset, replace(dataset, name=name, config=config)]


def _mirror_folder(dataset: Dataset, mirror: Path) -> Path:
    name = ALIASES.get(dataset.name, dataset.name)
    return mirror.joinpath(*name.split("/"), dataset.config or "default")


def _split_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found = sorted(path for path in folder.iterdir() if path.name.endswith(ROWS) and path.is_file())
    return {path.name.partition(".jsonl")[0]: path for path in reversed(found)}


def _table(rows: list[dict[str, Any]], path: Path) -> datasets.Dataset:
    """Rows as a table; every column has one type throughout."""
    import datasets

    try:
        return datasets.Dataset.from_list(rows)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # pyarrow's, too
        raise DataError(f"{path}: the rows do not make a table: {error}") from None


def _load_from_hub(found: FoundData) -> tuple[dict[str, datasets.Dataset], DataRecord]:
    import datasets

    dataset, lock = found.dataset, find_lock()
    pin = lock.dataset(dataset.name, dataset.config) if lock else None
    options = {key: value for key, value in dataset.load_options.items() if key not in _OURS}
    name = None if "data_dir" in options else dataset.config
    try:
        if found.snapshot is not None:
            # The folder itself, not the name: a name would be looked up on the network again.
            commit = found.snapshot.name
            check_cards(found.snapshot, dataset.name)
            loaded = datasets.load_dataset(str(found.snapshot), name, **options)
        else:
            pinned = pin.commit if pin else None
            there = hub.remote(dataset.name, pinned, "dataset")
            commit = there.commit
            for card in set(CARDS) & set(there.files):
                check_card(hub.dataset_file(dataset.name, commit, card), dataset.name)
            loaded = datasets.load_dataset(dataset.name, name, revision=commit, **options)
    except DataError:
        raise
    except HarnessError as error:
        raise DataError(f"{dataset}: {error}") from None
    except Exception as error:  # datasets raises many kinds; all mean that there are no rows
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"the {found.origin} could not serve {dataset}: {message}") from None
    check_dataset(lock, dataset.name, dataset.config, {}, commit)
    return dict(loaded), DataRecord(dataset.name, dataset.config, found.origin, {}, commit)


@functools.cache
def _why_no_hub() -> str | None:
    """Asked once per process: an unreachable hub costs seconds to find out about."""
    return hub.unreachable()


def _nothing_serves(dataset: Dataset, folders: DataFolders, no_hub: str) -> str:
    name = ALIASES.get(dataset.name, dataset.name)
    relative = f"{name}/{dataset.config or 'default'}"
    looked = [
        f"not in {folders.mirror}" if folders.mirror else "no data folder was given",
        "not in the hub's cache",
        f"the hub cannot be reached ({no_hub})",
    ]
    file = f"{relative}/{dataset.split}.jsonl"
    others = [f" or {each.name}/{each.config}/{each.split}.jsonl" for each in _served(dataset)[1:]]
    advice = f"A mirror with {file}{''.join(others)} (or .jsonl.gz) would serve: --data DIR"
    if (mirror := folders.mirror) is not None:
        if splits := _split_files(_mirror_folder(dataset, mirror)):
            advice += f" ({mirror}/{relative} has the splits {', '.join(sorted(splits))})"
        elif there := _configs_in(mirror, name):
            advice += f" ({mirror}/{name} has the configs {', '.join(there)})"
    if dataset.samples is not None:
        advice += "; or score the shipped samples instead: --samples"
    return f"no data for {dataset}: {'; '.join(looked)}. {advice}"


def _configs_in(mirror: Path, name: str) -> list[str]:
    folder = mirror.joinpath(*name.split("/"))
    if not folder.is_dir():
        return []
    return sorted(child.name for child in folder.iterdir() if child.is_dir())
