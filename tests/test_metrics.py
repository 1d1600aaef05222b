"""Metrics against lm-eval's own aggregation and hand-worked values."""

from __future__ import annotations

import math

import pytest
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity

from harness.metrics.accuracy import macro_mean, mean
from harness.metrics.balanced import balanced
from harness.metrics.corpus import corpus
from harness.metrics.metric import Sample
from harness.metrics.perplexity import bits_per_unit, perplexity


def test_accuracy_is_a_proportion_with_wilsons_interval() -> None:
    """3 right of 4: Wilson's interval is 0.3006 to 0.9544 (centre (0.75 + 0.4802)/(1 + 0.9604)
    = 0.6275, reach 0.3269).
    """
    samples: list[Sample] = [(1.0, None), (1.0, None), (0.0, None), (1.0, None)]
    estimate = mean("acc").estimate(samples)
    assert estimate.value == 0.75
    assert (estimate.low, estimate.high) == pytest.approx((0.3006, 0.9544), abs=5e-5)
    assert estimate.unit == "proportion" and estimate.n == 4


def test_a_mean_of_other_numbers_is_a_score() -> None:
    estimate = mean("bleu").estimate([(12.5, None), (30.0, None)])
    assert estimate.value == 21.25 and estimate.unit == "score"


def test_a_number_that_is_no_share_is_never_a_proportion() -> None:
    """Margins of 0, 1 and 1 have the mean 2/3, with Student's interval: 0.667 -/+ 4.303 / 3."""
    estimate = mean("margin", share=False).estimate([(0.0, None), (1.0, None), (1.0, None)])
    assert estimate.unit == "score"
    assert (estimate.low, estimate.high) == pytest.approx((-0.7676, 2.1009), abs=5e-4)


def test_macro_mean_counts_every_subject_the_same() -> None:
    """Subject a: 1 of 4, subject b: 2 of 2. Micro 3/6 = 0.5; macro (0.25 + 1)/2 = 0.625."""
    samples: list[Sample] = [(1.0, "a"), *[(0.0, "a")] * 3, *[(1.0, "b")] * 2]
    assert mean("acc").estimate(samples).value == 0.5
    macro = macro_mean("acc_macro", of="acc").estimate(samples)
    assert macro.value == 0.625
    assert macro.low is not None and macro.low < 0.625
    assert macro.high is not None and 0.625 < macro.high <= 1.0


def test_balanced_counts_both_kinds_the_same() -> None:
    """1 of 4 of kind x, in two groups, and 2 of 2 of kind y: (0.25 + 1) / 2. Wilson's of 1 of 4 is
    0.0456 to 0.6994, of 2 of 2 0.3424 to 1, so it is 0.625 - sqrt(0.2044^2 + 0.6576^2) / 2 = 0.2807
    to 0.625 + 0.4494 / 2 = 0.8497.
    """
    samples: list[Sample] = [(1.0, "xa"), (0.0, "xa"), (0.0, "xb"), (0.0, "xb")]
    samples += [(1.0, "ya"), (1.0, "yb")]
    metric = balanced("integrity", lambda group: (group or "")[:1])
    estimate = metric.estimate(samples)
    assert estimate.value == 0.625 and estimate.n == 6 and estimate.unit == "proportion"
    assert (estimate.low, estimate.high) == pytest.approx((0.2807, 0.8497), abs=2e-4)
    # Of x the error is sqrt(0.25 * 0.75 / 3) = 0.25, of y 0.
    assert estimate.stderr == pytest.approx(0.125)
    assert "2 kinds" in estimate.method


def test_balanced_of_one_kind_is_its_share() -> None:
    metric = balanced("integrity", lambda group: (group or "")[:1])
    estimate = metric.estimate([(1.0, "xa"), (0.0, "xb")])
    plain = mean("integrity").estimate([(1.0, "xa"), (0.0, "xb")])
    assert (estimate.value, estimate.low, estimate.high) == (plain.value, plain.low, plain.high)
    assert estimate.method == plain.method


