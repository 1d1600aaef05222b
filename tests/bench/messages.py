"""What the benchmark and its children tell each other: one JSON object a line, no pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.types import Request
from tests.bench.works import KINDS

Value = float | str | None
"""An answer: a log-probability, a text, or ``None`` where there was none."""

T = TypeVar("T")


@dataclass(frozen=True)
class Setup:
    """What a child loads.

    Attributes:
        backend: a backend of the harness, or ``lm_eval`` for lm-eval's `HFLM` itself.
        path, tokenizer, dtype, add_bos, trust_remote_code, weights_id: as in `LoadOptions`.
        threads: of torch, in both children the same.
        requests: file written by `write_requests`.
    """

    backend: str
    path: str
    tokenizer: str
    dtype: str
    add_bos: bool | None
    trust_remote_code: bool
    weights_id: str
    threads: int
    requests: str


@dataclass(frozen=True)
class Ask:
    """What a child is to do.

    Attributes:
        what: ``answer`` the requests, count the tokens ``needed`` for them, or measure the
            ``rate`` of matrix multiplication.
        batch: rows per batch; lm-eval needs to be told, the engine decides by itself.
        first: only the first so many requests.
        texts: for ``needed``: what was generated.
    """

    what: str
    batch: int = 1
    first: int | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A loaded model's shape, for counting its work.

    Attributes:
        device: ``cpu`` or the accelerator's name.
        dtype: of the body.
        body: parameters that every token passes through: neither embedding nor output head.
        layers, attention_width: attention's, its width being heads x head size.
        hidden, vocabulary: the output head's.
    """

    device: str
    dtype: str
    body: int
    layers: int
    attention_width: int
    hidden: int
    vocabulary: int


@dataclass(frozen=True)
class Round:
    """All requests answered once.

    Attributes:
        seconds: from texts to answers.
        peak_bytes: resident memory at its highest (an accelerator's, where the model is on one).
        resting_bytes: resident memory before.
        tokens_run: tokens that entered the model's body, padding and repetitions included; 0 if
            they came in by another way than its embedding.
        values: one per request, in order.
    """

    seconds: float
    peak_bytes: int | None
    resting_bytes: int | None
    tokens_run: int
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Failed:
    """A child that could not answer: killed above its memory limit, or an error of its own."""

    reason: str


def write_requests(path: Path, requests: Sequence[Request]) -> None:
    """Write requests for the children to read."""
    path.write_bytes(
        msgspec.json.encode([[KINDS[type(request)], asdict(request)] for request in requests])
    )


def read_requests(path: Path) -> list[Request]:
    """Read what `write_requests` wrote."""
    kinds: dict[str, type[Any]] = {name: kind for kind, name in KINDS.items()}
    return [
        msgspec.convert(fields, kinds[name])
        for name, fields in msgspec.json.decode(path.read_bytes())
    ]


def line(message: Any) -> bytes:
    """A message as a line."""
    return msgspec.json.encode(message) + b"\n"


def parse(text: bytes, kind: type[T]) -> T:
    """A line as a message."""
    return msgspec.json.decode(text, type=kind)
