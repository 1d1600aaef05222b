"""Which of several continuations a model chose, as a metric counts it."""

from __future__ import annotations

from collections.abc import Sequence

_CHOOSING = ("acc", "acc_norm", "exact_match")


def per_char(continuations: Sequence[str], logprobs: Sequence[float]) -> list[float | None]:
    """Log-probabilities per character, what lm-eval's acc_norm compares; ``None`` if empty."""
    # The leading space joins the choice to the context; lm-eval's length does not count it.
    lengths = [len(continuation.removeprefix(" ")) for continuation in continuations]
    return [
        logprob / length if length else None
        for logprob, length in zip(logprobs, lengths, strict=False)
    ]


def chosen(continuations: Sequence[str], logprobs: Sequence[float], metric: str) -> int | None:
    """Position of the choice that a metric scores: acc_norm compares per character, acc as it is.

    ``None`` where there is nothing to choose between, or the metric is of no choice.
    """
    name = metric.partition(",")[0].removesuffix("_macro")
    if len(continuations) < 2 or name not in _CHOOSING:
        return None
    values = per_char(continuations, logprobs) if name == "acc_norm" else list(logprobs)
    known = [value for value in values if value is not None]
    return values.index(max(known)) if known and len(known) == len(values) else None
