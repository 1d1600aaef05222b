"""What a single doc says of a metric: the number by which the docs of a run are put in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.choices import statistic_of
from harness.errors import UnknownName, UsageError
from harness.records import TaskResult
from harness.report.wording import metric_name
from harness.types import Statistic
from harness.units import MEANS, QUANTILES, RMS_PROBABILITY


@dataclass(frozen=True, slots=True)
class ScoredDoc:
    """What is read of a `harness.records.Row` to choose docs by their scores."""

    doc_id: str
    index: int
    scores: Mapping[str, Statistic]
    unscored: str | None


@dataclass(frozen=True)
class DocMetric:
    """A metric that has a value for a single doc.

    Attributes:
        name: its name in the record.
        key: the docs' statistic that it reduces.
        unit: as in `harness.types.Estimate`.
        higher_is_better: direction.
    """

    name: str
    key: str
    unit: str
    higher_is_better: bool

    def value(self, doc: ScoredDoc) -> float | None:
        """The metric of this doc alone; ``None`` where it has none, or no finite one."""
        return doc_value(self.name, self.unit, doc.scores.get(self.key))

    def badness(self, value: float) -> float:
        """A number that is smaller the worse a value is."""
        return value if self.higher_is_better else -value


def doc_metric(written: str | None, result: TaskResult, docs: Iterable[ScoredDoc]) -> DocMetric:
    """Look up a metric by its name in the record, or as reports write it.

    Args:
        written: what the user wrote; ``None`` for the task's primary metric.
        result: the task's.
        docs: what its docs scored.

    Raises:
        UnknownName: the task has no such metric.
        UsageError: it has, but no doc has a value of it; names the metrics that work.
    """
    seen = list(docs)
    metrics = _metrics(result, seen)
    known = [
        name
        for name, metric in metrics.items()
        if any(metric.value(doc) is not None for doc in seen)
    ]
    name = _meant(written or result.primary, metrics)
    if name is None:
        raise UnknownName("metric", written or result.primary, known, f"the docs of {result.task}")
    if name not in known:
        raise UsageError(
            f"{name} has no value for a single doc of {result.task}, only for all together; "
            f"metrics that have: {', '.join(known) or 'none'}"
        )
    return metrics[name]


def _metrics(result: TaskResult, docs: Iterable[ScoredDoc]) -> dict[str, DocMetric]:
    """The task's metrics, each with the statistic of the docs that it reduces."""
    held = {key for doc in docs for key in doc.scores}
    return {
        name: DocMetric(
            name,
            statistic_of(name, held),
            estimate.unit,
            estimate.higher_is_better,
        )
        for name, estimate in result.estimates.items()
    }


def _meant(written: str, metrics: Iterable[str]) -> str | None:
    """The metric of that name; or, if there is just one, the one that reports or people call so."""
    names = list(metrics)
    if written in names:
        return written
    for called in (metric_name, _without_filter):
        found = [name for name in names if called(name) == written]
        if len(found) == 1:
            return found[0]
    return None


def _without_filter(name: str) -> str:
    return name.partition(",")[0]


def doc_value(name: str, unit: str, statistic: Statistic | None) -> float | None:
    """The metric of one doc alone, of what the doc contributes to it; ``None`` where it has none.

    A number is its own value; a log-likelihood and its units have a perplexity of their own, a
    sum over tokens a mean; what
    adds up to corpus BLEU has a sentence BLEU.

    Args:
        name: the metric's.
        unit: the metric's, as in `harness.types.Estimate`.
        statistic: what the doc contributes.
    """
    if isinstance(statistic, int | float):
        value: float | None = float(statistic)
    elif unit in OF_RATE:
        value = _of_sums(statistic, lambda mean: OF_RATE[unit](-mean))
    elif unit in MEANS:
        value = _of_sums(statistic, float)
    elif unit == RMS_PROBABILITY:
        value = _of_sums(statistic, math.sqrt)
    elif unit in QUANTILES:
        value = _of_bins(statistic, QUANTILES[unit])
    elif _without_filter(name) == "bleu":
        value = _sentence_bleu(statistic)
    else:
        value = None
    return value if value is not None and math.isfinite(value) else None


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf


OF_RATE: Mapping[str, Callable[[float], float]] = {
    "perplexity": _exp,
    "bits/byte": lambda nats: nats / math.log(2),
}
"""From the negative log-likelihood per unit to a metric, by the metric's unit."""


def _of_sums(statistic: object, scale: Callable[[float], float]) -> float | None:
    match statistic:
        case (int() | float() as total, int() | float() as units) if units:
            return scale(total / units)
    return None


def _of_bins(statistic: Statistic | None, share: float) -> float | None:
    """A quantile over the doc's tokens, of how many lie in each bin."""
    from harness.metrics.divergence import BINS, binned_quantile

    if not isinstance(statistic, tuple) or len(statistic) != BINS:
        return None
    import numpy as np

    return float(binned_quantile(np.array([statistic], dtype=np.float64), share)[0])


def _sentence_bleu(statistic: Statistic | None) -> float | None:
    """Sentence BLEU, 0 to 100, of what a doc contributes to sacrebleu's corpus BLEU.

    Of texts, ``(reference, hypothesis)``, as lm-eval keeps them, or of counts: hypothesis length,
    reference length, then matches and totals of the 1- to 4-grams, as sacrebleu adds them up. The
    effective order is used, which sacrebleu asks for with single sentences.
    """
    from sacrebleu.metrics.bleu import BLEU

    match statistic:
        case (str() as reference, str() as hypothesis):
            score = BLEU(effective_order=True).sentence_score(hypothesis, [reference]).score
            return float(score)
        case (int(), int(), *rest) if len(rest) == 8 and all(type(each) is int for each in rest):
            length, of_reference, *counts = (int(each) for each in statistic)
            made = BLEU.compute_bleu(
                counts[:4], counts[4:], length, of_reference, "exp", effective_order=True
            )
            return float(made.score)
    return None
