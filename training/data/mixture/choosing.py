"""Chooses among the rows that are left: no duplicates, no more than was asked for, equal shares.

Decided on hashes and signatures alone; the texts stay on disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from training.data.mixture.declared import Mixture
from training.data.mixture.near import clusters, similar
from training.data.mixture.shards import Kept

TAKEN, DUPLICATE, NEAR, SPARE, SHARE = range(5)
RULES = {DUPLICATE: "duplicate", NEAR: "near-duplicate", SPARE: "spare", SHARE: "equal share"}

_HELD_AGAINST = 1_000
"""Of the taken rows of one cluster, a row is held against the last so many."""


@dataclass(frozen=True)
class Choice:
    """What becomes of each row, in the order of the shards.

    Attributes:
        fates: one of the constants of this module.
        repeats: for a duplicate, the position of the row that it repeats; else -1.
        splits: for every row, the place of its question's split.
        gives: rows that each source gives, before the sources of a share are made equal.
    """

    fates: npt.NDArray[np.int8]
    repeats: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int8]
    gives: tuple[int, ...]


def choose(mixture: Mixture, parts: Sequence[Kept]) -> Choice:
    """Decide over all sources.

    A source's rows come in the order of their keys, the sources in that of the mixture. A row that
    repeats one that was taken is left out, unless both come of one row: the answers of one
    conversation are each learned from. Then the sources of a share are held to what the poorest of
    them gives, and everything is decided again: what only repeats a row that is not taken stays.

    Args:
        mixture: what was declared.
        parts: the rows of each of its sources, in its order.

    Raises:
        DataError: a source of a share gives nothing, so that its fellows would give nothing either.
    """
    chooser = _Chooser(mixture, parts)
    fates, repeats, gives = chooser.decide({})
    if equal := _equal(mixture, gives):
        before = fates
        fates, repeats, _ = chooser.decide(equal)
        fates[(before == TAKEN) & (fates == SPARE)] = SHARE
    splits = _splits(chooser.every.questions, list(mixture.splits.values()))
    return Choice(fates, repeats, splits, tuple(gives))


class _Chooser:
    """What deciding needs, put in order once."""

    def __init__(self, mixture: Mixture, parts: Sequence[Kept]) -> None:
        self._near = mixture.near
        self._at_most = [taken.at_most for taken in mixture.sources]
        self.every = every = Kept.joined(list(parts))
        self._sources = np.repeat(np.arange(len(parts)), [len(part.keys) for part in parts])
        self._order = np.lexsort((every.texts, every.numbers, every.keys, self._sources))
        self._clusters = self._several() if mixture.near is not None else None

    def _several(self) -> npt.NDArray[np.int64]:
        """The cluster of each row; -1 for one that is alone in its."""
        assert self._near is not None
        if not len(self._order):
            return np.empty(0, np.int64)
        found = clusters(self.every.signatures, self._near)
        return np.where(np.bincount(found)[found] > 1, found, -1)

    def decide(
        self, equal: Mapping[int, int]
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64], list[int]]:
        """Fates, repeats, and how many rows each source gives; ``equal`` bounds some of them."""
        every, order = self.every, self._order
        fates = np.full(len(order), SPARE, np.int8)
        repeats = np.full(len(order), -1, np.int64)
        by_text: dict[int, int] = {}
        by_cluster: defaultdict[int, list[int]] = defaultdict(list)
        rows: list[set[int]] = [set() for _ in self._at_most]
        clustered = np.full(len(order), -1) if self._clusters is None else self._clusters
        columns = (order, clustered[order], every.texts[order], every.numbers[order])
        sources = self._sources[order]
        for place, cluster, text, number, source in zip(
            *(column.tolist() for column in (*columns, sources)), strict=True
        ):
            most = equal.get(source, self._at_most[source])
            if most is not None and len(rows[source]) >= most and number not in rows[source]:
                continue
            if text in by_text:
                fates[place], repeats[place] = DUPLICATE, by_text[text]
                continue
            if cluster >= 0:
                former = self._repeated(place, by_cluster[cluster])
                if former is not None:
                    fates[place], repeats[place] = NEAR, former
                    continue
                by_cluster[cluster].append(place)
            fates[place] = TAKEN
            by_text[text] = place
            rows[source].add(number)
        return fates, repeats, [len(each) for each in rows]

    def _repeated(self, place: int, taken: Sequence[int]) -> int | None:
        """The first of the taken rows that a row nearly repeats, if there is one."""
        every, held = self.every, np.array(taken[-_HELD_AGAINST:], np.int64)
        one_row = (self._sources[held] == self._sources[place]) & (
            every.numbers[held] == every.numbers[place]
        )
        held = held[(every.figures[held] == every.figures[place]) & ~one_row]
        if not len(held) or self._near is None:
            return None
        near = similar(every.signatures[held], every.signatures[place]) >= self._near
        # Half as near: a changed word is a larger part of a few words than of a whole row.
        near &= similar(every.endings[held], every.endings[place]) >= self._near / 2
        return int(held[near][0]) if near.any() else None


def _equal(mixture: Mixture, gives: Sequence[int]) -> dict[int, int]:
    """How many rows each source of a share may give: as many as the poorest of them has."""
    found: dict[int, int] = {}
    for share in sorted({taken.source.share for taken in mixture.sources} - {""}):
        members = [n for n, taken in enumerate(mixture.sources) if taken.source.share == share]
        fewest = min(members, key=lambda member: gives[member])
        if not gives[fewest] and any(gives[member] for member in members):
            raise DataError(
                f"{mixture.name}: nothing is left of {mixture.sources[fewest].source.name}, and "
                f"the sources of share {share!r} give equally many rows, so none of them would "
                "give any: leave it out of the mixture"
            )
        found |= dict.fromkeys(members, gives[fewest])
    return found


def _splits(questions: npt.NDArray[np.uint64], percents: Sequence[int]) -> npt.NDArray[np.int8]:
    """The split of each question: its hash falls into one of as many parts as there are splits,
    each as wide as its share.
    """
    # Mixed, so that a split does not go by the order of the draw or of another table.
    points = (questions * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)
    ends = np.cumsum(percents) / 100 * 2.0**53
    found: npt.NDArray[np.int8] = np.searchsorted(ends, points, side="right").astype(np.int8)
    return np.minimum(found, len(percents) - 1).astype(np.int8)
