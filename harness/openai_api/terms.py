"""On what terms a server is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.openai_api.client import Patience
from harness.openai_api.server import Server
from harness.openai_api.spending import Budget, Spending


@dataclass(frozen=True)
class Terms:
    """On what terms a server is asked.

    Attributes:
        server: whom.
        patience: how long and how often.
        at_once: how many requests are under way at most.
        budget: how much in all.
        spending: counts towards that budget, with others who are asked by the same command;
            ``None``: whoever asks counts alone.
    """

    server: Server
    patience: Patience = field(default_factory=Patience)
    at_once: int = 8
    budget: Budget = field(default_factory=Budget)
    spending: Spending | None = None
