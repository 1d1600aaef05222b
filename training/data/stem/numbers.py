"""Where a template's numbers and words come from: one seeded stream, in the range that is meant."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
Range = tuple[int, int]
"""First and last whole number."""


class Numbers:
    """Draws for one template.

    The range held out from training is a property of the stream, not of the template: the same
    template makes a training question of ``Numbers(seed)`` and one beyond the trained numbers of
    ``Numbers(seed, beyond=True)``.
    """

    def __init__(self, seed: str, *, beyond: bool = False) -> None:
        self._random, self._beyond = random.Random(seed), beyond

    def ranged(self, trained: Range, beyond: Range) -> int:
        """A number from the trained range, or from the one that is held out.

        Every template draws at least one number so; the ranges have nothing in common.
        """
        if trained[1] >= beyond[0]:
            raise ValueError(f"the range {beyond} that is held out begins within {trained}")
        return self._random.randint(*(beyond if self._beyond else trained))

    def whole(self, first: int, last: int) -> int:
        """A whole number from a range that is not held out."""
        return self._random.randint(first, last)

    def one_of(self, items: Sequence[Item]) -> Item:
        """One item: a name, a thing, a unit."""
        return items[self._random.randrange(len(items))]
