"""Every template of every topic, for tests that ask the same of all."""

from __future__ import annotations

from training.data.stem.generate import TOPICS, Template

TRAINED = [(name, template) for name, topic in TOPICS.items() for template in topic.trained]
HELD_OUT = [(name, template) for name, topic in TOPICS.items() for template in topic.held_out]


def title(value: object) -> str:
    """A test's id."""
    return getattr(value, "__name__", str(value))


__all__ = ["HELD_OUT", "TRAINED", "Template", "title"]
