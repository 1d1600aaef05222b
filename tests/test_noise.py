"""The noise floor: by hand, in a run without a model, and as a user asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.backends.fake import FakeBackend
from harness.backends.hf import EngineBackend
from harness.errors import RecordError
from harness.journal import Journal
from harness.noise import compare, spread
from harness.records import Row, Run
from harness.run_folder import RunFolder
from harness.runner import evaluate
from harness.types import (
    Doc,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Request,
    Response,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
)
from tests.conftest import Command, Plan
from tests.report.fixtures.runs import choice_row, generated_row, realistic

LAYOUTS = ("one way", "another")


class Silent:
    """A Progress that remembers which tasks it was told of."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []

    def start(self, task: str, docs: int, requests: int) -> None:
        self.begun.append((task, docs, requests))

    def advance(self, requests: int, stored: bool = False) -> None:
        pass

    def finish(self, result: object) -> None:
        pass


def begun(noise_floor: int | None) -> Run:
    run = realistic()[0]
    settings = replace(run.settings, noise_floor=noise_floor)
    return replace(run, results={}, status="running", settings=settings)


def numbered(count: int) -> list[Doc]:
    return [Doc(str(index), index, {}) for index in range(count)]


@pytest.mark.parametrize(
    ("docs", "count", "taken"),
    [(12, 4, [0, 3, 6, 9]), (10, 3, [0, 3, 6]), (3, 5, [0, 1, 2]), (5, 1, [0]), (0, 3, [])],
)
def test_docs_are_spread_evenly(docs: int, count: int, taken: list[int]) -> None:
    assert [doc.index for doc in spread(numbered(docs), count)] == taken


def test_by_hand() -> None:
    """Three docs of four log-probabilities: shifts 0.5 and 0.25 of twelve, one doc turned."""
    first = choice_row(0, True)  # -12.25, -7.5, -9, -20.125
    shifted = replace(first, logprobs=(-12.25, -8.0, -9.0, -20.125))
    turned = replace(first, logprobs=(-12.25, -7.5, -8.75, -20.125), scores={"acc": 0.0})
    dumb = replace(first, scores={}, unscored="no", logprobs=())
    pairs = [(first, shifted), (first, turned), (first, first), (first, dumb), (dumb, first)]
    noise = compare(pairs, "acc", "proportion", LAYOUTS)
    assert (noise.docs, noise.changed, noise.unscored) == (3, 1, 2)
    assert noise.largest_change == 1.0 and noise.layouts == LAYOUTS
    assert noise.logprob_largest == 0.5 and noise.logprob_mean == pytest.approx(0.75 / 12)


def perplexity_row(nats: float) -> Row:
    return generated_row(0, None, scores={"word_perplexity": (nats, 100)})


def test_the_value_of_a_perplexity_is_per_unit() -> None:
    """Of 100 words with -500 nats, half a nat is 0.005 per word; a thousandth is rounding."""
    pairs = [
        (perplexity_row(-500.0), perplexity_row(-500.5)),
        (perplexity_row(-500.0), perplexity_row(-500.001)),  # what float32 rounds
    ]
    noise = compare(pairs, "word_perplexity", "perplexity", LAYOUTS)
    assert (noise.docs, noise.changed) == (2, 1)
    assert noise.largest_change == pytest.approx(0.005)
    assert noise.logprob_largest == pytest.approx(0.5)


def test_what_is_no_number_is_told_apart_and_generations_have_no_log_probability() -> None:
    def row(statistic: Any) -> Row:
        return generated_row(0, "text", scores={"f1": statistic})

    pairs = [(row((1, ["a"])), row((1, ("a",)))), (row((1, 0)), row((1, 1)))]
    noise = compare(pairs, "f1", "score", LAYOUTS)
    assert (noise.docs, noise.changed) == (2, 1)
    assert noise.largest_change is noise.logprob_largest is noise.logprob_mean is None
    assert compare([], "f1", "score", LAYOUTS).docs == 0


def shifting(by: float) -> Callable[[Request], Response]:
    """A model that says so many nats less of everything."""

    def answer(request: Request) -> Response:
        if isinstance(request, LogLikelihood):
            return LogProb(-float(len(request.continuation)) - by, False)
        if isinstance(request, RollingLogLikelihood):
            return RollingLogProb(-float(len(request.text)) - by)
        return Generation("#### 7" if by else "#### 8")

    return answer


