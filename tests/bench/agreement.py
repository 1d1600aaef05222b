"""Whether two sides gave the same answers.

In float32 they must be equal up to the order of additions. In a narrower dtype they are rounded
differently, lm-eval's sums included, so a small mean difference is expected and shown; only one
too large for rounding is an error. `make parity` is the test of equality doc by doc; this one makes
sure that nobody is fast by answering something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.messages import Value
from tests.bench.works import Asked, by_doc

EXACT_NATS = 1e-3
EXACT_ROLLING = 1e-4
"""Rolling, relative: thousands of tokens are summed."""
ROUNDED_NATS, ROUNDED_SHARE = 0.1, 0.02
"""Mean difference allowed: so many nats, and so large a share of the mean log-probability."""
SAME_BEGINNING = 16
"""Characters. After the first token that rounding decides, two texts have nothing in common."""
ROUNDED_BEGINNINGS = 0.5


@dataclass(frozen=True)
class Agreement:
    """How two lists of answers compare.

    Attributes:
        agree: whether nothing but rounding tells them apart.
        problem: what else does.
        mean_difference, largest_difference: of log-probabilities, in nats.
        other_choice: share of docs whose most likely choice differs.
        same_texts, same_beginnings: shares of generated texts.
    """

    agree: bool
    problem: str = ""
    mean_difference: float | None = None
    largest_difference: float | None = None
    other_choice: float | None = None
    same_texts: float | None = None
    same_beginnings: float | None = None


def compare(ours: Sequence[Value], theirs: Sequence[Value], asked: Asked, dtype: str) -> Agreement:
    """Compare answers to the same requests.

    Args:
        ours: the engine's.
        theirs: lm-eval's.
        asked: the requests.
        dtype: the models'.
    """
    if not len(ours) == len(theirs) == len(asked.requests):
        return Agreement(
            False, f"{len(ours)} and {len(theirs)} answers to {len(asked.requests)} requests"
        )
    missing = sum(a is None or b is None for a, b in zip(ours, theirs, strict=True))
    if missing:
        return Agreement(False, f"{missing} requests without an answer")
    exact = dtype == "float32"
    if asked.kind == "generate_until":
        return _texts([str(value) for value in ours], [str(value) for value in theirs], exact)
    return _logprobs(
        [float(value or 0.0) for value in ours],
        [float(value or 0.0) for value in theirs],
        asked,
        exact,
    )


def _logprobs(
    ours: Sequence[float], theirs: Sequence[float], asked: Asked, exact: bool
) -> Agreement:
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    sizes = [abs(value) for value in theirs]
    mean, largest = sum(differences) / len(differences), max(differences)
    problem = ""
    if not exact:
        allowed = ROUNDED_NATS + ROUNDED_SHARE * sum(sizes) / len(sizes)
        if mean > allowed:
            problem = f"log-probabilities differ by {mean:.3g} on average, {allowed:.3g} allowed"
    elif asked.kind == "loglikelihood_rolling":
        relative = max(d / max(size, 1.0) for d, size in zip(differences, sizes, strict=True))
        if relative > EXACT_ROLLING:
            problem = f"log-likelihoods differ by {relative:.1e} of their size"
    elif largest > EXACT_NATS:
        problem = f"log-probabilities differ by up to {largest:.1e}"
    choices = [
        (_best(a), _best(b))
        for a, b in zip(by_doc(ours, asked), by_doc(theirs, asked), strict=True)
        if len(a) > 1
    ]
    other = sum(a != b for a, b in choices) / len(choices) if choices else None
    return Agreement(not problem, problem, mean, largest, other)


def _texts(ours: Sequence[str], theirs: Sequence[str], exact: bool) -> Agreement:
    pairs = list(zip(ours, theirs, strict=True))
    same = sum(a == b for a, b in pairs) / len(pairs)
    beginnings = sum(a[:SAME_BEGINNING] == b[:SAME_BEGINNING] for a, b in pairs) / len(pairs)
    problem = ""
    if exact and same < 1:
        problem = f"only {same:.0%} of the texts are the same (make parity finds ties)"
    elif beginnings < ROUNDED_BEGINNINGS:
        problem = f"only {beginnings:.0%} of the texts begin with the same characters"
    return Agreement(not problem, problem, same_texts=same, same_beginnings=beginnings)


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda position: values[position])
