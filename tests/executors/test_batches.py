"""Batches: what shares a beginning stays together, and the passes are those of one process."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

from harness.backends.backend import BackendFacts
from harness.engine.passes import make_passes
from harness.engine.spans import spans_of
from harness.engine.trie import build_trie, walk
from harness.executors.batches import ROWS, SHARES, make_batches
from harness.types import GenerateUntil, LogLikelihood, Question, RollingLogLikelihood, Tokens

FACTS = BackendFacts("float32", "cpu", 1, 4, 512, "packed", budget=256, packed=True)
PLAIN = BackendFacts("float32", "cpu", 1, 4, 512, "plain", budget=256)


def some(source: random.Random, length: int) -> Tokens:
    return array("i", [source.randrange(1000) for _ in range(length)])


def choices(docs: int, subjects: int = 1, shots: int = 0) -> list[Question]:
    """Questions of four choices each; those of a subject begin with the same tokens."""
    source = random.Random(0)
    asked = []
    for _ in range(subjects):
        beginning = some(source, shots)
        for _ in range(docs // subjects):
            context = beginning + some(source, source.randrange(20, 60))
            asked += [
                Question(LogLikelihood("c", "t"), (context, some(source, source.randrange(1, 5))))
                for _ in range(4)
            ]
    return asked


def passes(questions: Sequence[Question], budget: int) -> list[tuple[bytes, ...]]:
    """The passes that one process makes, by their nodes' tokens."""
    sequences = [spans_of(question, 512)[0].sequence for question in questions]
    roots, _ = build_trie(list({each.tobytes(): each for each in sequences}.values()))
    return [
        tuple(node.tokens.tobytes() for node in each.nodes)
        for each in make_passes(list(walk(roots)), budget)
    ]


def test_the_passes_of_all_batches_are_those_of_one_process() -> None:
    questions = choices(300)
    for workers in (1, 2, 7):
        batches = make_batches(questions, FACTS, workers)
        assert sorted(p for batch in batches for p in batch.places) == list(range(1200))
        assert len(batches) > 2 * workers
        theirs = [
            each
            for batch in batches
            for each in passes([questions[place] for place in batch.places], 256)
        ]
        assert sorted(theirs) == sorted(passes(questions, 256))


def test_the_costliest_batch_comes_first_and_none_holds_much_more_than_its_share() -> None:
    batches = make_batches(choices(300), FACTS, 2)
    costs = [batch.cost for batch in batches]
    assert costs == sorted(costs, reverse=True)
    assert max(costs) <= sum(costs) / (2 * SHARES) + 2 * 256


def test_subjects_are_not_divided_where_there_is_work_for_all() -> None:
    questions = choices(240, subjects=24, shots=100)
    for batch in make_batches(questions, FACTS, 1):
        begun = {questions[place].tokens[0][:100].tobytes() for place in batch.places}
        whole = sum(q.tokens[0][:100].tobytes() in begun for q in questions)
        assert whole == len(batch.places)


def test_one_beginning_for_all_is_divided_by_contexts() -> None:
    questions = choices(200, subjects=1, shots=150)
    batches = make_batches(questions, FACTS, 2)
    assert len(batches) >= 12
    assert sorted(p for batch in batches for p in batch.places) == list(range(800))
    where = {place: number for number, batch in enumerate(batches) for place in batch.places}
    assert all(len({where[doc + choice] for choice in range(4)}) == 1 for doc in range(0, 800, 4))


def test_without_packing_contexts_stay_together_the_longest_first() -> None:
    questions = choices(100)
    batches = make_batches(questions, PLAIN, 2)
    assert sorted(p for batch in batches for p in batch.places) == list(range(400))
    assert all(len(batch.places) % 4 == 0 for batch in batches)


def test_a_text_longer_than_the_context_stays_whole() -> None:
    source = random.Random(1)
    questions = [
        Question(RollingLogLikelihood(str(n)), (some(source, 2000 + n),)) for n in range(9)
    ]
    batches = make_batches(questions, FACTS, 2)
    assert sorted(p for batch in batches for p in batch.places) == list(range(9))
    assert len(batches) == 9  # each is several passes


def test_generations_are_neighbours_by_prompt_and_fill_the_slots() -> None:
    source = random.Random(2)
    beginnings = [some(source, 50) for _ in range(4)]
    questions = [
        Question(GenerateUntil("g", (), 100), (beginnings[n % 4] + some(source, 9),))
        for n in range(256)
    ]
    batches = make_batches(questions, FACTS, 2)
    assert {len(batch.places) for batch in batches} == {ROWS[0]}
    for batch in batches:
        assert len({questions[place].tokens[0][:50].tobytes() for place in batch.places}) == 1
    assert [len(each.places) for each in make_batches(questions[:20], FACTS, 4)] == [5] * 4


def test_questions_without_tokens_are_divided_by_their_text() -> None:
    questions = [Question(LogLikelihood(f"context {n // 2} " * 400, f"{n}")) for n in range(80)]
    batches = make_batches(questions, BackendFacts("float32", "cpu", 1, 4, 512), 2)
    assert sorted(p for batch in batches for p in batch.places) == list(range(80))
    where = {place: number for number, batch in enumerate(batches) for place in batch.places}
    assert all(where[n] == where[n + 1] for n in range(0, 80, 2)) and len(batches) > 4


def test_nothing_makes_no_batches() -> None:
    assert make_batches([], FACTS, 2) == []
