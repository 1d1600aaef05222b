"""Sign flips and the paired bootstrap: exact cases, brute force, error rates, speed and memory."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.resampling import EXACT_DOCS, paired_bootstrap, sign_flip

Floats = NDArray[np.float64]


def test_six_docs_that_all_rose() -> None:
    """Of 64 patterns of signs only the one seen and its mirror have so large a mean: p = 2/64. A
    shift is left out if fewer than 5% of 64 = 3.2 patterns allow it. The lower means of a flipped
    set and of the others are, from the smallest: none twice (no set), 1 twice ({1} and its
    mirror), so the fourth is 1 and the interval begins there; likewise it ends at 6.
    """
    found = sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert found.p == 2 / 64
    assert found.interval == (1.0, 6.0) == brute_force_interval(np.arange(1.0, 7.0))
    assert found.resamples == 64


def brute_force_interval(values: Floats) -> tuple[float, float]:
    """The shifts that an exact sign-flip test of ``values - shift`` does not reject, on a grid."""
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=len(values))))
    kept = []
    for shift in np.arange(values.min() - 1, values.max() + 1, 0.01).round(2):
        sums = np.abs(signs @ (values - shift))
        share = (sums >= abs((values - shift).sum()) - 1e-9).mean()
        if share >= 0.05:
            kept.append(float(shift))
    return min(kept), max(kept)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_inverts_the_test(seed: int) -> None:
    values = np.random.default_rng(seed).integers(-4, 9, size=7 + seed).astype(np.float64)
    low, high = sign_flip(values).interval
    assert (low, high) == pytest.approx(brute_force_interval(values), abs=0.0101)


def test_an_end_at_0_is_0() -> None:
    """Of rounded values some patterns have a mean of exactly 0, which floating point misses by
    1e-18: p counts them, so the interval holds them.
    """
    for seed in range(200):
        rng = np.random.default_rng(seed)
        tenths = rng.integers(-2, 4, size=int(rng.integers(6, 40))).astype(np.float64)
        found = sign_flip(tenths * 0.1, flips=999)
        low, high = found.interval
        if low is not None and high is not None and found.p is not None:
            assert (found.p < 0.05) == (not low <= 0 <= high), seed


def test_five_docs_cannot_tell() -> None:
    """2/32 = 0.0625 is the least p of five docs: no interval ends."""
    found = sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert found.p == 0.0625 and found.interval == (None, None)


@pytest.mark.parametrize("count", [1, 8, 40])
def test_values_without_spread_have_no_interval(count: int) -> None:
    equal = sign_flip(np.zeros(count))
    assert equal.p == 1.0 and equal.interval == (None, None) and equal.stderr is None
    assert sign_flip(np.full(count, 0.5)).interval == (None, None)
    assert sign_flip(np.array([])).p is None


VALUES = st.lists(st.integers(-20, 20).map(float), min_size=6, max_size=40)


@given(VALUES)
@settings(deadline=None, max_examples=60)
def test_flips_swap_and_agree(values: list[float]) -> None:
    """Swapped sides turn the interval; for few docs exactly, for more up to the flips drawn."""
    differences = np.array(values)
    found, turned = sign_flip(differences), sign_flip(-differences)
    low, high = found.interval
    if low is None or high is None or found.p is None:
        return
    if abs(low) > 1e-9 and abs(high) > 1e-9:  # on the very edge rounding decides
        assert (found.p < 0.05) == (not low <= 0 <= high)
    assert low <= differences.mean() + 1e-9 and differences.mean() <= high + 1e-9
    if len(values) <= EXACT_DOCS:
        assert turned.p == found.p
        assert turned.interval == pytest.approx((-high, -low))
    else:
        assert turned.p == pytest.approx(found.p, abs=0.02)


def test_drawn_flips_are_near_all_of_them() -> None:
    """14 docs are flipped in all ways; with zeros behind them, which change no sum, by drawing."""
    values = np.random.default_rng(3).normal(0.4, 1.0, size=14)
    every, drawn = sign_flip(values), sign_flip(np.concatenate([values, np.zeros(3)]))
    assert every.resamples == 2**14 and drawn.resamples == 10_000
    assert drawn.p == pytest.approx(every.p, abs=0.015)
    assert drawn == sign_flip(np.concatenate([values, np.zeros(3)]))


def test_flips_are_near_the_t_interval_for_many_docs() -> None:
    values = np.random.default_rng(4).normal(0.1, 1.0, size=3001)
    found, reach = sign_flip(values), 1.96 * values.std() / math.sqrt(3001)
    expected = values.mean() - reach, values.mean() + reach
    assert found.interval == pytest.approx(expected, abs=0.05 * reach)


def test_sign_flips_keep_their_error_rate() -> None:
    """Two equal models with skewed values: of 1,000 draws of 25 docs 5% are rejected (the error of
    that share is 0.7 points).
    """
    rng = np.random.default_rng(5)
    pairs = rng.exponential(size=(1000, 25, 2))
    rejected = 0
    for number, pair in enumerate(pairs):
        p = sign_flip(pair[:, 1] - pair[:, 0], flips=999, seed=number).p
        assert p is not None
        rejected += p < 0.05
    assert 0.03 <= rejected / 1000 <= 0.07


def ratio(sums: Floats) -> Floats:
    return np.asarray(sums[:, 0] / sums[:, 1])


def perplexity(sums: Floats) -> Floats:
    return np.exp(ratio(sums))


def documents(n: int, seed: int, shift: float = 0.0) -> tuple[Floats, Floats]:
    """Nats and words of n documents, for two models that differ by ``shift`` nats per word."""
    rng = np.random.default_rng(seed)
    words = rng.integers(50, 500, size=n).astype(np.float64)
    nats = words * rng.normal(3.0, 0.4, size=n)
    after = nats + words * rng.normal(shift, 0.05, size=n)
    return np.column_stack([nats, words]), np.column_stack([after, words])


def test_clusters_are_flipped_as_a_whole() -> None:
    """Three passages of 2, 1 and 3 docs, whose changes add up to 4, 1 and 3: 8/6 a doc. The eight
    patterns' means of flipped and others: {}, all: beyond all; {a}: 2 and 1; {b}: 1 and 7/5; {c}: 1
    and 5/3; and their mirrors. None but the pattern that was seen and its mirror has 0 between: p =
    2/8. The residuals 4 - 16/6, 1 - 8/6, 3 - 24/6 have the squares 16/9, 1/9, 1: 26/9 in all.
    """
    found = sign_flip(np.array([4.0, 1.0, 3.0]), np.array([2.0, 1.0, 3.0]))
    assert found.p == 2 / 8 and found.interval == (None, None)
    assert found.stderr == pytest.approx(math.sqrt(3 / 2 * 26 / 9) / 6)


def test_clusters_of_one_size_are_docs() -> None:
    """Sums over passages of four docs, and the passages' means as docs: the same test."""
    means = np.random.default_rng(2).normal(0.3, 1, 40)
    as_docs, as_sums = sign_flip(means), sign_flip(4 * means, np.full(40, 4.0))
    assert as_sums.p == as_docs.p and as_sums.stderr == pytest.approx(as_docs.stderr)
    assert as_sums.interval == pytest.approx(as_docs.interval)


