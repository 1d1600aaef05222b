"""Reward deviation: the mean of paired differences, and its size."""

from __future__ import annotations

import math

import pytest

from harness.answers_task import Answered
from harness.judge_measures import bertscore, dialogrpt, reward_deviation
from harness.metrics.deviation import deviation
from harness.types import Resemblance, Resembled, Reward, Rewarded

ANSWERED = Answered("What is 2 + 2?", "5", "4")


def test_the_signed_deviation_and_its_size() -> None:
    """Differences -1, -2, -3: mean -2, sd 1, standard error 1 / sqrt(3) = 0.57735; t(0.975, 2) is
    4.30265, so the interval is -2 -+ 2.48414: -4.48414 to 0.48414. It holds 0: without signs it
    is 0 to 4.48414.
    """
    signed, size = deviation("d")
    samples = [(-1.0, None), (-2.0, None), (-3.0, None)]
    first, second = signed.estimate(samples), size.estimate(samples)
    assert first.value == -2 and second.value == 2
    assert first.low == pytest.approx(-4.48414, abs=1e-5)
    assert first.high == pytest.approx(0.48414, abs=1e-5)
    assert second.low == 0 and second.high == pytest.approx(4.48414, abs=1e-5)
    assert size.key == "d" and not second.higher_is_better


def test_a_deviation_away_from_zero_keeps_both_ends() -> None:
    """-4, -5, -6: mean -5 -+ 2.48414."""
    _, size = deviation("d")
    estimate = size.estimate([(-4.0, None), (-5.0, None), (-6.0, None)])
    assert estimate.low == pytest.approx(2.51586, abs=1e-5)
    assert estimate.high == pytest.approx(7.48414, abs=1e-5)


def test_one_doc_has_no_interval() -> None:
    _, size = deviation("d")
    estimate = size.estimate([(-4.0, None)])
    assert (estimate.value, estimate.low, estimate.high) == (4.0, None, None)


def test_a_reward_model_is_asked_of_both_answers() -> None:
    """0.5 for the answer, 2 for the reference: 0.5 - 2 = -1.5."""
    measure = reward_deviation("judge")
    asked = [Reward("What is 2 + 2?", "5"), Reward("What is 2 + 2?", "4")]
    assert list(measure.asks(ANSWERED)) == asked
    assert measure.score(ANSWERED, [Rewarded(0.5), Rewarded(2.0)]) == {"reward_deviation": -1.5}


def test_dialogrpt_reports_both_sides_and_the_difference() -> None:
    values = dialogrpt("judge").score(ANSWERED, [Rewarded(0.25), Rewarded(0.75)])
    assert values == {
        "dialogrpt": 0.25,
        "dialogrpt_reference": 0.75,
        "dialogrpt_difference": -0.5,
    }


def test_bertscore_asks_once_and_names_its_figures() -> None:
    measure = bertscore("judge")
    assert list(measure.asks(ANSWERED)) == [Resemblance("5", "4")]
    values = measure.score(ANSWERED, [Resembled(0.5, 0.25, 1 / 3)])
    assert values["bertscore_precision"] == 0.5 and values["bertscore_recall"] == 0.25
    assert math.isclose(float(values["bertscore_f1"]), 1 / 3)  # type: ignore[arg-type]
