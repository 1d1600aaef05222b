"""Paired statistics against published figures, brute force and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, ttest_1samp

from harness import paired

COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60)).filter(any)
"""Docs that rose, that fell, that stayed."""


def test_tango_against_his_own_example() -> None:
    """Tango 1998, section 6.1, soft contact lenses: of 44 pairs one fell, none rose. Against a loss
    of 0.1 the statistic is 1.709; the 90% interval begins at -0.096.
    """
    assert float(paired.tango_statistic(0, 1, 44, -0.1)) == pytest.approx(1.709, abs=5e-4)
    low, _ = paired.tango_interval(0, 1, 44, confidence=0.90)
    assert low == pytest.approx(-0.096, abs=5e-4)


def test_tango_and_mcnemar_against_a_textbook() -> None:
    """Fagerland, Lydersen and Laake 2017, chapter 8 (Cavo et al. 2012: 6 rose, 16 fell, of 161), as
    their R package contingencytables prints it: -0.1240 to -0.0054, McNemar P = 0.033006, exact
    P = 0.052479. The two tests disagree at 5%: the exact one is conservative.
    """
    assert paired.tango_interval(6, 16, 161) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert paired.tango_p(6, 16, 161) == pytest.approx(0.033006, abs=5e-7)
    assert paired.exact_mcnemar_p(6, 16) == pytest.approx(0.052479, abs=5e-7)


def test_tango_against_another_implementation() -> None:
    """R's PropCIs 0.3-0, scoreci.mp: 60 and 20 of 1000 give 0.0231 to 0.0584; at 90%, 28 and 25 of
    618 give -0.0148 to 0.0247.
    """
    assert paired.tango_interval(60, 20, 1000) == pytest.approx((0.0231, 0.0584), abs=5e-5)
    low, high = paired.tango_interval(28, 25, 618, confidence=0.90)
    assert (low, high) == pytest.approx((-0.0148, 0.0247), abs=5e-5)


def test_no_doc_changed() -> None:
    """With z = 1.959964, z^2 = 3.841459: of 100 docs 3.841459 / 103.841459 = 0.036993. p is 1."""
    assert paired.tango_interval(0, 0, 100) == pytest.approx((-0.036993, 0.036993), abs=5e-7)
    assert paired.tango_p(0, 0, 100) == 1.0 == paired.exact_mcnemar_p(0, 0)


def test_every_doc_rose() -> None:
    """The upper end is 1. At the lower, 10 (1 - m) / sqrt(10 m (1 - m)) = z, as nothing fell and so
    q is 0: 10 (1 - m) / m = z^2, m = 10 / 13.841459 = 0.722467... unless q > 0 fits better. It does
    not: 2n q^2 + B q = 0 with B = -10 + 10 m < 0 has the root q = (1 - m) / 2, so the variance is
    10 (1 - m)(1 + m) and (1 - m) / (1 + m) = z^2 / 10: m = 6.158541 / 13.841459 = 0.444934.
    """
    assert paired.tango_interval(10, 0, 10) == pytest.approx((0.444934, 1.0), abs=5e-7)


def test_one_doc_and_none() -> None:
    """One doc that rose: (1 - m) / (1 + m) = z^2 gives m = -2.841459 / 4.841459 = -0.586901."""
    assert paired.tango_interval(1, 0, 1) == pytest.approx((-0.586901, 1.0), abs=5e-7)
    assert paired.tango_interval(0, 0, 0) == (None, None)


def brute_force_statistic(ups: int, downs: int, n: int, delta: float) -> float:
    """The score statistic with the likelihood maximized numerically, not by its formula."""

    def loss(fall: float) -> float:
        rise, same = fall + delta, 1 - 2 * fall - delta
        terms = ((ups, rise), (downs, fall), (n - ups - downs, same))
        return -sum(k * math.log(max(chance, 1e-300)) for k, chance in terms if k)

    low, high = max(0.0, -delta), (1 - delta) / 2
    fall = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    fall = min((low, float(fall), high), key=loss)
    return (ups - downs - n * delta) / math.sqrt(n * (2 * fall + delta - delta**2))


@pytest.mark.parametrize(
    ("ups", "downs", "n"), [(3, 9, 40), (0, 4, 25), (7, 0, 30), (5, 5, 10), (1, 2, 1000), (2, 1, 3)]
)
def test_tango_against_brute_force(ups: int, downs: int, n: int) -> None:
    """A shift lies in the interval exactly where a numerical score test does not reject it."""
    low, high = paired.tango_interval(ups, downs, n)
    assert low is not None and high is not None
    for delta in np.linspace(-0.995, 0.995, 200):
        if min(abs(delta - low), abs(delta - high)) < 1e-4:
            continue
        inside = abs(brute_force_statistic(ups, downs, n, float(delta))) < 1.959964
        assert inside == (low < delta < high), delta


@given(COUNTS)
@settings(deadline=None, max_examples=300)
def test_swapping_the_sides_turns_the_sign_and_keeps_the_p(counts: tuple[int, int, int]) -> None:
    ups, downs, n = counts[0], counts[1], sum(counts)
    low, high = paired.tango_interval(ups, downs, n)
    other_low, other_high = paired.tango_interval(downs, ups, n)
    assert low is not None and high is not None and other_low is not None
    assert (low, high) == pytest.approx((-other_high, -other_low), abs=1e-9)
    assert -1 <= low <= (ups - downs) / n <= high <= 1
    assert paired.tango_p(ups, downs, n) == paired.tango_p(downs, ups, n)


@given(COUNTS)
@settings(deadline=None, max_examples=300)
def test_tangos_p_and_interval_agree(counts: tuple[int, int, int]) -> None:
    ups, downs, n = counts[0], counts[1], sum(counts)
    low, high = paired.tango_interval(ups, downs, n)
    assert low is not None and high is not None
    assert (paired.tango_p(ups, downs, n) < 0.05) == (not low <= 0 <= high)


@given(st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None)
def test_exact_mcnemar_is_the_binomial_test(ups: int, downs: int) -> None:
    expected = binomtest(ups, ups + downs).pvalue if ups + downs else 1.0
    assert paired.exact_mcnemar_p(ups, downs) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n", "rise", "fall"),
    [(50, 0.06, 0.06), (100, 0.10, 0.02), (150, 0.05, 0.05), (400, 0.03, 0.05), (1172, 0.06, 0.04)],
)
def test_tango_covers(n: int, rise: float, fall: float) -> None:
    """Over 2,000 draws the 95% interval holds the truth about 95% of the time (the error of that
    share is half a point; the interval itself swings by a point or so for few docs).
    """
    rng = np.random.default_rng(6)
    draws = rng.multinomial(n, [rise, fall, 1 - rise - fall], size=2000)
    kinds, times = np.unique(draws[:, :2], axis=0, return_counts=True)
    hits = 0
    for (ups, downs), repeats in zip(kinds.tolist(), times.tolist(), strict=True):
        low, high = paired.tango_interval(ups, downs, n)
        assert low is not None and high is not None
        hits += repeats * (low <= rise - fall <= high)
    assert 0.935 <= hits / 2000 <= 0.97


def test_visible_proportion_against_the_formula_and_by_simulation() -> None:
    """Discordance 0.1 of 1000 docs: 0.027983 solves sqrt(1000) m = 1.959964 sqrt(0.1) +
    0.841621 sqrt(0.1 - m^2): 0.884895 = 0.619795 + 0.265100. Tango's test then finds it 80% of the
    time (the error of that share, of 4,000 draws, is 0.6 points).
    """
    delta = paired.visible_proportion(0.1, 1000)
    assert delta == pytest.approx(0.027983, abs=1e-6)
    rng = np.random.default_rng(7)
    chances = [0.05 + delta / 2, 0.05 - delta / 2, 0.9]
    draws = rng.multinomial(1000, chances, size=4000)
    statistics = paired.tango_statistic(draws[:, 0], draws[:, 1], 1000, 0.0)
    assert float((np.abs(statistics) > 1.959964).mean()) == pytest.approx(0.80, abs=0.025)


def test_an_effect_brings_its_own_changes_where_too_few_were_seen() -> None:
    """No doc of 1000 changed. Four that change, all one way, are seen: 4/sqrt(4) = 2; three are
    not: 3/sqrt(3) = 1.73. If m of all docs rise, at least 4 do in 80% of runs at m = 0.005508:
    0.004 + 0.022 + 0.061 + 0.113 = 0.200 for 0 to 3. With 3 docs nothing can show.
    """
    delta = paired.visible_proportion(0.0, 1000)
    assert delta == pytest.approx(0.005508, abs=1e-6)
    assert binom.cdf(3, 1000, delta) == pytest.approx(0.2, abs=1e-6)
    assert paired.visible_proportion(0.5, 3) is None
    assert paired.visible_proportion(0.0, 0) is None
    assert paired.tango_p(3, 0, 3) == pytest.approx(0.083, abs=5e-4)


@pytest.mark.parametrize("n", [10, 30, 100, 400, 5000])
@pytest.mark.parametrize("discordance", [0.0, 0.01, 0.1, 0.3])
def test_what_would_have_shown_shows_four_times_in_five(n: int, discordance: float) -> None:
    """Of 20,000 draws of n docs; the error of that share is 0.3 points, Connor's formula's 1."""
    delta = paired.visible_proportion(discordance, n)
    assert delta is not None
    changed = max(discordance, delta)
    chances = [(changed + delta) / 2, (changed - delta) / 2, 1 - changed]
    draws = np.random.default_rng(n).multinomial(n, chances, size=20_000)
    statistics = paired.tango_statistic(draws[:, 0], draws[:, 1], n, 0.0)
    assert float((np.abs(statistics) > 1.959964).mean()) == pytest.approx(0.80, abs=0.015)


def test_visible_mean_is_the_t_tests() -> None:
    """With 60 docs of deviation 1 the effect is seen in 80% of 4,000 draws."""
    effect = paired.visible_mean(1 / math.sqrt(60), 59)
    drawn = np.random.default_rng(8).normal(effect, 1.0, size=(4000, 60))
    found = ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05
    assert float(found.mean()) == pytest.approx(0.80, abs=0.025)


def test_t_interval_and_p_agree_with_scipy() -> None:
    values = np.random.default_rng(9).normal(0.3, 1.0, size=25)
    expected = ttest_1samp(values, 0.0)
    stderr = float(values.std(ddof=1) / 5)
    mean = float(values.mean())
    assert paired.t_p(mean, stderr, 24) == pytest.approx(float(expected.pvalue))
    interval = expected.confidence_interval()
    assert paired.t_interval(mean, stderr, 24) == pytest.approx((interval.low, interval.high))


def test_macro_difference_by_hand() -> None:
    """Group a: 1, 0 (mean 0.5, variance 0.5); b: 1, 0, -1, 0 (mean 0, variance 2/3). The means have
    the mean 0.25; its error is sqrt(0.5/2 + (2/3)/4) / 2 = sqrt(0.416667) / 2 = 0.322749, with
    6 - 2 degrees of freedom.
    """
    differences = np.array([1.0, 0.0, 1.0, 0.0, -1.0, 0.0])
    value, stderr, freedom = paired.macro_difference(differences, ["a", "a", "b", "b", "b", "b"])
    assert (value, freedom) == (0.25, 4)
    assert stderr == pytest.approx(0.322749, abs=1e-6)
    assert paired.macro_difference(np.array([1.0, 0.0, 1.0]), ["a", "a", "b"])[1] is None
    assert paired.macro_difference(np.zeros(4), ["a", "a", "b", "b"])[1] is None


def test_design_effect_by_hand() -> None:
    """Twenty docs +1, 0 in turn in a (mean 0.5), twenty 0, -1 in b (mean -0.5): each variance is
    20 * 0.25 / 19 = 0.263158; pooled, mean 0, 20 squares of 1 over 39: 0.512821. That is 0.513158
    of it, and never less than a half: with +1 all through a and -1 in b nothing would be left.
    """
    strata = ["a"] * 20 + ["b"] * 20
    split = np.array([1.0, 0.0] * 10 + [0.0, -1.0] * 10)
    assert paired.design_effect(split, strata) == pytest.approx(0.513158, abs=1e-6)
    assert paired.design_effect(np.repeat([1.0, -1.0], 20), strata) == 0.5


@pytest.mark.parametrize(
    ("differences", "strata"),
    [
        (np.array([1.0, 0.0, -1.0]), ["a", "a", "b"]),  # too few docs to tell
        (np.tile([1.0, 0.0], 30), ["a"] * 60),  # one stratum
        (np.zeros(60), ["a"] * 30 + ["b"] * 30),  # nothing changed
        (np.tile([1.0, 0.0], 30), list(range(60))),  # all strata of one doc are one
        (np.tile([1.0, 0.0], 30), ["a"] * 59 + ["b"]),  # one alone has no companions
    ],
)
def test_without_strata_to_learn_from_there_is_no_design_effect(
    differences: np.ndarray, strata: list[object]
) -> None:
    assert paired.design_effect(differences, strata) == 1.0


def test_strata_that_do_not_differ_change_nothing_on_average() -> None:
    rng = np.random.default_rng(10)
    strata = [number // 30 for number in range(600)]
    effects = [
        paired.design_effect(rng.choice([-1.0, 0.0, 1.0], 600, p=[0.05, 0.9, 0.05]), strata)
        for _ in range(200)
    ]
    assert float(np.mean(effects)) == pytest.approx(1.0, abs=0.01)


def test_clusters_by_hand() -> None:
    """Two docs each from four passages change by 1, 0, -1 and 0. The mean is 0, the passages' sums
    are 2, 0, -2, 0: 4/3 * 8 = 32/3 is the variance of the whole sum. Of eight docs drawn one by one
    it were 8 * 4/7 = 32/7. So 7/3, times (3.18245 / 1.95996)^2 for four passages, three free.
    """
    change = np.repeat([1.0, 0.0, -1.0, 0.0], 2)
    passages = np.repeat(["a", "b", "c", "d"], 2).tolist()
    found = paired.design_effect(change, clusters=passages)
    assert found == pytest.approx(7 / 3 * (3.182446 / 1.959964) ** 2, rel=1e-6)
    assert paired.design_effect(change) == 1.0


def test_clusters_within_strata_and_alone() -> None:
    """Docs that differ within a passage and not between cannot make a run larger than it is; one
    passage says nothing of how passages differ; strata of one passage each neither.
    """
    change = np.array([1.0, -1.0] * 20)
    pairs = [place // 2 for place in range(40)]
    assert paired.design_effect(change, clusters=pairs) == 1.0
    assert paired.design_effect(np.array([1.0, 0.0, 0.0]), clusters=["a"] * 3) == 3.0
    assert paired.design_effect(np.zeros(40), clusters=pairs) == 2.0, "20 passages at least"
    same = np.repeat(np.random.default_rng(3).choice([-1.0, 0.0, 1.0], 100), 2)
    twins, strata = [place // 2 for place in range(200)], [place // 100 for place in range(200)]
    assert paired.design_effect(same, strata, twins) == pytest.approx(2, rel=0.15)
    alone = paired.design_effect(same, twins, twins)
    assert alone == pytest.approx(paired.design_effect(same, clusters=twins))


def test_docs_asked_twice_say_as_much_as_once() -> None:
    """Tango's interval of 200 docs, and of each of them twice over, as a passage of two."""
    change = np.random.default_rng(5).choice([-1.0, 0.0, 0.0, 0.0, 1.0], 200)
    ups, downs = float((change > 0).sum()), float((change < 0).sum())
    once = paired.tango_interval(ups, downs, 200)
    twice = np.repeat(change, 2)
    effect = paired.design_effect(twice, clusters=[place // 2 for place in range(400)])
    found = paired.tango_interval(2 * ups / effect, 2 * downs / effect, 400 / effect)
    assert found == pytest.approx(once, abs=0.002)


def test_macro_differences_of_clusters_by_hand() -> None:
    """In each of two subjects two passages of two docs: 1, 1, 0, 0 and 0, 0, -1, -1. The means are
    1/2 and -1/2; residuals add up to 1 and -1 in each: 2 * 2 = 4 the variance of a sum, 4/16 of a
    mean, sqrt(1/4 + 1/4) / 2 the error.
    """
    change = np.array([1.0, 1, 0, 0, 0, 0, -1, -1])
    subjects, passages = [0] * 4 + [1] * 4, [0, 0, 1, 1] * 2
    value, error, freedom = paired.macro_difference(change, subjects, passages)
    assert (value, freedom) == (0.0, 2)
    assert error == pytest.approx(math.sqrt(0.5) / 2)


def test_an_effective_sample_size_carries_over_to_p_and_interval() -> None:
    """Counts divided by f divide the statistic by sqrt(f), at every shift."""
    whole = paired.tango_statistic(30, 18, 500, np.array([-0.05, 0.0, 0.04]))
    half = paired.tango_statistic(15, 9, 250, np.array([-0.05, 0.0, 0.04]))
    assert np.allclose(whole, half * math.sqrt(2))


def test_holm_by_hand() -> None:
    """0.01, 0.04, 0.03 and 0.005: 4 * 0.005 = 0.02, 3 * 0.01 = 0.03, 2 * 0.03 = 0.06 and 0.04,
    which may not be smaller than the 0.06 before it.
    """
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.9, 0.8]) == [1.0, 1.0]
    assert paired.holm([]) == []
