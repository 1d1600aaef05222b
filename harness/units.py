"""Units of divergences, as `harness.types.Estimate` names them: how their docs add up follows."""

from __future__ import annotations

from collections.abc import Mapping

NATS = "nats/token"
AGREEMENT = "share of tokens"
PROBABILITY = "probability"
RMS_PROBABILITY = "rms probability"
MEANS = (NATS, AGREEMENT, PROBABILITY)
"""Means over all tokens."""
QUANTILES: Mapping[str, float] = {"nats at 50%": 0.5, "nats at 99%": 0.99}
"""Quantiles over all tokens, with the share of tokens that lie below."""
DIVERGENCES = (*MEANS, RMS_PROBABILITY, *QUANTILES)
