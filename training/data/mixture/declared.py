"""Mixtures as they are declared in YAML, read strictly: a source once, mixtures that take of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from harness.errors import RegistryError, UnknownName, closest
from harness.strict_yaml import Scalar, Table, parse
from training.data.mixture.licences import FORBIDDEN, USES

SHIPPED = Path(__file__).resolve().parent.parent / "mixtures.yaml"

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
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Votes:
    """How scored answers become pairs.

    Attributes:
        bonus: what being the accepted answer adds to the votes.
        gap: the least difference of two answers' scores.
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
        dataset, config, split: in the data folder, ``DATASET/CONFIG/SPLIT.jsonl[.gz]``.
        path: a file, instead of these.
        format: one of `FORMATS`.
        licence: one of `licences.FORBIDDEN`.
        columns: a column of the format to the one that the source has in its place.
        where: only rows whose column has this value.
        template: wording of the prompt, with columns in braces; ``None`` leaves it to the format.
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
    path: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Scalar] = field(default_factory=dict)
    template: str | None = None
    personal: Mapping[str, Action] = field(default_factory=dict)
    votes: Votes = Votes()
    share: str = ""

    @property
    def place(self) -> str:
        """Where it is read, in words."""
        return self.path or f"{self.dataset}/{self.config}/{self.split}"


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
        """Sha256 of all that is declared: equal for equal mixtures of one name."""
        content = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def load_mixtures(path: Path | None = None) -> dict[str, Mixture]:
    """Read a file of mixtures; the shipped one where none is named.

    Raises:
        RegistryError: it is not as it should be; names file and line.
    """
    top = parse(path or SHIPPED)
    top.only(["sources", "mixtures"])
    declared = top.table("sources", "sources") if "sources" in top else None
    if declared is None or "mixtures" not in top:
        raise top.error(None, "the file has the keys 'sources' and 'mixtures'")
    sources = {name: _source(declared, name) for name in declared.nodes}
    mixtures = top.table("mixtures", "mixtures")
    return {name: _mixture(mixtures, name, sources) for name in mixtures.nodes}


def find_mixture(name: str, path: Path | None = None) -> Mixture:
    """A mixture by name.

    Raises:
        UnknownName: there is none of that name.
        RegistryError: as `load_mixtures`.
    """
    known = load_mixtures(path)
    if name not in known:
        raise UnknownName("mixture", name, known, str(path or SHIPPED))
    return known[name]


def _source(sources: Table, name: str) -> Source:
    _check_name(sources, name)
    table = sources.table(name, f"source {name!r}")
    table.only([each.name for each in dataclasses.fields(Source) if each.name != "name"])
    if ("dataset" in table) == ("path" in table):
        raise table.error(None, "it has either a 'dataset' or a 'path'")
    licence = table.choice("licence", sorted(FORBIDDEN))
    form = table.choice("format", sorted(FORMATS))
    if "votes" in table and form != "stack_exchange":
        raise table.error("votes", "only the format stack_exchange has votes")
    if "template" in table and form not in WORDED:
        raise table.error("template", f"the format {form} has no prompt of its own to word")
    where = table.table("where", "where") if "where" in table else None
    return Source(
        name=name,
        format=cast(Format, form),
        licence=licence,
        dataset=table.text("dataset", ""),
        config=table.text("config", "default"),
        split=table.text("split", "train"),
        path=table.text("path", ""),
        columns=_texts(table, "columns"),
        where={key: where.scalar(key) for key in where.nodes} if where else {},
        template=table.text("template", "") or None,
        personal=_personal(table),
        votes=_votes(table),
        share=table.text("share", ""),
    )


