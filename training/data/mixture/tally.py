"""Counts of what was left out, with a few examples of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.data_card import Dropped
from training.data.mixture.declared import PERSONAL
from training.data.mixture.personal import masked

EXAMPLES = 3
"""Of each rule, in a source."""
_SHOWN = 300


@dataclass
class Tally:
    """What one part of the work counted.

    Attributes:
        counts: by rule.
        examples: by rule, the first few.
        masked: by kind of personal data.
        tests: by task, rows that share words with its docs.
        rows: that were looked at.
        read: examples or pairs that came of them.
        cleaned: of these, what was left after cleaning.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Dropped]] = field(default_factory=dict)
    masked: Counter[str] = field(default_factory=Counter)
    tests: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    read: int = 0
    cleaned: int = 0

    def drop(self, rule: str, where: str, why: str, text: str) -> None:
        """Count one, and keep it where it is among the first."""
        self.counts[rule] += 1
        kept = self.examples.setdefault(rule, [])
        if len(kept) < EXAMPLES:
            kept.append(Dropped(rule, where, shown(why), shown(text)))

    def add(self, other: Tally) -> None:
        """Take in what was counted later."""
        self.counts += other.counts
        self.masked += other.masked
        self.tests += other.tests
        self.rows += other.rows
        self.read += other.read
        self.cleaned += other.cleaned
        for rule, examples in other.examples.items():
            kept = self.examples.setdefault(rule, [])
            kept += examples[: EXAMPLES - len(kept)]


def shown(text: str) -> str:
    """A text's beginning, for a page that others read: without anybody's personal data."""
    begin = text[: 4 * _SHOWN].encode("utf-8", "replace").decode()
    for kind in PERSONAL:
        begin = masked(begin, kind)[0]
    return begin if len(begin) <= _SHOWN else f"{begin[:_SHOWN]} ..."
