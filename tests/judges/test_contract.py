"""What holds of every kind of judge."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from harness.journal import answered, journal_path, open_journal
from harness.judge_options import KINDS as NAMED
from harness.judges import KINDS, judge
from harness.judges.judge import Judge
from harness.types import GenerateUntil, Resembled, Rewarded, Unanswered
from tests.judges.conftest import CONTEXT, Kind, asked

TEXTS = [
    ("What is force?", "Mass times acceleration."),
    ("What is force?", ""),
    ("", "Energy per time."),
    ("", ""),
    ("Что такое сила?", "質量に加速度を掛けたもの 🙂"),
    ("a", "The unit of power is the watt, which is a joule in every second of time."),
    ("Name a planet.", "Jupiter"),
]


def test_every_kind_that_the_registry_knows_is_there() -> None:
    assert set(KINDS) == set(NAMED)


def test_every_text_has_finite_marks(kind: Kind) -> None:
    for response in asked(kind.load(), [kind.ask(*pair) for pair in TEXTS]):
        numbers = kind.numbers(response)
        assert numbers and all(map(math.isfinite, numbers))


@pytest.mark.parametrize("tokens", [1, 40, 4096])
def test_marks_do_not_depend_on_batches_or_order(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    loaded = kind.load()
    requests = [kind.ask(*pair) for pair in TEXTS]
    alone = [kind.numbers(asked(loaded, [request])[0]) for request in requests]
    assert len(set(alone)) > 3, "the marks tell texts apart"
    monkeypatch.setattr(judge, "TOKENS_A_PASS", tokens)
    for order in (range(len(requests)), [6, 2, 4, 0, 5, 1, 3]):
        responses = asked(loaded, [requests[place] for place in order])
        for place, response in zip(order, responses, strict=True):
            assert kind.numbers(response) == pytest.approx(alone[place], abs=1e-5)


def poisoned(loaded: Judge, kind: Kind) -> tuple[Judge, int]:
    """The judge with NaN for a token that one text alone has, and that text's place."""
    questions = loaded.encode([kind.ask(*pair) for pair in TEXTS])
    ids = [{token for part in question.tokens for token in part} for question in questions]
    place = 5
    own = ids[place] - set().union(*ids[:place], *ids[place + 1 :])
    with torch.no_grad():
        loaded._marker.model.get_input_embeddings().weight[min(own)] = math.nan
    return loaded, place


def test_a_nan_leaves_the_others_marked(kind: Kind) -> None:
    requests = [kind.ask(*pair) for pair in TEXTS]
    before = [kind.numbers(response) for response in asked(kind.load(), requests)]
    loaded, place = poisoned(kind.load(), kind)
    responses = asked(loaded, requests)
    assert responses[place] == Unanswered("the judge gave no finite number")
    for index, response in enumerate(responses):
        if index != place:
            assert kind.numbers(response) == pytest.approx(before[index], abs=1e-5)


def test_answers_are_kept_and_read_back_equal(kind: Kind, tmp_path: Path) -> None:
    loaded, place = poisoned(kind.load(), kind)
    questions = loaded.encode([kind.ask(*pair) for pair in TEXTS])
    found = []
    for _ in range(2):
        with open_journal(tmp_path, loaded.identity, print) as journal:
            answers = list(answered(loaded, questions, journal))
        found.append({answer.index: answer for answer in answers})
    first, again = found
    assert {index: answer.response for index, answer in first.items()} == {
        index: answer.response for index, answer in again.items()
    }
    assert not any(answer.stored for answer in first.values())
    # What could not be answered is asked again.
    assert [index for index in again if not again[index].stored] == [place]


def test_judges_of_other_weights_have_another_journal(kind: Kind, tmp_path: Path) -> None:
    one, same, other = kind.load("w"), kind.load("w"), kind.load("v")
    assert journal_path(tmp_path, one.identity) == journal_path(tmp_path, same.identity)
    assert journal_path(tmp_path, one.identity) != journal_path(tmp_path, other.identity)


def test_what_it_has_no_answer_to_is_refused(kind: Kind) -> None:
    wrong = GenerateUntil("Name a planet.", (), 3)
    responses = asked(kind.load(), [wrong, kind.ask(*TEXTS[0])])
    assert isinstance(responses[0], Unanswered) and "only" in responses[0].reason
    assert isinstance(responses[1], Rewarded | Resembled)


def test_it_says_what_it_is(kind: Kind) -> None:
    loaded = kind.load()
    assert loaded.facts.dtype == "float32" and loaded.facts.max_length == CONTEXT
    assert loaded.facts.parameters > 1000
    assert loaded.identity["weights"] == "w" and loaded.identity["judge"]
