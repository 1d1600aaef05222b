"""The data card of a mixture: what training data is made of, what was left out of it, and why.

`harness-train data` writes it beside the rows, as ``data_card.json``; reports read it. It holds
no times and no names of machines: the same sources give the same card, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness.checkout import how_to_mix
from harness.errors import DataError
from harness.storage import UNDECODABLE, write_atomic

FILE = "data_card.json"
SCHEMA = 1


@dataclass(frozen=True)
class SourceCard:
    """A source and what was taken of it.

    Attributes:
        place: data set, configuration and split, or a path.
        files: file name to sha256.
        at_most: rows that were asked for, ``None`` for all.
        rows: what the source holds.
        drawn: rows that were looked at: those asked for and some to stand in for what is dropped.
        dropped: rule to how many rows, or what came of them, were left out.
        taken_rows: rows of which something was taken.
        taken: examples or pairs.
        commit: of the hub's repository that the files are of; ``None`` for the user's own.
    """

    name: str
    place: str
    format: str
    licence: str
    files: Mapping[str, str]
    at_most: int | None
    rows: int
    drawn: int
    dropped: Mapping[str, int]
    taken_rows: int
    taken: int
    commit: str | None = None


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline.

    Attributes:
        unit_in, unit_out: what is counted before and after it: ``rows``, ``examples``, ``pairs``.
        dropped: rule to count.
        note: what else is to be said.
    """

    name: str
    unit_in: str
    went_in: int
    unit_out: str
    came_out: int
    dropped: Mapping[str, int]
    note: str = ""


@dataclass(frozen=True)
class Dropped:
    """An example of what a rule left out.

    Attributes:
        where: source and row.
        why: what the rule found.
        text: its beginning, with personal data masked.
    """

    rule: str
    where: str
    why: str
    text: str


@dataclass(frozen=True)
class Tested:
    """A task whose test docs no row may share words with.

    Attributes:
        docs: how many.
        origin: where they were read: ``mirror``, ``hub cache``, ``shipped``, or ``samples``, a part
            of them only.
        files: file to sha256.
        found: rows that were dropped because of them.
        as_sentence: docs whose question is so short that it is found only as a sentence of its own.
        with_choices: docs whose question is shorter still, or asked by other docs too: it is found
            at most with its choices after it.
    """

    task: str
    docs: int
    origin: str
    files: Mapping[str, str]
    found: int
    as_sentence: int = 0
    with_choices: int = 0


@dataclass(frozen=True)
class Decontamination:
    """What was held against the rows.

    Attributes:
        ngram: words in a row that count as shared.
        tests: by task.
        unchecked: task to why its docs were not at hand.
    """

    ngram: int
    tests: tuple[Tested, ...]
    unchecked: Mapping[str, str]


@dataclass(frozen=True)
class Lengths:
    """Characters of one part of the rows.

    Attributes:
        part: ``prompt``, ``answer``, ``chosen`` or ``rejected``.
        edges: where the bins begin; the last one has no end.
        counts: rows per bin.
        total: characters of all.
    """

    part: str
    edges: tuple[int, ...]
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Split:
    """A file of rows.

    Attributes:
        percent: of the questions, as declared.
        questions: different ones; no other split has any of them.
    """

    name: str
    percent: int
    rows: int
    questions: int
    file: str
    sha256: str


@dataclass(frozen=True)
class DataCard:
    """Everything that is said of a mixture.

    Attributes:
        kind: ``examples`` or ``pairs``.
        identity: digest of the declaration, the sources' files and the tests: equal for mixtures
            that must be equal.
        settings: what was declared, name to words.
        masked: kind of personal data to how many were masked in the drawn rows.
        limit: only so many rows of each source were read; ``None`` for all.
        versions: packages whose version can change the rows.
    """

    mixture: str
    about: str
    kind: str
    use: str
    identity: str
    settings: Mapping[str, str]
    sources: tuple[SourceCard, ...]
    stages: tuple[Stage, ...]
    masked: Mapping[str, int]
    dropped: tuple[Dropped, ...]
    decontamination: Decontamination | None
    lengths: tuple[Lengths, ...]
    splits: tuple[Split, ...]
    versions: Mapping[str, str]
    limit: int | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    schema: int = SCHEMA

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits)

    @property
    def drops(self) -> dict[str, int]:
        """Every rule's count over all stages."""
        found: dict[str, int] = {}
        for stage in self.stages:
            for rule, count in stage.dropped.items():
                found[rule] = found.get(rule, 0) + count
        return found


def encode_card(card: DataCard) -> bytes:
    """The card as it stands in its file."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


def card_digest(card: DataCard) -> str:
    """Sha256 of the card's file."""
    return hashlib.sha256(encode_card(card)).hexdigest()


def write_card(folder: Path, card: DataCard) -> None:
    """Write the card beside the rows.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomic(folder / FILE, encode_card(card))


def decode_card(content: bytes, name: str) -> DataCard:
    """A card as its file has it; ``name`` is for messages.

    Raises:
        DataError: it is damaged, or of another version.
    """
    again = f"`{how_to_mix('NAME')}` makes the mixture again"
    try:
        schema = msgspec.json.decode(content, type=dict[str, Any]).get("schema")
        if schema != SCHEMA:
            raise DataError(f"{name} has schema {schema!r}, this version reads {SCHEMA}: {again}")
        return msgspec.json.decode(content, type=DataCard)
    except UNDECODABLE as error:
        raise DataError(f"{name} is damaged ({error}): {again}") from None


def read_card(folder: Path) -> DataCard | None:
    """The card of a folder of rows; ``None`` where there is none.

    Raises:
        DataError: it is damaged, or of another version.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return decode_card(content, f"{path}")
