"""How fast models are: one probe, every model in a process of its own, in turn, several times.

The texts are made up and the same for all: nothing is shared between two prompts, and no data set
is needed. Models are compared by ratios within a round: what the machine does besides meets all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import msgspec

from harness.backends.backend import Backend, LoadOptions, load_backend
from harness.errors import HarnessError, WeightsError
from harness.storage import UNDECODABLE
from harness.types import GenerateUntil, LogLikelihood, Request

RECORD = "speed.json"
"""Where the last probe is written, under the folder of reports."""
TEXTS = 8
WORDS = 400
"""Of a long text: about 500 tokens."""
NEW_TOKENS = 64
SEED = 1234
_SYLLABLES = ("an", "be", "co", "del", "er", "fin", "go", "hal", "is", "mor", "ner", "to", "ver")


@dataclass(frozen=True)
class Look:
    """One model in one round.

    Attributes:
        load_seconds: until the model could answer.
        prefill: tokens a second, of eight texts of about 500 tokens that are read at once.
        decode: generated tokens a second, of eight short prompts at once.
        first_token: seconds from one text of about 500 tokens to its first new token.
        per_token: seconds for each further one; ``None`` if the model wrote no second one.
        peak_memory_bytes: of the process, or of the accelerator; loading included.
        memory_bytes: of the loaded weights.
    """

    load_seconds: float
    prefill: float
    decode: float
    first_token: float
    per_token: float | None
    peak_memory_bytes: int | None
    memory_bytes: int
    dtype: str
    device: str


As = tuple[str, str]
"""A model as it was run: the digest of its weights, and the dtype."""


@dataclass(frozen=True)
class Speed:
    """A model over all rounds: medians, and medians of the ratios to the first model's."""

    model: str
    weights_id: str
    looks: tuple[Look, ...]
    prefill_ratio: float
    decode_ratio: float

    @property
    def as_run(self) -> As:
        """What it was that was probed."""
        return self.weights_id, self.looks[0].dtype if self.looks else ""

    def middle(self, figure: Callable[[Look], float | None]) -> float | None:
        """The median of a figure; ``None`` where a round lacks it."""
        found = [figure(look) for look in self.looks]
        known = [each for each in found if each is not None]
        return median(known) if len(known) == len(found) else None


def probed(reports: Path) -> dict[As, float]:
    """Generated tokens a second by the last probe, by what was probed."""
    return {
        each.as_run: speed
        for each in last_probe(reports)
        if (speed := each.middle(lambda look: look.decode)) is not None
    }


def last_probe(reports: Path) -> list[Speed]:
    """What was probed last, all in one run; empty where nothing was, or by another version."""
    try:
        return msgspec.json.decode((reports / RECORD).read_bytes(), type=list[Speed])
    except (OSError, *UNDECODABLE):
        return []


def decode_ratio(probe: Sequence[Speed], base: As, model: As) -> float | None:
    """How many times a base's speed of writing a model has: the median of the rounds' ratios.

    ``None`` where not both were probed in the same run.

    Args:
        probe: `last_probe`.
        base: the base, as it was run.
        model: likewise.
    """
    return probed_ratio(probe, base, model, lambda look: look.decode)


def probed_ratio(
    probe: Sequence[Speed], base: As, model: As, figure: Callable[[Look], float]
) -> float | None:
    """The same as `decode_ratio` of any figure of a round."""
    looks = {each.as_run: each.looks for each in probe}
    if base not in looks or model not in looks:
        return None
    return _ratio(looks[model], looks[base], figure)


def probe(
    models: Sequence[tuple[str, LoadOptions]],
    backend: str,
    rounds: int,
    tell: Callable[[str], None],
) -> list[Speed]:
    """Look at every model in every round; each round begins with another one.

    Args:
        models: names, and where each is; the first is what the others are held against.
        backend: who answers.
        rounds: how often each is looked at.
        tell: takes a line for the user.

    Raises:
        WeightsError: a model cannot be loaded, or has no answer.
    """
    looks: list[list[Look]] = [[] for _ in models]
    for turn in range(rounds):
        for place in _rotated(len(models), turn):
            name, options = models[place]
            tell(f"{name}: round {turn + 1} of {rounds}")
            try:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                    found = alone.submit(_look, backend, options).result()
            except BrokenProcessPool:
                found = "its process was killed, most likely for want of memory"
            if isinstance(found, str):
                raise WeightsError(f"{name}: {found}")
            looks[place].append(found)
    first = looks[0]
    return [
        Speed(
            model=name,
            weights_id=options.weights_id,
            looks=tuple(of_model),
            prefill_ratio=_ratio(of_model, first, lambda look: look.prefill),
            decode_ratio=_ratio(of_model, first, lambda look: look.decode),
        )
        for (name, options), of_model in zip(models, looks, strict=True)
    ]


def _rotated(count: int, turn: int) -> Iterator[int]:
    return ((place + turn) % count for place in range(count))


def _ratio(looks: Sequence[Look], first: Sequence[Look], figure: Callable[[Look], float]) -> float:
    return median(figure(one) / figure(other) for one, other in zip(looks, first, strict=True))


def _look(name: str, options: LoadOptions) -> Look | str:
    """Load a model and time it; in words, why that cannot be done."""
    started = time.perf_counter()
    try:
        backend = load_backend(name, options)
        return look(backend, time.perf_counter() - started)
    except HarnessError as error:
        return str(error)


def look(backend: Backend, load_seconds: float) -> Look:
    """Time a loaded model.

    Raises:
        WeightsError: it gives no answer.
    """
    long = texts(WORDS)
    short = [text[:80] for text in texts(20)]
    _timed(backend, [LogLikelihood(short[0], " end"), GenerateUntil(short[1], (), 2)])  # warms up
    seconds, read, _ = _timed(backend, [LogLikelihood(text, " end") for text in long])
    at_once, _, together = _timed(backend, [GenerateUntil(text, (), NEW_TOKENS) for text in short])
    if not together:
        raise WeightsError("it writes nothing: every text it was given is the end to it")
    first, _, _ = _timed(backend, [GenerateUntil(long[0], (), 1)])
    whole, _, alone = _timed(backend, [GenerateUntil(long[0], (), NEW_TOKENS)])
    facts = backend.facts
    return Look(
        load_seconds=load_seconds,
        prefill=read / seconds,
        decode=together / at_once,
        first_token=first,
        per_token=max(0.0, whole - first) / (alone - 1) if alone > 1 else None,
        peak_memory_bytes=backend.peak_memory(),
        memory_bytes=facts.memory_bytes,
        dtype=facts.dtype,
        device=facts.device,
    )


def texts(words: int) -> list[str]:
    """Made-up texts, of which no two begin alike."""
    drawn = random.Random(SEED)
    return [
        " ".join("".join(drawn.choices(_SYLLABLES, k=2)) for _ in range(words))
        for _ in range(TEXTS)
    ]


def _timed(backend: Backend, requests: Sequence[Request]) -> tuple[float, int, int]:
    """Seconds, tokens in and tokens out of some requests."""
    questions = backend.encode(requests)
    for question in questions:
        if question.refused:
            raise WeightsError(f"the probe's text is refused: {question.refused}")
    started = time.perf_counter()
    answers = list(backend.answer(questions))
    seconds = time.perf_counter() - started
    tokens_in = sum(answer.tokens_in for answer in answers)
    tokens_out = sum(answer.tokens_out for answer in answers)
    if not tokens_in:
        raise WeightsError("the probe got no answer")
    return seconds, tokens_in, tokens_out