def test_bootstrap_of_a_ratio_is_near_its_linearization() -> None:
    """The difference of two rates over the same words is a rate; `harness.stats.ratio_stderr` is
    its error.
    """
    from harness.stats import ratio_stderr

    base, model = documents(400, seed=1, shift=0.01)
    found = paired_bootstrap(base, model, ratio)
    error = ratio_stderr(model[:, 0] - base[:, 0], base[:, 1])
    assert error is not None and found.stderr == pytest.approx(error, rel=0.03)
    delta = float(ratio(model.sum(axis=0)[None])[0] - ratio(base.sum(axis=0)[None])[0])
    low, high = found.interval
    assert low == pytest.approx(delta - 1.966 * error, abs=0.1 * error)
    assert high == pytest.approx(delta + 1.966 * error, abs=0.1 * error)


def test_bootstrap_is_seeded_and_turns_with_its_sides() -> None:
    base, model = documents(60, seed=2, shift=0.02)
    found, turned = (
        paired_bootstrap(base, model, perplexity),
        paired_bootstrap(model, base, perplexity),
    )
    assert found == paired_bootstrap(base, model, perplexity)
    low, high = found.interval
    assert low is not None and high is not None
    assert turned.interval == pytest.approx((-high, -low))
    assert turned.p == found.p


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(-0.05, 0.05))
@settings(deadline=None, max_examples=40)
def test_the_bootstraps_p_and_interval_agree(seed: int, n: int, shift: float) -> None:
    found = paired_bootstrap(*documents(n, seed, shift), ratio, resamples=2000)
    low, high = found.interval
    if low is not None and high is not None:
        assert found.p is not None
        assert (found.p < 0.05) == (not low <= 0 <= high)


