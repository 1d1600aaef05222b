"""Why a row is not taken, under a name that can be counted."""

from __future__ import annotations

from types import MappingProxyType

RULES = MappingProxyType(
    {
        "not wanted": "rows of a kind that the mixture does not take",
        "encoding": "not UTF-8",
        "not JSON": "not JSON, or cut off",
        "too large": "more than 16 MiB: passed over unread",
        "malformed": "not in the layout of its source",
        "empty": "an empty question or answer",
        "identical": "chosen and rejected say the same",
        "tie": "neither answer is the better one",
        "too close": "no two answers whose scores are far enough apart",
        "sides diverge": "the transcripts differ before their last answers",
        "too long": "longer than the mixture allows",
        "personal data": "holds personal data of a kind that is not kept",
        "contaminated": "shares words with a test question",
        "duplicate": "the same text as a row that was taken",
        "near-duplicate": "nearly the text of a row that was taken",
        "equal share": "more rows than the source of its share that has fewest",
        "spare": "drawn to stand in for dropped rows, and not needed",
    }
)
"""Every rule by which a row is left out, and what it says."""

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
