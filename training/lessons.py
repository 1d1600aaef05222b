"""Rows of token ids, split and laid out for a trainer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from harness.errors import TrainingError
from training.held_out import hold_out, lay_out
from training.step import Work
from training.tuning import Tuning

PROBED = 32
"""Tokens of a row that a model is tried with."""


@dataclass(frozen=True)
class Row:
    """One row that is learned from.

    Attributes:
        columns: token ids, as the trainer calls them.
        prompt: what decides on which side of the split it stands.
        group: source, or kind of error.
        tokens: that it adds to a batch, the longest of its sequences.
    """

    columns: Mapping[str, Any]
    prompt: Hashable
    group: str
    tokens: int


@dataclass(frozen=True)
class Lessons:
    """What a trainer is given.

    Attributes:
        train: rows in the order in which they are learned from, over all epochs.
        held: rows held out, by length; ``None`` if there are none.
        groups: of the rows held out, in their order.
        learned: how many different rows are learned from.
        largest: tokens of the largest batch, one sequence a row, padding included.
        longest: tokens of the longest row.
        highest: the highest token id.
        probe: the beginning of one row, to try a model with.
    """

    train: Dataset
    held: Dataset | None
    groups: tuple[str, ...]
    learned: int
    largest: int
    longest: int
    highest: int
    probe: tuple[int, ...]

    def figures(self) -> dict[str, float]:
        """Numbers for the lineage."""
        return {"rows": self.learned, "held_out_rows": len(self.groups)}


def prepare(
    rows: Sequence[Row | None], tuning: Tuning, work: Work, *, grouped: bool = True
) -> Lessons:
    """Split, lay out, and say how many there are.

    Args:
        rows: of the data; ``None`` for one that is too long to be learned from.
        tuning: the recipe.
        work: the step.
        grouped: whether batches are made of rows of like length.

    Raises:
        TrainingError: no rows, all too long, or none left beside those held out.
    """
    kept = [row for row in rows if row is not None]
    if rows and not kept:
        raise TrainingError(
            f"{work.name}: max_length is {tuning.max_length}, and each of the {len(rows):,} rows "
            "is longer: nothing is left to learn from"
        )
    learned, held = hold_out(
        [row.prompt for row in kept], tuning.validation_share, tuning.seed, work.name
    )
    held.sort(key=lambda row: kept[row].tokens)
    lengths = [kept[row].tokens for row in learned]
    laid = lay_out(
        len(learned), tuning.epochs, tuning.batch_size, tuning.seed, lengths if grouped else None
    )
    order = [learned[place] for place in laid]
    _tell(work, kept, order, len(learned), held, len(rows) - len(kept))
    return Lessons(
        train=Dataset.from_list([dict(row.columns) for row in kept]).select(order),
        held=Dataset.from_list([dict(kept[row].columns) for row in held]) if held else None,
        groups=tuple(kept[row].group for row in held),
        learned=len(set(order)),
        largest=max(
            len(batch) * max(kept[row].tokens for row in batch)
            for batch in _batches(order, tuning.batch_size)
        ),
        longest=max(row.tokens for row in kept),
        highest=max(
            max(ids) for row in kept for name, ids in row.columns.items() if name.endswith("ids")
        ),
        probe=tuple(
            next(ids for name, ids in kept[0].columns.items() if name.endswith("ids"))[:PROBED]
        ),
    )


def _batches(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[at : at + size] for at in range(0, len(order), size)]


def _tell(
    work: Work,
    kept: Sequence[Row],
    order: Sequence[int],
    available: int,
    held: Sequence[int],
    dropped: int,
) -> None:
    mean = sum(kept[row].tokens for row in order) / len(order)
    learned = len(set(order))  # less than an epoch leaves some unseen
    count = f"{learned:,}" if learned == available else f"{learned:,} of {available:,}"
    line = f"{work.name}: learns from {count} rows of {mean:.0f} tokens on average, "
    line += f"{len(held):,} are held out" if held else "none is held out"
    work.tell(line + (f"; {dropped:,} are left out: longer than max_length" if dropped else ""))
