"""Pairs of solutions and a model's own wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import DataError, StorageError
from harness.types import Generation
from tests.conftest import Plan
from training.data.formats import read_pairs
from training.data.own_answers import GROUP, pair, write_pairs, wrong_answers
from training.data.rows import Example, Message, Pair

EXAMPLES = [
    Example((Message("user", f"What is {n} + 1?"),), f"{n} + 1 = {n + 1}\n#### {n + 1}", "sums")
    for n in range(5)
]


def off_by_one(asked: Sequence[Example]) -> list[list[str]]:
    """A model that is right about even numbers and off by one about odd ones."""
    answers = []
    for example in asked:
        right = int(example.answer.rpartition(" ")[2])
        given = right if (right - 1) % 2 == 0 else right + 1
        answers.append([f" so {given}\n#### {given}\n\nQuestion: what is 9?"])
    return answers


def test_only_wrong_final_numbers_count() -> None:
    """4 is right, also as 4.0; no number after ####, no check."""
    texts = [
        "#### 4",
        "#### 4.0",
        "I say 5",
        "####",
        "####\n5",
        " 2 + 2 = 5\n#### 5 apples\nmore",
        "#### 5",
    ]
    assert wrong_answers("2 + 2 = 4\n#### 4", [*texts, *texts]) == [
        "2 + 2 = 5\n#### 5 apples",
        "#### 5",
    ]


def test_a_reference_without_a_number_cannot_be_held_against_anything() -> None:
    with pytest.raises(ValueError, match="has no #### <number>: 'four'"):
        wrong_answers("four", ["#### 5"])


def test_the_wrong_answer_nearest_in_length_is_taken() -> None:
    """The solution has 16 characters; the answers 6, 16 and 30."""
    long = "a very, very long story\n#### 9"
    found = pair(EXAMPLES[2], ["#### 9", long, "2 + 1 = 4\n#### 4."])
    assert found == Pair(EXAMPLES[2].prompt, EXAMPLES[2].answer, "2 + 1 = 4\n#### 4.", GROUP)
    assert pair(EXAMPLES[2], ["#### 3"]) is None


def test_pairs_are_written_as_they_are_read(tmp_path: Path) -> None:
    """Of 0 to 4 the model is wrong about 1 and 3."""
    told: list[str] = []
    path = tmp_path / "folder" / "own.jsonl"
    assert write_pairs(EXAMPLES, off_by_one, path, batch=2, least=1, tell=told.append) == 2
    assert read_pairs(path) == [
        Pair(EXAMPLES[1].prompt, EXAMPLES[1].answer, "so 3\n#### 3", GROUP),
        Pair(EXAMPLES[3].prompt, EXAMPLES[3].answer, "so 5\n#### 5", GROUP),
    ]
    assert told[-1] == (
        "5 of 5 questions asked: 2 wrongly, 3 rightly, 0 without a number after ####"
    )
    assert [each.name for each in path.parent.iterdir()] == ["own.jsonl"]


def test_an_interrupted_call_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The second batch fails; a torn line is left behind; nothing is asked twice."""
    path = tmp_path / "own.jsonl"
    asked: list[Example] = []

    def failing(examples: Sequence[Example]) -> list[list[str]]:
        if asked:
            raise KeyboardInterrupt
        asked.extend(examples)
        return off_by_one(examples)

    def watched(examples: Sequence[Example]) -> list[list[str]]:
        asked.extend(examples)
        return off_by_one(examples)

    with pytest.raises(KeyboardInterrupt):
        write_pairs(EXAMPLES, failing, path, batch=2, least=1, tell=print)
    assert not path.exists()
    with (tmp_path / "own.jsonl.part").open("a") as file:
        file.write('{"prompt": [{"ro')
    assert write_pairs(EXAMPLES, watched, path, batch=2, least=1, tell=print) == 2
    assert asked == EXAMPLES


def test_what_was_kept_of_other_questions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl.part").write_text("0" * 64 + "\n")
    with pytest.raises(DataError, match="begun with other questions; remove it"):
        write_pairs(EXAMPLES, off_by_one, tmp_path / "own.jsonl", batch=2, least=1, tell=print)


def test_a_model_that_is_never_wrong_gives_no_pairs(tmp_path: Path) -> None:
    def right(examples: Sequence[Example]) -> list[list[str]]:
        return [[example.answer] for example in examples]

    with pytest.raises(DataError, match=r"0 pairs of a solution .* 1 are needed: .* Ask more"):
        write_pairs(EXAMPLES, right, tmp_path / "own.jsonl", batch=2, least=1, tell=print)
    assert not (tmp_path / "own.jsonl").exists()


def test_too_few_pairs_are_refused_with_what_was_answered_instead(tmp_path: Path) -> None:
    """Wrong about 1 and 3, as above, silent about 4; asked again, it is as it was."""

    def answers(asked: Sequence[Example]) -> list[list[str]]:
        given = off_by_one(asked)
        return [["Hm."] if each == EXAMPLES[4] else g for each, g in zip(asked, given, strict=True)]

    def asked_again(asked: Sequence[Example]) -> list[list[str]]:
        raise AssertionError("nothing is asked twice")

    for sample in (answers, asked_again):
        with pytest.raises(DataError) as caught:
            write_pairs(EXAMPLES, sample, tmp_path / "p.jsonl", batch=5, least=3, tell=print)
        assert "2 pairs of a solution and a wrong answer, and 3 are needed" in str(caught.value)
        assert "2 wrongly, 2 rightly, 1 without a number after ####" in str(caught.value)
        assert not (tmp_path / "p.jsonl").exists()


def test_a_model_that_names_no_number_is_asked_one_batch(tmp_path: Path) -> None:
    """Two of five questions, however often it is tried."""
    asked: list[Example] = []

    def silent(examples: Sequence[Example]) -> list[list[str]]:
        asked.extend(examples)
        return [["Hm."] for _ in examples]

    for _ in range(2):
        with pytest.raises(DataError, match=r"of 2 questions, .* 2 without .* train it by sft"):
            write_pairs(EXAMPLES, silent, tmp_path / "p.jsonl", batch=2, least=1, tell=print)
    assert asked == EXAMPLES[:2]


@pytest.mark.parametrize("number", ["4", "4.", "-4", "1,234", "$4", "4.50", "0.5", "12 apples"])
def test_what_is_wrong_here_is_wrong_to_the_task_gsm8k(plan: Plan, number: str) -> None:
    """lm-eval's own filters and metric, over a sample's doc: none of its two figures is 1."""
    task = plan("gsm8k", 3).opened
    for doc in task.docs:
        for text in wrong_answers(task.target(doc), [f"So it is 7 - 3.\n#### {number}\n\nQ: 5"]):
            assert set(task.score(doc, [Generation(text)]).values.values()) == {0.0}
        right = task.score(doc, [Generation(f"So.\n{task.target(doc).splitlines()[-1]}")])
        assert set(right.values.values()) == {1.0}


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "own.jsonl"
    with pytest.raises(StorageError, match="cannot write"):
        write_pairs(EXAMPLES, off_by_one, path, batch=2, least=1, tell=print)