def _mixture(mixtures: Table, name: str, sources: Mapping[str, Source]) -> Mixture:
    _check_name(mixtures, name)
    table = mixtures.table(name, f"mixture {name!r}")
    known = [each.name for each in dataclasses.fields(Mixture) if each.name != "name"]
    table.only(known)
    kind = cast(Kind, table.choice("kind", get_args(Kind)))
    plain = Mixture(name, table.text("about"), kind, _taken(table, kind, sources))
    near = _number(table, "near", plain.near, low=0.3, high=1.0)
    tokens = _whole(table, "max_tokens", None)
    if (tokens is None) != ("tokenizer" not in table):
        raise table.error(None, "max_tokens and tokenizer are given together")
    return dataclasses.replace(
        plain,
        use=table.choice("use", USES, plain.use),
        seed=_whole(table, "seed", plain.seed, least=0) or 0,
        max_chars=_whole(table, "max_chars", plain.max_chars) or plain.max_chars,
        max_tokens=tokens,
        tokenizer=table.text("tokenizer", ""),
        personal={**plain.personal, **_personal(table)},
        near=near,
        ngram=_whole(table, "ngram", plain.ngram, least=3),
        unreadable=cast(
            Literal["stop", "drop"], table.choice("unreadable", ("stop", "drop"), plain.unreadable)
        ),
        short=cast(Literal["stop", "take"], table.choice("short", ("stop", "take"), plain.short)),
        splits=_splits(table) if "splits" in table else plain.splits,
    )


def _taken(table: Table, kind: Kind, sources: Mapping[str, Source]) -> tuple[Taken, ...]:
    if "sources" not in table:
        raise table.error(None, "the key 'sources' is missing")
    amounts = table.table("sources", f"sources of {table.what}")
    found = []
    for name in amounts.nodes:
        if name not in sources:
            raise amounts.error(name, f"no such source{closest(name, sources)}")
        source = sources[name]
        if FORMATS[source.format] != kind:
            raise amounts.error(
                name, f"its format {source.format} gives {FORMATS[source.format]}, not {kind}"
            )
        amount = amounts.scalar(name)
        if amount != "all" and (type(amount) is not int or amount < 1):
            raise amounts.error(name, f"{amount!r} is not valid: a number of rows, or all")
        found.append(Taken(source, None if amount == "all" else cast(int, amount)))
    if not found:
        raise table.error("sources", "it names no source")
    return tuple(found)


def _personal(table: Table) -> dict[str, Action]:
    found = _texts(table, "personal")
    inner = table.table("personal", "personal") if found else table
    inner.only(PERSONAL) if found else None
    for name in found:
        inner.choice(name, get_args(Action))
    return cast(dict[str, Action], found)


def _votes(table: Table) -> Votes:
    if "votes" not in table:
        return Votes()
    inner = table.table("votes", "votes")
    inner.only([each.name for each in dataclasses.fields(Votes)])
    return Votes(
        bonus=_number(inner, "bonus", 1.0, low=0.0) or 0.0,
        gap=_number(inner, "gap", 1.0, low=0.0) or 0.0,
        pairs=_whole(inner, "pairs", 1) or 1,
    )


def _splits(table: Table) -> dict[str, int]:
    inner = table.table("splits", "splits")
    for name in inner.nodes:
        _check_name(inner, name)
    found = {name: _whole(inner, name, 0) or 0 for name in inner.nodes}
    if sum(found.values()) != 100:
        raise table.error("splits", f"the shares add up to {sum(found.values())}, not to 100")
    return found


def _texts(table: Table, key: str) -> dict[str, str]:
    if key not in table:
        return {}
    inner = table.table(key, key)
    return {name: inner.text(name) for name in inner.nodes}


def _whole(table: Table, key: str, default: int | None, least: int = 1) -> int | None:
    """A whole number; ``none`` for no limit where that is the default or may be."""
    if key not in table:
        return default
    value = table.scalar(key)
    if value == "none" and key in ("max_tokens", "ngram"):
        return None
    if type(value) is not int or value < least:
        raise table.error(key, f"{value!r} is not valid: a whole number of at least {least}")
    return value


def _number(
    table: Table, key: str, default: float | None, low: float, high: float = float("inf")
) -> float | None:
    if key not in table:
        return default
    value = table.scalar(key)
    if value == "none" and key == "near":
        return None
    if type(value) not in (int, float) or not low <= float(cast(float, value)) <= high:
        limits = f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        raise table.error(key, f"{value!r} is not valid: a number, {limits}")
    return float(cast(float, value))


def _check_name(table: Table, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"{table.at(name)}: the name {name!r} is not valid: small letters, digits, '.', '_' "
            "and '-', as it also names files"
        )
