"""Probability: favourable cases of all, complements, independent events, expected counts."""

from __future__ import annotations

from fractions import Fraction

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Problem, Result, Step, decimal

NEAR, FAR = (2, 9), (11, 14)
COLOURS = (("red", "blue"), ("green", "white"), ("black", "yellow"), ("pink", "grey"))
TENTHS, HUNDREDTHS = (1, 9), (11, 89)


def _cases(n: Numbers) -> tuple[int, int]:
    """Favourable cases and all cases; the quotient ends within two places."""
    total = (4, 5, 10, 20, 25, 50)[n.ranged((0, 2), (3, 5))]
    return n.whole(1, total - 1), total


def _all(one: int, other: int) -> Step:
    return Step("All: {work}", one, "+", other)


def drawn(n: Numbers) -> Problem:
    """Two colours, counted."""
    favourable, total = _cases(n)
    wanted, other = n.one_of(COLOURS)
    thing, vessel = n.one_of(("balls", "beads", "cards")), n.one_of(("bag", "box", "bowl"))
    question = n.one_of(
        (
            f"A {vessel} holds {favourable} {wanted} and {total - favourable} {other} {thing}. "
            f"One is drawn. What is the probability that it is {wanted}?",
            f"There are {favourable} {wanted} and {total - favourable} {other} {thing} in a "
            f"{vessel}. What is the probability of drawing a {wanted} one?",
        )
    )
    return Problem(
        question,
        (
            _all(favourable, total - favourable),
            Step(f"Probability is {wanted} {{op}} all: {{work}}", favourable, "/", Result(0)),
        ),
    )


def winning(n: Numbers) -> Problem:
    """The favourable of all."""
    favourable, total = _cases(n)
    things, good = n.one_of((("tickets", "win"), ("keys", "fit"), ("seeds", "grow")))
    question = n.one_of(
        (
            f"{favourable} of {total} {things} {good}. "
            f"What is the probability that a random one of the {things} does?",
            f"Of {total} {things}, {favourable} {good}. One is picked at random. "
            "What is the probability that it is one of these?",
        )
    )
    return Problem(question, (Step("Good {op} all: {work}", favourable, "/", total),))


def _share(n: Numbers) -> Fraction:
    """A probability: tenths in training, hundredths beyond."""
    parts = n.ranged(TENTHS, HUNDREDTHS)
    return Fraction(parts, 10 if parts < HUNDREDTHS[0] else 100)


def otherwise(n: Numbers) -> Problem:
    """The complement."""
    share = _share(n)
    event, contrary = n.one_of(
        (
            ("it rains", "it does not rain"),
            ("a train is late", "it is not late"),
            ("a lamp breaks", "it does not break"),
            ("a dart hits", "it does not hit"),
            ("a shop is open", "it is not open"),
        )
    )
    question = n.one_of(
        (
            f"The probability that {event} is {decimal(share)}. "
            f"What is the probability that {contrary}?",
            f"With probability {decimal(share)} {event}. Find the probability that {contrary}.",
        )
    )
    return Problem(question, (Step("The rest of 1: {work}", 1, "-", share),))


def both(n: Numbers) -> Problem:
    """Two independent events."""
    one, other = Fraction(n.whole(1, 9), 10), _share(n)
    first, second = n.one_of((("A", "B"), ("X", "Y"), ("P", "Q"), ("C", "D")))
    question = n.one_of(
        (
            f"Events {first} and {second} are independent, with probabilities {decimal(one)} and "
            f"{decimal(other)}. What is the probability of both?",
            f"Independent events {first} and {second} have probabilities {decimal(one)} and "
            f"{decimal(other)}. Find the probability that both happen.",
        )
    )
    return Problem(question, (Step("Both: {work}", one, "*", other),))


def expected(n: Numbers) -> Problem:
    """An expected count."""
    share, count = Fraction(n.whole(1, 9), 10), 10 * n.ranged(NEAR, FAR)
    things, happens = n.one_of((("parts", "break"), ("seeds", "grow"), ("throws", "hit")))
    question = n.one_of(
        (
            f"{things.capitalize()} {happens} with probability {decimal(share)}. "
            f"How many of {count} {things} are expected to {happens}?",
            f"Of {count} {things}, each will {happens} with probability {decimal(share)}. "
            f"What number is expected to {happens}?",
        )
    )
    return Problem(question, (Step("Expected: {work}", count, "*", share),))


def outfits(n: Numbers) -> Problem:
    """The ways of choosing one of each."""
    one, other = n.ranged(NEAR, FAR), n.whole(2, 9)
    first, second = n.one_of(
        (("shirts", "hats"), ("soups", "cakes"), ("pens", "inks"), ("cups", "plates"))
    )
    question = n.one_of(
        (
            f"In how many ways can one of {one} {first} and one of {other} {second} be chosen?",
            f"There are {one} {first} and {other} {second}. How many pairs of one of each exist?",
        )
    )
    return Problem(question, (Step("Ways: {work}", one, "*", other),))


def pond(n: Numbers) -> Problem:
    """Two kinds, counted: animals."""
    favourable, total = _cases(n)
    wanted, other, place = n.one_of(
        (("carps", "trouts", "pond"), ("hens", "ducks", "yard"), ("cats", "dogs", "shelter"))
    )
    return Problem(
        f"In a {place} live {favourable} {wanted} and {total - favourable} {other}. One animal is "
        f"caught at random. How probable is it that it is one of the {wanted}?",
        (
            _all(favourable, total - favourable),
            Step(f"Probability is {wanted} {{op}} all: {{work}}", favourable, "/", Result(0)),
        ),
    )


def spoilt(n: Numbers) -> Problem:
    """The complement, of a fruit or a battery."""
    share = _share(n)
    what, state = n.one_of((("An apple", "rotten"), ("A battery", "empty"), ("An egg", "broken")))
    return Problem(
        f"{what} from this crate is {state} with probability {decimal(share)}. How probable is it "
        f"that {what.lower()} is not {state}?",
        (Step("The rest of 1: {work}", 1, "-", share),),
    )


def alarms(n: Numbers) -> Problem:
    """Two independent events: devices."""
    one, other = Fraction(n.whole(1, 9), 10), _share(n)
    first, second = n.one_of((("alarm", "siren"), ("pump", "valve"), ("lock", "camera")))
    return Problem(
        f"The {first} works with probability {decimal(one)} and the {second}, independently, with "
        f"probability {decimal(other)}. How probable is it that both work?",
        (Step("Both: {work}", one, "*", other),),
    )


def routes(n: Numbers) -> Problem:
    """The ways of going on from one place to the next."""
    one, other = n.ranged(NEAR, FAR), n.whole(2, 9)
    ways = n.one_of(("roads", "paths", "ferries"))
    return Problem(
        f"From A to B there are {one} {ways}, from B to C there are {other}. How many different "
        "ways lead from A through B to C?",
        (Step("Ways: {work}", one, "*", other),),
    )


def guests(n: Numbers) -> Problem:
    """An expected count: people."""
    share, count = Fraction(n.whole(1, 9), 10), 10 * n.ranged(NEAR, FAR)
    who, does = n.one_of((("guests", "comes"), ("voters", "votes"), ("pupils", "passes")))
    return Problem(
        f"{count} {who} are on a list, and each {does} with probability {decimal(share)}. "
        "How many can be counted on, on average?",
        (Step("Expected: {work}", count, "*", share),),
    )


TRAINED = (drawn, winning, otherwise, both, expected, outfits)
HELD_OUT = (pond, spoilt, alarms, routes, guests)
