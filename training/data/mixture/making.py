"""Makes a mixture: looks its sources through, works row by row, chooses, writes, and describes.

A mixture fills ``.<name>.partial`` beside its final place and gets there by one rename. What is
done row by row lies in ``.<name>.work``, which outlives an interruption: the same call goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from harness.catalog import load_catalog
from harness.data_card import DataCard, read_card, write_card
from harness.errors import DataError, Interrupted, UsageError
from harness.report.wording import counted
from harness.storage import alone, expanded, explained, write_atomic
from training.data.mixture.carding import Held, Made, describe
from training.data.mixture.declared import Mixture
from training.data.mixture.finishing import finish
from training.data.mixture.licences import FORBIDDEN, UNKNOWN
from training.data.mixture.locating import Located, locate_all
from training.data.mixture.placing import BEGUN, beside, check_place, discard, put, whole
from training.data.mixture.shards import Worker
from training.data.mixture.surveying import Survey, survey
from training.data.mixture.tested_docs import test_sets
from training.data.mixture.tests_index import TestsIndex
from training.data.mixture.tokenizing import Tokens, load_tokens
from training.data.mixture.working import Meter, Tell, Worked, work_through

VERSION = 3
"""Of what is done to a row: a change that can change the rows raises it."""
PACKAGES = ("rensa", "xxhash", "tokenizers")


@dataclass(frozen=True)
class Place:
    """Where a mixture is read and made.

    Attributes:
        data: the data folder, ``ORG/NAME/CONFIG/SPLIT.jsonl[.gz]``.
        out: the folder that is made; an earlier mixture there is replaced, nothing else.
        limit: rows of each source that are looked at; ``None`` for all.
        tell: takes one line for the user.
    """

    data: Path | None
    out: Path
    limit: int | None
    tell: Tell


def check_licences(mixture: Mixture) -> None:
    """Refuse a mixture that its sources' licences do not permit.

    Raises:
        UsageError: names every such source.
    """
    refusing = [
        f"{taken.source.name} ({taken.source.licence}"
        f"{': no licence permits it' if taken.source.licence == UNKNOWN else ''})"
        for taken in mixture.sources
        if mixture.use in FORBIDDEN[taken.source.licence]
    ]
    if refusing:
        one = len(refusing) == 1
        raise UsageError(
            f"{mixture.name} is for {mixture.use} use, which {counted(len(refusing), 'source')} "
            f"{'does' if one else 'do'} not permit: {', '.join(refusing)}; leave "
            f"{'it' if one else 'them'} out, or declare another use"
        )


def make(mixture: Mixture, place: Place, meter: Meter) -> DataCard:
    """Make a mixture; one that is there already and would be the same is left as it is.

    Raises:
        UsageError: a licence does not permit the declared use, or something else than a mixture is
            where it would be made.
        DataError: a source is missing, cannot be read, or is too small.
        StorageError: something cannot be written.
        Interrupted: the user stopped it; the same call goes on.
    """
    check_licences(mixture)
    place = replace(place, out=expanded(place.out).resolve())
    check_place(place.out, mixture.splits, [place.data] if place.data is not None else [])
    tokens = load_tokens(mixture.tokenizer) if mixture.max_tokens is not None else None
    files = locate_all(mixture, place.data, place.tell)
    check_place(place.out, mixture.splits, [path for each in files for path in each.files])
    partial = beside(place.out, "partial")
    try:
        with explained(place.out), alone(place.out, place.tell):
            try:
                return _made(mixture, files, tokens, place, meter)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped while {mixture.name} was made; the same command goes on from there"
        ) from None


def _made(
    mixture: Mixture,
    files: Sequence[Located],
    tokens: Tokens | None,
    place: Place,
    meter: Meter,
) -> DataCard:
    """The mixture in its place; nobody else makes it meanwhile."""
    work = beside(place.out, "work")
    with _read():
        surveys = _surveyed(mixture, files, place, meter)
        tests, unchecked = _tests(mixture, place)
    made = Made(_identity(mixture, surveys, tests, tokens, place.limit), place.limit, versions())
    if (card := _there(place, made.identity)) is not None:
        place.tell(f"{mixture.name} is there, made from the same sources: {place.out}")
        discard(work)
        return card
    _begin(work, made.identity, place.tell)
    worked = work_through(Worker(mixture, tests, tokens, work), surveys, place.tell, meter)
    partial, held = beside(place.out, "partial"), Held(tests, unchecked)
    made = replace(made, tokens=tokens)
    try:
        card = _written(mixture, worked, held, made, partial, meter)
    except DataError:  # the same call would end the same way
        discard(work)
        raise
    put(partial, place.out, mixture.splits)
    discard(work)
    return card


def _written(
    mixture: Mixture, worked: Worked, held: Held, made: Made, partial: Path, meter: Meter
) -> DataCard:
    """The rows that are chosen, and their card, in a folder of their own."""
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    surveys, shards = worked.surveys, worked.shards
    finished = finish(mixture, surveys, shards, worked.kept, worked.choice, partial, meter)
    card = describe(mixture, surveys, shards, finished, held, made)
    _check_amounts(mixture, worked.choice.gives, card)
    write_card(partial, card)
    return card


@contextmanager
def _read() -> Iterator[None]:
    """Errors of reading, which are none of the place that is written."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror or error}") from None


