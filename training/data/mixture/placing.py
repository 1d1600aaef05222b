"""Where a mixture may be made, and how it gets there: nothing is deleted but an earlier mixture."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from harness.data_card import FILE, DataCard
from harness.errors import DataError, UsageError
from harness.storage import UNDECODABLE

BEGUN = "begun"
"""The file of a work folder that says what it is to become."""


def beside(folder: Path, what: str) -> Path:
    """A hidden folder next to one that is made; ``folder`` is absolute."""
    return folder.with_name(f".{folder.name}.{what}")


def check_place(out: Path, splits: Iterable[str], kept: Iterable[Path]) -> None:
    """Refuse a place where making a mixture would delete something else.

    Args:
        out: absolute; what is there is replaced.
        splits: of the mixture that is to be made there.
        kept: files and folders that stay: the data folder, the sources.

    Raises:
        UsageError: it is a file, holds what is no mixture, or holds what stays.
        DataError: it cannot be read.
    """
    choose = "choose another folder (--out)"
    if out.parent == out:
        raise UsageError(f"{out} is no folder that can be made; {choose}")
    for path in kept:
        if path.resolve().is_relative_to(out):
            raise UsageError(f"{out} holds what the mixture is made of ({path}); {choose}")
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file; {choose}")
    others = _others(out, splits)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise UsageError(
            f"{out} is not empty, and not an earlier mixture: it holds {', '.join(others[:3])}"
            f"{more}, which would be deleted; {choose}"
        )


def whole(folder: Path, card: DataCard) -> bool:
    """Whether the files of all splits are those that the card describes."""
    return all(is_file_of(folder / split.file, split.sha256) for split in card.splits)


def is_file_of(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this digest.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == sha256
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def put(partial: Path, out: Path, splits: Iterable[str]) -> None:
    """Move a finished folder to its place; an earlier mixture makes room.

    Raises:
        UsageError: meanwhile, something else is there.
        OSError: it cannot be moved.
    """
    check_place(out, splits, ())
    former = beside(out, "former")
    _delete_files(former)
    if out.exists():
        out.rename(former)
    partial.rename(out)
    _delete_files(former)


def discard(work: Path) -> None:
    """Delete a work folder, its note first: a deletion that is cut short leaves no folder from
    which a later call would go on.
    """
    (work / BEGUN).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)


def _others(out: Path, splits: Iterable[str]) -> list[str]:
    """What is in a folder besides a card, and the files that the card or the mixture names."""
    try:
        there = sorted(out.iterdir())
        card = (out / FILE).read_bytes() if out / FILE in there else None
    except OSError as error:
        raise DataError(f"{out} cannot be read: {error.strerror or error}") from None
    if card is None:
        return [path.name for path in there]
    ours = {FILE, *(f"{name}.jsonl" for name in splits), *_named(card)}
    return [path.name for path in there if path.name not in ours or not path.is_file()]


def _named(card: bytes) -> set[str]:
    """The files that a card names; none where it is damaged. Other versions name them too."""
    try:
        splits = msgspec.json.decode(card, type=dict[str, Any]).get("splits")
    except UNDECODABLE:
        return set()
    found = splits if isinstance(splits, list) else []
    return {str(each["file"]) for each in found if isinstance(each, dict) and "file" in each}


def _delete_files(folder: Path) -> None:
    """Delete a former mixture: a folder in it, which is none of ours, stays, and so does this."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    folder.rmdir()
