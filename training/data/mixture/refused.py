"""Why a row is not taken, under a name that can be counted."""

from __future__ import annotations

from harness.report.card_words import RULES as WORDS

RULES = tuple(WORDS)
"""Every rule by which a row is left out; what each means is said where cards are drawn."""

DECIDED = ("encoding", "not JSON", "too large", "malformed")
"""Rules that stop a mixture which declares ``unreadable: stop``."""


class Refused(Exception):
    """A row that is not taken.

    Attributes:
        rule: one of `RULES`.
    """

    def __init__(self, rule: str, why: str) -> None:
        self.rule = rule
        super().__init__(why)
