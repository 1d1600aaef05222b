"""Reads a file of mixtures strictly: a source is written once, mixtures take of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from harness.errors import RegistryError, UnknownName, UsageError, closest
from harness.storage import expanded
from harness.strict_yaml import Table, parse
from training.data.files import SUFFIXES
from training.data.mixture.declared import (
    FORMATS,
    PERSONAL,
    WORDED,
    Action,
    Format,
    Kind,
    Mixture,
    Source,
    Taken,
    Votes,
)
from training.data.mixture.licences import FORBIDDEN, USES
from training.data.stem import generate

SHIPPED = Path(__file__).resolve().parent.parent / "mixtures.yaml"

EMBEDDED = (*generate.MIXTURES, "gsm8k")
"""Sets that are no mixtures; a recipe that names one of these means no other."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TRIAL = re.compile(r".*-first-\d+")


def load_mixtures(path: Path | None = None) -> dict[str, Mixture]:
    """Read a file of mixtures; the shipped one where none is named. The paths in it are taken
    from the folder that it is in.

    Raises:
        RegistryError: it is not as it should be; names file and line.
    """
    top = parse(path or SHIPPED)
    top.only(["sources", "mixtures"])
    declared = top.table("sources", "sources") if "sources" in top else None
    if declared is None or "mixtures" not in top:
        raise top.error(None, "the file has the keys 'sources' and 'mixtures'")
    folder = expanded(path or SHIPPED).absolute().parent
    sources = {name: _source(declared, name, folder) for name in declared.nodes}
    mixtures = top.table("mixtures", "mixtures")
    return {name: _mixture(mixtures, name, sources, folder) for name in mixtures.nodes}


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


def check_not_shipped(mixture: Mixture, path: Path) -> None:
    """Refuse a user's mixture that would take the place of another one, which is shipped.

    Raises:
        UsageError: there is a shipped one of that name, declared otherwise.
    """
    if load_mixtures().get(mixture.name, mixture) != mixture:
        raise UsageError(
            f"{mixture.name} is the name of a shipped mixture, and {path} declares another: "
            "recipes that name it would learn yours; give it another name, or name a folder with "
            "--out"
        )


def _source(sources: Table, name: str, folder: Path) -> Source:
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
        hub_folder=table.text("hub_folder", ""),
        unpublished=table.text("unpublished", ""),
        path=_from(folder, table.text("path", "")),
        columns=_texts(table, "columns"),
        where={key: where.scalar(key) for key in where.nodes} if where else {},
        template=table.text("template", "") or None,
        personal=_personal(table),
        votes=_votes(table),
        share=table.text("share", ""),
    )


def _mixture(mixtures: Table, name: str, sources: Mapping[str, Source], folder: Path) -> Mixture:
    _check_name(mixtures, name)
    if name in EMBEDDED or name.endswith(SUFFIXES) or _TRIAL.fullmatch(name):
        raise RegistryError(
            f"{mixtures.at(name)}: the name {name!r} is not valid: in a recipe, {_meaning(name)}"
        )
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
        tokenizer=_from(folder, table.text("tokenizer", "")),
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
        if name.endswith(SUFFIXES):
            raise inner.error(name, f"is not valid: in a recipe, {_meaning(name)}")
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


def _from(folder: Path, path: str) -> str:
    return str(folder / expanded(path)) if path else ""


def _meaning(name: str) -> str:
    """What a recipe's ``data`` takes a name for that no mixture may have."""
    if name in EMBEDDED:
        return "it is a set that ships with the project"
    if name.endswith(SUFFIXES):
        return "what ends so is a path"
    return "names that end so are those of trials (--limit)"


def _check_name(table: Table, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"{table.at(name)}: the name {name!r} is not valid: small letters, digits, '.', '_' "
            "and '-', as it also names files"
        )
