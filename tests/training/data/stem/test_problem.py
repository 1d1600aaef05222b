"""Worked answers: exact numbers, one operation a line."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.stem.problem import EQUATION, Problem, Result, Step, decimal, render, results


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(12), "12"),
        (Fraction(-3), "-3"),
        (Fraction(1, 4), "0.25"),
        (Fraction(3, 100), "0.03"),
        (Fraction(-5, 2), "-2.5"),
        (Fraction(1200), "1200"),
        (Fraction(7, 8), "0.875"),
    ],
)
def test_a_number_is_written_exactly(number: Fraction, text: str) -> None:
    assert decimal(number) == text


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_a_written_number_reads_back(digits: int, places: int) -> None:
    number = Fraction(digits, 10**places)
    text = decimal(number)
    assert Fraction(text) == number
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize("number", [Fraction(1, 3), Fraction(22, 7), Fraction(5, 6)])
def test_a_number_without_end_is_refused(number: Fraction) -> None:
    with pytest.raises(ValueError, match="no finite decimal expansion"):
        decimal(number)


def test_steps_use_the_outcomes_before_them() -> None:
    """3 * 4 = 12, then 20 - 12 = 8; the rule names its operation."""
    problem = Problem(
        "?", (Step("Price: {work}", 3, "*", 4), Step("Paid {op} price: {work}", 20, "-", Result(0)))
    )
    assert problem.answer == "Price: 3 * 4 = 12\nPaid - price: 20 - 12 = 8\n#### 8"
    assert problem.final == 8


def test_a_line_may_name_its_second_number() -> None:
    step = Step("One day is {right} hours: {work} hours", 2, "*", 24)
    assert render((step,), results((step,))) == "One day is 24 hours: 2 * 24 = 48 hours\n#### 48"


def test_an_outcome_that_is_written_is_carried_on() -> None:
    """A slip in the first step, 12 written as 13: 13 + 5 = 18."""
    steps = (Step("{work}", 3, "*", 4), Step("{work}", Result(0), "+", 5))
    assert results(steps, {0: Fraction(13)}) == (Fraction(13), Fraction(18))
    assert render(steps, results(steps, {0: Fraction(13)})) == "3 * 4 = 13\n13 + 5 = 18\n#### 18"


def test_equations_are_found_behind_letters_and_words() -> None:
    assert EQUATION.findall("x / 3 = 9 - 5 = 4") == [("9", "-", "5", "4")]
    assert EQUATION.findall("Both: 0.3 * 0.9 = 0.27.") == [("0.3", "*", "0.9", "0.27")]