@pytest.mark.parametrize("name", ["arc_easy", "mmlu", "gsm8k", "wikitext2"])
def test_docs_are_asked_again_past_the_journal(
    plan: Plan, folder: RunFolder, tmp_path: Path, name: str
) -> None:
    planned, progress = plan(name), Silent()
    other = FakeBackend(shifting(0.25))
    backend = FakeBackend(shifting(0.0))
    with Journal(tmp_path / "journal", {"weights": "w"}, lambda line: None) as journal:
        run = evaluate(begun(4), folder, backend, [planned], progress, journal, other)
        stored = len(journal)
    result = run.results[name]
    assert folder.read() == run and result.noise is not None
    assert result.noise.docs == 4 and result.noise.unscored == 0
    assert result.noise.layouts == ("in order", "in order")
    wanted = [r for d in planned.opened.docs[::3] for r in planned.opened.requests(d)]
    assert sorted(map(repr, other.asked)) == sorted(map(repr, dict.fromkeys(wanted)))
    assert stored == len(dict.fromkeys(map(repr, backend.asked))), "the other's are not kept"
    assert progress.begun[1] == (f"{name}, noise floor", 4, len(wanted))
    assert result.cost.tokens_in == len(backend.asked), "and cost the task nothing"
    if name == "gsm8k":
        assert result.noise.logprob_largest is None
    else:
        assert result.noise.logprob_largest == pytest.approx(0.25)
        assert result.noise.logprob_mean == pytest.approx(0.25)
    if name == "wikitext2":
        assert result.noise.changed == 4 and result.noise.largest_change
    else:  # all choices shift alike, and two generated answers can be right
        golds = [planned.opened.target(doc) for doc in planned.opened.docs[::3]]
        right = [gold for gold in golds if gold.endswith(("#### 7", "#### 8"))]
        assert result.noise.changed == (len(right) if name == "gsm8k" else 0)


def test_nothing_is_asked_again_unless_it_was_wanted(plan: Plan, folder: RunFolder) -> None:
    other = FakeBackend()
    run = evaluate(begun(None), folder, FakeBackend(), [plan("arc_easy")], Silent(), None, other)
    assert run.results["arc_easy"].noise is None and other.asked == []


def test_a_run_that_is_stopped_meanwhile_keeps_the_task_and_measures_later(
    plan: Plan, folder: RunFolder
) -> None:
    def stop(request: Request) -> Response:
        raise KeyboardInterrupt

    plans = [plan("arc_easy"), plan("gsm8k")]
    with pytest.raises(KeyboardInterrupt):
        evaluate(begun(3), folder, FakeBackend(), plans, Silent(), None, FakeBackend(stop))
    kept = folder.read()
    assert kept.status == "interrupted" and kept.results["arc_easy"].noise is None

    backend = FakeBackend()
    run = evaluate(kept, folder, backend, plans, Silent(), None, FakeBackend())
    assert all(isinstance(request, GenerateUntil) for request in backend.asked)
    assert all(result.noise and result.noise.docs == 3 for result in run.results.values())

    reworded = plan("arc_easy", 6)
    asked = {row.index: row for row in folder.rows("arc_easy")}
    assert asked[0].request_digest
    path = folder.rows_path("arc_easy")
    path.write_text(path.read_text().replace(asked[0].request_digest, "0" * 16))
    with pytest.raises(RecordError, match=r"its prompts are no longer those.*Start a new run"):
        evaluate(kept, folder, FakeBackend(), [reworded], Silent(), None, FakeBackend())


def test_docs_that_could_not_be_asked_again_are_counted(plan: Plan, folder: RunFolder) -> None:
    other = FakeBackend(lambda request: Unanswered("no"))
    run = evaluate(begun(5), folder, FakeBackend(), [plan("arc_easy")], Silent(), None, other)
    noise = run.results["arc_easy"].noise
    assert noise is not None and (noise.docs, noise.changed, noise.unscored) == (0, 0, 5)
    assert noise.logprob_largest is None


SOME = ("eval", "--model", "tiny", "--samples", "--limit", "24")


