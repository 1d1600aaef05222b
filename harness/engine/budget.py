"""How many tokens a pass should hold, measured on the machine that runs it."""

from __future__ import annotations

import time
from array import array

import torch

from harness.engine.model import LoadedModel, is_out_of_memory
from harness.engine.passes import KeyValues, make_passes
from harness.engine.selftest import Verdict
from harness.engine.trie import Node

CANDIDATES = {"cpu": (256, 512, 1024, 2048, 4096), "cuda": (2048, 4096, 8192, 16384, 32768)}
PATIENCE = 1.0
"""Seconds: where a pass takes longer than this, a larger one is not tried."""
GAIN = 0.97
"""A larger pass must take less than this share of the time per token."""


def measured_budget(verdict: Verdict, max_length: int) -> int:
    """The number of tokens at which a pass is fastest per token.

    Sequences of at most 128 tokens are run, never one of the model's maximum length, and nothing
    larger is tried once memory or patience ran out.
    """
    best, fastest = 0, float("inf")
    length = min(128, max_length)
    model = verdict.model
    for tokens in CANDIDATES["cuda" if model.device.type == "cuda" else "cpu"]:
        run = _packed if verdict.plan == "packed" else _plain
        try:
            seconds = min(run(model, max(1, tokens // length), length) for _ in range(2))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
        if seconds / tokens < fastest * GAIN:
            best, fastest = tokens, seconds / tokens
        if seconds > PATIENCE:
            break
    return best or 256


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
