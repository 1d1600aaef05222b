"""What judges say of an answer beside its reference, as measures of a task of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.answers_task import Answered, Measure
from harness.metrics.accuracy import mean
from harness.metrics.deviation import deviation
from harness.types import Request, Resemblance, Resembled, Response, Reward, Rewarded, Statistic


def reward_deviation(judge: str, name: str = "reward_deviation") -> Measure:
    """The judge's reward of the answer less that of the reference (report ``stem-assistant``).

    Args:
        judge: a reward model's name in the registry.
        name: of the metric; ``<name>_abs`` is its size.
    """

    def score(answered: Answered, responses: Sequence[Response]) -> Mapping[str, Statistic]:
        own, reference = (_mark(response) for response in responses)
        return {name: own - reference}

    return Measure(deviation(name), score, judge, _both_sides)


def dialogrpt(judge: str = "dialogrpt-updown") -> Measure:
    """DialogRPT's chance that an answer is preferred (arXiv 2009.06978): of the model's answers, of
    the references, and the paired difference.

    Args:
        judge: a DialogRPT model's name in the registry.
    """
    names = ("dialogrpt", "dialogrpt_reference", "dialogrpt_difference")

    def score(answered: Answered, responses: Sequence[Response]) -> Mapping[str, Statistic]:
        own, reference = (_mark(response) for response in responses)
        return dict(zip(names, (own, reference, own - reference), strict=True))

    return Measure(tuple(mean(name, share=False) for name in names), score, judge, _both_sides)


def bertscore(judge: str = "minilm") -> Measure:
    """BERTScore's F1, precision and recall (Zhang et al. 2020, arXiv 1904.09675).

    Args:
        judge: an encoder's name in the registry, which pins layer and rescaling.
    """
    names = ("bertscore_f1", "bertscore_precision", "bertscore_recall")

    def score(answered: Answered, responses: Sequence[Response]) -> Mapping[str, Statistic]:
        (response,) = responses
        if not isinstance(response, Resembled):
            raise TypeError(f"an answer got a {type(response).__name__}")
        figures = (response.f1, response.precision, response.recall)
        return dict(zip(names, figures, strict=True))

    def ask(answered: Answered) -> Sequence[Request]:
        return [Resemblance(answered.answer, answered.reference)]

    return Measure(tuple(mean(name, share=False) for name in names), score, judge, ask)


def _both_sides(answered: Answered) -> Sequence[Request]:
    return [Reward(answered.question, text) for text in (answered.answer, answered.reference)]


def _mark(response: Response) -> float:
    if not isinstance(response, Rewarded):
        raise TypeError(f"an answer got a {type(response).__name__}")
    return response.value
