"""Intervals against published and hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness import stats


def test_wilson_interval_against_newcombe() -> None:
    """Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3 (Wilson, no correction):
    81 of 263 gives 0.2553 to 0.3662; 15 of 148 gives 0.0624 to 0.1605; 0 of 20 gives 0 to 0.1611.
    """
    assert stats.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert stats.wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert stats.wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert stats.wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


def test_wilson_interval_of_nothing_is_undefined() -> None:
    assert stats.wilson_interval(0, 0) == (None, None)


def test_the_mean_of_two_shares_against_newcombe() -> None:
    """Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10: 56 of 70 less 48 of 80 is
    0.20, 0.0524 to 0.3339. With 32 of 80 instead of the 48, the mean is (1 + that) / 2.
    """
    found = stats.mean_of_shares_interval([(56, 70), (32, 80)])
    assert found == pytest.approx((0.5262, 0.66695), abs=5e-5)


def test_the_mean_of_shares_without_spread_has_an_interval() -> None:
    """0 of 60 and 60 of 60: Wilson's limit is z^2 / (60 + z^2) = 0.060172, half of it 0.030086."""
    found = stats.mean_of_shares_interval([(0, 60), (60, 60)])
    assert found == pytest.approx((0.469914, 0.530086), abs=1e-6)


def test_the_mean_of_shares_stays_within_zero_and_one() -> None:
    """All of both right: Wilson's limit 60 / (60 + z^2) = 0.939828; 1 - 0.060172 * sqrt(2) / 2."""
    low, high = stats.mean_of_shares_interval([(60, 60), (60, 60)])
    assert low == pytest.approx(0.957452, abs=1e-6) and high == 1.0
    low, high = stats.mean_of_shares_interval([(0, 60), (0, 60)])
    assert low == 0.0 and high == pytest.approx(0.042548, abs=1e-6)


def test_the_mean_of_shares_of_nothing_is_undefined() -> None:
    assert stats.mean_of_shares_interval([]) == (None, None)
    assert stats.mean_of_shares_interval([(1, 2), (0, 0)]) == (None, None)


def test_mean_interval_by_hand() -> None:
    """1, 2, 3, 4: mean 2.5, deviation sqrt(5/3), standard error sqrt(5/3)/2 = 0.645497;
    t with 3 degrees is 3.182446, so the reach is 2.054260.
    """
    assert stats.mean_stderr([1, 2, 3, 4]) == pytest.approx(0.645497, abs=1e-6)
    assert stats.mean_interval([1, 2, 3, 4]) == pytest.approx((0.445740, 4.554260), abs=1e-5)


def test_one_value_has_a_mean_but_no_interval() -> None:
    assert stats.mean_stderr([0.7]) is None
    assert stats.mean_interval([0.7]) == (None, None)


def test_stderr_is_lm_evals() -> None:
    from lm_eval.api.metrics import mean_stderr

    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert stats.mean_stderr(values) == pytest.approx(mean_stderr(values))


def test_ratio_stderr_by_hand() -> None:
    """Numerators 2, 6; denominators 1, 2: r = 8/3, residuals 2 - 8/3 = -2/3 and 6 - 16/3 = 2/3;
    sqrt(2/1 * (4/9 + 4/9)) / 3 = sqrt(16/9) / 3 = 4/9.
    """
    error = stats.ratio_stderr(np.array([2.0, 6.0]), np.array([1.0, 2.0]))
    assert error == pytest.approx(4 / 9)


def test_ratio_stderr_covers() -> None:
    """Over 500 draws of 60 docs, the 95% interval holds the true rate 3.0 about 95% of the time
    (binomial error 1 point; 92 to 98 is three of them).
    """
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(500):
        words = rng.integers(50, 500, size=60).astype(float)
        nats = words * rng.normal(3.0, 0.4, size=60)
        rate = nats.sum() / words.sum()
        error = stats.ratio_stderr(nats, words)
        assert error is not None
        hits += abs(rate - 3.0) <= stats.t_quantile(59) * error
    assert 0.92 <= hits / 500 <= 0.98


def test_stratified_mean_stderr_by_hand() -> None:
    """Strata (0, 1) and (1, 1): standard errors sqrt(0.5)/sqrt(2) = 0.5 and 0; half of
    sqrt(0.25 + 0) is 0.25. With a stratum of one doc it is undefined.
    """
    assert stats.stratified_mean_stderr([[0, 1], [1, 1]]) == pytest.approx(0.25)
    assert stats.stratified_mean_stderr([[0, 1], [1]]) is None


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, size=400)

    def mean_of(indices: np.ndarray) -> float:
        return float(values[indices].mean())

    (low, high), stderr = stats.bootstrap_interval(400, mean_of)
    assert stats.bootstrap_interval(400, mean_of) == ((low, high), stderr)
    assert stderr == pytest.approx(values.std() / math.sqrt(400), rel=0.1)
    assert low is not None and high is not None and low < values.mean() < high
