"""What the benchmark found, as it is written to ``reports/bench/<machine>.json``."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.records import Environment
from tests.bench.agreement import Agreement
from tests.bench.messages import Loaded
from tests.bench.necessary import Needed

SCHEMA = 1


@dataclass(frozen=True)
class Side:
    """One side's rounds of a work.

    Attributes:
        seconds: of each round of the pairs, in order.
        peak_bytes: the highest of them.
        resting_bytes: resident memory before, the lowest of them: libraries and weights.
        tokens_run: through the body in one round, ``None`` where it could not be counted.
        problem: why there is no time, or what is odd about it.
    """

    seconds: tuple[float, ...] = ()
    peak_bytes: int | None = None
    resting_bytes: int | None = None
    tokens_run: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class WorkResult:
    """One work, timed.

    Attributes:
        name, docs, requests: what was asked.
        target, memory_target: see `Work`.
        trials: before the pairs: lm-eval's batch size, or ``engine``, to seconds, or to why there
            are none.
        batch: the fastest of them, with which the pairs were run.
        ours, theirs: the engine and lm-eval.
        need: the least work, and its floating-point operations.
        agreement: of the answers, those of the worst pair; ``None`` if there were none to compare.
        model: the shape by which operations are counted.
    """

    name: str
    docs: int
    requests: int
    target: float
    memory_target: float
    trials: Mapping[str, float | str]
    batch: int | None
    ours: Side
    theirs: Side
    agreement: Agreement | None
    need: Needed | None = None
    operations: float | None = None
    model: Loaded | None = None

    @property
    def failed(self) -> bool:
        """Whether the answers disagree, or the engine gave none to what lm-eval answered."""
        if self.agreement is None:
            return not self.theirs.problem
        return not self.agreement.agree

    @property
    def ratios(self) -> list[float]:
        """lm-eval's seconds by the engine's, pair by pair."""
        return [
            b / a for a, b in zip(self.ours.seconds, self.theirs.seconds, strict=False) if a > 0
        ]

    @property
    def ratio(self) -> float | None:
        """Their median; ``None`` where the answers disagree: fast and wrong is not fast."""
        if self.agreement is None or not self.agreement.agree or not self.ratios:
            return None
        return statistics.median(self.ratios)

    @property
    def memory_share(self) -> float | None:
        """The engine's peak memory by lm-eval's."""
        if not self.ours.peak_bytes or not self.theirs.peak_bytes:
            return None
        return self.ours.peak_bytes / self.theirs.peak_bytes

    def share_of(self, rate: float, side: Side) -> float | None:
        """Share of the machine's rate that the necessary operations reached."""
        if not self.operations or not side.seconds or not rate:
            return None
        return self.operations / statistics.median(side.seconds) / rate


@dataclass(frozen=True)
class Growth:
    """How the engine's time grows.

    Attributes:
        docs, seconds, peak_bytes: of each size.
        exponent: 1 where twice the docs take twice the time.
        problem: why there is none.
    """

    docs: tuple[int, ...]
    seconds: tuple[float, ...]
    peak_bytes: tuple[int | None, ...]
    exponent: float | None
    target: float
    problem: str = ""


@dataclass(frozen=True)
class Bench:
    """A whole run.

    Attributes:
        model, weights_id, dtype, backend: what was timed; lm-eval ran the same weights.
        threads, memory_limit, pairs: how.
        rate: operations per second of matrix multiplication, the best measured.
        environment: machine and versions.
    """

    model: str
    weights_id: str
    dtype: str
    backend: str
    threads: int
    memory_limit: int
    pairs: int
    rate: float
    environment: Environment
    works: tuple[WorkResult, ...]
    growth: Growth | None = None
    schema: int = field(default=SCHEMA)

    @property
    def geometric_mean(self) -> float | None:
        """Of the works' ratios; ``None`` where one has none."""
        return geometric_mean([work.ratio for work in self.works])


def geometric_mean(ratios: Sequence[float | None]) -> float | None:
    """The geometric mean, ``None`` if there is nothing or something is missing."""
    known = [ratio for ratio in ratios if ratio is not None]
    if not known or len(known) < len(ratios):
        return None
    return math.exp(sum(map(math.log, known)) / len(known))


def growth_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the least-squares line through (log size, log seconds)."""
    x, y = [[math.log(value) for value in values] for values in (sizes, seconds)]
    return statistics.linear_regression(x, y).slope


def machine_slug(processor: str, cores: int, device: str) -> str:
    """A file name for a kind of machine: processor, cores and accelerator, never its own name."""
    words = re.sub(r"\((R|TM)\)|@.*|\bCPU\b|\d+-Core|Processor", " ", processor, flags=re.I)
    parts = [words, f"{cores} cores", *([device] if device != "cpu" else [])]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")
