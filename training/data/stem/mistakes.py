"""Worked answers with exactly one wrong step, carried on to a wrong final number.

A wrong answer has the shape of the right one: the same words and lines, and digit for digit numbers
of the same length. Only what it says tells the two apart, so that no style can win.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, get_args

from training.data.stem.problem import (
    OPERATORS,
    Operand,
    Operator,
    Problem,
    Result,
    Step,
    decimal,
    render,
    results,
)

Kind = Literal["operation", "sign", "slip", "copied", "factor"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""``operation``: a wrong operation. ``sign``: plus for minus or minus for plus. ``slip``: the right
operation, miscalculated. ``copied``: a number that is not the question's. ``factor``: a wrong
conversion factor between two units."""

FACTORS: Mapping[int, tuple[int, ...]] = {
    7: (5, 6, 8),
    10: (12, 20),
    12: (10, 15, 16),
    24: (12, 20, 30, 36),
    60: (30, 40, 50, 80, 90),
}
"""What is taken for a conversion factor. 100 and 1000 have no wrong value of the same length that
anybody would believe."""

WEIGHT_OF_OPERATORS = 2
"""How much even operations count against even kinds."""

_DIGIT, _OPERATOR = re.compile(r"\d"), re.compile(r" [-+*/] ")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Mistake:
    """A worked answer that is wrong.

    Attributes:
        kind: what is wrong in it.
        step: which step, counted from 0.
        operator, right_operator: what the wrong step does, and what it should do.
        answer: the text.
        larger: whether its final number is above the right one.
    """

    kind: Kind
    step: int
    operator: Operator
    right_operator: Operator
    answer: str
    larger: bool


def mistakes(problem: Problem) -> list[Mistake]:
    """Every mistake of the right answer's shape that ends in another number, each text once."""
    right, answer = problem.final, problem.answer
    wanted = shape(answer)
    found: dict[str, Mistake] = {}
    for kind, index, step, written in _changes(problem):
        steps = (*problem.steps[:index], step, *problem.steps[index + 1 :])
        try:
            outcomes = results(steps, {} if written is None else {index: written})
            text = render(steps, outcomes)
        except (ZeroDivisionError, ValueError):
            continue  # a number that has no decimal expansion, or none at all
        if outcomes[-1] != right and shape(text) == wanted:
            operators = step.operator, problem.steps[index].operator
            mistake = Mistake(kind, index, *operators, text, outcomes[-1] > right)
            found.setdefault(text, mistake)
    return list(found.values())


def shape(answer: str) -> str:
    """What is left of an answer when digits and operators are not looked at."""
    return _DIGIT.sub("0", _OPERATOR.sub(" ? ", answer))


def chosen_mistakes(problems: Sequence[Problem], seed: str) -> list[Mistake]:
    """One mistake for each problem, chosen so that nothing but being wrong is common to them.

    Kinds are as even as can be, and answers are as often too large as too small. Operations are
    weighed too: most steps multiply or divide, and if a wrong one mostly added, then liking
    answers without a plus would win.

    Args:
        problems: in order. Each has a mistake: its last step can always slip.
        seed: of the choice between equals.
    """
    stream = random.Random(seed)
    kinds: Counter[Kind] = Counter()
    operators: Counter[Operator] = Counter()  # in wrong answers over those in right ones
    above = 0  # wrong answers that are too large over those that are too small
    chosen: list[Mistake] = []

    def cost(mistake: Mistake) -> int:
        unevenness = operators[mistake.operator] - operators[mistake.right_operator]
        return kinds[mistake.kind] + WEIGHT_OF_OPERATORS * unevenness

    for problem in problems:
        possible = mistakes(problem)
        least = min(cost(mistake) for mistake in possible)
        cheapest = [mistake for mistake in possible if cost(mistake) == least]
        wanted = [each for each in cheapest if each.larger == (above < 0)] or cheapest
        mistake = wanted[stream.randrange(len(wanted))]
        kinds[mistake.kind] += 1
        operators.update([mistake.operator])
        operators.subtract([mistake.right_operator])
        above += 1 if mistake.larger else -1
        chosen.append(mistake)
    return chosen


def _changes(problem: Problem) -> Iterator[tuple[Kind, int, Step, Fraction | None]]:
    """Kind, step, the step as it is then done, and the outcome that is written, if not its own."""
    asked = [Fraction(number) for number in _NUMBER.findall(problem.question)]
    outcomes = results(problem.steps)
    for index, step in enumerate(problem.steps):
        for operator in OPERATORS:
            if operator != step.operator:
                kind: Kind = "sign" if {operator, step.operator} == {"+", "-"} else "operation"
                yield kind, index, replace(step, operator=operator), None
        for written in _misread(outcomes[index]):
            yield "slip", index, step, written
        if step.converts and isinstance(step.right, int):
            for factor in FACTORS.get(step.right, ()):
                yield "factor", index, replace(step, right=factor), None
        for number in _copies(step.left, asked):
            yield "copied", index, replace(step, left=number), None
        if not step.converts:
            for number in _copies(step.right, asked):
                yield "copied", index, replace(step, right=number), None


def _copies(side: Operand, asked: Sequence[Fraction]) -> Iterator[Fraction]:
    """What may stand for a number of the question: another of its numbers, or one near it."""
    if isinstance(side, Result) or side not in asked:
        return
    yield from (number for number in asked if number != side)
    yield from _near(Fraction(side))


def _misread(outcome: Fraction) -> Iterator[Fraction]:
    """Outcomes of a slip: near the right one, or with two digits exchanged."""
    yield from _near(outcome)
    digits = decimal(outcome)
    if digits.isdigit() and len(digits) > 1 and digits[0] != digits[1] and digits[1] != "0":
        yield Fraction(digits[1] + digits[0] + digits[2:])


def _near(number: Fraction) -> Iterator[Fraction]:
    """Off by one, two or ten of the last place."""
    last = Fraction(1, 10 ** len(decimal(number).partition(".")[2]))
    for off in (1, -1, 2, -2, 10, -10):
        if number + off * last > 0:
            yield number + off * last
