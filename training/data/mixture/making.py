"""Makes a mixture: looks its sources through, works row by row, chooses, writes, and describes.

A mixture fills ``.<name>.partial`` beside its final place and gets there by one rename. What is
done row by row lies in ``.<name>.work``, which outlives an interruption: the same call goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from harness.catalog import load_catalog
from harness.data_card import FILE, DataCard, read_card, write_card
from harness.errors import DataError, Interrupted, UsageError
from harness.report.wording import counted
from harness.storage import alone, explained, write_atomic
from training.data.mixture.carding import Held, Made, describe
from training.data.mixture.choosing import choose
from training.data.mixture.declared import Mixture
from training.data.mixture.finishing import finish
from training.data.mixture.licences import FORBIDDEN, UNKNOWN
from training.data.mixture.locating import Located, locate_all
from training.data.mixture.shards import Kept, Shard, Worker
from training.data.mixture.surveying import Survey, survey
from training.data.mixture.tests_index import TestsIndex, test_sets

VERSION = 1
"""Of what is done to a row: a change that can change the rows raises it."""
PACKAGES = ("rensa", "xxhash", "tokenizers")

Tell = Callable[[str], None]


class Meter(Protocol):
    """Shows how far the work is; see `training.meter`."""

    def start(self, title: str, total: int, unit: str) -> None:
        """A part of the work begins."""

    def advance(self, count: int) -> None:
        """So much more of it is done."""


@dataclass(frozen=True)
class Place:
    """Where a mixture is read and made.

    Attributes:
        data: the data folder, ``ORG/NAME/CONFIG/SPLIT.jsonl[.gz]``.
        out: the folder that is made.
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
        UsageError: a licence does not permit the declared use, or ``place.out`` holds something
            else.
        DataError: a source is missing, cannot be read, or is too small.
        StorageError: something cannot be written.
        Interrupted: the user stopped it; the same call goes on.
    """
    check_licences(mixture)
    sources = locate_all(mixture, place.data, place.tell)
    _former(place.out)  # refused before anything is put beside it, a lock for one
    try:
        with explained(place.out), alone(place.out, place.tell):
            return _made_alone(mixture, sources, place, meter)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped while {mixture.name} was made; the same command goes on from there"
        ) from None


def _made_alone(
    mixture: Mixture, sources: Sequence[Located], place: Place, meter: Meter
) -> DataCard:
    former = _former(place.out)
    work, partial = (_beside(place.out, what) for what in ("work", "partial"))
    surveys = _surveyed(mixture, sources, place, meter)
    tests, unchecked = _tests(mixture, place)
    identity = _identity(mixture, surveys, tests, place.limit)
    if former is not None and former.identity == identity and _is_whole(place.out, former):
        place.tell(f"{mixture.name} is there, made from the same sources: {place.out}")
        return former
    _begin(work, identity, place.tell)
    shards = _worked(Worker(mixture, tests, work), surveys, meter)
    for each in surveys:
        each.check_unchanged()
    kept = [Kept.joined([Kept.read(s.arrays) for s in each]) for each in shards]
    place.tell("choosing: duplicates, amounts, splits")
    choice = choose(mixture, kept)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        finished = finish(mixture, surveys, shards, kept, choice, partial, meter)
        held = Held(tests, unchecked)
        made = Made(identity, place.limit, versions())
        card = describe(mixture, surveys, shards, finished, held, made)
        _check_amounts(mixture, card)
        write_card(partial, card)
        _place(partial, place.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    return card


def _former(out: Path) -> DataCard | None:
    """The card of the mixture that is to be replaced; ``None`` where there is none, or a damaged
    one.

    Raises:
        UsageError: the folder holds something else, which would be lost.
    """
    try:
        card = read_card(out)
        ours = {FILE, *(split.file for split in card.splits)} if card is not None else set()
    except DataError:
        card, ours = None, {FILE, *(path.name for path in out.glob("*.jsonl"))}
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; a mixture is a folder: name another with --out DIR")
    if out.is_dir() and (others := sorted({path.name for path in out.iterdir()} - ours)):
        raise UsageError(
            f"{out} holds {others[0]}, which would be lost if a mixture took its place; name a "
            "folder of its own: --out DIR"
        )
    return card


def _is_whole(out: Path, card: DataCard) -> bool:
    """Whether the rows are those that the card describes."""
    for split in card.splits:
        try:
            with (out / split.file).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != split.sha256:
                    return False
        except OSError:
            return False
    return True


def versions() -> dict[str, str]:
    """The packages whose version can change the rows."""
    return {name: metadata.version(name) for name in PACKAGES}


def _surveyed(
    mixture: Mixture, sources: Sequence[Located], place: Place, meter: Meter
) -> list[Survey]:
    with explained(place.out):
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
    return TestsIndex(sets, mixture.ngram), missing


def _worked(worker: Worker, surveys: Sequence[Survey], meter: Meter) -> list[list[Shard]]:
    meter.start("reading and cleaning", sum(each.drawn for each in surveys), "rows")
    return [list(worker.shards(number, each, meter.advance)) for number, each in enumerate(surveys)]


def _identity(
    mixture: Mixture, surveys: Sequence[Survey], tests: TestsIndex | None, limit: int | None
) -> str:
    content = {
        "version": VERSION,
        "mixture": mixture.digest,
        "sources": [list(each.digests.values()) for each in surveys],
        "tests": tests.digest if tests else "",
        "limit": limit,
        "packages": versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _begin(work: Path, identity: str, tell: Tell) -> None:
    """Keep what an interrupted call has done, if it was to become the same."""
    note = work / "begun"
    try:
        same = note.read_text("utf-8") == identity
    except OSError:
        same = False
    if same:
        tell("going on where an earlier call was interrupted")
        return
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_atomic(note, identity)


def _check_amounts(mixture: Mixture, card: DataCard) -> None:
    """Refuse to give fewer rows than were asked for, unless that is declared."""
    short = [
        f"{source.name}: {source.taken_rows:,} of {source.at_most:,} (it holds {source.rows:,}"
        + (f", {counted(sum(source.dropped.values()), 'drop')}" if source.dropped else "")
        + ")"
        for source in card.sources
        if source.at_most is not None and source.taken_rows < source.at_most
    ]
    if short and mixture.short == "stop":
        raise DataError(
            f"{mixture.name} asks for more than its sources give:\n"
            + "\n".join(f"  {line}" for line in short)
            + "\nAsk for fewer, or declare `short: take` to take what there is"
        )
    if not card.rows:
        raise DataError(f"{mixture.name}: nothing is left of its sources: {dict(card.drops)}")


def _place(partial: Path, out: Path) -> None:
    former = _beside(out, "former")
    shutil.rmtree(former, ignore_errors=True)
    if out.exists():
        out.rename(former)
    partial.rename(out)
    shutil.rmtree(former, ignore_errors=True)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")
