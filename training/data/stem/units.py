"""Units: into smaller and larger ones, alone and as the first step."""

from __future__ import annotations

from dataclasses import dataclass

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Problem, Result, Step
from training.data.stem.words import NAMES

NEAR, FAR = (2, 9), (11, 14)


@dataclass(frozen=True)
class Pair:
    """Two units: ``factor`` of the small one make one of the large one."""

    one: str
    large: str
    small: str
    factor: int

    def down(self, count: int) -> Step:
        """So many of the large unit in the small one."""
        text = f"One {self.one} is {{right}} {self.small}: {{work}} {self.small}"
        return Step(text, count, "*", self.factor, converts=True)

    def up(self, count: int) -> Step:
        """So many of the small unit in the large one."""
        text = f"One {self.one} is {{right}} {self.small}: {{work}} {self.large}"
        return Step(text, count, "/", self.factor, converts=True)


HOURS = Pair("hour", "hours", "minutes", 60)
MINUTES = Pair("minute", "minutes", "seconds", 60)
METRES = Pair("metre", "metres", "centimetres", 100)
KILOGRAMS = Pair("kilogram", "kilograms", "grams", 1000)
LITRES = Pair("litre", "litres", "millilitres", 1000)
CENTIMETRES = Pair("centimetre", "centimetres", "millimetres", 10)
KILOMETRES = Pair("kilometre", "kilometres", "metres", 1000)
WEEKS = Pair("week", "weeks", "days", 7)
YEARS = Pair("year", "years", "months", 12)
DAYS = Pair("day", "days", "hours", 24)

PAIRS = (
    HOURS,
    MINUTES,
    METRES,
    KILOGRAMS,
    LITRES,
    CENTIMETRES,
    KILOMETRES,
    WEEKS,
    YEARS,
    DAYS,
)


def smaller(n: Numbers) -> Problem:
    """Into the smaller unit."""
    pair, count = n.one_of(PAIRS), n.ranged(NEAR, FAR)
    question = n.one_of(
        (
            f"How many {pair.small} are {count} {pair.large}?",
            f"Convert {count} {pair.large} to {pair.small}.",
            f"{count} {pair.large} are how many {pair.small}?",
        )
    )
    return Problem(question, (pair.down(count),))


def larger(n: Numbers) -> Problem:
    """Into the larger unit."""
    pair, count = n.one_of(PAIRS), n.ranged(NEAR, FAR)
    small = count * pair.factor
    question = n.one_of(
        (
            f"How many {pair.large} are {small} {pair.small}?",
            f"Convert {small} {pair.small} to {pair.large}.",
            f"{small} {pair.small} are how many {pair.large}?",
        )
    )
    return Problem(question, (pair.up(small),))


def mixed(n: Numbers) -> Problem:
    """Both units into the smaller one."""
    pair, count = n.one_of((HOURS, MINUTES, METRES, WEEKS, YEARS)), n.ranged(NEAR, FAR)
    rest = n.whole(2, pair.factor - 1)
    question = n.one_of(
        (
            f"How many {pair.small} are {count} {pair.large} and {rest} {pair.small}?",
            f"Convert {count} {pair.large} and {rest} {pair.small} to {pair.small}.",
        )
    )
    return Problem(question, (pair.down(count), Step("In all: {work}", Result(0), "+", rest)))


def used_up(n: Numbers) -> Problem:
    """What is left in the smaller unit after some was used."""
    pair, stuff = n.one_of(
        ((KILOGRAMS, "flour"), (KILOGRAMS, "rice"), (LITRES, "milk"), (LITRES, "water"))
    )
    count, name, used = n.ranged(NEAR, FAR), n.one_of(NAMES), 100 * n.whole(1, 9)
    question = n.one_of(
        (
            f"{name} has {count} {pair.large} of {stuff} and uses {used} {pair.small}. "
            f"How many {pair.small} are left?",
            f"Of {count} {pair.large} of {stuff}, {name} takes {used} {pair.small}. "
            f"How many {pair.small} remain?",
        )
    )
    return Problem(question, (pair.down(count), Step("Left: {work}", Result(0), "-", used)))


def pieces(n: Numbers) -> Problem:
    """A length cut into equal pieces, given in the smaller unit."""
    count, piece = n.ranged(NEAR, FAR), n.one_of((10, 20, 50))
    thing = n.one_of(("board", "pipe", "wire", "tape"))
    question = n.one_of(
        (
            f"A {thing} of {count} metres is cut into pieces of {piece} centimetres. "
            "How many pieces are there?",
            f"How many pieces of {piece} centimetres can be cut from a {thing} of {count} metres?",
        )
    )
    return Problem(question, (METRES.down(count), Step("Pieces: {work}", Result(0), "/", piece)))


def film(n: Numbers) -> Problem:
    """A time of two units in the smaller one, in a story."""
    pair, thing = n.one_of(
        ((HOURS, "film"), (HOURS, "flight"), (MINUTES, "song"), (MINUTES, "race"))
    )
    count, rest = n.ranged(NEAR, FAR), n.whole(2, 59)
    return Problem(
        f"A {thing} lasts {count} {pair.large} and {rest} {pair.small}. "
        f"What is its length in {pair.small}?",
        (pair.down(count), Step("In all: {work}", Result(0), "+", rest)),
    )


def ribbon(n: Numbers) -> Problem:
    """A length shortened by some of the smaller unit."""
    count, cut = n.ranged(NEAR, FAR), 10 * n.whole(1, 9)
    thing = n.one_of(("ribbon", "rope", "chain"))
    return Problem(
        f"A {thing} is {count} metres long, and {cut} centimetres are cut off. "
        f"How long is the {thing} now, in centimetres?",
        (METRES.down(count), Step("Left: {work}", Result(0), "-", cut)),
    )


def written_larger(n: Numbers) -> Problem:
    """A measured amount in the larger unit."""
    pair, what, did = n.one_of(
        (
            (CENTIMETRES, "snail", "creeps"),
            (KILOMETRES, "hiker", "walks"),
            (MINUTES, "diver", "stays down for"),
            (LITRES, "camel", "drinks"),
            (WEEKS, "sailor", "travels for"),
            (KILOGRAMS, "porter", "carries"),
        )
    )
    small = n.ranged(NEAR, FAR) * pair.factor
    return Problem(
        f"A {what} {did} {small} {pair.small}. Write this in {pair.large}.", (pair.up(small),)
    )


def glasses(n: Numbers) -> Problem:
    """Equal portions, given in the smaller unit."""
    count, portion = n.ranged(NEAR, FAR), n.one_of((100, 200, 500))
    pair, source, portions = n.one_of(
        ((LITRES, "cask of juice", "glasses"), (KILOGRAMS, "sack of sugar", "packets"))
    )
    return Problem(
        f"A {source} holds {count} {pair.large}. How many {portions} of {portion} {pair.small} "
        "can be filled from it?",
        (pair.down(count), Step(f"{portions.capitalize()}: {{work}}", Result(0), "/", portion)),
    )


TRAINED = (smaller, larger, mixed, used_up, pieces)
HELD_OUT = (film, ribbon, written_larger, glasses)
