"""Pairs of transcripts as hh-rlhf writes them: ``Human:``, ``Assistant:`` after blank lines."""

from __future__ import annotations

import re

from training.data.mixture.refused import Refused
from training.data.rows import Message, Pair

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def transcript_pairs(chosen: str, rejected: str, group: str) -> Pair:
    """The last answers of two transcripts that are the same up to there.

    Raises:
        Refused: they are not, or one has no last answer.
    """
    good, bad = messages_of(chosen), messages_of(rejected)
    if good and bad and (before := [_before(chosen), _before(rejected)]) != ["", ""]:
        if before[0] != before[1]:
            raise Refused("sides diverge", "the transcripts begin with different texts")
        raise Refused("malformed", "a text stands before the first 'Human:' or 'Assistant:'")
    for side in (good, bad):
        if len(side) < 2 or side[-1].role != "assistant" or not side[-1].content:
            raise Refused("empty", "a transcript does not end with an answer")
        if side[0].role != "user":
            raise Refused("malformed", "a transcript does not begin with 'Human:'")
    if good[:-1] != bad[:-1]:
        raise Refused("sides diverge", "the transcripts differ before their last answers")
    if any(not message.content for message in good[:-1]):
        raise Refused("empty", "an empty turn")
    if good[-1].content == bad[-1].content:
        raise Refused("identical", "chosen and rejected say the same")
    return Pair(good[:-1], good[-1].content, bad[-1].content, group)


def _before(transcript: str) -> str:
    """What stands before the first turn: nobody says it."""
    return _TURN.split(f"\n\n{transcript.lstrip()}", maxsplit=1)[0].strip()


def messages_of(transcript: str) -> tuple[Message, ...]:
    """The turns of a transcript; one speaker's turns in a row are joined."""
    _, *parts = _TURN.split(f"\n\n{transcript.lstrip()}")
    turns: list[Message] = []
    for speaker, said in zip(parts[::2], parts[1::2], strict=True):
        role, content = _ROLES[speaker], said.strip()
        if turns and turns[-1].role == role:
            content = f"{turns.pop().content}\n\n{content}".strip()
        turns.append(Message(role, content))
    return tuple(turns)
