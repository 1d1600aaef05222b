"""The cards of a data set (README.md, .huggingface.yaml): where they say that its files are.

`datasets` follows what stands there, also to an absolute path on this machine or to another host.
A data set's files are those beside its card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from harness.errors import DataError, RegistryError
from harness.strict_yaml import check_bounds, read_text

CARDS = ("README.md", ".huggingface.yaml")
"""The files that `datasets` asks where the data is; the second goes before the first."""
_HEAD = re.compile(
    r"\ufeff?\s*---[ \t]*(?:\r\n|\r|\n)([\S\s]*?)(?:(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|$)|\Z)"
)
"""As huggingface_hub finds it, blanks before it too, and where it would find none for a blank after
the hyphens.
"""
_LEADING = ("configs", "data_files", "data_dir")


def check_cards(folder: Path, dataset: str) -> None:
    """Refuse a data set's folder whose cards name files elsewhere.

    Raises:
        DataError: one does, or cannot be read.
    """
    for name in CARDS:
        check_card(folder / name, dataset)


def check_card(card: Path, dataset: str) -> None:
    """Refuse a card that names files elsewhere; one that is not there names none.

    Raises:
        DataError: it does, or cannot be read.
    """
    if not card.is_file():
        return
    try:
        text = read_text(card)
        head = text if card.suffix == ".yaml" else _head(text)
        check_bounds(head, card)
        content = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RegistryError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{dataset}: its card {card} cannot be read: {first}") from None
    if not isinstance(content, dict):
        return
    for place in _places([content[key] for key in _LEADING if key in content]):
        if "::" in place or "://" in place or _leads_out(place):
            raise DataError(
                f"{dataset}: its card {card} names {place!r} as data: the files of a data set are "
                "those beside its card, and no others are read"
            )


def _head(text: str) -> str:
    """The YAML between the first two lines of three hyphens; empty without it."""
    found = _HEAD.match(text)
    return found[1] if found else ""


def _leads_out(place: str) -> bool:
    path = PurePosixPath(place.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or place.startswith("~")


def _places(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from _places(inner)
