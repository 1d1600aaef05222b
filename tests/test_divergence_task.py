"""Divergence from the parent: arithmetic by hand, then two tiny models against plain passes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.backends.backend import LoadOptions
from harness.backends.fake import FakeBackend
from harness.backends.hf import EngineBackend, load
from harness.backends.pair import PairBackend, make_pair
from harness.divergence_task import ChoiceDivergence, TextDivergence
from harness.errors import UsageError
from harness.metrics.divergence import binned, binned_quantile, per_token, token_quantile
from harness.metrics.metric import Sample
from harness.others import Other, Others
from harness.run_folder import RunFolder
from harness.runner import PlannedTask, score_task
from harness.stats import t_quantile
from harness.task import Task
from harness.types import (
    Addressed,
    Diverged,
    Divergence,
    LogProb,
    RollingLogLikelihood,
    Unanswered,
)
from harness.zoo import ModelSpec
from tests.conftest import Command, Plan
from tests.test_runner import Silent


def logs(*probabilities: float) -> list[LogProb]:
    """Log-likelihoods in these proportions, each 7 nats less: only the proportions count."""
    return [LogProb(math.log(each) - 7, False) for each in probabilities]


def test_choices_by_hand(plan: Plan) -> None:
    """The parent gives four choices 1/2, 1/4, 1/8, 1/8, the model 1/4, 1/2, 1/8, 1/8.

    KL = 1/2 log(1/2 / 1/4) + 1/4 log(1/4 / 1/2) + 0 + 0 = 1/2 log 2 - 1/4 log 2 = 1/4 log 2.
    The model's choice is the second, the parent's the first: a flip. The right one's probability
    rises by 1/4 if it is the second, and falls by 1/4 if it is the first.
    """
    inner = plan("arc_easy").opened
    task = ChoiceDivergence(inner)
    model, parent = logs(1 / 4, 1 / 2, 1 / 8, 1 / 8), logs(1 / 2, 1 / 4, 1 / 8, 1 / 8)
    seen = set()
    for doc in task.docs:
        gold = task._gold(doc)
        seen.add(gold)
        assert task.requests(doc)[gold].continuation.strip() == task.target(doc)  # type: ignore[union-attr]
        values = task.score(doc, [*model, *parent]).values
        assert values["kl"] == pytest.approx(math.log(2) / 4)
        assert values["flips"] == 1.0
        change = {0: -0.25, 1: 0.25}.get(gold, 0.0)
        assert values["gold_probability_change"] == pytest.approx(change)
    assert {0, 1} <= seen
    doc = task.docs[0]
    asked = task.follow_up(doc, model)
    assert asked == [Addressed("parent", request) for request in inner.requests(doc)]
    same = task.score(doc, [*model, *model]).values
    assert same == {"kl": 0.0, "flips": 0.0, "gold_probability_change": 0.0}


def test_choices_thousands_of_nats_apart(plan: Plan) -> None:
    """exp(-2000) is 0 as a float; KL of (1, 0, ...) from (0, 1, ...) 2000 nats away is 2000."""
    task = ChoiceDivergence(plan("arc_easy").opened)
    far = [LogProb(value, False) for value in (-1.0, -2001.0, -2001.0, -2001.0)]
    other = [LogProb(value, False) for value in (-2001.0, -1.0, -2001.0, -2001.0)]
    assert task.score(task.docs[0], [*far, *other]).values["kl"] == pytest.approx(2000)


def test_texts_by_hand(plan: Plan) -> None:
    """A text of 10 tokens diverges by 2 nats and agrees on 9, one of 30 by 3 and on 24: per token
    5/40 = 0.125, agreement 33/40 = 0.825. The error is that of a ratio, with the texts as units:
    residuals 2 - 0.125 * 10 = 0.75 and 3 - 0.125 * 30 = -0.75, so sqrt(2/1 * 2 * 0.5625) / 40.

    The next token's probability changes by 0.5 and -0.1 in sum: 0.4/40 = 0.01 on average; its
    squares by 0.2 each: the root of 0.4/40 is 0.1. Of the 40 divergences 10 are 1e-3 and 30 are
    1: so is the median, and the 99% quantile, each within a bin.
    """
    task = TextDivergence(plan("wikitext2").opened)
    doc = task.docs[0]
    assert task.requests(doc) == ()
    (asked,) = task.follow_up(doc, ())
    (inner,) = task.inner.requests(doc)
    assert isinstance(inner, RollingLogLikelihood)
    assert asked == Addressed("pair", Divergence(inner.text))
    scores = [
        task.score(doc, [Diverged(*figures)]).values
        for figures in (
            (2.0, 9, 10, 0.5, 0.2, binned([1e-3] * 10)),
            (3.0, 24, 30, -0.1, 0.2, binned([1.0] * 30)),
        )
    ]
    found = {
        metric.name: metric.estimate([(values[metric.key], None) for values in scores])
        for metric in task.metrics
    }
    kl, agreement = found["kl"], found["top_token_agreement"]
    assert found["kl_median"].value == pytest.approx(1, rel=0.04)
    assert found["kl_99"].value == pytest.approx(1, rel=0.08)
    change, rms = found["probability_change"], found["probability_change_rms"]
    assert change.value == pytest.approx(0.01) and change.low is not None and change.low < 0
    assert rms.value == pytest.approx(0.1) and not rms.higher_is_better and rms.low == 0
    assert kl.value == 0.125 and kl.unit == "nats/token" and not kl.higher_is_better
    assert kl.stderr == pytest.approx(math.sqrt(2 * 2 * 0.5625) / 40)
    assert kl.low == 0.0, "not below nothing"
    assert kl.high == pytest.approx(0.125 + t_quantile(1) * math.sqrt(2.25) / 40)
    assert agreement.value == 0.825 and agreement.high == 1.0 and agreement.higher_is_better


def test_a_quantile_of_bins_is_that_of_the_tokens_within_half_a_bin() -> None:
    """Against numpy, on divergences that span eight decades, and on many sets of docs at once."""
    kl = np.random.default_rng(1).lognormal(-6, 3, (3, 5000))
    counts = np.array([binned(each) for each in kl], dtype=float)
    assert counts.sum(axis=1).tolist() == [5000] * 3
    for share in (0.5, 0.99):
        found, exact = binned_quantile(counts, share), np.quantile(kl, share, axis=1)
        assert np.abs(np.log(found / exact)).max() < np.log(10) / 32
    together = binned_quantile(counts.sum(axis=0)[None, :], 0.5)
    assert together == pytest.approx(np.quantile(kl, 0.5), rel=0.04)


def test_what_does_not_diverge_has_quantiles_of_0() -> None:
    """Also where rounding leaves 1e-9 nats; beyond the last edge tokens are in the last bin."""
    samples: list[Sample] = [(binned([0.0, 1e-9]), None), (binned([0.0]), None)]
    estimate = token_quantile("kl_99", "nats at 99%").estimate(samples)
    assert (estimate.value, estimate.low, estimate.high) == (0.0, None, None)
    assert binned([5e4])[-1] == 1 and binned([1e-8])[1] == 1 and binned([])[0] == 0


def test_the_interval_of_a_quantile_is_over_documents() -> None:
    """Half the documents lie near 1e-3 and half near 1e-1: which of them are drawn decides where
    the median lies, so that its interval holds both, however many tokens there are.
    """
    samples: list[Sample] = [(binned([10.0**-power] * 1000), None) for power in (3, 1) * 10]
    estimate = token_quantile("kl_median", "nats at 50%").estimate(samples)
    assert estimate.low == pytest.approx(1e-3, rel=0.08)
    assert estimate.high == pytest.approx(1e-1, rel=0.08)
    assert estimate.n == 20 and "bootstrap over docs" in estimate.method


def test_one_text_has_no_interval() -> None:
    estimate = per_token("kl", "nats/token", higher_is_better=False).estimate([((1.0, 4.0), None)])
    assert (estimate.value, estimate.low, estimate.high, estimate.stderr) == (
        0.25,
        None,
        None,
        None,
    )


def test_through_the_runner(plan: Plan, folder: RunFolder) -> None:
    """Nothing is asked of the model alone; one text that has no answer is counted."""
    inner = plan("wikitext2", 3).opened
    task = TextDivergence(inner)
    texts = [request.text for doc in task.docs for request in inner.requests(doc)]  # type: ignore[union-attr]

    def answer(request: Any) -> Any:
        return Unanswered("no") if request.text == texts[1] else None

    pair, model = FakeBackend(answer), FakeBackend()
    artifact: Any = SimpleNamespace(weights_id="0" * 64)
    others = Others({"parent": Other(ModelSpec("before", "f", "sft"), artifact)})
    others._parties["pair"] = pair, None
    declared = Task("far", "kl", (), lambda task, context: task, "", parent=True)  # type: ignore[arg-type,return-value]
    planned = PlannedTask(declared, task, "kl", None)
    result = score_task(planned, model, folder, Silent(), others=others)
    assert model.asked == [] and len(pair.asked) == 3
    assert result.unscored_reasons == {"no": 1} and result.estimates["kl"].n == 2
    assert result.others == {"parent": "before (0000000000000000)"}
    assert next(row for row in folder.rows("far") if row.index == 0).prompt == texts[0]


@pytest.fixture(scope="module")
def backends(tiny_model: Path, other_model: Path) -> tuple[EngineBackend, EngineBackend]:
    """The tiny model and the other one, in float32."""
    one, two = (
        load(LoadOptions(path, path, dtype="float32", weights_id=path.name))
        for path in (tiny_model, other_model)
    )
    return one, two


def test_two_models_against_plain_passes(
    backends: tuple[EngineBackend, EngineBackend], tiny_model: Path, other_model: Path
) -> None:
    """Every token is predicted once, in windows of 512, as for a perplexity: the first after BOS,
    the first of each later window after the last token of the one before.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = "The tide rises and falls twice a day. " * 90
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids]
    assert len(ids) > 1025, "two whole windows and a rest"
    models: list[Any] = [
        AutoModelForCausalLM.from_pretrained(path).eval() for path in (tiny_model, other_model)
    ]
    kl, agreed, change = [], [], []
    for start in range(0, len(ids) - 1, 512):
        window = torch.tensor([ids[start : start + 512]])
        window = window[:, : len(ids) - 1 - start]  # the last token is only predicted
        with torch.no_grad():
            q, p = (torch.log_softmax(m(window).logits[0].double(), -1) for m in models)
        kl += (p.exp() * (p - q)).sum(-1).tolist()
        agreed += (p.argmax(-1) == q.argmax(-1)).tolist()
        after = torch.tensor(ids[start + 1 : start + 1 + window.shape[1]])[:, None]
        change += (q.exp() - p.exp()).gather(1, after)[:, 0].tolist()
    assert len(kl) == len(ids) - 1

    pair = make_pair(*backends)
    answers = list(pair.answer(pair.encode([Divergence(text), Divergence("")])))
    by_place = {answer.index: answer.response for answer in answers}
    found = by_place[0]
    assert isinstance(found, Diverged)
    assert found.kl == pytest.approx(np.sum(kl), rel=1e-4) and found.kl > 0.01
    assert found.tokens == len(kl) and abs(found.agreed - sum(agreed)) <= 1
    assert found.change == pytest.approx(sum(change), abs=1e-4)
    assert found.squared_change == pytest.approx(np.square(change).sum(), rel=1e-3)
    assert sum(found.bins) == len(kl)
    shift = np.array(found.bins) - np.array(binned(kl))
    assert np.abs(np.cumsum(shift)).max() <= 3, "but for tokens at the edge of a bin"
    assert by_place[1] == Unanswered("the text has no tokens")


