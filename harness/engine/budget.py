"""How many tokens a pass should hold, measured on the machine that runs it."""

from __future__ import annotations

import time
from array import array

import torch

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.passes import KeyValues, make_passes
from harness.engine.selftest import Verdict
from harness.engine.trie import Node

CANDIDATES = {"cpu": (512, 1024, 2048, 4096), "cuda": (2048, 4096, 8192, 16384, 32768)}
SMALLEST = 256
"""Where not even the first candidate fits."""
LONGEST = 1.5
"""Seconds: where a pass takes longer than this, a larger one is not tried."""
SLACK = 1.05
"""The largest pass is taken that needs no more than this multiple of the least time per token:
larger ones also need fewer attention calls, which the measurement does not show."""


def measured_budget(verdict: Verdict, max_length: int) -> int:
    """A number of tokens at which passes are fast.

    Sequences of at most 128 tokens are run, never one of the model's maximum length, and nothing
    larger is tried once memory or time ran out.
    """
    seconds: dict[int, float] = {}
    length = min(128, max_length)
    model = verdict.model
    for tokens in CANDIDATES["cuda" if model.device.type == "cuda" else "cpu"]:
        run = _packed if verdict.plan == "packed" else _plain
        try:
            seconds[tokens] = min(run(model, max(1, tokens // length), length) for _ in range(2))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
        if seconds[tokens] > LONGEST:
            break
    least = min((took / tokens for tokens, took in seconds.items()), default=0.0)
    fast = [tokens for tokens, took in seconds.items() if took / tokens <= SLACK * least]
    return max(fast, default=SMALLEST)


def _packed(model: LoadedModel, sequences: int, length: int) -> float:
    nodes = [Node(array("i", [0] * length), None, 0) for _ in range(sequences)]
    (now,) = make_passes(nodes, sequences * length)
    started = time.perf_counter()
    states, _ = model.run(now, KeyValues())
    states.sum().item()
    return time.perf_counter() - started


def _plain(model: LoadedModel, sequences: int, length: int) -> float:
    started = time.perf_counter()
    model.states(torch.zeros(sequences, length, dtype=torch.long)).sum().item()
    return time.perf_counter() - started
