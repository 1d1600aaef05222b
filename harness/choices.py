"""What a metric takes of a doc: which of its statistics, and which continuation was chosen."""

from __future__ import annotations

from collections.abc import Container, Sequence

_CHOOSING = ("acc", "acc_norm", "exact_match")


def statistic_of(metric: str, scores: Container[str]) -> str:
    """The key of what docs contribute to a metric.

    A macro average reduces what the plain metric does, under that one's key.

    Args:
        metric: its name in the record.
        scores: the keys that docs have.
    """
    return metric if metric in scores else metric.removesuffix("_macro")


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
    name = statistic_of(metric, ()).partition(",")[0]
    if len(continuations) < 2 or name not in _CHOOSING:
        return None
    values = per_char(continuations, logprobs) if name == "acc_norm" else list(logprobs)
    known = [value for value in values if value is not None]
    return values.index(max(known)) if known and len(known) == len(values) else None
