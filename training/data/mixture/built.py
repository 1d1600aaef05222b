"""Mixtures that were made: where they lie, their cards, and the files of their splits.

A recipe names one as ``mixture``, or as ``mixture/split`` where it has several splits.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from harness.checkout import how_to_mix
from harness.data_card import DataCard, read_card
from harness.errors import DataError, UnknownName, UsageError
from harness.prepared import cache_folder
from training.data.mixture.mixtures_file import load_mixtures
from training.data.mixture.placing import is_file_of


def mixture_folder(name: str, limit: int | None = None) -> Path:
    """Where a mixture is made unless it is said otherwise; one of some rows has its own place."""
    trial = f"-first-{limit}" if limit is not None else ""
    return cache_folder() / "mixtures" / f"{name}{trial}"


def is_declared(name: str) -> bool:
    """Whether a recipe's name for data stands for a mixture that is shipped."""
    return name.partition("/")[0] in load_mixtures()


def card_of(name: str) -> DataCard | None:
    """The card of the mixture that a recipe names; ``None`` where no such was made.

    Raises:
        DataError: the card is damaged.
    """
    mixture = name.partition("/")[0]
    if not mixture or mixture in (".", "..", "~") or Path(mixture).name != mixture:
        return None
    return read_card(mixture_folder(mixture))


def rows_file(name: str) -> Path:
    """The file of rows that a recipe names.

    Raises:
        DataError: the mixture was not made, or the file is not the one that its card describes.
        UsageError: it has several splits, and none is named.
        UnknownName: it has no such split.
    """
    mixture, _, split = name.partition("/")
    card = card_of(name)
    if card is None:
        raise DataError(f"the mixture {mixture} is not made yet: `{how_to_mix(mixture)}` makes it")
    files = {each.name: each for each in card.splits}
    if not split and len(files) > 1:
        raise UsageError(
            f"data: {mixture} has the splits {', '.join(files)}; name one, as {mixture}/"
            f"{next(iter(files))}"
        )
    split = split or next(iter(files))
    if split not in files:
        raise UnknownName("split", split, files, f"the mixture {mixture}")
    path = mixture_folder(mixture) / files[split].file
    if not _described(path, files[split].sha256):
        raise DataError(
            f"{path} is missing, or not the file that the card of {mixture} describes: "
            f"`{how_to_mix(mixture)}` makes it again"
        )
    return path


def _described(path: Path, sha256: str) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False
    return _digested(path, sha256, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _digested(path: Path, sha256: str, size: int, changed: int) -> bool:
    """Whether it has this digest: a file of that size and time is read once in a process."""
    return is_file_of(path, sha256)
