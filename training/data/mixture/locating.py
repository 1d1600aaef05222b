"""Finds the files of a source: at its path, in the data folder, in the hub's cache, on the hub.

What a hub's configuration and split stand for is worked out by `datasets`, which runs no script of
anybody's; its files are read from the disk like all others, so that they have digests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import hub
from harness.dataset_card import CARDS, check_card, check_cards
from harness.errors import DataError, HarnessError
from harness.lock import find_lock
from harness.report.wording import counted, size
from harness.storage import expanded
from training.data.mixture.declared import Mixture, Source
from training.data.mixture.layouts import columns_of
from training.data.mixture.reading import SUFFIXES

Tell = Callable[[str], None]
_PART = re.compile(r"-(\d+)-of-(\d+)(?=\.)")


@dataclass(frozen=True)
class Located:
    """A source's files, in their order.

    Attributes:
        commit: of the hub's repository that they are of; ``None`` for the user's own.
    """

    files: tuple[Path, ...]
    commit: str | None = None


def locate_all(mixture: Mixture, data: Path | None, tell: Tell) -> list[Located]:
    """The files of all sources of a mixture.

    Raises:
        DataError: names every source that has none, where its file may be put, and its columns.
    """
    found, missing = [], []
    lookup, advice = _Hub(tell), ""
    for taken in mixture.sources:
        try:
            located = _locate(taken.source, data, lookup)
        except HarnessError as error:
            missing.append(f"  {taken.source.name}: {error}")
            continue
        if located is not None:
            found.append(located)
        else:
            missing.append(f"  {_layout(taken.source)}")
            advice = _advice(data)
    if missing:
        raise DataError(
            f"{mixture.name}: {counted(len(missing), 'source')} of {len(mixture.sources)} "
            "cannot be read:\n" + "\n".join([*missing, *filter(None, [advice + lookup.excuse])])
        )
    return found


def kept_files(source: Source) -> tuple[Path, ...]:
    """The source's files in the hub's cache; none where it has not all of them.

    Raises:
        DataError: the card that lies there names files elsewhere.
    """
    snapshot = hub.cached(source.dataset, None, "dataset")
    found = _cached(source, snapshot) if snapshot is not None else None
    return found.files if found is not None else ()


def _locate(source: Source, data: Path | None, lookup: _Hub) -> Located | None:
    if source.path:
        path = expanded(source.path)
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        return Located((path,))
    if data is not None and (files := _in_folder(data / source.place)):
        return Located(files)
    return None if source.unpublished else lookup.files(source)


def _advice(data: Path | None) -> str:
    folder = f"The data folder is {data}" if data else "DATA=dir (--data) names the folder"
    return (
        f"{folder}; {', '.join(SUFFIXES[1:])} are read too, and parts such as "
        "train-00000-of-00002.parquet. "
    )


def _layout(source: Source) -> str:
    return (
        f"{source.name}: {source.place}.jsonl is not in the data folder; its columns are "
        f"{', '.join(columns_of(source))}"
        + (f" (not published: {source.unpublished})" if source.unpublished else "")
    )


def _in_folder(place: Path) -> tuple[Path, ...]:
    """``<split>.jsonl`` and so on, or the parts ``<split>-00000-of-00002.parquet`` and so on."""
    for suffix in SUFFIXES:
        whole = place.with_name(f"{place.name}{suffix}")
        if whole.is_file():
            return (whole,)
    if not place.parent.is_dir():
        return ()
    there = [each for each in place.parent.iterdir() if each.name.startswith(f"{place.name}-")]
    for suffix in SUFFIXES:
        parts = sorted(each for each in there if each.name.endswith(suffix) and each.is_file())
        parts = [each for each in parts if _PART.sub("", each.name) == f"{place.name}{suffix}"]
        if parts:
            return check_parts(parts)
    return ()


def check_parts(files: Sequence[Path]) -> tuple[Path, ...]:
    """The files, if no part is missing of those that are numbered ``-00000-of-00002``.

    Raises:
        DataError: names a part that is missing, or two sets of parts.
    """
    found = [(path, match) for path in files if (match := _PART.search(path.name))]
    totals = {path.with_name(_PART.sub("", path.name)): match[2] for path, match in found}
    for path, match in found:
        if (other := totals[path.with_name(_PART.sub("", path.name))]) != match[2]:
            raise DataError(f"{path.parent} has parts of {other} and parts of {match[2]}")
        for number in range(int(match[2])):
            part = f"-{number:0{len(match[1])}}-of-{match[2]}"
            if not path.with_name(path.name.replace(match[0], part)).is_file():
                raise DataError(f"{path.with_name(path.name.replace(match[0], part))} is missing")
    return tuple(files)


class _Hub:
    """The hub's cache and the hub; whether it can be reached is found out once.

    Attributes:
        excuse: why nothing comes from there, in words; empty where something may.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._reached = False
        self.excuse = ""

    def files(self, source: Source) -> Located | None:
        """The source's files; ``None`` where the cache has them not and the hub is out of reach.

        Raises:
            HarnessError: the hub does not give them.
        """
        lock = find_lock()
        pin = lock.dataset(source.dataset, source.config) if lock else None
        commit = pin.commit if pin else None
        snapshot = hub.cached(source.dataset, commit, "dataset")
        if snapshot is not None and (found := _cached(source, snapshot)) is not None:
            return found
        if not self._reached and not self.excuse:
            reason = hub.unreachable()
            self._reached = reason is None
            self.excuse = (
                f"What the hub's cache lacks cannot be fetched: {reason}." if reason else ""
            )
        return self._fetched(source, commit) if self._reached else None

    def _fetched(self, source: Source, pinned: str | None) -> Located:
        remote = hub.remote(source.dataset, pinned, "dataset")
        cards = [card for card in CARDS if card in remote.files]
        for card in cards:
            check_card(hub.dataset_file(source.dataset, remote.commit, card), source.dataset)
        prefix = f"hf://datasets/{source.dataset}@{remote.commit}/"
        wanted, every = _resolved(source, source.dataset, remote.commit)
        # All splits, and the cards that say which they are: what the cache is asked for next time.
        names = [each.removeprefix(prefix) for each in every]
        names += cards
        total = sum(remote.sizes.get(name, 0) for name in names)
        self._tell(f"fetching {source.dataset}, {counted(len(names), 'file')}, {size(total)}")
        folder = hub.download(source.dataset, pinned, remote, names, "dataset")
        files = tuple(folder / each.removeprefix(prefix) for each in wanted)
        return Located(files, remote.commit)


