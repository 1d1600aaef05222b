"""Looking early without being fooled: how much of alpha each look may spend.

The Lan-DeMets spending function of the O'Brien-Fleming kind (Lan and DeMets 1983, Biometrika
70:659): 2 - 2 Phi(z_{alpha/2} / sqrt(t)) may be spent when a share t of the docs is in. Early looks
need overwhelming evidence, the last one hardly more than a single test at the end would.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
_POINTS = 2_001
_REACH = 8.0
"""Standard deviations of the grid; beyond them lies a share of 1e-15."""
_BISECTIONS = 60


def spent(alpha: float, share: float) -> float:
    """What may be spent until a share of the docs is in, one-sided."""
    return float(2 * ndtr(ndtri(alpha / 2) / np.sqrt(share)))


def boundaries(alpha: float, shares: Sequence[float]) -> list[float]:
    """For each look, the z beyond which the test stops, one-sided.

    Between looks the statistic is a Brownian motion; its density below the boundaries is carried
    from look to look by numerical integration (Armitage, McPherson and Rowe 1969, JRSS A 132:235).

    Args:
        alpha: of all looks together.
        shares: of the docs that are in at each look, rising, the last one 1.
    """
    found: list[float] = []
    before, share_before = 0.0, 0.0
    grid, mass = np.zeros(1), np.ones(1)
    for share in shares:
        budget, step = spent(alpha, share) - before, np.sqrt(share - share_before)
        bound = _crossed(grid, mass, step, budget, _REACH * np.sqrt(share))
        found.append(float(bound / np.sqrt(share)))
        grid, mass = _carried(grid, mass, step, -_REACH * np.sqrt(share), bound)
        before, share_before = spent(alpha, share), share
    return found


def _crossed(grid: Floats, mass: Floats, step: float, budget: float, top: float) -> float:
    """Where the motion crosses for the first time with the probability that may be spent."""
    low, high = -top, 2 * top
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if float(mass @ ndtr((grid - middle) / step)) > budget:
            low = middle
        else:
            high = middle
    return high


def _carried(
    grid: Floats, mass: Floats, step: float, low: float, high: float
) -> tuple[Floats, Floats]:
    """The motion's distribution one step later, where it has not crossed: a grid and its masses."""
    later = np.linspace(low, high, _POINTS)
    density = np.exp(-(((later[:, None] - grid[None, :]) / step) ** 2) / 2) @ mass
    weights = np.full(_POINTS, later[1] - later[0])
    weights[[0, -1]] /= 2
    return later, density * weights / (step * np.sqrt(2 * np.pi))