@pytest.mark.parametrize("n", [10, 40])
def test_the_bootstrap_covers(n: int) -> None:
    """Over 1,500 draws the 95% interval holds the true difference of 0.02 nats per word 95% of the
    time (the error of that share is 0.6 points; docs of unequal length cost about one).
    """
    hits = 0
    for seed in range(1500):
        base, model = documents(n, 100_000 + seed, shift=0.02)
        low, high = paired_bootstrap(base, model, ratio, resamples=1000, seed=seed).interval
        assert low is not None and high is not None
        hits += low <= 0.02 <= high
    assert 0.93 <= hits / 1500 <= 0.97


def test_bleu_like_metrics_are_functions_of_sums() -> None:
    """Matches and totals of words and of pairs, and lengths: a geometric mean with a brevity
    penalty. Docs that are equal on both sides give no interval; a better model a surely better one.
    """
    rng = np.random.default_rng(11)
    words = rng.integers(10, 40, size=300).astype(np.float64)

    def counts(rate: float) -> Floats:
        single = rng.binomial(words.astype(int), rate).astype(np.float64)
        double = rng.binomial(words.astype(int) - 1, rate**2).astype(np.float64)
        return np.column_stack([single, words, double, words - 1, words, words])

    def bleu(sums: Floats) -> Floats:
        brevity = np.exp(np.minimum(0.0, 1 - sums[:, 5] / sums[:, 4]))
        return np.asarray(brevity * np.sqrt(sums[:, 0] / sums[:, 1] * sums[:, 2] / sums[:, 3]))

    worse, better = counts(0.4), counts(0.45)
    found = paired_bootstrap(worse, better, bleu)
    low, _ = found.interval
    assert low is not None and low > 0 and found.p is not None and found.p < 0.05
    same = paired_bootstrap(worse, worse, bleu)
    assert same.interval == (None, None) and same.p is None


def test_few_docs_and_undefined_resamples_have_no_interval() -> None:
    one = np.array([[1.0, 2.0]])
    assert paired_bootstrap(one, one, ratio).interval == (None, None)
    beyond = np.array([[8000.0, 1.0], [9000.0, 1.0]])  # no float holds e to the 8000
    assert paired_bootstrap(beyond, beyond + 1, perplexity).interval == (None, None)


def test_resamples_follow_from_the_docs() -> None:
    """Twelve tests of twenty docs each can still be told: p goes down to 3e-4."""
    base, model = documents(20, seed=4, shift=0.5)
    found = paired_bootstrap(base, model, ratio)
    assert found.resamples == 100_000 and found.p is not None and 12 * found.p < 0.05
    assert paired_bootstrap(*documents(600, seed=4), ratio).resamples == 10_000


def test_the_bootstrap_takes_docs_in_blocks() -> None:
    """200,000 docs by 2,000 resamples would be 3.2 GB of weights at once: it stays under 100 MB.
    A million docs took 11 s and 165 MB on two busy cores.
    """
    base, model = documents(200_000, seed=3)
    tracemalloc.start()
    paired_bootstrap(base, model, perplexity, resamples=2000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
