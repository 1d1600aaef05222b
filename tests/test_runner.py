"""The runner against a backend without a model: rows, estimates, faults."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends.fake import FakeBackend
from harness.journal import Journal
from harness.open_task import OpenTask
from harness.records import Row, Run, TaskResult
from harness.run_folder import RunFolder
from harness.runner import evaluate, score_task
from harness.types import (
    Doc,
    GenerateUntil,
    LogLikelihood,
    Request,
    Response,
    Score,
    Unanswered,
)
from tests.conftest import Plan
from tests.report.fixtures.runs import realistic


class Silent:
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.answered = 0

    def start(self, task: str, docs: int, requests: int) -> None:
        self.total = requests

    def advance(self, requests: int, stored: bool = False) -> None:
        self.answered += requests

    def finish(self, result: object) -> None:
        self.result = result


def empty_run() -> Run:
    return replace(realistic()[0], results={}, status="running")


def shuffled(count: int) -> Sequence[int]:
    return random.Random(7).sample(range(count), count)


@pytest.mark.parametrize("name", ["arc_easy", "mmlu", "hellaswag", "gsm8k", "wikitext2"])
def test_every_doc_has_a_row(plan: Plan, folder: RunFolder, name: str) -> None:
    progress = Silent()
    result = score_task(plan(name), FakeBackend(), folder, progress)
    rows = sorted(folder.rows(name), key=lambda row: row.index)
    assert [row.index for row in rows] == list(range(result.docs)) == list(range(12))
    assert progress.answered == progress.total
    assert result.estimates[result.primary].value is not None
    assert result.on_samples and result.unscored == 0
    assert all(result.primary in row.scores for row in rows)


def test_the_order_of_answers_changes_nothing(plan: Plan, tmp_path: Path) -> None:
    results = []
    for number, order in enumerate((range, shuffled)):
        folder = RunFolder(tmp_path / str(number))
        folder.create()
        result = score_task(plan("mmlu"), FakeBackend(order=order), folder, Silent())
        rows = sorted(folder.rows("mmlu"), key=lambda row: row.index)
        results.append((result.estimates, result.groups, result.prompt_digest, rows))
    assert results[0] == results[1]


def test_an_unanswered_doc_is_counted_with_its_reason(plan: Plan, folder: RunFolder) -> None:
    def first_prompt(request: Request) -> Response | None:
        assert isinstance(request, LogLikelihood)
        return Unanswered("out of luck") if request.context == prompt else None

    planned = plan("arc_easy")
    request = planned.opened.requests(planned.opened.docs[0])[0]
    assert isinstance(request, LogLikelihood)
    prompt = request.context
    result = score_task(planned, FakeBackend(first_prompt), folder, Silent())
    assert result.unscored == 1 and result.unscored_reasons == {"out of luck": 1}
    assert result.estimates["acc"].n == 11
    (bad,) = [row for row in folder.rows("arc_easy") if row.unscored]
    assert bad.scores == {} and bad.index == 0


def test_a_task_without_any_answer_has_no_value(plan: Plan, folder: RunFolder) -> None:
    result = score_task(
        plan("gsm8k"), FakeBackend(lambda request: Unanswered("no")), folder, Silent()
    )
    estimate = result.estimates[result.primary]
    assert estimate.value is None and estimate.low is None and estimate.n == 0
    assert result.unscored == 12


def test_finished_tasks_are_kept_when_a_later_one_fails(plan: Plan, folder: RunFolder) -> None:
    def stop_at_generation(request: Request) -> Response | None:
        if isinstance(request, GenerateUntil):
            raise KeyboardInterrupt
        return None

    plans = [plan("arc_easy"), plan("gsm8k")]
    with pytest.raises(KeyboardInterrupt):
        evaluate(empty_run(), folder, FakeBackend(stop_at_generation), plans, Silent())
    kept = folder.read()
    assert kept.status == "interrupted" and list(kept.results) == ["arc_easy"]
    assert not folder.rows_path("gsm8k").exists()

    backend = FakeBackend()
    finished = evaluate(kept, folder, backend, plans, Silent())
    assert finished.status == "complete" and list(finished.results) == ["arc_easy", "gsm8k"]
    assert all(isinstance(request, GenerateUntil) for request in backend.asked)


def test_a_resumed_run_equals_an_undisturbed_one(plan: Plan, tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / name) for name in ("whole", "resumed")]
    plans = [plan("arc_easy"), plan("hellaswag")]
    for folder in folders:
        folder.create()
    whole = evaluate(empty_run(), folders[0], FakeBackend(), plans, Silent())
    first = evaluate(empty_run(), folders[1], FakeBackend(), plans[:1], Silent())
    resumed = evaluate(first, folders[1], FakeBackend(), plans, Silent())

    def comparable(run: Run) -> object:
        return {name: (r.estimates, r.prompt_digest) for name, r in run.results.items()}

    def rows(folder: RunFolder) -> list[Row]:
        return [row for name in ("arc_easy", "hellaswag") for row in folder.rows(name)]

    assert comparable(whole) == comparable(resumed)
    assert rows(folders[0]) == rows(folders[1])


def test_a_run_from_the_journal_is_the_same_run_at_no_cost(plan: Plan, tmp_path: Path) -> None:
    """First half, then all: only the rest is asked, and the record is that of one go."""

    def scored(name: str, limit: int, journal: Journal | None) -> tuple[TaskResult, list[Row]]:
        folder = RunFolder(tmp_path / name)
        folder.create()
        backends.append(FakeBackend())
        result = score_task(plan("mmlu", limit), backends[-1], folder, Silent(), journal)
        return result, sorted(folder.rows("mmlu"), key=lambda row: row.index)

    backends: list[FakeBackend] = []
    whole, rows = scored("whole", 24, None)
    assert whole.cost.stored == 0 and whole.cost.tokens_in == 96
    for name, asked in (("half", 48), ("rest", 48), ("all", 0)):
        with Journal(tmp_path / "journal", {"weights": "w"}, lambda line: None) as journal:
            result, again = scored(name, 12 if name == "half" else 24, journal)
        assert len(backends[-1].asked) == result.cost.tokens_in == asked
        if name == "half":
            assert result.cost.tokens_per_second is not None
            continue
        assert again == rows and replace(result, cost=whole.cost) == whole
        assert result.cost.stored == 96 - asked
        assert result.cost.tokens_per_second is None, "never a made-up figure"


def test_a_backend_that_forgets_a_request_is_found_out(plan: Plan, folder: RunFolder) -> None:
    forgetful = FakeBackend(order=lambda count: range(count - 1))
    with pytest.raises(RuntimeError, match="left 1 requests without an answer"):
        score_task(plan("arc_easy"), forgetful, folder, Silent())


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), (float("inf"), 2.0)])
def test_a_score_that_is_no_number_leaves_the_doc_unscored(
    plan: Plan, folder: RunFolder, bad: object
) -> None:
    planned = plan("arc_easy", 3)

    class Odd:
        """The task, but its first doc scores what no JSON can hold."""

        def __getattr__(self, name: str) -> object:
            return getattr(planned.opened, name)

        def score(self, doc: Doc, responses: Sequence[Response]) -> Score:
            return Score({"acc": bad if doc.index == 0 else 1.0})  # type: ignore[dict-item]

    odd: OpenTask = Odd()  # type: ignore[assignment]
    result = score_task(replace(planned, opened=odd), FakeBackend(), folder, Silent())
    assert result.unscored_reasons == {"acc is not a finite number": 1}
    assert result.estimates["acc"].value == 1.0 and result.estimates["acc"].n == 2
    assert len(list(folder.rows("arc_easy"))) == 3
