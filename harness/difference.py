"""The difference of one metric between two runs: interval, test, flips, and what would have shown.

Which test it is follows from what a doc contributes, never from the figures that came out:

- zeros and ones: Tango's score test and interval, with McNemar's exact test beside it;
- other numbers: a sign-flip permutation test and the interval that inverts it;
- sums (perplexities, corpus BLEU): a paired bootstrap;
- macro averages: Student's t, groups fixed and docs sampled within them;
- anything else (texts that a corpus metric reads at once): no test.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import paired
from harness.choices import chosen
from harness.metrics.metric import is_ordered
from harness.pairing import Pair
from harness.records import NoiseFloor, TaskResult
from harness.reduction import SUMMED, Floats, is_of_docs, reduced, scored_pairs
from harness.resampling import SEED, paired_bootstrap, sign_flip
from harness.stats import UNDEFINED, Interval
from harness.types import Estimate, Verdict

ALPHA = 0.05


@dataclass(frozen=True)
class Flips:
    """Docs whose answer changed.

    Attributes:
        gained: wrong of the base, right of the model.
        lost: right of the base, wrong of the model.
        still_wrong: wrong of both, with another answer; ``None`` where rows do not say which
            answer was taken (generations).
    """

    gained: int
    lost: int
    still_wrong: int | None


@dataclass(frozen=True)
class Difference:
    """One metric of one task, model against base, over the docs that both scored.

    Attributes:
        task: its name.
        metric: its name in the records.
        primary: whether it is the task's primary metric.
        base, model: the metric of each side over these docs.
        delta: model minus base, in the metric's own unit, with its 95% interval.
        test: what ``p`` comes from, in words, or why there is none.
        p: two-sided; below 0.05 exactly when the interval leaves out 0.
        p_mcnemar: McNemar's exact test, for zeros and ones.
        flips: for zeros and ones.
        visible: the smallest difference that would have shown with 80% power, at the discordance
            or spread that was seen; ``None`` where that is unknown, or none would have.
        freedom: degrees of freedom of the difference's standard error: docs, or clusters of them,
            less what was learned from them.
        left_out: docs that at least one side could not score.
        noise: noise floors of base and model, where they were measured.
        p_holm: ``p`` adjusted for all that is shown.
        verdict: by ``p_holm``, at 5%.
    """

    task: str
    metric: str
    primary: bool
    base: float | None
    model: float | None
    delta: Estimate
    test: str
    p: float | None = None
    p_mcnemar: float | None = None
    flips: Flips | None = None
    visible: float | None = None
    freedom: int = 0
    left_out: int = 0
    noise: tuple[NoiseFloor | None, NoiseFloor | None] = (None, None)
    p_holm: float | None = None
    verdict: Verdict = "not tested"


@dataclass(frozen=True)
class _Tested:
    """What a test says of a difference."""

    interval: Interval
    stderr: float | None
    method: str
    test: str
    p: float | None
    visible: float | None
    freedom: int


def metric_difference(
    base: TaskResult, model: TaskResult, metric: str, pairs: Sequence[Pair]
) -> Difference:
    """One metric's difference over the docs in which both sides have a value."""
    recorded = base.estimates[metric], model.estimates[metric]
    known = None not in (recorded[0].value, recorded[1].value)
    elsewhere = known and not is_of_docs(metric, pairs)
    if elsewhere:  # such as the size of a signed mean
        scored = [pair for pair in pairs if all(doc.unscored is None for doc in pair)]
    else:
        scored = scored_pairs(metric, pairs)
    unit, better = recorded[0].unit, recorded[0].higher_is_better
    made = Difference(
        task=base.task,
        metric=metric,
        primary=metric == base.primary,
        base=None,
        model=None,
        delta=Estimate(None, None, None, None, len(scored), "none", unit, better),
        test="no test: no doc was scored on both sides",
        left_out=len(pairs) - len(scored),
        noise=(base.noise, model.noise) if metric == base.primary else (None, None),
    )
    if not scored:
        return made
    found = None if elsewhere else reduced(metric, recorded, pairs)
    if found is None:
        return replace(
            made,
            base=recorded[0].value,
            model=recorded[1].value,
            test="no test: the docs give the metric neither as a mean nor as a ratio of sums",
        )
    if found.kind == "zero or one":
        first, second = found.base[:, 0], found.model[:, 0]
        filled = zero_one_difference(made, first, second, found.groups, found.clusters)
        still_wrong = _other_wrong(metric, found.pairs, first, second, 0.0 if better else 1.0)
        assert filled.flips is not None
        if not is_ordered(metric):  # neither answer is the right one
            return replace(filled, flips=None, p_mcnemar=None)
        return replace(filled, flips=replace(filled.flips, still_wrong=still_wrong))
    if found.kind == "sums":
        tested = _of_sums(found.base, found.model, unit, found.clusters)
        return _filled(made, found.values, tested, unit)
    change = found.model[:, 0] - found.base[:, 0]
    if found.kind == "macro":
        tested = _of_macro(change, found.groups or [], found.clusters)
        of_groups = "score" if "score" in (recorded[0].unit, recorded[1].unit) else unit
        return _filled(made, found.values, tested, of_groups)
    # A mean is called a proportion after the values of one side, before both were seen.
    of_numbers = "score" if unit == "proportion" else unit
    return _filled(made, found.values, _of_numbers(change, found.clusters), of_numbers)


