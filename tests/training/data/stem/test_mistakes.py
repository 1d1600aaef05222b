"""Wrong answers: one wrong step, carried on, and nothing else that tells them from right ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.stem.templates import HELD_OUT, TRAINED, title
from tests.training.data.stem.test_templates import OPERATIONS
from training.data.rows import Pair
from training.data.stem.generate import Template, held_out_items, pairs, training_items
from training.data.stem.mistakes import KINDS, chosen_mistakes, mistakes, shape
from training.data.stem.numbers import Numbers
from training.data.stem.problem import EQUATION, Problem, Result, Step

TWO_STEPS = Problem(
    "3 pens cost 9 dollars each. Ada pays 50.",
    (Step("Price: {work}", 3, "*", 9), Step("Left: {work}", 50, "-", Result(0))),
)


some = settings(max_examples=15, deadline=None)


@pytest.fixture(scope="module")
def trained() -> list[Pair]:
    return pairs(training_items("default"))


def is_true(line: str) -> bool:
    ((left, operator, right, outcome),) = EQUATION.findall(line)
    return OPERATIONS[operator](Fraction(left), Fraction(right)) == Fraction(outcome)


def final(answer: str) -> Fraction:
    return Fraction(answer.rpartition("#### ")[2])


def test_mistakes_by_hand() -> None:
    """3 * 9 = 27 and 50 - 27 = 23 are right. Wrong, with numbers of two digits throughout:
    3 + 9 is 12 and leaves 38; 27 read as 28 leaves 22; 50 + 27 is 77; 8 for 9 is 24, leaves 26.
    """
    found = {mistake.answer: mistake for mistake in mistakes(TWO_STEPS)}
    for kind, step, larger, answer in (
        ("operation", 0, True, "Price: 3 + 9 = 12\nLeft: 50 - 12 = 38\n#### 38"),
        ("slip", 0, False, "Price: 3 * 9 = 28\nLeft: 50 - 28 = 22\n#### 22"),
        ("slip", 1, True, "Price: 3 * 9 = 27\nLeft: 50 - 27 = 33\n#### 33"),
        ("sign", 1, True, "Price: 3 * 9 = 27\nLeft: 50 + 27 = 77\n#### 77"),
        ("copied", 0, True, "Price: 3 * 8 = 24\nLeft: 50 - 24 = 26\n#### 26"),
    ):
        mistake = found[answer]
        assert (mistake.kind, mistake.step, mistake.larger) == (kind, step, larger)
    assert TWO_STEPS.answer not in found
    assert not [answer for answer in found if "9 / 3" in answer], "3 is one digit, not two"


def test_a_wrong_factor_is_wrong_in_the_sentence_too() -> None:
    """4 hours of 50 minutes would be 200 minutes."""
    step = Step("One hour is {right} minutes: {work} minutes", 4, "*", 60, converts=True)
    found = [m for m in mistakes(Problem("Convert 4 hours.", (step,))) if m.kind == "factor"]
    assert "One hour is 50 minutes: 4 * 50 = 200 minutes\n#### 200" in {m.answer for m in found}


@pytest.mark.parametrize(("topic", "template"), TRAINED + HELD_OUT, ids=title)
@some
@given(seed=st.integers(0, 10**6).map(str))
def test_exactly_one_step_is_wrong_and_is_carried_on(
    topic: str, template: Template, seed: str
) -> None:
    problem = template(Numbers(seed))
    right = problem.answer.split("\n")
    for mistake in mistakes(problem):
        wrong = mistake.answer.split("\n")
        assert len(wrong) == len(right)
        assert wrong[: mistake.step] == right[: mistake.step]
        assert wrong[mistake.step] != right[mistake.step]
        outcomes: list[str] = []
        for place, (line, step) in enumerate(zip(wrong, problem.steps, strict=False)):
            assert is_true(line) != (mistake.kind == "slip" and place == mistake.step)
            ((left, _, second, outcome),) = EQUATION.findall(line)
            for side, written in ((step.left, left), (step.right, second)):
                if isinstance(side, Result):
                    assert written == outcomes[side.step], "the wrong outcome is carried on"
                elif place != mistake.step:
                    assert Fraction(written) == side
            outcomes.append(outcome)
        assert wrong[-1] == f"#### {outcomes[-1]}" != right[-1]
        assert mistake.larger == (final(mistake.answer) > problem.final)


def test_the_kind_says_what_is_wrong(trained: list[Pair]) -> None:
    for pair in trained:
        differing = [
            (EQUATION.findall(right)[0], EQUATION.findall(wrong)[0])
            for right, wrong in zip(
                pair.chosen.split("\n")[:-1], pair.rejected.split("\n")[:-1], strict=True
            )
            if right != wrong
        ]
        (left, operator, second, outcome), wrong = differing[0]
        signs = {operator, wrong[1]}
        same_numbers = (left, second) == (wrong[0], wrong[2])
        match pair.group:
            case "slip":
                assert same_numbers and signs == {operator} and wrong[3] != outcome
            case "sign":
                assert same_numbers and signs == {"+", "-"}
            case "operation":
                assert same_numbers and len(signs) == 2 and signs != {"+", "-"}
            case "copied" | "factor":
                assert signs == {operator}
                assert sum(a != b for a, b in zip((left, second), wrong[::2], strict=True)) == 1
            case other:
                pytest.fail(f"an unknown kind {other}")


@pytest.mark.parametrize("which", ["trained", "template", "numbers"])
def test_length_and_format_give_nothing_away(which: str, trained: list[Pair]) -> None:
    """Not only within a tenth: character for character of the same length and the same shape, so
    whoever goes by length is right half the time.
    """
    rows = trained if which == "trained" else pairs(held_out_items(which))  # type: ignore[arg-type]
    assert len(rows) >= 100
    for pair in rows:
        assert pair.chosen != pair.rejected
        assert len(pair.chosen) == len(pair.rejected)
        assert shape(pair.chosen) == shape(pair.rejected)
    assert by_length(rows) == 0.5


def by_length(rows: Sequence[Pair]) -> float:
    """How often the shorter answer is the better one; equal lengths are a coin's toss."""
    points = [
        (len(pair.chosen) < len(pair.rejected)) + 0.5 * (len(pair.chosen) == len(pair.rejected))
        for pair in rows
    ]
    return sum(points) / len(points)


