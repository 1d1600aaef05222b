"""Rows of questions: which are trained on, which are held out, and the pairs made of both."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from training.data.rows import Example, Message, Pair
from training.data.stem import (
    arithmetic,
    equations,
    kinematics,
    ohm,
    probability,
    stoichiometry,
    units,
)
from training.data.stem.mistakes import chosen_mistakes
from training.data.stem.numbers import Numbers
from training.data.stem.problem import Problem

Template = Callable[[Numbers], Problem]
HeldOut = Literal["template", "numbers"]


@dataclass(frozen=True)
class Topic:
    """The templates of one topic."""

    trained: tuple[Template, ...]
    held_out: tuple[Template, ...]


TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        "arithmetic": Topic(arithmetic.TRAINED, arithmetic.HELD_OUT),
        "equations": Topic(equations.TRAINED, equations.HELD_OUT),
        "kinematics": Topic(kinematics.TRAINED, kinematics.HELD_OUT),
        "ohm": Topic(ohm.TRAINED, ohm.HELD_OUT),
        "probability": Topic(probability.TRAINED, probability.HELD_OUT),
        "stoichiometry": Topic(stoichiometry.TRAINED, stoichiometry.HELD_OUT),
        "units": Topic(units.TRAINED, units.HELD_OUT),
    }
)

MIXTURES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "default": dict.fromkeys(TOPICS, 1),
        "default-b": {
            "arithmetic": 3,
            "equations": 3,
            "kinematics": 1,
            "ohm": 1,
            "probability": 2,
            "stoichiometry": 1,
            "units": 2,
        },
    }
)
"""Weights of the topics."""

ROWS = 2400
"""Questions of a mixture."""

HELD_OUT_ROWS: Mapping[HeldOut, int] = MappingProxyType({"template": 301, "numbers": 105})
"""Questions of the evaluation set, the same number of each topic."""

SEED = 4
PATIENCE = 200
"""Draws without a new question after which a template has no more."""


@dataclass(frozen=True)
class Item:
    """One generated question and where it comes from."""

    topic: str
    template: str
    problem: Problem


def training_items(mixture: str, *, rows: int = ROWS, seed: int = SEED) -> list[Item]:
    """The questions of a mixture, shuffled; each of them once.

    Raises:
        KeyError: there is no such mixture.
        ValueError: the templates do not have that many different questions.
    """
    weights = MIXTURES[mixture]
    counts = _shares(rows, list(weights.values()))
    items = [
        item
        for topic, count in zip(weights, counts, strict=True)
        for item in _draw(topic, TOPICS[topic].trained, count, f"{seed}/train", beyond=False)
    ]
    random.Random(f"{seed}/{mixture}").shuffle(items)
    return items


def held_out_items(which: HeldOut, *, seed: int = SEED) -> list[Item]:
    """The evaluation set, topic by topic: templates that training does not have, or its templates
    with numbers beyond those it has.
    """
    counts = _shares(HELD_OUT_ROWS[which], [1] * len(TOPICS))
    return [
        item
        for (name, topic), count in zip(TOPICS.items(), counts, strict=True)
        for item in _draw(
            name,
            topic.held_out if which == "template" else topic.trained,
            count,
            f"{seed}/{which}",
            beyond=which == "numbers",
        )
    ]


def examples(items: Sequence[Item]) -> list[Example]:
    """Questions with worked answers; the group is the topic."""
    return [
        Example((Message("user", item.problem.question),), item.problem.answer, item.topic)
        for item in items
    ]


def pairs(items: Sequence[Item], *, seed: int = SEED) -> list[Pair]:
    """Worked answers and wrong ones to the same questions; the group is the kind of mistake."""
    found = chosen_mistakes([item.problem for item in items], f"{seed}/mistakes")
    return [
        Pair(
            (Message("user", item.problem.question),),
            item.problem.answer,
            mistake.answer,
            mistake.kind,
        )
        for item, mistake in zip(items, found, strict=True)
    ]


def _draw(
    topic: str, templates: Sequence[Template], count: int, seed: str, *, beyond: bool
) -> list[Item]:
    """So many different questions, in turn from every template that still has new ones."""
    taken: set[str] = set()
    items: list[Item] = []
    streams = {
        template: _new_problems(template, f"{seed}/{topic}/{template.__name__}", beyond, taken)
        for template in templates
    }
    while len(items) < count:
        if not streams:
            raise ValueError(f"{topic} has only {len(items)} different questions, not {count}")
        for template, stream in list(streams.items()):
            problem = next(stream, None)
            if problem is None:
                del streams[template]
            elif len(items) < count:
                items.append(Item(topic, template.__name__, problem))
    return items


def _new_problems(
    template: Template, seed: str, beyond: bool, taken: set[str]
) -> Iterator[Problem]:
    """A template's questions that are not yet taken, until it seems to have no more."""
    misses = 0
    for number in itertools.count():
        problem = template(Numbers(f"{seed}/{number}", beyond=beyond))
        if problem.question not in taken:
            taken.add(problem.question)
            misses = 0
            yield problem
        elif (misses := misses + 1) == PATIENCE:
            return


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in the ratio of the weights, as nearly as can be, that add up to the total."""
    ends = [total * sum(weights[: index + 1]) // sum(weights) for index in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