def zero_one_difference(
    made: Difference,
    base: Floats,
    model: Floats,
    strata: Sequence[Hashable] | None,
    clusters: Sequence[Hashable] | None = None,
) -> Difference:
    """Fill in a difference of proportions: Tango, McNemar, flips.

    Args:
        made: the rest of it.
        base: 0 or 1 per doc.
        model: likewise.
        strata: what the docs are drawn within, if there is such a thing.
        clusters: the passages they are drawn with, if some share one.
    """
    change = model - base
    n, ups, downs = len(change), int((change > 0).sum()), int((change < 0).sum())
    effect = paired.design_effect(change, strata, clusters)
    counts = ups / effect, downs / effect, n / effect
    stratified = (", stratified" if strata is not None else "") + _clustered(clusters)
    tested = _Tested(
        interval=paired.tango_interval(*counts),
        stderr=float(np.std(change, ddof=1)) * math.sqrt(effect / n) if n > 1 else None,
        method=f"Tango's score interval{stratified}",
        test=f"Tango's score test{stratified}",
        p=paired.tango_p(*counts),
        visible=paired.visible_proportion((ups + downs) / n, n / effect),
        freedom=(n if clusters is None else len(set(clusters))) - 1,
    )
    values = float(base.mean()), float(model.mean())
    filled = _filled(made, values, tested, "proportion")
    gained, lost = (ups, downs) if made.delta.higher_is_better else (downs, ups)
    mcnemar = paired.exact_mcnemar_p(ups, downs)
    return replace(filled, flips=Flips(gained, lost, None), p_mcnemar=mcnemar)


def judged(difference: Difference, p_holm: float) -> Difference:
    """Add the adjusted p, and the verdict that follows from it."""
    verdict: Verdict = "no difference seen"
    if p_holm < ALPHA and difference.delta.value is not None:
        rose = difference.delta.value > 0
        verdict = "better" if rose == difference.delta.higher_is_better else "worse"
        verdict = verdict if is_ordered(difference.metric) else "changed"
    return replace(difference, p_holm=p_holm, verdict=verdict)


def _filled(
    made: Difference, values: tuple[float, float], tested: _Tested, unit: str
) -> Difference:
    """Put values and a test into a difference; what is no number is left undefined."""
    if not all(map(math.isfinite, values)):
        base, model = (value if math.isfinite(value) else None for value in values)
        return replace(made, base=base, model=model, test="no test: a value is undefined")
    delta = replace(
        made.delta,
        value=values[1] - values[0],
        low=tested.interval[0],
        high=tested.interval[1],
        stderr=tested.stderr,
        method=tested.method,
        unit=unit,
    )
    return replace(
        made,
        base=values[0],
        model=values[1],
        delta=delta,
        test=tested.test,
        p=tested.p,
        visible=tested.visible,
        freedom=tested.freedom,
    )


def _of_numbers(change: Floats, clusters: Sequence[Hashable] | None) -> _Tested:
    if clusters is None:
        units, found = len(change), sign_flip(change)
    else:
        sums = _added(np.stack([change, np.ones(len(change))], axis=1), clusters)
        units, found = len(sums), sign_flip(sums[:, 0], sums[:, 1])
    visible = paired.visible_mean(found.stderr, units - 1) if found.stderr else None
    drawn = found.resamples != 2 ** min(units, 60)
    how = f"{found.resamples:,} patterns, seed {SEED}" if drawn else "all patterns of signs"
    test = f"sign-flip permutation test, {how}{_clustered(clusters)}"
    method = "the shifts that the sign-flip test allows"
    return _Tested(found.interval, found.stderr, method, test, found.p, visible, units - 1)


def _of_sums(
    base: Floats, model: Floats, unit: str, clusters: Sequence[Hashable] | None
) -> _Tested:
    if clusters is not None:
        base, model = _added(base, clusters), _added(model, clusters)
    found = paired_bootstrap(base, model, SUMMED[unit].value)
    visible = paired.visible_mean(found.stderr, len(base) - 1) if found.stderr else None
    p = 1.0 if np.array_equal(base, model) else found.p
    over = f"docs, {found.resamples:,} resamples, seed {SEED}{_clustered(clusters)}"
    test = f"paired bootstrap over {over}"
    method = "percentile interval of the paired bootstrap, widened to Student's t"
    if p is None:
        test = "no test: too few docs, or no spread, to resample"
    return _Tested(found.interval, found.stderr, method, test, p, visible, len(base) - 1)


def _of_macro(
    change: Floats, groups: Sequence[Hashable], clusters: Sequence[Hashable] | None
) -> _Tested:
    value, error, freedom = paired.macro_difference(change, groups, clusters)
    method = f"Student's t over {len(set(groups))} groups, docs sampled within each"
    method += _clustered(clusters)
    if error is None:
        if not change.any():
            return _Tested(UNDEFINED, None, method, method, 1.0, None, freedom)
        alone = "no test: a group has one doc, or nothing varies within any"
        return _Tested(UNDEFINED, None, method, alone, None, None, freedom)
    p, visible = paired.t_p(value, error, freedom), paired.visible_mean(error, freedom)
    interval = paired.t_interval(value, error, freedom)
    return _Tested(interval, error, method, method, p, visible, freedom)


def _added(values: Floats, clusters: Sequence[Hashable]) -> Floats:
    """Sums of rows over clusters; shape (clusters, k)."""
    numbers: dict[Hashable, int] = {}
    places = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, places, values)
    return sums


def _clustered(clusters: Sequence[Hashable] | None) -> str:
    return "" if clusters is None else f", clustered in {len(set(clusters)):,} passages"


def _other_wrong(
    metric: str, pairs: Sequence[Pair], base: Floats, model: Floats, wrong: float
) -> int | None:
    """Docs that are wrong on both sides with different choices, where rows tell the choices."""
    count = 0
    for place, pair in enumerate(pairs):
        answers = [chosen(doc.continuations, doc.logprobs, metric) for doc in pair]
        if None in answers:
            return None
        if base[place] == wrong == model[place] and answers[0] != answers[1]:
            count += 1
    return count
