"""A question with its worked answer, step by step, every number exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

Operator = Literal["+", "-", "*", "/"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
EQUATION = re.compile(r"(?<![\d.])([\d.]*\d) ([-+*/]) ([\d.]*\d) = ([\d.]*\d)")
"""A step's arithmetic as it stands in a worked answer: ``3 * 4 = 12``."""


@dataclass(frozen=True)
class Result:
    """The outcome of an earlier step, counted from 0."""

    step: int


Operand = int | Fraction | Result


@dataclass(frozen=True)
class Step:
    """One line of a worked answer: one operation on two numbers.

    Attributes:
        text: the line, with ``{work}`` where ``3 * 4 = 12`` goes, ``{op}`` where a rule names the
            operation, and ``{right}`` where a sentence names the second number.
        left, operator, right: the operation.
        converts: whether ``right`` is a conversion factor between two units.
    """

    text: str
    left: Operand
    operator: Operator
    right: Operand
    converts: bool = False


@dataclass(frozen=True)
class Problem:
    """A question and the steps to its answer, which is the last step's result."""

    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> str:
        """The worked answer: a line per step, then ``#### <number>``."""
        return render(self.steps, results(self.steps))

    @property
    def final(self) -> Fraction:
        """The number that the answer ends in."""
        return results(self.steps)[-1]


def results(
    steps: tuple[Step, ...], given: Mapping[int, Fraction] | None = None
) -> tuple[Fraction, ...]:
    """Work the steps out, each with the outcomes before it.

    Args:
        steps: in order.
        given: outcomes that are written down instead of the right ones, by step.

    Raises:
        ZeroDivisionError: a step divides by zero.
    """
    found: list[Fraction] = []
    for index, step in enumerate(steps):
        left, right = (operand(side, found) for side in (step.left, step.right))
        found.append(
            given[index] if given and index in given else apply(left, step.operator, right)
        )
    return tuple(found)


def render(steps: tuple[Step, ...], outcomes: tuple[Fraction, ...]) -> str:
    """Write the steps with these outcomes as a worked answer.

    Raises:
        ValueError: a number has no finite decimal expansion.
    """
    lines = []
    for step, outcome in zip(steps, outcomes, strict=True):
        left, right = (decimal(operand(side, outcomes)) for side in (step.left, step.right))
        work = f"{left} {step.operator} {right} = {decimal(outcome)}"
        lines.append(step.text.format(work=work, op=step.operator, right=right))
    return "\n".join([*lines, f"#### {decimal(outcomes[-1])}"])


def operand(side: Operand, outcomes: tuple[Fraction, ...] | list[Fraction]) -> Fraction:
    """The number that an operand stands for."""
    return outcomes[side.step] if isinstance(side, Result) else Fraction(side)


def apply(left: Fraction, operator: str, right: Fraction) -> Fraction:
    """One exact operation; raises ZeroDivisionError."""
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
    raise ValueError(f"{operator!r} is none of {', '.join(OPERATORS)}")


def decimal(number: Fraction | int) -> str:
    """Write a number out exactly: 3, 0.25.

    Raises:
        ValueError: it never ends, as a third does not.
    """
    number = Fraction(number)
    left = number.denominator
    for prime in (2, 5):
        while left % prime == 0:
            left //= prime
    if left != 1:
        raise ValueError(f"{number} has no finite decimal expansion")
    places = 0
    while (10**places * number).denominator != 1:
        places += 1
    digits = str(abs(10**places * number)).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
