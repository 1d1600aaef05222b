"""One side in a process of its own: loads a model, then answers when told to.

    python -m tests.bench.child SETUP.json

Orders come on standard input, answers go to standard output, one JSON object a line (see
`tests.bench.messages`). Loading and a short warm-up are over before the first line is written.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import torch

from harness.memory import give_back_free_memory, peak_resident, reset_peak_resident
from harness.types import Request
from tests.bench.messages import Ask, Failed, Loaded, Round, Setup, line, parse, read_requests
from tests.bench.sides import LmEvalSide, Side, load_side, warm_up_requests

MATRIX = {"cpu": 2_048, "cuda": 8_192}
MULTIPLICATIONS = 8


def main(setup_file: str) -> None:
    """Serve until standard input ends."""
    out = _private_stdout()
    setup = parse(Path(setup_file).read_bytes(), Setup)
    torch.set_num_threads(setup.threads)
    requests = read_requests(Path(setup.requests))
    side = load_side(setup)
    counter = _TokenCounter(side.model)
    side.answer(warm_up_requests(requests), 1)
    out.write(line(_describe(side.model)))
    out.flush()
    for order in sys.stdin.buffer:
        out.write(line(_obey(parse(order, Ask), side, requests, counter)))
        out.flush()


def _obey(ask: Ask, side: Side, requests: list[Request], counter: _TokenCounter) -> Any:
    if ask.what == "rate":
        return multiplication_rate(side.model.dtype, side.model.device)
    asked = requests[: ask.first]
    if ask.what == "needed":
        assert isinstance(side, LmEvalSide)
        return side.needed(asked, ask.texts)
    try:
        return _time_round(side, asked, ask.batch, counter)
    except Exception as error:  # whatever either side's libraries raise is that side's result
        first = str(error).strip().splitlines()[:1]
        return Failed(f"{type(error).__name__}: {''.join(first)}")


def _time_round(side: Side, requests: list[Request], batch: int, counter: _TokenCounter) -> Round:
    device = side.model.device
    _forget_memory(device)
    resting = _resident(device)
    counter.tokens = 0
    started = time.perf_counter()
    values = side.answer(requests, batch)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_resident()
    return Round(seconds, peak, resting, counter.tokens, tuple(values))


class _TokenCounter:
    """Counts the tokens that enter a model's body, by way of its embedding."""

    def __init__(self, model: Any) -> None:
        self.tokens = 0
        model.get_input_embeddings().register_forward_pre_hook(self._count)

    def _count(self, _: Any, inputs: tuple[Any, ...]) -> None:
        self.tokens += inputs[0].numel()


def multiplication_rate(dtype: torch.dtype, device: torch.device) -> float:
    """The best rate of a large square matrix product, in operations per second."""
    size = MATRIX.get(device.type, MATRIX["cpu"])
    left, right = (torch.randn(size, size).to(device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(MULTIPLICATIONS):
        started = time.perf_counter()
        torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def _describe(model: Any) -> Loaded:
    config = model.config.get_text_config()
    embeddings = {
        id(module.weight): module.weight.numel()
        for module in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    parameters = {id(parameter): parameter.numel() for parameter in model.parameters()}
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    device = model.device
    return Loaded(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        dtype=str(model.dtype).removeprefix("torch."),
        body=sum(size for key, size in parameters.items() if key not in embeddings),
        layers=config.num_hidden_layers,
        attention_width=heads * head_size,
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
    )


def _forget_memory(device: torch.device) -> None:
    """Give back what the round before left behind, and begin a new measurement of the peak."""
    give_back_free_memory()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    reset_peak_resident()


def _resident(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return peak_resident()  # just reset: the peak is what is resident now


def _private_stdout() -> BinaryIO:
    """Standard output for messages alone; whatever libraries print goes to standard error."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


if __name__ == "__main__":
    main(sys.argv[1])