def _cached(source: Source, snapshot: Path) -> Located | None:
    """The source's files in a snapshot; ``None`` where it has not all of them."""
    check_cards(snapshot, source.dataset)
    try:
        files = [Path(each) for each in _resolved(source, str(snapshot), None)[0]]
        return Located(check_parts(files), snapshot.name)
    except DataError:
        return None


def _resolved(source: Source, name: str, commit: str | None) -> tuple[list[str], list[str]]:
    """What `datasets` finds for a source's split, and for all splits of its configuration."""
    import datasets

    where = (
        {"data_dir": source.hub_folder}
        if source.hub_folder
        else {"name": source.config if source.config != "default" else None}
    )
    try:
        builder = datasets.load_dataset_builder(name, revision=commit, **where)
        found = {
            str(split): [str(each) for each in files]
            for split, files in (builder.config.data_files or {}).items()
        }
    except Exception as error:  # datasets raises many kinds; all mean that there are no files
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"the hub's {source.dataset}: {message}") from None
    if source.split not in found:
        raise DataError(
            f"the hub's {source.dataset} has the splits {', '.join(found)}, not {source.split}"
        )
    wanted = found[source.split]
    if other := [each for each in wanted if not each.endswith(SUFFIXES)]:
        raise DataError(
            f"the hub's {source.dataset} is in {Path(other[0]).name}, which is none of "
            f"{', '.join(SUFFIXES)}"
        )
    return wanted, [each for files in found.values() for each in files]
