"""Reward accuracy by hand, as DPO defines it, in each of its normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from harness.backends.fake import FakeBackend
from harness.metrics.metric import Metric
from harness.open_task import make_docs
from harness.others import Other, Others
from harness.preference_task import JudgedPairs, PreferenceTask
from harness.run_folder import RunFolder
from harness.runner import PlannedTask, score_task
from harness.task import Task
from harness.types import (
    Addressed,
    Doc,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    Reward,
    Rewarded,
    Unanswered,
)
from harness.zoo import ModelSpec
from tests.test_runner import Silent


def words(text: str) -> list[str]:
    return text.split()


def task(docs: Sequence[Doc], reference: str | None = "before") -> PreferenceTask:
    return PreferenceTask(docs, [], reference, None, words)  # type: ignore[arg-type]


def pair(chosen: str = "one two three four", rejected: str = "one") -> Doc:
    return make_docs([({"prompt": "count", "chosen": chosen, "rejected": rejected}, None)])[0]


def logprobs(*values: float) -> list[Response]:
    return [LogProb(value, False) for value in values]


def test_sum_mean_and_reference_free_by_hand() -> None:
    """The chosen answer has 4 tokens, the rejected one 1. The model gives them -10 and -4 nats,
    the reference -13 and -6.

    Log-ratios: -10 + 13 = 3 and -4 + 6 = 2. As sums 3 > 2: right. Per token 3/4 < 2/1: wrong.
    Without the reference -10 < -4: wrong; per token -2.5 > -4: right. The margin is 3 - 2 = 1.
    """
    doc = pair()
    values = task([doc]).score(doc, logprobs(-10, -4, -13, -6)).values
    assert values == {
        "reward_accuracy": 1.0,
        "reward_accuracy_mean": 0.0,
        "reference_free_accuracy": 0.0,
        "reference_free_accuracy_mean": 1.0,
        "reward_margin": 1.0,
    }


def test_a_tie_is_lost() -> None:
    """The model moved both answers by the same 2 nats: DPO's rewards are equal; DPO's is `>`."""
    doc = pair("yes", "no")
    values = task([doc]).score(doc, logprobs(-3, -3, -5, -5)).values
    assert set(values.values()) == {0.0}


def test_without_a_reference_it_is_named_so() -> None:
    """-10 against -4 nats: wrong as a sum, right per token (-2.5 > -4); the margin is -6."""
    doc = pair()
    opened = task([doc], None)
    assert opened.follow_up(doc, logprobs(-10, -4)) == ()
    assert opened.score(doc, logprobs(-10, -4)).values == {
        "reference_free_accuracy": 0.0,
        "reference_free_accuracy_mean": 1.0,
        "logprob_margin": -6.0,
    }
    assert [metric.name for metric in opened.metrics] == [
        "reference_free_accuracy",
        "reference_free_accuracy_mean",
        "logprob_margin",
    ]
    with_one: Sequence[Metric] = task([doc]).metrics
    assert with_one[0].name == "reward_accuracy"


def test_it_is_the_accuracy_that_trl_reports() -> None:
    """TRL (dpo_trainer.py): rewards are beta * (logps - ref_logps), and the accuracy is the mean of
    chosen_rewards > rejected_rewards. Any beta above 0 gives the same.
    """
    import torch

    generator = torch.Generator().manual_seed(3)
    numbers = -20 * torch.rand(40, 4, generator=generator, dtype=torch.float64)
    doc = pair()
    ours = [task([doc]).score(doc, logprobs(*row)).values for row in numbers.tolist()]
    beta = 0.1
    chosen = beta * (numbers[:, 0] - numbers[:, 2])
    rejected = beta * (numbers[:, 1] - numbers[:, 3])
    assert [value["reward_accuracy"] for value in ours] == (chosen > rejected).double().tolist()
    margins = [value["reward_margin"] for value in ours]
    assert margins == pytest.approx(((chosen - rejected) / beta).tolist())
    assert 0 < sum(value["reward_accuracy"] for value in ours) < 40  # type: ignore[misc]


def test_prompts_by_format_and_by_chat_template() -> None:
    plain = pair("4", "5")
    assert task([plain]).requests(plain) == [
        LogLikelihood("Question: count\nAnswer:", " 4"),
        LogLikelihood("Question: count\nAnswer:", " 5"),
    ]
    talk = Doc("t", 0, {"prompt": "Human: hi", "chosen": "4", "rejected": "5"})
    assert task([talk]).requests(talk)[0] == LogLikelihood("Human: hi\n\nAssistant:", " 4")

    def render(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        return f"<u>{messages[0]['content']}<a>"

    chat = PreferenceTask([plain], [], None, render, words)  # type: ignore[arg-type]
    assert chat.requests(plain)[0] == LogLikelihood("<u>count<a>", "4")


def test_tokens_are_counted_where_they_are_scored() -> None:
    """A tokenizer that begins every text with BOS and joins ``:`` with what follows a space: the
    answer `` a`` is one token behind its context, two by itself.
    """

    def tokenize(text: str) -> list[str]:
        return ["<s>", *text.split()]

    doc = pair("a b", "a")
    opened = PreferenceTask([doc], [], None, None, tokenize)  # type: ignore[arg-type]
    assert [opened._tokens(request) for request in opened.requests(doc)] == [2, 1]


def test_the_follow_up_asks_the_reference_the_same() -> None:
    doc = pair()
    opened = task([doc])
    asked = opened.follow_up(doc, logprobs(-1, -2))
    assert asked == [Addressed("reference", request) for request in opened.requests(doc)]


def test_rewards_by_hand() -> None:
    """Rewards 1.5 and -0.25: right by 1.75. Equal rewards are lost."""
    doc = pair("good", "bad")
    judged = JudgedPairs([doc], [])
    assert judged.requests(doc) == [Reward("count", "good"), Reward("count", "bad")]
    score = judged.score(doc, [Rewarded(1.5), Rewarded(-0.25)])
    assert score.values == {"reward_model_accuracy": 1.0, "reward_model_margin": 1.75}
    score = judged.score(doc, [Rewarded(2.0), Rewarded(2.0)])
    assert score.values == {"reward_model_accuracy": 0.0, "reward_model_margin": 0.0}


def held_against(reference: FakeBackend) -> Others:
    artifact: Any = SimpleNamespace(weights_id="0" * 64)
    other = Other(ModelSpec("before", "f", "sft"), artifact)
    others = Others({"reference": other})
    others._parties["before"] = reference, None
    return others


def plan(opened: PreferenceTask | JudgedPairs) -> PlannedTask:
    declared = Task("pairs", None, (), lambda task, context: opened, "", reference=True)
    return PlannedTask(declared, opened, opened.metrics[0].name, None)


def scripted(table: dict[str, float]) -> FakeBackend:
    def answer(request: Request) -> Response:
        assert isinstance(request, LogLikelihood)
        return LogProb(table[request.continuation.strip()], False)

    return FakeBackend(answer)


def test_through_the_runner_with_a_reference(folder: RunFolder) -> None:
    """Three pairs. Log-ratios: b: -1 - -2 = 1 against c: -3 - -3 = 0, right, 1 ahead. d: -5 + 4 =
    -1 against e: -1 + 2 = 1, wrong, 2 behind. f: -2 + 2 = 0 against g: -4 + 4 = 0, a tie, lost.
    1 of 3; mean margin (1 - 2 + 0) / 3 = -1/3. Without the reference: -1 > -3, -5 < -1, -2 > -4:
    2 of 3.
    """
    docs = make_docs(
        ({"prompt": "p", "chosen": chosen, "rejected": rejected}, None)
        for chosen, rejected in ("bc", "de", "fg")
    )
    model = scripted({"b": -1, "c": -3, "d": -5, "e": -1, "f": -2, "g": -4})
    before = scripted({"b": -2, "c": -3, "d": -4, "e": -2, "f": -2, "g": -4})
    progress = Silent()
    planned = plan(task(docs))
    result = score_task(planned, model, folder, progress, others=held_against(before))
    assert {name: estimate.value for name, estimate in result.estimates.items()} == {
        "reward_accuracy": pytest.approx(1 / 3),
        "reward_accuracy_mean": pytest.approx(1 / 3),
        "reference_free_accuracy": pytest.approx(2 / 3),
        "reference_free_accuracy_mean": pytest.approx(2 / 3),
        "reward_margin": pytest.approx(-1 / 3),
    }
    assert model.asked == before.asked and len(model.asked) == 6
    assert result.others == {"reference": "before (0000000000000000)"}
    row = next(row for row in folder.rows("pairs") if row.index == 0)
    assert row.logprobs == (-1, -3), "the row's log-probabilities are the model's own"
    assert row.continuations == (" b", " c") and row.target == "b"


def test_what_is_no_pair_is_counted_and_not_asked(folder: RunFolder) -> None:
    good = ({"prompt": "p", "chosen": "b", "rejected": "c"}, None)
    bad = ({"prompt": "", "chosen": "", "rejected": "c", "unusable": "no pair: chosen"}, None)
    docs = make_docs([bad, good, bad])
    model = scripted({"b": -1, "c": -3})
    before = scripted({"b": -2, "c": -3})
    result = score_task(plan(task(docs)), model, folder, Silent(), others=held_against(before))
    assert (result.docs, result.unscored) == (3, 2)
    assert result.unscored_reasons == {"no pair: chosen": 2}
    assert result.estimates["reward_accuracy"].n == 1
    assert len(model.asked) == len(before.asked) == 2
    rows = sorted(folder.rows("pairs"), key=lambda row: row.index)
    assert [row.unscored for row in rows] == ["no pair: chosen", None, "no pair: chosen"]

    judge = FakeBackend(lambda request: Rewarded(1.0))
    result = score_task(plan(JudgedPairs(docs, [])), judge, folder, Silent())
    assert result.unscored == 2 and len(judge.asked) == 2


def test_a_task_of_which_nothing_can_be_asked(folder: RunFolder) -> None:
    bad = ({"prompt": "", "chosen": "", "rejected": "c", "unusable": "no pair: chosen"}, None)
    model = FakeBackend()
    result = score_task(plan(task(make_docs([bad]), None)), model, folder, Silent())
    assert result.unscored == 1 and model.asked == []
    assert result.estimates["reference_free_accuracy"].value is None


@pytest.mark.parametrize("who", ["model", "reference"])
def test_one_answer_that_is_missing_leaves_one_doc_unscored(folder: RunFolder, who: str) -> None:
    """Where the model itself has no answer, the reference is not asked about that doc."""
    docs = make_docs(
        ({"prompt": "p", "chosen": chosen, "rejected": rejected}, None)
        for chosen, rejected in ("bc", "de")
    )

    def dumb(request: Request) -> Response | None:
        assert isinstance(request, LogLikelihood)
        return Unanswered("too long") if request.continuation == " e" else None

    model = FakeBackend(dumb if who == "model" else lambda request: None)
    before = FakeBackend(dumb if who == "reference" else lambda request: None)
    result = score_task(plan(task(docs)), model, folder, Silent(), others=held_against(before))
    assert result.unscored_reasons == {"too long": 1}
    assert result.estimates["reward_accuracy"].n == 1
    assert len(before.asked) == (2 if who == "model" else 4)