def test_float32_has_no_noise_to_speak_of(
    harness: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    budgets: list[int] = []
    answer = EngineBackend.answer

    def noted(self: EngineBackend, questions: Sequence[Question]) -> Any:
        budgets.append(self.budget)
        return answer(self, questions)

    monkeypatch.setattr(EngineBackend, "answer", noted)
    asked = ("--tasks", "arc_easy,wikitext2", "--dtype", "float32", "--noise-floor", "10")
    code, out, err = harness(*SOME, *asked, "--json")
    assert code == 0, err
    run = json.loads(out)
    whole = budgets[0]
    assert budgets == [whole, whole // 2] * 2 and run["settings"]["noise_floor"] == 10
    layouts = [f"packed, {budget:,} tokens a pass" for budget in (whole, whole // 2)]
    assert run["plan"] == layouts[0] and "arc_easy, noise floor: 10 docs, 40 requests" in err
    for result in run["results"].values():
        noise = result["noise"]
        assert (noise["docs"], noise["changed"], noise["unscored"]) == (10, 0, 0)
        assert noise["logprob_mean"] <= noise["logprob_largest"]
        assert noise["layouts"] == layouts
    assert run["results"]["arc_easy"]["noise"]["logprob_largest"] < 1e-4

    code, out, _ = harness("show", "last")
    said = "arc_easy: noise floor: 0 of 10 docs change between two batch layouts, largest log-prob"
    assert code == 0 and said in out and f"answered by hf: {layouts[0]}" in out
    assert "noise floor: 0 of 10 docs" in (tmp_path / "reports/leaderboard.md").read_text("utf-8")

    code, out, _ = harness("rescore", run["id"], "--json")
    again = json.loads(out)
    assert code == 0 and len(budgets) == 4 and again["plan"] == run["plan"]
    assert all(result["noise"] is None for result in again["results"].values())


def test_bfloat16_is_measured(harness: Command) -> None:
    asked = ("--tasks", "arc_easy", "--dtype", "bfloat16", "--noise-floor", "1000", "--json")
    code, out, err = harness(*SOME, *asked)
    assert code == 0, err
    noise = json.loads(out)["results"]["arc_easy"]["noise"]
    assert noise["docs"] == 24 and 0 <= noise["changed"] <= 24
    assert 0 <= noise["logprob_mean"] <= noise["logprob_largest"] < 1


def test_a_backend_with_one_layout_says_so(harness: Command) -> None:
    asked = ("--tasks", "arc_easy", "--backend", "lm_eval", "--noise-floor", "3", "--json")
    code, out, err = harness(*SOME, *asked)
    assert code == 0, err
    run = json.loads(out)
    assert run["plan"] == "batches of at most 16"
    assert run["results"]["arc_easy"]["noise"] is None
    (line,) = [line for line in err.splitlines() if "noise" in line]
    assert line == (
        "tiny: no noise floor is measured: the backend 'lm_eval' has no second batch layout"
    )


def test_a_resumed_run_measures_as_it_was_asked_to(harness: Command, tmp_path: Path) -> None:
    _, out, _ = harness(*SOME, "--tasks", "arc_easy,mmlu", "--noise-floor", "5", "--json")
    run = json.loads(out)
    path = tmp_path / "reports/runs" / run["id"] / "run.json"
    left = {"arc_easy": run["results"]["arc_easy"] | {"noise": None}}
    path.write_text(json.dumps(run | {"status": "interrupted", "results": left, "plan": "old"}))
    code, _, err = harness("eval", "--resume", run["id"], "--noise-floor", "7")
    assert code == 2 and "leave out --noise-floor" in err
    code, out, err = harness("eval", "--resume", run["id"], "--json")
    assert code == 0, err
    resumed = json.loads(out)
    assert [result["noise"]["docs"] for result in resumed["results"].values()] == [5, 5]
    assert resumed["plan"].startswith("old; then packed, ")


def test_a_model_that_cannot_run_packed_is_named(
    harness: Command, tmp_path: Path, tiny_zoo: Path
) -> None:
    from tests.engine.architectures import save_checkpoint

    save_checkpoint(tmp_path / "bloom", "bloom")
    tiny_zoo.write_text(
        f"models:\n  bloom: {{family: b, stage: base, source: {{path: {tmp_path / 'bloom'}}}}}\n"
    )
    code, out, err = harness(
        "eval", "--model", "bloom", "--samples", "--limit", "6", "--tasks", "arc_easy",
        "--noise-floor", "3", "--json",
    )  # fmt: skip
    assert code == 0, err
    run = json.loads(out)
    plan, _, reason = run["plan"].partition(": ")
    assert reason and not plan.startswith("packed") and plan.endswith(" tokens a pass")
    (line,) = [line for line in err.splitlines() if "slower" in line]
    assert line.startswith("bloom: runs ") and line.endswith(f", slower: {reason}")
    assert run["results"]["arc_easy"]["noise"]["docs"] == 3
