"""What all questions together say of the judge."""

from __future__ import annotations

import pytest

from training.ranking.questions import Question
from training.ranking.rank import Ranked, agreement
from training.ranking.sifting import Rankable


def ranked(number: int, second: tuple[int, ...]) -> Ranked:
    """A question with two answers, the first of which is best in the first ranking."""
    row = Rankable(Question(f"{number}?"), ("a", "b"))
    return Ranked(row, ((0, 1), second))


def test_the_interval_of_tau_stays_where_tau_lives() -> None:
    """Nine agree and one does not: 0.8, and a t interval would end at 1.25."""
    found = agreement([ranked(n, (1, 0) if n == 0 else (0, 1)) for n in range(10)])
    tau = found["kendall_tau"]
    assert tau["mean"] == pytest.approx(0.8) and tau["equal_rankings"] == 9
    assert -1 <= tau["low"] < 0.8 < tau["high"] <= 1
    assert tau["interval"] == "95%, bootstrap over questions"
    assert found["pairs"] == {"agreed": 9, "disagreed": 1}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_questions_that_all_agree_have_no_interval(count: int) -> None:
    tau = agreement([ranked(n, (0, 1)) for n in range(count)])["kendall_tau"]
    assert (tau["mean"], tau["low"], tau["high"]) == (1.0 if count else None, None, None)
