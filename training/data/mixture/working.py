"""Works through the drawn rows and chooses among them, in as many rounds as the amounts need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from training.data.mixture.choosing import Choice, choose
from training.data.mixture.shards import Kept, Shard, Worker
from training.data.mixture.surveying import Survey

Tell = Callable[[str], None]


class Meter(Protocol):
    """Shows how far the work is; see `training.meter`."""

    def start(self, title: str, total: int, unit: str) -> None:
        """A part of the work begins."""

    def advance(self, count: int) -> None:
        """So much more of it is done."""


@dataclass(frozen=True)
class Worked:
    """The rows of all sources and what becomes of them, an element for each source.

    Attributes:
        surveys: with the rounds that were drawn.
        shards: of all rounds.
        kept: what is known of the rows in them.
    """

    surveys: Sequence[Survey]
    shards: Sequence[Sequence[Shard]]
    kept: Sequence[Kept]
    choice: Choice


def work_through(worker: Worker, surveys: Sequence[Survey], tell: Tell, meter: Meter) -> Worked:
    """Work on the drawn rows and choose; where a source then gives too few, draw more of its rows
    and choose again.

    Raises:
        DataError: a row cannot be read, and the mixture says that this stops it; or a file has
            changed since it was looked through.
        StorageError: a shard cannot be written.
    """
    surveys = list(surveys)
    shards: list[list[Shard]] = [[] for _ in surveys]
    todo = list(range(len(surveys)))
    while True:
        drawn = sum(surveys[number].drawn_last for number in todo)
        meter.start("reading and cleaning", drawn, "rows")
        for number in todo:
            shards[number] += worker.shards(number, surveys[number], meter.advance)
            surveys[number].check_unchanged()
        kept = [Kept.joined([Kept.read(each.arrays) for each in parts]) for parts in shards]
        tell("choosing: duplicates, amounts, splits")
        choice = choose(worker.mixture, kept)
        further = {
            number: more
            for number, each in enumerate(surveys)
            if choice.gives[number] < (each.taken.at_most or 0) and (more := each.further())
        }
        if not further:
            return Worked(surveys, shards, kept, choice)
        for number, more in further.items():
            tell(
                f"{more.taken.source.name}: {choice.gives[number]:,} of {more.taken.at_most:,} "
                f"rows are left of {surveys[number].drawn:,}, so {more.drawn_last:,} more are drawn"
            )
            surveys[number] = more
        todo = list(further)