def test_the_size_of_the_number_gives_nothing_away(trained: list[Pair]) -> None:
    larger = sum(final(pair.rejected) > final(pair.chosen) for pair in trained)
    assert abs(larger / len(trained) - 0.5) < 0.02
    tens = [sum(final(text) % 10 == 0 for text in side) for side in sides(trained)]
    assert abs(tens[0] - tens[1]) / len(trained) < 0.05


def test_no_operation_gives_a_wrong_answer_away(trained: list[Pair]) -> None:
    """An operation's count in wrong answers is within a fifth of its count in right ones, which
    without weighing operations it is not: pluses would be almost twice as many.
    """
    right, wrong = (
        Counter(operator for text in side for _, operator, _, _ in EQUATION.findall(text))
        for side in sides(trained)
    )
    for operator in "+-*/":
        assert abs(wrong[operator] / right[operator] - 1) < 0.3


def sides(rows: Sequence[Pair]) -> tuple[list[str], list[str]]:
    return [pair.chosen for pair in rows], [pair.rejected for pair in rows]


def test_kinds_are_as_even_as_they_can_be(trained: list[Pair]) -> None:
    """Conversion factors are in one topic of seven; the others are between a tenth and a third."""
    counts = Counter(pair.group for pair in trained)
    assert set(counts) == set(KINDS)
    assert counts["factor"] >= 80
    for kind in set(KINDS) - {"factor"}:
        assert 0.1 < counts[kind] / len(trained) < 0.34


def test_every_question_has_a_pair(trained: list[Pair]) -> None:
    questions = {item.problem.question for item in training_items("default")}
    assert {pair.prompt[0].content for pair in trained} == questions


@pytest.mark.parametrize("outcome", [0, 1, 9, 10, 99, 100])
def test_a_last_step_can_always_slip(outcome: int) -> None:
    """Off by one, up or down, keeps the number of digits: 9 becomes 8, 10 becomes 11."""
    problem = Problem("?", (Step("{work}", outcome, "+", 0),))
    assert "slip" in {mistake.kind for mistake in mistakes(problem)}


def test_equal_seeds_choose_alike() -> None:
    problems = [item.problem for item in training_items("default", rows=140)]
    assert chosen_mistakes(problems, "a") == chosen_mistakes(problems, "a")
    assert chosen_mistakes(problems, "a") != chosen_mistakes(problems, "b")
