"""Preference pairs: which answer a model holds likelier, or a reward model rates higher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.data import Dataset
from harness.errors import UsageError
from harness.metrics.accuracy import mean
from harness.metrics.metric import Metric
from harness.open_task import OneRound, RenderChat, TaskContext
from harness.pairs import conversation, preference_docs
from harness.records import DataRecord
from harness.types import (
    Addressed,
    Doc,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    Reward,
    Rewarded,
    Score,
)

WITH_REFERENCE = (
    "reward_accuracy",
    "reward_accuracy_mean",
    "reference_free_accuracy",
    "reference_free_accuracy_mean",
    "reward_margin",
)
WITHOUT = ("reference_free_accuracy", "reference_free_accuracy_mean", "logprob_margin")


@dataclass(frozen=True)
class PreferenceTask:
    """Two log-likelihoods a pair, and with a reference two more from it.

    DPO's implicit reward of an answer y to x is beta * log(pi(y|x) / ref(y|x)) (Rafailov et al.
    2023, arXiv 2305.18290). ``reward_accuracy`` is the share of pairs whose chosen answer has the
    higher one; beta does not enter, and a tie is lost. ``_mean`` divides each log-ratio by the
    answer's tokens first, by the model's own tokenizer. ``reference_free`` leaves the reference
    out: log pi(y|x) alone. ``reward_margin`` is the mean of log-ratio(chosen) - log-ratio(rejected)
    in nats, which is DPO's margin divided by beta; ``logprob_margin`` the same without a reference.
    The token that ends an answer does not count. What is no pair is counted and not scored.
    """

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    reference: str | None
    render_chat: RenderChat | None
    tokenize: Callable[[str], Sequence[int]]
    version: str = "2"
    num_fewshot: int = 0

    @property
    def metrics(self) -> Sequence[Metric]:
        """Named by whether there is a reference: the two accuracies are not the same thing."""
        names = WITHOUT if self.reference is None else WITH_REFERENCE
        return [mean(name, share=not name.endswith("margin")) for name in names]

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Both answers' log-likelihoods; nothing of what is no pair."""
        if "unusable" in doc.fields:
            return ()
        prompt = doc.fields["prompt"]
        if self.render_chat is not None:
            messages = conversation(prompt)
            context, space = self.render_chat(messages, add_generation_prompt=True), ""
        elif prompt.startswith("Human:"):
            context, space = f"{prompt}\n\nAssistant:", " "
        else:
            context, space = f"Question: {prompt}\nAnswer:", " "
        return [LogLikelihood(context, space + doc.fields[side]) for side in ("chosen", "rejected")]

    def follow_up(self, doc: Doc, responses: Sequence[Response]) -> Sequence[Addressed]:
        """The same of the reference."""
        if self.reference is None:
            return ()
        return [Addressed("reference", request) for request in self.requests(doc)]

    def target(self, doc: Doc) -> str:
        """The better answer."""
        return str(doc.fields["chosen"])

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """Who wins, under each of the normalisations."""
        if "unusable" in doc.fields:
            return Score({}, unscored=doc.fields["unusable"])
        own = [_logprob(response) for response in responses]
        tokens = [self._tokens(request) for request in self.requests(doc)]
        values = _wins("reference_free_accuracy", own[0], own[1], tokens)
        if self.reference is None:
            return Score({**values, "logprob_margin": own[0] - own[1]})
        chosen, rejected = own[0] - own[2], own[1] - own[3]
        values |= _wins("reward_accuracy", chosen, rejected, tokens)
        return Score({**values, "reward_margin": chosen - rejected})

    def _tokens(self, request: Request) -> int:
        """Tokens of the continuation, counted as it was scored: after its context, whose trailing
        spaces count as its own.
        """
        if not isinstance(request, LogLikelihood):
            raise TypeError(f"an answer is asked for by a {type(request).__name__}")
        context = self.tokenize(request.context.rstrip())
        return max(1, len(self.tokenize(request.context + request.continuation)) - len(context))


@dataclass(frozen=True)
class JudgedPairs(OneRound):
    """Two rewards a pair: ``reward_model_accuracy`` is the share whose chosen answer has the higher
    one (a tie is lost), ``reward_model_margin`` the mean difference on the model's own scale.
    """

    docs: Sequence[Doc]
    data: Sequence[DataRecord]
    metrics: Sequence[Metric] = (
        mean("reward_model_accuracy"),
        mean("reward_model_margin", share=False),
    )
    version: str = "1"
    num_fewshot: int = 0

    def requests(self, doc: Doc) -> Sequence[Request]:
        """Both answers' rewards; nothing of what is no pair."""
        if "unusable" in doc.fields:
            return ()
        return [Reward(doc.fields["prompt"], doc.fields[side]) for side in ("chosen", "rejected")]

    def target(self, doc: Doc) -> str:
        """The better answer."""
        return str(doc.fields["chosen"])

    def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
        """Whether the chosen answer has the higher reward, and by how much."""
        if "unusable" in doc.fields:
            return Score({}, unscored=doc.fields["unusable"])
        chosen, rejected = (_reward(response) for response in responses)
        return Score(
            {
                "reward_model_accuracy": float(chosen > rejected),
                "reward_model_margin": chosen - rejected,
            }
        )


def open_preference_task(dataset: Dataset, context: TaskContext) -> PreferenceTask:
    """Read the pairs.

    Raises:
        DataError: as `harness.pairs.preference_docs`.
        UsageError: few-shot examples were asked for.
    """
    _check_no_shots(dataset, context)
    if context.tokenize is None:
        raise TypeError("answers are counted in tokens: the model's tokenizer is needed")
    context.tokenize("")  # who cannot, says so before anything is asked
    docs, record = preference_docs(dataset, context)
    return PreferenceTask(docs, [record], context.reference, context.render_chat, context.tokenize)


def open_judged_pairs(dataset: Dataset, context: TaskContext) -> JudgedPairs:
    """Read the pairs for a reward model; raises as `open_preference_task` does."""
    _check_no_shots(dataset, context)
    docs, record = preference_docs(dataset, context)
    return JudgedPairs(docs, [record])


def _check_no_shots(dataset: Dataset, context: TaskContext) -> None:
    if context.num_fewshot:
        raise UsageError(f"{dataset.name} takes no few-shot examples: leave --num-fewshot out")


def _wins(name: str, chosen: float, rejected: float, tokens: Sequence[int]) -> dict[str, float]:
    """Whether the chosen answer is ahead, as a sum and per token."""
    return {
        name: float(chosen > rejected),
        f"{name}_mean": float(chosen / tokens[0] > rejected / tokens[1]),
    }


def _logprob(response: Response) -> float:
    if not isinstance(response, LogProb):
        raise TypeError(f"an answer got a {type(response).__name__}")
    return response.logprob


def _reward(response: Response) -> float:
    if not isinstance(response, Rewarded):
        raise TypeError(f"an answer got a {type(response).__name__}")
    return response.value
