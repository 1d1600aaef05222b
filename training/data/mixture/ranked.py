"""What the card beside a file of ranked pairs says of them: see ``harness-train rank``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.storage import UNDECODABLE
from training.ranking.options import beside
from training.ranking.rank_command import CARD


class _Questions(msgspec.Struct):
    read: int
    ranked: int


class _Judge(msgspec.Struct):
    model: str


class _Constitution(msgspec.Struct):
    file: str
    sha256: str


class _Card(msgspec.Struct):
    questions: _Questions
    judge: _Judge
    constitution: _Constitution


def ranked_note(path: Path) -> str:
    """Who ranked a file's pairs, how many questions and under what; empty where no card beside it
    says so.
    """
    try:
        card = msgspec.json.decode(beside(path, CARD).read_bytes(), type=_Card)
    except (OSError, *UNDECODABLE):
        return ""
    return (
        f"pairs from {card.questions.ranked:,} of {card.questions.read:,} questions, whose answers "
        f"{card.judge.model} ranked under {card.constitution.file} "
        f"({card.constitution.sha256[:8]})"
    )
