"""Linear equations in one unknown, bare or told in words."""

from __future__ import annotations

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Problem, Result, Step

NEAR, FAR = (2, 9), (11, 14)


def _after_adding(a: int, added: int, total: int, x: str) -> tuple[Step, Step]:
    """Solve a * x + added = total."""
    return (
        Step(f"{a}{x} = {{work}}", total, "-", added),
        Step(f"{x} = {{work}}", Result(0), "/", a),
    )


def _after_subtracting(a: int, taken: int, rest: int, x: str) -> tuple[Step, Step]:
    """Solve a * x - taken = rest."""
    return (
        Step(f"{a}{x} = {{work}}", rest, "+", taken),
        Step(f"{x} = {{work}}", Result(0), "/", a),
    )


def _divided(a: int, added: int, total: int, x: str) -> tuple[Step, Step]:
    """Solve x / a + added = total."""
    return (
        Step(f"{x} / {a} = {{work}}", total, "-", added),
        Step(f"{x} = {{work}}", Result(0), "*", a),
    )


def _bracket(a: int, added: int, total: int, x: str) -> tuple[Step, Step]:
    """Solve a * (x + added) = total."""
    return (
        Step(f"{x} + {added} = {{work}}", total, "/", a),
        Step(f"{x} = {{work}}", Result(0), "-", added),
    )


def product_and_sum(n: Numbers) -> Problem:
    """Solve ax + b = c."""
    x, a, b, name = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(1, 20), n.one_of("xynt")
    total = a * x + b
    question = n.one_of(
        (
            f"Solve {a}{name} + {b} = {total} for {name}.",
            f"What is {name} if {a}{name} + {b} = {total}?",
        )
    )
    return Problem(question, _after_adding(a, b, total, name))


def product_and_difference(n: Numbers) -> Problem:
    """Solve ax - b = c."""
    x, a, name = n.ranged(NEAR, FAR), n.whole(2, 9), n.one_of("xynt")
    b = n.whole(1, min(20, a * x - 1))
    rest = a * x - b
    question = n.one_of(
        (
            f"Solve {a}{name} - {b} = {rest} for {name}.",
            f"What is {name} if {a}{name} - {b} = {rest}?",
        )
    )
    return Problem(question, _after_subtracting(a, b, rest, name))


def quotient_and_sum(n: Numbers) -> Problem:
    """Solve x / a + b = c."""
    quotient, a, b, name = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(1, 20), n.one_of("xynt")
    total = quotient + b
    question = n.one_of(
        (
            f"Solve {name} / {a} + {b} = {total} for {name}.",
            f"What is {name} if {name} / {a} + {b} = {total}?",
        )
    )
    return Problem(question, _divided(a, b, total, name))


def bracket(n: Numbers) -> Problem:
    """Solve a(x + b) = c."""
    x, a, b, name = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(1, 9), n.one_of("xynt")
    total = a * (x + b)
    question = n.one_of(
        (
            f"Solve {a}({name} + {b}) = {total} for {name}.",
            f"What is {name} if {a}({name} + {b}) = {total}?",
        )
    )
    return Problem(question, _bracket(a, b, total, name))


def thought_of(n: Numbers) -> Problem:
    """A number is multiplied, and something added."""
    x, a, b = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(1, 20)
    total = a * x + b
    question = n.one_of(
        (
            f"I think of a number x, multiply it by {a} and add {b}. I get {total}. What is x?",
            f"{a} times a number x, plus {b}, is {total}. Find x.",
        )
    )
    return Problem(question, _after_adding(a, b, total, "x"))


def phone_plan(n: Numbers) -> Problem:
    """A fixed price and one for each: an equation in a story."""
    x, a, b = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(5, 20)
    total = a * x + b
    thing, unit = n.one_of((("phone plan", "hour"), ("gym card", "visit"), ("boat", "day")))
    question = n.one_of(
        (
            f"A {thing} costs {b} dollars plus {a} dollars for each {unit}. Someone pays {total} "
            f"dollars. For how many {unit}s, x?",
            f"A {thing} costs {a} dollars per {unit} and {b} dollars once. For how many {unit}s x "
            f"does one pay {total} dollars?",
        )
    )
    return Problem(question, _after_adding(a, b, total, "x"))


def equal_to(n: Numbers) -> Problem:
    """Solve ax - b = c, asked as a question for a number."""
    x, a, name = n.ranged(NEAR, FAR), n.whole(2, 9), n.one_of("zkm")
    b = n.whole(1, min(20, a * x - 1))
    return Problem(
        f"Which number {name} makes {a}{name} - {b} equal to {a * x - b}?",
        _after_subtracting(a, b, a * x - b, name),
    )


def turned_round(n: Numbers) -> Problem:
    """Solve c = ax + b: the known side first, in another letter."""
    x, a, b, name = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(1, 20), n.one_of("zkm")
    total = a * x + b
    return Problem(
        f"It is known that {total} = {a}{name} + {b}. Determine {name}.",
        _after_adding(a, b, total, name),
    )


def taxi(n: Numbers) -> Problem:
    """A fixed price and one for each: a ride."""
    x, a, b = n.ranged(NEAR, FAR), n.whole(2, 9), n.whole(5, 20)
    ride = n.one_of(("taxi", "tuk-tuk", "coach"))
    return Problem(
        f"A {ride} driver asks for {b} dollars at the start and {a} dollars for every kilometre. "
        f"The ride costs {a * x + b} dollars. How many kilometres x was it?",
        _after_adding(a, b, a * x + b, "x"),
    )


def riddle(n: Numbers) -> Problem:
    """A number is multiplied, and something taken away."""
    x, a = n.ranged(NEAR, FAR), n.whole(2, 9)
    b = n.whole(1, min(20, a * x - 1))
    who = n.one_of(("A wizard", "A teacher", "A robot"))
    return Problem(
        f"{who} multiplies a secret number x by {a}, then subtracts {b}, and says {a * x - b}. "
        "Which number was it?",
        _after_subtracting(a, b, a * x - b, "x"),
    )


TRAINED = (
    product_and_sum,
    product_and_difference,
    quotient_and_sum,
    bracket,
    thought_of,
    phone_plan,
)
HELD_OUT = (equal_to, turned_round, taxi, riddle)
