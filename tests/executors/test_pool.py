"""The executor over workers that are threads: what is lost is asked elsewhere, nothing is mixed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends.backend import BackendFacts
from harness.backends.fake import FakeBackend
from harness.errors import HarnessError, WeightsError
from harness.executors.desk import Desk
from harness.executors.dispatch import disagreement
from harness.executors.executor import Loading
from harness.executors.messages import Ask, Load, Loaded, decode_message
from harness.executors.queue import Job
from harness.executors.remote import PoolExecutor, RemoteBackend
from harness.journal import Journal, answered
from harness.types import Answer, GenerateUntil, LogLikelihood, Question, Request, Unanswered
from tests.executors.scripted import loading, make_desk
from tests.executors.thread_pool import ThreadPool

Open = Callable[..., tuple[PoolExecutor, ThreadPool, list[str]]]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open an executor; it is closed at the end."""
    executors: list[PoolExecutor] = []

    def make(
        size: int = 2, failing: int = 0, make: Callable[[Callable[[], None]], Desk] = make_desk
    ) -> tuple[PoolExecutor, ThreadPool, list[str]]:
        told: list[str] = []
        pool = ThreadPool(size, failing, make)
        executors.append(PoolExecutor(pool, told.append))
        return executors[-1], pool, told

    yield make
    for executor in executors:
        executor.close()


