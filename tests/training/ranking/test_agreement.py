"""Tau and the pairs of two rankings, by hand."""

from __future__ import annotations

import doctest

import pytest

from training.ranking import agreement, judging, spending
from training.ranking.agreement import agreed_pairs, kendall_tau


@pytest.mark.parametrize("module", [agreement, judging, spending])
def test_the_values_in_the_docstrings(module: object) -> None:
    tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried.attempted and not tried.failed


def test_tau_by_hand() -> None:
    # Of the pairs (a b) (a c) (b c), one is turned: (2 - 1) / 3.
    assert kendall_tau("abc", "bac") == pytest.approx(1 / 3)  # type: ignore[arg-type]
    # 0 1 2 3 4 against 2 0 1 4 3: turned are (0 2) (1 2) (3 4), 7 of 10 agree: (7 - 3) / 10.
    assert kendall_tau([0, 1, 2, 3, 4], [2, 0, 1, 4, 3]) == pytest.approx(0.4)
    assert kendall_tau([5, 9], [9, 5]) == -1.0


def test_tau_is_scipy_s() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    first, second = [3, 1, 0, 2, 4], [1, 3, 4, 0, 2]
    places = [[order.index(item) for item in range(5)] for order in (first, second)]
    assert kendall_tau(first, second) == pytest.approx(scipy_stats.kendalltau(*places).statistic)


def test_a_pair_is_given_in_the_order_of_both() -> None:
    assert agreed_pairs([2, 0, 1], [2, 1, 0]) == [(2, 0), (2, 1)]
    assert agreed_pairs([0, 1, 2], [2, 1, 0]) == []


@pytest.mark.parametrize(("first", "second"), [([0, 1], [0, 2]), ([0], [0]), ([0, 0], [0, 0])])
def test_what_is_no_two_rankings_of_the_same(first: list[int], second: list[int]) -> None:
    with pytest.raises(ValueError, match="no two rankings"):
        kendall_tau(first, second)
