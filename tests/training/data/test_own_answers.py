"""Pairs of solutions and a model's own wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import DataError, StorageError
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
    texts = ["#### 4", "#### 4.0", "I say 5", "####", " 2 + 2 = 5\n#### 5 apples\nmore", "#### 5"]
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
    assert write_pairs(EXAMPLES, off_by_one, path, batch=2, tell=told.append) == 2
    assert read_pairs(path) == [
        Pair(EXAMPLES[1].prompt, EXAMPLES[1].answer, "so 3\n#### 3", GROUP),
        Pair(EXAMPLES[3].prompt, EXAMPLES[3].answer, "so 5\n#### 5", GROUP),
    ]
    assert told[-1] == "5 of 5 questions asked, 2 answered wrongly"
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
        write_pairs(EXAMPLES, failing, path, batch=2, tell=lambda line: None)
    assert not path.exists()
    with (tmp_path / "own.jsonl.part").open("a") as file:
        file.write('{"prompt": [{"ro')
    assert write_pairs(EXAMPLES, watched, path, batch=2, tell=lambda line: None) == 2
    assert asked == EXAMPLES


def test_what_was_kept_of_other_questions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl.part").write_text("0" * 64 + "\n")
    with pytest.raises(DataError, match="begun with other questions; remove it"):
        write_pairs(EXAMPLES, off_by_one, tmp_path / "own.jsonl", batch=2, tell=lambda line: None)


def test_a_model_that_is_never_wrong_gives_no_pairs(tmp_path: Path) -> None:
    def right(examples: Sequence[Example]) -> list[list[str]]:
        return [[example.answer] for example in examples]

    with pytest.raises(DataError, match="there are no pairs"):
        write_pairs(EXAMPLES, right, tmp_path / "own.jsonl", batch=2, tell=lambda line: None)
    assert not (tmp_path / "own.jsonl").exists()


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "own.jsonl"
    with pytest.raises(StorageError, match="cannot write"):
        write_pairs(EXAMPLES, off_by_one, path, batch=2, tell=lambda line: None)