def requests(count: int, word: str = "context") -> list[Request]:
    asked: list[Request] = [
        LogLikelihood(f"{word} {n // 2} " * 300, f" {n}") for n in range(count // 2)
    ]
    return asked + [GenerateUntil(f"{word} {n}", (), 5) for n in range(count - count // 2)]


def everything(backend: RemoteBackend | FakeBackend, asked: list[Request]) -> dict[int, Answer]:
    answers = list(answered(backend, backend.encode(asked), None))
    assert sorted(answer.index for answer in answers) == list(range(len(asked)))
    return {answer.index: answer for answer in answers}


def sent(pool: ThreadPool, kind: type) -> list[list[object]]:
    """Messages of a kind, by worker."""
    return [
        [each for each in map(decode_message, list(worker.messages)) if isinstance(each, kind)]
        for worker in pool.started
    ]


def test_the_answers_are_those_of_one_process(opened: Open) -> None:
    executor, pool, _ = opened(3)
    backend = executor.load(loading(0.002))
    asked = requests(80)
    theirs = everything(FakeBackend(), asked)
    ours = everything(backend, asked)
    assert {i: a.response for i, a in ours.items()} == {i: a.response for i, a in theirs.items()}
    assert sum(a.tokens_in for a in ours.values()) == 80
    assert all(a.seconds > 0.002 for a in ours.values())
    assert all(len(loads) == 1 for loads in sent(pool, Load)), "weights are loaded once a worker"
    assert all(asks for asks in sent(pool, Ask)), "all of them have worked"


def test_what_is_foreseen_is_asked_once_and_written_down_before_it_is_wanted(
    opened: Open, tmp_path: Path
) -> None:
    executor, pool, _ = opened()
    backend = executor.load(loading())
    first, second = requests(20), requests(20, "other")
    with Journal(tmp_path, backend.identity, lambda line: None) as journal:
        for task in (first, second, first):
            executor.foresee(backend, task, journal)
        answers = list(answered(backend, backend.encode(second), journal))
        assert not any(answer.stored for answer in answers), "this run has paid for it"
        again = list(answered(backend, backend.encode(second), journal))
        assert all(answer.stored for answer in again)
        list(answered(backend, backend.encode(first), journal))
    lines = journal.path.read_bytes().splitlines()
    assert len(lines) == 1 + 40 and len(set(lines)) == len(lines)
    questions = [
        question
        for asks in sent(pool, Ask)
        for message in asks
        for question in message.questions.requests  # type: ignore[attr-defined]
    ]
    assert len(questions) == 40
    before = sum(map(len, sent(pool, Ask)))
    with Journal(tmp_path, backend.identity, lambda line: None) as journal:
        executor.foresee(backend, first, journal)
        assert all(each.stored for each in answered(backend, backend.encode(first), journal))
    assert sum(map(len, sent(pool, Ask))) == before, "nothing is asked again"


def test_what_several_docs_ask_costs_its_seconds_once(opened: Open) -> None:
    executor, _, _ = opened(1)
    answers = everything(executor.load(loading(0.01)), [LogLikelihood("a", " x")] * 10)
    assert answers[0].seconds > 0.01
    assert [answers[place].seconds for place in range(1, 10)] == [0.0] * 9


def test_a_lost_workers_batch_is_asked_elsewhere(opened: Open) -> None:
    executor, pool, told = opened(2)
    backend = executor.load(loading(0.01))
    asked = requests(60)
    answers = backend.answer(backend.encode(asked))
    got = [next(answers)]
    pool.started[0].kill()
    got += list(answers)
    assert sorted(answer.index for answer in got) == list(range(60))
    theirs = everything(FakeBackend(), asked)
    assert all(answer.response == theirs[answer.index].response for answer in got)
    assert len(pool.started) == 3, "a worker took its place"
    assert len(told) == 1 and "was lost (its process ended); asked elsewhere" in told[0]
    assert not executor.set_apart


def test_a_batch_that_ends_three_workers_is_set_apart(opened: Open) -> None:
    executor, pool, told = opened(2)
    backend = executor.load(loading(poison="POISON"))
    asked = requests(30)
    asked[3] = LogLikelihood("POISON", " x")
    answers = everything(backend, asked)
    apart = [i for i, a in answers.items() if isinstance(a.response, Unanswered)]
    assert 3 in apart and len(apart) < 30
    response = answers[3].response
    assert response == Unanswered(
        "set apart: its batch ended 3 workers, the last one: its process ended"
    )
    assert len(pool.started) == 2 + 3
    assert len(executor.set_apart) == 1 and "ended 3 workers" in executor.set_apart[0]
    assert sum("asked elsewhere" in line for line in told) == 2


def test_a_model_that_cannot_be_loaded_is_told_as_the_worker_told_it(opened: Open) -> None:
    executor, _, _ = opened()
    with pytest.raises(WeightsError, match=r"^it is broken$"):
        executor.load(loading(name="broken"))
    assert everything(executor.load(loading()), requests(4)), "the workers go on"


def test_a_bug_in_a_worker_is_a_line_not_a_death(opened: Open) -> None:
    executor, pool, _ = opened()
    backend = executor.load(loading())
    with pytest.raises(HarnessError, match=r"^ZeroDivisionError: a bug \(a worker, .*scripted.py"):
        everything(backend, [LogLikelihood("bug", " x")])
    assert len(pool.started) == 2


def test_several_models_share_the_workers(opened: Open) -> None:
    executor, pool, _ = opened(2)
    models = [executor.load(loading(0.002, name=name)) for name in ("a", "b", "c")]
    asked = requests(40)
    for model in models:
        executor.foresee(model, asked, None)
    for model in models:
        assert len(everything(model, asked)) == 40
        executor.release(model)
    for loads in sent(pool, Load):
        numbers = [message.model for message in loads]  # type: ignore[attr-defined]
        assert len(numbers) == len(set(numbers)), "loaded once"


def test_a_released_model_is_dropped_where_the_next_is_loaded(opened: Open) -> None:
    executor, pool, _ = opened(1)
    first = executor.load(loading(name="a"))
    executor.release(first)
    executor.release(first)
    executor.load(loading(name="b"))
    drops = [message.drop for loads in sent(pool, Load) for message in loads]  # type: ignore[attr-defined]
    assert drops == [(), (first.line.model,)]


def test_a_model_that_is_loaded_again_is_the_one_that_is_there(opened: Open) -> None:
    """Each worker measures another budget: only the first one's may count."""
    budgets = iter((1024, 2048, 4096, 8192))

    def make(asked: Loading) -> FakeBackend:
        backend = FakeBackend(lambda request: time.sleep(0.01))
        budget = asked.options.budget or next(budgets)
        backend.facts = replace(backend.facts, budget=budget, plan=f"{budget} tokens a pass")
        return backend

    executor, pool, _ = opened(2, make=lambda end: Desk(make))
    scored = executor.load(loading())
    executor.foresee(scored, requests(2), None)
    reference = executor.load(loading())
    assert reference.facts == scored.facts
    assert len(everything(reference, requests(60, "other"))) == 60
    executor.release(scored)
    assert everything(reference, requests(4)), "one of the two still asks"
    executor.release(reference)
    again = executor.load(loading())
    assert again.facts == scored.facts and everything(again, requests(60, "third"))
    assert {message.model for loads in sent(pool, Load) for message in loads} == {1}  # type: ignore[attr-defined]


def test_what_came_is_written_down_before_a_model_is_released(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, _, _ = opened(1)
    model = executor.load(loading())
    jobs: list[Job] = []
    dispatcher = executor._dispatcher
    submit = dispatcher.submit

    def noted(job: Job) -> None:
        jobs.append(job)
        submit(job)

    monkeypatch.setattr(dispatcher, "submit", noted)
    with Journal(tmp_path, {"weights": "a"}, lambda line: None) as journal:
        model.foresee(requests(20), journal)
        batches = sum(job.cost > 0 for job in jobs)
        deadline = time.monotonic() + 30
        while dispatcher._out.qsize() < batches:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        executor.release(model)
    assert len(journal.path.read_bytes().splitlines()) == 1 + 20


def test_a_released_model_writes_nothing_down(opened: Open, tmp_path: Path) -> None:
    executor, _, _ = opened(1)
    first = executor.load(loading(name="a"))
    with Journal(tmp_path, {"weights": "a"}, lambda line: None) as journal:
        executor.foresee(first, requests(20), journal)
        executor.release(first)
    everything(executor.load(loading(name="b")), requests(4))
    assert len(journal.path.read_bytes().splitlines()) == 1, "its header"


def test_a_text_that_cannot_travel_is_that_requests_own_trouble(opened: Open) -> None:
    executor, _, _ = opened(1)
    backend = executor.load(loading())
    answers = everything(backend, [LogLikelihood("a\ud800", " y"), LogLikelihood("b", " y")])
    reason = "its text is no Unicode: it has a lone surrogate"
    assert answers[0].response == Unanswered(reason)
    assert not isinstance(answers[1].response, Unanswered)
    with pytest.raises(HarnessError, match="cannot be sent to a worker"):
        backend.tokenize("a\ud800")
    assert everything(executor.load(loading(name="b")), requests(4)), "the others go on"


def test_a_model_that_answers_one_question_twice_ends_the_run(opened: Open) -> None:
    class Twice(FakeBackend):
        def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
            """The first question's, each time."""
            for each in super().answer(questions):
                yield replace(each, index=0)

    executor, _, _ = opened(1, make=lambda end: Desk(lambda asked: Twice()))
    backend = executor.load(loading())
    with pytest.raises(HarnessError, match="left 1 without an answer"):
        everything(backend, [LogLikelihood("a", " x"), LogLikelihood("a", " z")])


def test_refused_questions_never_travel(opened: Open) -> None:
    executor, pool, _ = opened()
    backend = executor.load(loading())
    (answer,) = backend.answer([Question(LogLikelihood("a", "b"), refused="too long")])
    assert answer == Answer(0, Unanswered("too long"))
    assert not any(sent(pool, Ask))


def test_the_rest_of_the_protocol_is_a_workers(opened: Open) -> None:
    executor, _, _ = opened()
    backend = executor.load(loading())
    fake = FakeBackend()
    assert backend.facts == fake.facts and backend.identity == fake.identity
    assert backend.tokenize("one three") == fake.tokenize("one three")
    messages = [{"role": "user", "content": "hi"}]
    assert backend.render_chat(messages, False) == fake.render_chat(messages, False)
    assert backend.relaid() is None and backend.peak_memory() is None


def test_workers_that_cannot_be_started_end_the_run(opened: Open) -> None:
    executor, _, _ = opened(1, failing=3)
    with pytest.raises(HarnessError, match="workers cannot be started: its process ended"):
        executor.load(loading())


FACTS = BackendFacts("float32", "cuda:0", 10, 40, 512, "packed, 1,024 tokens a pass")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Loaded(FACTS, {"weights": "a"}), ""),
        (Loaded(FACTS, {"weights": "b"}), "weights: 'b', where the first had 'a'"),
        (Loaded(FACTS, {}), "weights: None, where the first had 'a'"),
        (
            Loaded(BackendFacts("float32", "cuda:1", 10, 44, 512, FACTS.plan), {"weights": "a"}),
            "",
        ),
        (
            Loaded(BackendFacts("float32", "cpu", 10, 40, 512, FACTS.plan), {"weights": "a"}),
            "device: 'cpu', where the first had 'cuda'",
        ),
        (
            Loaded(BackendFacts("float32", "cuda:0", 10, 40, 512, "plain"), {"weights": "a"}),
            "plan: 'plain', where the first had 'packed, 1,024 tokens a pass'",
        ),
    ],
)
def test_workers_must_agree_on_the_model(other: Loaded, said: str) -> None:
    assert disagreement(Loaded(FACTS, {"weights": "a"}), other) == said