def test_a_pair_is_named_by_both_and_asked_for_nothing_else(
    backends: tuple[EngineBackend, EngineBackend],
) -> None:
    one, two = backends
    there, back = PairBackend(one, two), PairBackend(two, one)
    assert there.identity["weights"] == "tiny and other"
    assert there.identity != back.identity, "the direction matters"
    (question,) = there.encode([RollingLogLikelihood("text")])
    assert question.refused and there.relaid() is None
    (same,) = PairBackend(one, one).answer(PairBackend(one, one).encode([Divergence("A day.")]))
    assert isinstance(same.response, Diverged)
    assert same.response.change == 0 and same.response.bins[0] == same.response.tokens
    assert same.response.kl == 0 and same.response.agreed == same.response.tokens > 0


def test_what_cannot_be_paired_is_refused(
    backends: tuple[EngineBackend, EngineBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = backends
    with pytest.raises(UsageError, match="only the engine runs two models side by side"):
        make_pair(one, FakeBackend())
    monkeypatch.setattr(two, "vocabulary", lambda: {"a": 0})
    with pytest.raises(UsageError, match="have different tokenizers"):
        make_pair(one, two)


@pytest.mark.usefixtures("two_roots")
def test_both_tasks_as_a_user_runs_them(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scored, kept in three journals (the model's, the parent's, the pair's), scored again from
    these, and the two runs compared.
    """
    asked: list[int] = []
    answer = PairBackend.answer

    def noted(self: PairBackend, questions: Any) -> Any:
        asked.append(len(questions))
        return answer(self, questions)

    monkeypatch.setattr(PairBackend, "answer", noted)
    code, out, err = harness(
        "eval", "--model", "tiny", "--tasks", "divergence_wikitext2,divergence_choices",
        "--samples", "--limit", "3", "--reference", "other", "--json",
    )  # fmt: skip
    assert code == 0, err
    first = json.loads(out)
    assert asked == [3] and len(list((tmp_path / "reports/journal").iterdir())) == 3
    code, out, err = harness("rescore", first["id"], "--json")
    assert code == 0 and asked == [3], err
    second = json.loads(out)
    for name in ("divergence_wikitext2", "divergence_choices"):
        of_first, of_second = first["results"][name], second["results"][name]
        assert of_first["estimates"] == of_second["estimates"]
        assert of_first["others"]["parent"].startswith("other (")
        assert of_first["primary"] == "kl" and of_first["unscored"] == 0
        assert of_first["estimates"]["kl"]["value"] > 0
    code, out, err = harness("compare", first["id"], second["id"], "--json")
    assert code == 0, err
    (comparison,) = json.loads(out)
    tested = {(each["task"], each["metric"]): each for each in comparison["differences"]}
    kl = tested["divergence_wikitext2", "kl"]
    assert kl["test"].startswith("paired bootstrap") and kl["delta"]["value"] == 0
