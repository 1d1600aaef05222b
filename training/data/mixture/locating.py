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
from harness.errors import DataError, HarnessError
from harness.lock import find_lock
from harness.report.wording import counted, size
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
    lookup = _Hub(tell)
    for taken in mixture.sources:
        try:
            found.append(_locate(taken.source, data, lookup))
        except DataError as error:
            missing.append(f"{taken.source.name}: {error}")
    if missing:
        raise DataError(
            f"{mixture.name}: {counted(len(missing), 'source')} of {len(mixture.sources)} "
            "cannot be read:\n" + "\n".join(f"  {line}" for line in missing)
        )
    return found


def _locate(source: Source, data: Path | None, lookup: _Hub) -> Located:
    if source.path:
        path = Path(source.path).expanduser()
        if not path.is_file():
            raise DataError(f"{path}: no such file; {_layout(source)}")
        return Located((path,))
    if data is not None and (files := _in_folder(data / source.place)):
        return Located(files)
    reasons = [f"not in {data}" if data is not None else "no data folder was given"]
    if source.unpublished:
        reasons.append(f"not published: {source.unpublished}")
    else:
        found = lookup.files(source)
        if isinstance(found, Located):
            return found
        reasons.append(found)
    raise DataError(
        f"{'; '.join(reasons)}. Put it at {data or 'DIR'}/{source.place}.jsonl (or "
        f"{', '.join(SUFFIXES[1:])})" + ("" if data else ", DATA=DIR") + f"; {_layout(source)}"
    )


def _layout(source: Source) -> str:
    return f"a row has the columns {', '.join(columns_of(source))}"


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
        DataError: names a part that is missing.
    """
    for path in files:
        if found := _PART.search(path.name):
            for number in range(int(found[2])):
                other = path.name.replace(found[0], f"-{number:0{len(found[1])}}-of-{found[2]}")
                if not path.with_name(other).is_file():
                    raise DataError(f"{path.with_name(other)} is missing, a part of {found[2]}")
    return tuple(files)


class _Hub:
    """The hub's cache and the hub; whether it can be reached is found out once."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._reason: str | None = None
        self._asked = False

    def files(self, source: Source) -> Located | str:
        """The source's files, or why there are none."""
        lock = find_lock()
        pin = lock.dataset(source.dataset, source.config) if lock else None
        commit = pin.commit if pin else None
        snapshot = hub.cached(source.dataset, commit, "dataset")
        try:
            if snapshot is not None and (found := _cached(source, snapshot)) is not None:
                return found
            if (reason := self._unreachable()) is not None:
                return f"not in the hub's cache; the hub cannot be reached ({reason})"
            return self._fetched(source, commit)
        except HarnessError as error:
            return str(error)

    def _unreachable(self) -> str | None:
        if not self._asked:
            self._reason, self._asked = hub.unreachable(), True
        return self._reason

    def _fetched(self, source: Source, pinned: str | None) -> Located:
        remote = hub.remote(source.dataset, pinned, "dataset")
        prefix = f"hf://datasets/{source.dataset}@{remote.commit}/"
        resolved = _resolved(source, source.dataset, remote.commit)
        names = [each.removeprefix(prefix) for each in resolved]
        if unknown := [name for name in names if name not in remote.files]:
            raise DataError(f"the hub's {source.dataset} has no file {unknown[0]}")
        sizes = [remote.sizes.get(name, 0) for name in names]
        self._tell(f"fetching {source.dataset}, {counted(len(names), 'file')}, {size(sum(sizes))}")
        # The page says what its configurations are, which the cache is asked for next time.
        also = [name for name in ("README.md",) if name in remote.files]
        folder = hub.download(source.dataset, pinned, remote.commit, [*names, *also], "dataset")
        return Located(tuple(folder / name for name in names), remote.commit)


def _cached(source: Source, snapshot: Path) -> Located | None:
    """The source's files in a snapshot; ``None`` where it has not all of them."""
    try:
        files = [Path(each) for each in _resolved(source, str(snapshot), None)]
        if not all(path.is_file() for path in files):
            return None
        return Located(check_parts(files), snapshot.name)
    except DataError:
        return None


def _resolved(source: Source, name: str, commit: str | None) -> list[str]:
    """What `datasets` finds for a source's configuration and split."""
    import datasets

    where = (
        {"data_dir": source.hub_folder}
        if source.hub_folder
        else {"name": source.config if source.config != "default" else None}
    )
    try:
        builder = datasets.load_dataset_builder(name, revision=commit, **where)
        found = {str(split): files for split, files in (builder.config.data_files or {}).items()}
    except Exception as error:  # datasets raises many kinds; all mean that there are no files
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"the hub's {source.dataset}: {message}") from None
    if source.split not in found:
        raise DataError(
            f"the hub's {source.dataset} has the splits {', '.join(found)}, not {source.split}"
        )
    files = [str(each) for each in found[source.split]]
    if other := [each for each in files if not each.endswith(SUFFIXES)]:
        raise DataError(
            f"the hub's {source.dataset} is in {Path(other[0]).name}, which is none of "
            f"{', '.join(SUFFIXES)}"
        )
    return files