def _there(place: Place, identity: str) -> DataCard | None:
    """The card of what is in the place, if that is whole and is what would be made."""
    try:
        card = read_card(place.out)
    except DataError:
        place.tell(f"the data card in {place.out} cannot be read: the mixture is made anew")
        return None
    if card is None or card.identity != identity:
        return None
    if not whole(place.out, card):
        place.tell(f"{place.out} is not what its card describes: the mixture is made anew")
        return None
    return card


def versions() -> dict[str, str]:
    """The packages whose version can change the rows."""
    return {name: metadata.version(name) for name in PACKAGES}


def _surveyed(
    mixture: Mixture, sources: Sequence[Located], place: Place, meter: Meter
) -> list[Survey]:
    sizes = [path.stat().st_size for each in sources for path in each.files]
    meter.start("looking through the sources", sum(sizes), "bytes")
    found = [
        survey(taken, each, mixture.seed, place.limit, meter.advance)
        for taken, each in zip(mixture.sources, sources, strict=True)
    ]
    if mixture.unreadable == "stop":
        for each in found:
            if each.torn:  # whether or not that row is drawn: others are missing
                files = each.located.files
                where = files[0] if len(files) == 1 else files[0].parent
                raise DataError(
                    f"{each.taken.source.name}: {where}, {each.torn}. Fetch it again, or declare "
                    "`unreadable: drop` to take what there is"
                )
    return found


def _tests(mixture: Mixture, place: Place) -> tuple[TestsIndex | None, dict[str, str]]:
    if mixture.ngram is None:
        return None, {}
    place.tell("reading the test docs of the tasks")
    sets, missing = test_sets(load_catalog(), place.data)
    for task, why in missing.items():
        place.tell(f"not held against {task}: {why}")
    if partly := dict.fromkeys(each.task for each in sets if each.origin == "samples"):
        place.tell(
            f"held against the shipped samples only: {', '.join(partly)} (DATA=dir, a folder with "
            "their data sets, has all of their test docs)"
        )
    return TestsIndex(sets, mixture.ngram), missing


def _identity(
    mixture: Mixture,
    surveys: Sequence[Survey],
    tests: TestsIndex | None,
    tokens: Tokens | None,
    limit: int | None,
) -> str:
    content = {
        "version": VERSION,
        "mixture": mixture.digest,
        "sources": [list(each.digests.values()) for each in surveys],
        "tests": tests.digest if tests else "",
        "tokenizer": tokens.sha256 if tokens else "",
        "limit": limit,
        "packages": versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _begin(work: Path, identity: str, tell: Tell) -> None:
    """Keep what an interrupted call has done, if it was to become the same."""
    note = work / BEGUN
    try:
        same = note.read_text("utf-8") == identity
    except OSError:
        same = False
    if same:
        tell("going on where an earlier call was interrupted")
        return
    discard(work)
    work.mkdir(parents=True)
    write_atomic(note, identity)


def _check_amounts(mixture: Mixture, gives: Sequence[int], card: DataCard) -> None:
    """Refuse to give fewer rows than were asked for, unless that is declared or only some rows of
    each source were looked at; rows that a share cuts off were to be given.
    """
    short = [
        f"{source.name}: {rows:,} of {source.at_most:,} (it holds {source.rows:,}"
        + (f", {counted(sum(source.dropped.values()), 'drop')}" if source.dropped else "")
        + ")"
        for source, rows in zip(card.sources, gives, strict=True)
        if source.at_most is not None and rows < source.at_most
    ]
    if short and mixture.short == "stop" and card.limit is None:
        raise DataError(
            f"{mixture.name} asks for more than its sources give:\n"
            + "\n".join(f"  {line}" for line in short)
            + "\nAsk for fewer, or declare `short: take` to take what there is"
        )
    if not card.rows:
        raise DataError(f"{mixture.name}: nothing is left of its sources: {dict(card.drops)}")