def test_a_macro_mean_of_other_numbers_is_no_share() -> None:
    """4 and 5, 3 and 6: means 4.5; standard errors 0.5 and 1.5, together sqrt(2.5) / 2 = 0.79057;
    t(0.975, 2) is 4.30265: 4.5 -+ 3.40154.
    """
    samples = [(4.0, "a"), (5.0, "a"), (3.0, "b"), (6.0, "b")]
    macro = macro_mean("rating_macro", of="rating").estimate(samples)
    assert (macro.value, macro.unit) == (4.5, "score")
    assert macro.low == pytest.approx(1.09846, abs=1e-4)
    assert macro.high == pytest.approx(7.90154, abs=1e-4)


def test_macro_mean_with_one_doc_in_a_subject_has_no_interval() -> None:
    macro = macro_mean("acc_macro", of="acc").estimate([(1.0, "a"), (0.0, "a"), (1.0, "b")])
    assert macro.value == 0.75
    assert macro.low is None and macro.high is None and macro.stderr is None


def test_perplexities_are_lm_evals() -> None:
    pairs = [(-120.5, 30.0), (-300.25, 81.0), (-10.0, 4.0)]
    samples: list[Sample] = [(pair, None) for pair in pairs]
    word = perplexity("word_perplexity").estimate(samples)
    bits = bits_per_unit("bits_per_byte").estimate(samples)
    assert word.value == pytest.approx(weighted_perplexity(pairs), rel=1e-12)
    assert bits.value == pytest.approx(bits_per_byte(pairs), rel=1e-12)
    assert word.value is not None and bits.value is not None
    assert word.value == pytest.approx(2**bits.value)
    assert not word.higher_is_better


def test_perplexity_by_hand() -> None:
    """Two docs of 10 words, -20 and -30 nats: exp(50 / 20) = exp(2.5) = 12.1825. Residuals are
    -5 and 5, so the error of the rate is sqrt(2 * 50)/20 = 0.5, and exp(2.5) * 0.5 = 6.0912.
    """
    estimate = perplexity("word_perplexity").estimate(
        [((-20.0, 10.0), None), ((-30.0, 10.0), None)]
    )
    assert estimate.value == pytest.approx(math.exp(2.5))
    assert estimate.stderr == pytest.approx(0.5 * math.exp(2.5))


def test_perplexity_of_one_document_has_no_interval() -> None:
    estimate = perplexity("word_perplexity").estimate([((-20.0, 10.0), None)])
    assert estimate.value is not None
    assert estimate.low is None and estimate.high is None


def test_corpus_metric_uses_the_given_aggregation() -> None:
    def share_of_sums(items: list[tuple[float, float]]) -> float:
        return sum(a for a, _ in items) / sum(b for _, b in items)

    samples: list[Sample] = [((1.0, 2.0), None), ((3.0, 4.0), None), ((0.0, 4.0), None)]
    estimate = corpus("f", share_of_sums, higher_is_better=True).estimate(samples)
    assert estimate.value == 0.4
    assert estimate.low is not None and estimate.high is not None
    assert estimate.low <= 0.4 <= estimate.high


def test_values_without_any_spread_have_no_interval() -> None:
    """Five equal scores, or subjects in which all is right, teach nothing about the spread."""
    estimate = mean("score").estimate([(0.5, None)] * 5)
    assert estimate.value == 0.5 and estimate.low is None and estimate.high is None
    macro = macro_mean("acc_macro", of="acc").estimate(
        [(1.0, "a"), (1.0, "a"), (1.0, "b"), (1.0, "b")]
    )
    assert macro.value == 1.0 and macro.low is None


def test_a_perplexity_beyond_any_float_is_undefined() -> None:
    """Two docs at 300 and 200 nats per unit: exp(250) is a float, its upper end is not; at 800
    nats per unit not even the value is.
    """
    estimate = perplexity("p").estimate([((-300.0, 1.0), None), ((-200.0, 1.0), None)])
    assert estimate.value == pytest.approx(math.exp(250))
    assert estimate.high is None
    assert perplexity("p").estimate([((-800.0, 1.0), None)] * 2).value is None


def test_an_aggregation_that_fails_costs_only_its_own_metric() -> None:
    def fragile(items: list[float]) -> float:
        return 1 / sum(items)

    estimate = corpus("f", fragile, higher_is_better=True).estimate([(0.0, None), (0.0, None)])
    assert estimate.value is None and "ZeroDivisionError" in estimate.method
    estimate = corpus("f", fragile, higher_is_better=True).estimate([(0.0, None), (1.0, None)])
    assert estimate.value == 1.0 and estimate.low is None and "ZeroDivisionError" in estimate.method
