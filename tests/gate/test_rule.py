"""The gate's rule: by hand, against the intervals, and in simulated runs of the real sizes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from harness.gate.rule import (
    Counts,
    beyond,
    docs_to_pass,
    docs_to_settle,
    least_margin,
    levels,
    rule,
    visible_drop,
    within,
)
from harness.paired import tango_interval
from tests.gate.simulation import Scene, scenes, shares_of

ALPHA = 0.05
Z, Z_FAIL = 1.6448536, 1.959964


def counts(*tasks: tuple[int, int, int]) -> Counts:
    gained, lost, docs = np.array(tasks, dtype=np.float64).T
    return Counts(gained, lost, docs)


def test_what_docs_can_show_without_any_change() -> None:
    """z^2 / (n + z^2) with z = 1.6449: 2.7055 / 90.7055 = 0.02983 of 88 docs, above 0.03 of 87."""
    assert least_margin(88, ALPHA) == pytest.approx(Z**2 / (88 + Z**2), rel=1e-6)
    assert least_margin(88, ALPHA) < 0.03 < least_margin(87, ALPHA)
    assert docs_to_pass(0.03, 0.0, Z) == 88


def test_docs_that_would_settle_it() -> None:
    """To pass without a drop: 0.05 ((1.6449 + 0.8416) / 0.005)^2 = 12,365.1. With a drop of 0.2
    points seen the changes vary by 0.05 - 0.002^2: 0.049996 (1.6449 / 0.003)^2 = 15,029.6; of 0.8:
    0.049936 (1.95996 / 0.003)^2 = 21,314.3.
    """
    assert docs_to_pass(0.005, 0.05, Z) == 12_366
    assert docs_to_settle(0.002, 0.005, 0.05, Z_FAIL, Z) == 15_030
    assert docs_to_settle(0.008, 0.005, 0.05, Z_FAIL, Z) == 21_315
    assert docs_to_settle(0.005, 0.005, 0.05, Z_FAIL, Z) is None


def test_the_drop_that_would_have_been_seen() -> None:
    """3 points and (1.96 + 0.8416) sqrt(0.1 / 1000) = 2.80 points more."""
    assert visible_drop(1000, 0.1, 0.03, ALPHA) == pytest.approx(0.03 + 0.028016, abs=1e-5)


@pytest.mark.parametrize("one", [(2, 12, 100), (0, 0, 50), (0, 7, 40), (30, 60, 1000), (9, 9, 90)])
def test_the_rule_and_the_interval_are_one_test(one: tuple[int, int, int]) -> None:
    """A drop is surely beyond a margin exactly when the interval of the drop lies above it."""
    gained, lost, docs = one
    for alpha in (0.05, 0.025, 0.00625):
        low, high = tango_interval(gained, lost, docs, confidence=1 - 2 * alpha)
        assert low is not None and high is not None
        for margin in np.linspace(0.001, 0.4, 60):
            assert beyond(counts(one), margin, -ndtri(alpha))[0] == (-high > margin)
            assert within(counts(one), margin, -ndtri(alpha))[0] == (-low < margin)


def test_one_bad_task_fails_a_run_that_is_fine_as_a_whole() -> None:
    """40 of 400 docs lost in a task of 400 among 10,400: 10 points there, 0.4 over all."""
    both = counts((0, 40, 400), (0, 0, 10_000))
    ruling = rule(both, 0.03, [0.05, 0.05], levels(ALPHA, 2))
    assert ruling.tasks_fail.tolist() == [True, False] and not ruling.pooled_fails
    assert ruling.fails and not ruling.passes


def test_strata_narrow_the_pool_only_by_what_lies_between_them() -> None:
    """Two tasks of 100 docs: 20 rise in the first, 20 fall in the second. Within a task the changes
    vary by (0.2 - 0.04) 100 / 99 = 0.16162, in the pool by 0.2 * 200 / 199 = 0.20101: the effect is
    0.80404, and n is 200 / 0.80404 = 248.74.
    """
    pooled = counts((20, 0, 100), (0, 20, 100)).pooled()
    assert float(pooled.docs) == pytest.approx(248.744, abs=1e-3)
    assert float(pooled.gained) == pytest.approx(24.8744, abs=1e-4)


@pytest.mark.parametrize("docs", [2, 5])
def test_many_small_tasks_are_no_surer_than_promised(docs: int) -> None:
    """57 tasks at the margin of 3 points, 20% of docs changed: at most 2.5% of runs are surely
    beyond it and 5% surely within, within three standard errors of 20,000 runs.
    """
    generator = np.random.default_rng(1234)
    share = [0.085, 0.115, 0.8]
    drawn = generator.multinomial(docs, share, size=(20_000, 57)).astype(np.float64)
    pooled = Counts(drawn[..., 0], drawn[..., 1], np.full((20_000, 57), float(docs))).pooled()
    for found, promised in ((beyond(pooled, 0.03, Z_FAIL), 0.025), (within(pooled, 0.03, Z), 0.05)):
        assert found.mean() < promised + 3 * np.sqrt(promised * (1 - promised) / 20_000)


def test_strata_too_small_to_tell_take_nothing_away() -> None:
    """A task of one doc; and two tasks of 15, of which one rose and one fell: 28 degrees of
    freedom.
    """
    for tested, docs in (
        (counts((20, 0, 100), (0, 20, 100), (0, 1, 1)), 201.0),
        (counts((6, 0, 15), (0, 6, 15)), 30.0),
    ):
        assert float(tested.pooled().docs) == docs


def test_passages_count_where_no_doc_changed() -> None:
    """Docs alike in threes, 120 of them: 40 that tell; beside 60 alone: (3 * 120 + 60) / 180."""
    alone = counts((0, 0, 120)).pooled([3.0])
    assert float(alone.docs) == 40.0
    beside = counts((0, 0, 120), (0, 0, 60)).pooled([3.0, 1.0])
    assert float(beside.docs) == pytest.approx(180 / (420 / 180))


FALSE_ALARMS = [scene for scene in scenes() if scene.name in ("0 everywhere", "0.5 everywhere")]


@pytest.mark.parametrize("scene", FALSE_ALARMS, ids=lambda s: f"{s.name}, {s.discordance}")
def test_false_alarms_are_as_rare_as_promised(scene: Scene) -> None:
    """A model at or within every margin fails in 5% of runs at most: 4,000 runs tell 5% from 6%."""
    bound = 0.01 if scene.name == "0 everywhere" else 0.05
    assert shares_of(scene, 4_000).fails < bound + 3 * np.sqrt(bound * (1 - bound) / 4_000)


@pytest.mark.parametrize(
    ("drop", "discordance", "verdict", "expected"),
    [
        (0.0, 0.05, "passes", 0.98),
        (0.0, 0.10, "passes", 0.83),
        (0.01, 0.05, "fails", 0.95),
        (0.01, 0.10, "fails", 0.74),
        (0.0, 0.05, "plain", 0.11),
        (0.0, 0.10, "plain", 0.25),
    ],
)
def test_verdicts_fall_as_often_as_planned(
    drop: float, discordance: float, verdict: str, expected: float
) -> None:
    """By normal theory, over 26,575 docs: with nothing changed at 5% the pooled drop has the
    standard error sqrt(0.05 / 26575) = 0.137 points, and passes below 0.5 - 1.645 * 0.137 = 0.274:
    2.0 standard errors, 98%.
    """
    shares = shares_of(Scene("", discordance, (drop,) * 4), 4_000)
    assert getattr(shares, verdict) == pytest.approx(expected, abs=0.03)


def test_levels_are_one_sided() -> None:
    """No change in n docs: within a margin at alpha exactly from z^2 / (n + z^2) on."""
    square = float(ndtri(ALPHA)) ** 2
    edge = square / (200 + square)
    assert within(counts((0, 0, 200)), edge * 1.001, Z)[0]
    assert not within(counts((0, 0, 200)), edge * 0.999, Z)[0]
