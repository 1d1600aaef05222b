"""What holds for every template: worked answers re-compute, numbers stay in their range."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.stem.templates import HELD_OUT, TRAINED, title
from training.data.stem import (
    arithmetic,
    equations,
    kinematics,
    ohm,
    probability,
    stoichiometry,
    units,
)
from training.data.stem.generate import Template
from training.data.stem.numbers import Item, Numbers, Range
from training.data.stem.problem import EQUATION, Problem

NUMBER = re.compile(r"\d+(?:\.\d+)?")
OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}

# What a held-out question asks, from its numbers in the order in which they are named: worked out
# here anew, not by the steps of the answer.
ASKED: dict[str, Callable[..., Fraction]] = {
    "shelf": lambda shelves, each, more: shelves * each + more,
    "bakery": lambda trays, each, sold: trays * each - sold,
    "bus": lambda first, on, off: first + on - off,
    "eggs": lambda all_, baskets, more: all_ / baskets + more,
    "equal_to": lambda a, b, c: (c + b) / a,
    "turned_round": lambda c, a, b: (c - b) / a,
    "taxi": lambda start, each, cost: (cost - start) / each,
    "riddle": lambda a, b, c: (c + b) / a,
    "cyclist": lambda speed, time: speed * time,
    "lift": lambda time, distance: distance / time,
    "journey": lambda distance, speed: distance / speed,
    "braking": lambda rate, start, time: start - rate * time,
    "rocket": lambda rate, time, start: start + rate * time,
    "heater": lambda ohms, amperes: ohms * amperes,
    "meter": lambda volts, ohms: volts / ohms,
    "unknown_part": lambda volts, amperes: volts / amperes,
    "charger": lambda amperes, volts: amperes * volts,
    "lamps": lambda one, other, volts: volts / (one + other),
    "pond": lambda wanted, other: wanted / (wanted + other),
    "spoilt": lambda share: 1 - share,
    "alarms": lambda one, other: one * other,
    "routes": lambda one, other: one * other,
    "guests": lambda count, share: count * share,
    "flask": lambda moles, molar: moles * molar,
    "sample": lambda mass, molar: mass / molar,
    "burner": lambda ratio, moles: ratio * moles,
    "plant": lambda ratio, moles: moles / ratio,
    "film": lambda large, small: 60 * large + small,
    "ribbon": lambda metres, cut: 100 * metres - cut,
    "glasses": lambda large, portion: 1000 * large / portion,
}
FACTORS = {
    "millimetres": 10,
    "metres": 1000,
    "seconds": 60,
    "millilitres": 1000,
    "days": 7,
    "grams": 1000,
}

every_template = pytest.mark.parametrize(("topic", "template"), TRAINED + HELD_OUT, ids=title)
seeds = st.integers(0, 10**6).map(str)
some = settings(max_examples=25, deadline=None)


class Scripted(Numbers):
    """Draws what a test says."""

    def __init__(self, *drawn: Any) -> None:
        super().__init__("")
        self._drawn = list(drawn)

    def ranged(self, trained: Range, beyond: Range) -> int:
        return self.one_of(range(trained[0], beyond[1] + 1))

    def whole(self, first: int, last: int) -> int:
        return self.one_of(range(first, last + 1))

    def one_of(self, items: Sequence[Item]) -> Item:
        drawn = self._drawn.pop(0)
        if isinstance(drawn, str):  # a wording is named by how it begins
            (drawn,) = [each for each in items if str(each).startswith(drawn)]
        return items[items.index(drawn)]


class Recorder(Numbers):
    """Counts the draws of which a range is held out."""

    count = 0

    def ranged(self, trained: Range, beyond: Range) -> int:
        self.count += 1
        return super().ranged(trained, beyond)


def check(problem: Problem) -> None:
    """Every line but the last holds one true equation; the last repeats the last outcome."""
    *lines, last = problem.answer.split("\n")
    outcomes = []
    for line in lines:
        ((left, operator, right, outcome),) = EQUATION.findall(line)
        assert OPERATIONS[operator](Fraction(left), Fraction(right)) == Fraction(outcome), line
        outcomes.append(outcome)
    assert last == f"#### {outcomes[-1]}"
    assert Fraction(outcomes[-1]) == problem.final >= 0


@every_template
@some
@given(seed=seeds)
def test_every_step_is_true(topic: str, template: Template, seed: str) -> None:
    check(template(Numbers(seed)))


@pytest.mark.parametrize(("topic", "template"), TRAINED, ids=title)
@some
@given(seed=seeds)
def test_every_step_is_true_beyond_the_trained_numbers(
    topic: str, template: Template, seed: str
) -> None:
    check(template(Numbers(seed, beyond=True)))


@every_template
@some
@given(seed=seeds)
def test_steps_start_from_the_question(topic: str, template: Template, seed: str) -> None:
    """A number in a step is the question's, an earlier outcome, a conversion factor, or the whole
    of a probability.
    """
    problem = template(Numbers(seed))
    known = {*NUMBER.findall(problem.question), *(str(f) for f in (7, 10, 12, 24, 60, 100, 1000))}
    known |= {"1"} if topic == "probability" else set()
    for left, _, right, outcome in EQUATION.findall(problem.answer):
        assert {left, right} <= known, problem
        known.add(outcome)


@every_template
@some
@given(seed=seeds)
def test_answers_are_short(topic: str, template: Template, seed: str) -> None:
    """At most 90 tokens of a tokenizer that takes digits one by one, and words whole or in two."""
    answer = template(Numbers(seed)).answer
    digits, words = len(re.findall(r"[\d.]", answer)), len(re.findall(r"[A-Za-z]+", answer))
    others = len(re.findall(r"[^\w\s.]", answer))
    assert digits + 2 * words + others <= 90
    assert "\n\n" not in answer


@every_template
def test_every_template_has_numbers_that_are_held_out(topic: str, template: Template) -> None:
    for seed in range(50):
        numbers = Recorder(str(seed))
        template(numbers)
        assert numbers.count >= 1


@pytest.mark.parametrize(("topic", "template"), HELD_OUT, ids=title)
@some
@given(seed=seeds)
def test_a_held_out_answer_is_what_its_question_asks(
    topic: str, template: Template, seed: str
) -> None:
    problem = template(Numbers(seed))
    numbers = [Fraction(number) for number in NUMBER.findall(problem.question)]
    if template is units.written_larger:
        unit = problem.question.split(".")[0].rpartition(" ")[2]
        assert problem.final == numbers[0] / FACTORS[unit]
    elif template is stoichiometry.flask or template is stoichiometry.sample:
        # "One mole" is a word; the molar mass comes last.
        assert problem.final == ASKED[template.__name__](numbers[0], numbers[-1])
    else:
        assert problem.final == ASKED[template.__name__](*numbers)


def test_arithmetic_by_hand() -> None:
    """4 boxes of 6 are 24, and 5 more are 29."""
    problem = arithmetic.bags_and_more(Scripted(4, 6, 5, "Ada", "nuts", "boxes", "Ada has"))
    assert problem.question == (
        "Ada has 4 boxes with 6 nuts in each, and 5 more nuts. How many nuts does Ada have?"
    )
    assert problem.answer == "In the boxes: 4 * 6 = 24\nIn all: 24 + 5 = 29\n#### 29"


def test_units_by_hand() -> None:
    """3 hours are 180 minutes, and 20 more are 200."""
    problem = units.film(Scripted((units.HOURS, "film"), 3, 20))
    assert problem.question == "A film lasts 3 hours and 20 minutes. What is its length in minutes?"
    assert problem.answer == (
        "One hour is 60 minutes: 3 * 60 = 180 minutes\nIn all: 180 + 20 = 200\n#### 200"
    )


def test_kinematics_by_hand() -> None:
    """A loss of 3 m/s a second for 4 s is 12 m/s; 20 - 12 = 8."""
    problem = kinematics.slowing_down(Scripted(3, 4, 8, "car", "A car starts"))
    assert problem.question == (
        "A car starts at 20 m/s and loses 3 m/s every second for 4 s. "
        "What is its speed then, in m/s?"
    )
    assert problem.answer == (
        "Lost is rate * time: 3 * 4 = 12 m/s\nSpeed is start - lost: 20 - 12 = 8 m/s\n#### 8"
    )


def test_ohm_by_hand() -> None:
    """2 and 4 ohms in series are 6 ohms; 18 V over 6 ohms drive 3 A."""
    problem = ohm.series_current(Scripted(6, 3, 2, "battery", "Resistors"))
    assert problem.question == (
        "Resistors of 2 ohms and 4 ohms are in series at 18 V. What current in A flows?"
    )
    assert problem.answer == (
        "Both resistances: 2 + 4 = 6 ohms\nCurrent is voltage / resistance: 18 / 6 = 3 A\n#### 3"
    )


def test_stoichiometry_by_hand() -> None:
    """3 mol of methane give 6 mol of water, and 6 * 18 g = 108 g."""
    drawn = Scripted(("methane", "water", 2, 18), 3, "In a reaction")
    problem = stoichiometry.mass_of_product(drawn)
    assert problem.question == (
        "In a reaction 1 mol of methane gives 2 mol of water (18 g/mol). "
        "What mass of water in g do 3 mol of methane give?"
    )
    assert problem.answer == (
        "Moles of water: 3 * 2 = 6 mol\nMass is moles * molar mass: 6 * 18 = 108 g\n#### 108"
    )


def test_probability_by_hand() -> None:
    """3 of 3 + 7 = 10 balls: 0.3."""
    drawn = Scripted(2, 3, ("red", "blue"), "balls", "bag", "A bag")
    problem = probability.drawn(drawn)
    assert problem.question == (
        "A bag holds 3 red and 7 blue balls. One is drawn. What is the probability that it is red?"
    )
    assert problem.answer == "All: 3 + 7 = 10\nProbability is red / all: 3 / 10 = 0.3\n#### 0.3"


def test_equations_by_hand() -> None:
    """4(x + 2) = 20: x + 2 = 5, x = 3."""
    problem = equations.bracket(Scripted(3, 4, 2, "x", "Solve"))
    assert problem.question == "Solve 4(x + 2) = 20 for x."
    assert problem.answer == "x + 2 = 20 / 4 = 5\nx = 5 - 2 = 3\n#### 3"
