"""Boundaries of repeated looks: published ones, and how often they are crossed by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from harness.gate.spending import boundaries, spent


def test_published_boundaries() -> None:
    """Four equal looks at one-sided 2.5%, as Lan and DeMets's function gives them: the first is
    where 2 (1 - Phi(2.2414 / 0.5)) = 7.4e-6 lies, z = 4.333; then 2.963, 2.359 and 2.014.
    """
    found = boundaries(0.025, [0.25, 0.5, 0.75, 1.0])
    assert found == pytest.approx([4.333, 2.963, 2.359, 2.014], abs=2e-3)


def test_one_look_is_the_plain_test() -> None:
    assert boundaries(0.05, [1.0]) == pytest.approx([-ndtri(0.05)], abs=1e-9)


def test_all_is_spent_at_the_end_and_hardly_anything_early() -> None:
    assert spent(0.05, 1.0) == pytest.approx(0.05)
    assert spent(0.05, 0.1) < 1e-8


def test_chance_crosses_as_often_as_alpha_says() -> None:
    """200,000 Brownian motions, looked at eight times: 5%, within four standard errors."""
    shares = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0])
    steps = np.random.default_rng(1).standard_normal((200_000, len(shares)))
    motion = (steps * np.sqrt(np.diff(shares, prepend=0.0))).cumsum(axis=1)
    crossed = (motion / np.sqrt(shares) > boundaries(0.05, list(shares))).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 200_000))
