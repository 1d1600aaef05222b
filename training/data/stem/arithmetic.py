"""Arithmetic: two operations on small whole numbers, bare or told as a story."""

from __future__ import annotations

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Problem, Result, Step
from training.data.stem.words import COUNTED, NAMES

NEAR, FAR = (2, 9), (11, 14)
TWO_DIGITS, LARGE = (10, 39), (51, 79)


def bare_product_and_sum(n: Numbers) -> Problem:
    """Product and sum: a * b + c."""
    a, b, c = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(2, 20)
    asked = n.one_of(("What is", "How much is"))
    steps = (Step("{work}", a, "*", b), Step("{work}", Result(0), "+", c))
    return Problem(f"{asked} {a} * {b} + {c}?", steps)


def bare_product_and_difference(n: Numbers) -> Problem:
    """Product and difference: a * b - c."""
    a, b = n.ranged(NEAR, FAR), n.whole(2, 9)
    c = n.whole(1, a * b - 1)
    asked = n.one_of(("Compute", "Work out"))
    steps = (Step("{work}", a, "*", b), Step("{work}", Result(0), "-", c))
    return Problem(f"{asked} {a} * {b} - {c}.", steps)


def bare_quotient_and_sum(n: Numbers) -> Problem:
    """Quotient and sum: a / b + c."""
    quotient, b, c = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(2, 20)
    asked = n.one_of(("Compute", "Work out"))
    steps = (Step("{work}", quotient * b, "/", b), Step("{work}", Result(0), "+", c))
    return Problem(f"{asked} {quotient * b} / {b} + {c}.", steps)


def bags_and_more(n: Numbers) -> Problem:
    """Equal bags, and some more."""
    a, b, c = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(2, 20)
    name, things, bags = n.one_of(NAMES), n.one_of(COUNTED), n.one_of(("bags", "boxes", "jars"))
    question = n.one_of(
        (
            f"{name} has {a} {bags} with {b} {things} in each, and {c} more {things}. "
            f"How many {things} does {name} have?",
            f"There are {b} {things} in each of {a} {bags}. {name} adds {c} {things}. "
            f"How many {things} are there now?",
        )
    )
    first = Step(f"In the {bags}: {{work}}", a, "*", b)
    return Problem(question, (first, Step("In all: {work}", Result(0), "+", c)))


def chairs_taken_away(n: Numbers) -> Problem:
    """Equal rows, and some taken away."""
    a, b = n.ranged(NEAR, FAR), n.whole(3, 9)
    c = n.whole(1, a * b - 1)
    things, place = n.one_of(("chairs", "plants", "desks", "lamps")), n.one_of(("hall", "yard"))
    question = n.one_of(
        (
            f"In a {place} there are {a} rows of {b} {things}. {c} {things} are taken away. "
            f"How many {things} are left?",
            f"A {place} has {a} rows with {b} {things} each. Someone removes {c} {things}. "
            f"How many {things} remain?",
        )
    )
    return Problem(
        question,
        (Step("In the rows: {work}", a, "*", b), Step("Left: {work}", Result(0), "-", c)),
    )


def found_and_spent(n: Numbers) -> Problem:
    """Some, more, and some given away."""
    x, y = n.ranged(TWO_DIGITS, LARGE), n.whole(3, 20)
    z = n.whole(2, x)
    name, things = n.one_of(NAMES), n.one_of(COUNTED)
    question = n.one_of(
        (
            f"{name} has {x} {things}, finds {y} more and gives away {z}. "
            f"How many {things} does {name} have left?",
            f"{name} had {x} {things}. Then {name} got {y} {things} and lost {z}. "
            f"How many {things} are left?",
        )
    )
    return Problem(
        question, (Step("In all: {work}", x, "+", y), Step("Left: {work}", Result(0), "-", z))
    )


def shared_and_more(n: Numbers) -> Problem:
    """Equal shares, and some more for each."""
    share, k, c = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(2, 12)
    things, people = n.one_of(COUNTED), n.one_of(("pupils", "friends", "children"))
    question = n.one_of(
        (
            f"{share * k} {things} are shared equally among {k} {people}. Then each gets {c} more. "
            f"How many {things} does each have?",
            f"{k} {people} share {share * k} {things} equally, and each finds {c} more. "
            f"How many {things} has each of them?",
        )
    )
    return Problem(
        question,
        (Step("Each gets: {work}", share * k, "/", k), Step("In all: {work}", Result(0), "+", c)),
    )


def change(n: Numbers) -> Problem:
    """What is left of the money after some equal prices."""
    price, count, rest = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(1, 20)
    paid = price * count + rest
    name, things = n.one_of(NAMES), n.one_of(("pens", "tickets", "books", "cakes"))
    question = n.one_of(
        (
            f"{name} buys {count} {things} for {price} dollars each and pays with {paid} dollars. "
            "How many dollars does the shop give back?",
            f"{name} has {paid} dollars and buys {count} {things} at {price} dollars each. "
            "How many dollars are left?",
        )
    )
    return Problem(
        question,
        (Step("Price: {work}", count, "*", price), Step("Left: {work}", paid, "-", Result(0))),
    )


def shelf(n: Numbers) -> Problem:
    """Equal shelves, and some more: other things than bags and boxes."""
    a, b, c = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(2, 20)
    what = n.one_of(("books", "cups", "toys"))
    return Problem(
        f"A cupboard has {a} shelves. On every shelf stand {b} {what}, and {c} more {what} stand "
        f"on top of the cupboard. How many {what} are there in all?",
        (Step("On the shelves: {work}", a, "*", b), Step("In all: {work}", Result(0), "+", c)),
    )


def bakery(n: Numbers) -> Problem:
    """Equal trays, and some sold."""
    a, b = n.ranged(NEAR, FAR), n.whole(3, 9)
    c = n.whole(1, a * b - 1)
    what = n.one_of(("rolls", "muffins", "pies"))
    return Problem(
        f"A baker bakes {a} trays of {b} {what} each and sells {c} {what}. "
        f"How many {what} are left?",
        (Step("On the trays: {work}", a, "*", b), Step("Left: {work}", Result(0), "-", c)),
    )


def bus(n: Numbers) -> Problem:
    """Passengers get on, then some get off."""
    x, y = n.ranged(TWO_DIGITS, LARGE), n.whole(3, 20)
    z = n.whole(2, x)
    ride = n.one_of(("bus", "train", "ship"))
    return Problem(
        f"There are {x} passengers on a {ride}. At the first stop {y} more get on, at the second "
        f"{z} get off. How many passengers are left on the {ride}?",
        (Step("In all: {work}", x, "+", y), Step("Left: {work}", Result(0), "-", z)),
    )


def eggs(n: Numbers) -> Problem:
    """Packed equally, and some more into each."""
    share, k, c = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(2, 12)
    what = n.one_of(("eggs", "pears", "lemons"))
    return Problem(
        f"A farmer packs {share * k} {what} equally into {k} baskets and then puts {c} more {what} "
        f"into each basket. How many {what} are in each basket?",
        (Step("Each gets: {work}", share * k, "/", k), Step("In all: {work}", Result(0), "+", c)),
    )


TRAINED = (
    bare_product_and_sum,
    bare_product_and_difference,
    bare_quotient_and_sum,
    bags_and_more,
    chairs_taken_away,
    found_and_spent,
    shared_and_more,
    change,
)
HELD_OUT = (shelf, bakery, bus, eggs)
