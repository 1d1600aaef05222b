"""Chooses among the rows that are left: no duplicates, no more than was asked for, equal shares.

Decided on hashes and signatures alone; the texts stay on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.data.mixture.declared import Mixture, Taken
from training.data.mixture.near import clusters
from training.data.mixture.shards import Kept

TAKEN, DUPLICATE, NEAR, SPARE, SHARE = range(5)
RULES = {DUPLICATE: "duplicate", NEAR: "near-duplicate", SPARE: "spare", SHARE: "equal share"}


@dataclass(frozen=True)
class Choice:
    """What becomes of each row, in the order of the shards.

    Attributes:
        fates: one of the constants of this module.
        repeats: for a duplicate, the position of the row that it repeats; else -1.
        splits: for every row, the place of its question's split.
    """

    fates: npt.NDArray[np.int8]
    repeats: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int8]


def choose(mixture: Mixture, parts: Sequence[Kept]) -> Choice:
    """Decide over all sources.

    A source's rows come in the order of their keys, the sources in that of the mixture. A row that
    repeats one that was taken is left out, unless both come of one row: the answers of one
    conversation are each learned from.

    Args:
        mixture: what was declared.
        parts: the rows of each of its sources, in its order.
    """
    every = Kept.joined(list(parts))
    sources = np.repeat(np.arange(len(parts)), [len(part.keys) for part in parts])
    order = np.lexsort((every.texts, every.numbers, every.keys, sources))
    groups = (
        clusters(every.signatures[order], mixture.near)
        if mixture.near is not None and len(order)
        else np.arange(len(order))
    )
    fates = np.full(len(order), SPARE, np.int8)
    repeats = np.full(len(order), -1, np.int64)
    by_text: dict[int, int] = {}
    by_group: dict[int, int] = {}
    rows: list[set[int]] = [set() for _ in parts]
    columns = (order, groups, every.texts[order], every.numbers[order], sources[order])
    for place, group, text, number, source in zip(*(c.tolist() for c in columns), strict=True):
        at_most = mixture.sources[source].at_most
        if at_most is not None and len(rows[source]) >= at_most and number not in rows[source]:
            continue
        if text in by_text:
            fates[place], repeats[place] = DUPLICATE, by_text[text]
            continue
        former = by_group.get(group)
        if former is not None and (sources[former], every.numbers[former]) != (source, number):
            fates[place], repeats[place] = NEAR, former
            continue
        fates[place] = TAKEN
        by_text[text] = place
        by_group.setdefault(group, place)
        rows[source].add(number)
    for share in {taken.source.share for taken in mixture.sources} - {""}:
        _equalize(share, mixture.sources, every, sources, order, fates, rows)
    return Choice(fates, repeats, _splits(every.questions, list(mixture.splits.values())))


def _equalize(
    share: str,
    taken: Sequence[Taken],
    every: Kept,
    sources: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    fates: npt.NDArray[np.int8],
    rows: list[set[int]],
) -> None:
    """Cut the sources of a share to as many rows as the poorest of them has."""
    members = [place for place, each in enumerate(taken) if each.source.share == share]
    fewest = min(len(rows[member]) for member in members)
    for member in members:
        mine = order[(sources[order] == member) & (fates[order] == TAKEN)]
        kept: set[int] = set()
        for place in mine.tolist():
            number = int(every.numbers[place])
            if number in kept or len(kept) < fewest:
                kept.add(number)
            else:
                fates[place] = SHARE
        rows[member] = kept


def _splits(questions: npt.NDArray[np.uint64], percents: Sequence[int]) -> npt.NDArray[np.int8]:
    """The split of each question: its hash falls into one of as many parts as there are splits,
    each as wide as its share.
    """
    # Mixed, so that a split does not go by the order of the draw or of another table.
    points = (questions * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)
    ends = np.cumsum(percents) / 100 * 2.0**53
    found: npt.NDArray[np.int8] = np.searchsorted(ends, points, side="right").astype(np.int8)
    return np.minimum(found, len(percents) - 1).astype(np.int8)
