"""What is declared of a mixture: its sources, how much of each, and what is done to their rows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.strict_yaml import Scalar

Kind = Literal["examples", "pairs"]
Format = Literal[
    "alpaca", "preference", "chat", "turns", "choices", "either", "transcripts", "stack_exchange"
]
FORMATS: Mapping[str, Kind] = {
    "alpaca": "examples",
    "chat": "examples",
    "turns": "examples",
    "choices": "examples",
    "preference": "pairs",
    "either": "pairs",
    "transcripts": "pairs",
    "stack_exchange": "pairs",
}
"""Each format and what comes of it; what they are is in `training.data.mixture.layouts`."""

WORDED = ("alpaca", "preference", "choices", "either", "stack_exchange")
"""Formats whose prompt is one column, which a template can word."""

Action = Literal["mask", "drop", "keep"]
PERSONAL = ("email", "phone", "card", "ip")


@dataclass(frozen=True)
class Votes:
    """How scored answers become pairs.

    Attributes:
        bonus: what being the accepted answer adds to the votes; nothing to a ``pm_score``, which
            holds one.
        gap: the least difference of two answers' scores, in votes or in points of ``pm_score``.
        pairs: at most so many pairs of a question, the widest gap first.
    """

    bonus: float = 1.0
    gap: float = 1.0
    pairs: int = 1


@dataclass(frozen=True)
class Source:
    """Where rows come from, and how they are read.

    Attributes:
        name: as the mixtures call it; the group of its rows.
        dataset, config, split: in the data folder, ``DATASET/CONFIG/SPLIT.jsonl`` or another of
            `reading.SUFFIXES`; or by these names on the hub.
        hub_folder: the folder of the hub's repository that holds the files, where it has no
            configuration of that name.
        unpublished: what a set is that no hub has, for whoever misses it.
        path: a file, instead of these.
        format: one of `FORMATS`.
        licence: one of `licences.FORBIDDEN`.
        columns: a column of the format to the one that the source has in its place.
        where: only rows whose column has this value.
        template: wording of the prompt, with columns in braces, in place of all that asks (an input
            and a title too); ``None`` leaves it to the format.
        personal: kinds of personal data that are treated otherwise than the mixture says.
        votes: for scored answers.
        share: sources of one share give equally many rows (the sites of one archive).
    """

    name: str
    format: Format
    licence: str
    dataset: str = ""
    config: str = "default"
    split: str = "train"
    hub_folder: str = ""
    unpublished: str = ""
    path: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Scalar] = field(default_factory=dict)
    template: str | None = None
    personal: Mapping[str, Action] = field(default_factory=dict)
    votes: Votes = Votes()
    share: str = ""

    @property
    def place(self) -> str:
        """Where it is read; of a path the file's name only: a card names no machine's folders."""
        return Path(self.path).name or f"{self.dataset}/{self.config}/{self.split}"


@dataclass(frozen=True)
class Taken:
    """A source in a mixture: at most so many of its rows, at random; ``None`` for all."""

    source: Source
    at_most: int | None


@dataclass(frozen=True)
class Mixture:
    """A declared mixture.

    Attributes:
        kind: prompts with answers, or preference pairs.
        sources: in the order in which duplicates are decided: the first one's row stays.
        use: what the data is for; a licence may forbid it.
        seed: of the draw and of the splits.
        max_chars: of a row's prompt and answers together.
        max_tokens: the same in tokens of ``tokenizer``; ``None`` for no limit.
        tokenizer: a ``tokenizer.json``, or a folder with one.
        personal: kind of personal data to what is done about it.
        near: Jaccard similarity of word triples from which a row is a duplicate, ``None``: only
            rows that are equal are.
        ngram: words in a row that no training row shares with a test doc; ``None``: not looked for.
        unreadable: whether a row that cannot be read stops the mixture or is dropped and counted.
        short: whether a source may have fewer rows than are to be taken.
        splits: name to per cent, by question.
    """

    name: str
    about: str
    kind: Kind
    sources: tuple[Taken, ...]
    use: str = "research"
    seed: int = 1234
    max_chars: int = 20_000
    max_tokens: int | None = None
    tokenizer: str = ""
    personal: Mapping[str, Action] = field(default_factory=lambda: dict.fromkeys(PERSONAL, "mask"))
    near: float | None = 0.8
    ngram: int | None = 13
    unreadable: Literal["stop", "drop"] = "stop"
    short: Literal["stop", "take"] = "stop"
    splits: Mapping[str, int] = field(default_factory=lambda: {"train": 100})

    @property
    def digest(self) -> str:
        """Sha256 of all that is declared: equal for equal mixtures of one name, wherever the files
        lie that they name.
        """
        declared = dataclasses.asdict(self)
        for taken in declared["sources"]:
            taken["source"]["path"] = Path(taken["source"]["path"]).name
        declared["tokenizer"] = Path(self.tokenizer).name
        content = json.dumps(declared, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
