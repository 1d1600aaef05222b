"""Files of questions and answers, well-formed and not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, UnknownName
from tests.training.ranking.conftest import Write, row
from training.data.formats import read_examples
from training.ranking.candidates import Answered, Candidate, read_answers, write_answers
from training.ranking.questions import Question, once, read_questions
from training.ranking.sifting import sift


def test_what_is_written_is_read_back_with_its_settings(tmp_path: Path) -> None:
    asked = Question("Why?", "This.", "Because.", "g", "Be kind.", (("Who?", "Me."),))
    rows = [
        Answered(asked, (Candidate("So.", {"model": "m", "seed": 3}), Candidate("No.", {}))),
        Answered(Question("How?", group="g"), ()),
    ]
    write_answers(tmp_path / "a.jsonl", rows)
    assert read_answers([tmp_path / "a.jsonl"]) == rows


def test_the_columns_of_the_question_are_llama_factory_s(tmp_path: Path) -> None:
    """The same file teaches the reference solutions."""
    asked = Question("Why?", "This.", "Because.", "g")
    write_answers(tmp_path / "a.jsonl", [Answered(asked, (Candidate("So."),))])
    (example,) = read_examples(tmp_path / "a.jsonl")
    assert (example.prompt, example.answer, example.group) == (asked.turns(), "Because.", "g")


def test_answers_of_several_files_to_one_question_stand_together(tmp_path: Path) -> None:
    rows = [row(1, [1], output=""), row(1, [2, 3]), row(2)]
    for number, part in enumerate((rows[:1], rows[1:])):
        text = "".join(json.dumps(one) + "\n" for one in part)
        (tmp_path / f"{number}.jsonl").write_text(text, "utf-8")
    one, two = read_answers([tmp_path / "0.jsonl", tmp_path / "1.jsonl"])
    assert [answer.text[-2] for answer in one.candidates] == ["1", "2", "3"]
    assert one.question.reference == "Solution 1.", "that of the file which has one"
    assert len(two.candidates) == 3


def test_an_answer_may_be_a_plain_text(write: Write) -> None:
    (found,) = read_answers([write([row(1, answers=["a", {"text": "b", "seed": 1}])])])
    assert found.candidates == (Candidate("a"), Candidate("b", {"seed": 1}))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"answers": "one"}, "'answers' is not a list"),
        ({"answers": [1]}, r"answers\[0\] is neither"),
        ({"answers": [{"model": "m"}]}, r"answers\[0\]: the column 'text' is missing"),
        ({"answers": [{"text": 3}]}, "is a number"),
        ({"instruction": ""}, "'instruction' is empty"),
        ({"history": [["one"]]}, "'history' is not a list of"),
        ({"output": 3}, "'output' is a number"),
    ],
)
def test_rows_that_are_not_as_they_should_be(
    write: Write, columns: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said) as refused:
        read_answers([write([row(1), row(2, **columns)])])
    assert "line 2" in str(refused.value)


def test_a_file_that_ends_mid_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row(1)) + "\n" + json.dumps(row(2))[:40], "utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl, line 2, column \d+: not JSON"):
        read_answers([path])


def test_a_row_without_a_question_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="the row holds no question"):
        read_answers([write([{"answers": []}])])


def test_questions_may_lack_their_solution(write: Write) -> None:
    path = write([{"instruction": "Why?"}, {"instruction": "How?", "output": None}])
    found = read_questions(str(path), None)
    assert [(asked.instruction, asked.reference, asked.group) for asked in found] == [
        ("Why?", "", "answers"),
        ("How?", "", "answers"),
    ]


def test_questions_of_chats_have_their_earlier_turns(write: Write) -> None:
    turns = [("system", "Be kind."), ("user", "a?"), ("assistant", "A."), ("user", "b?")]
    messages = [{"role": role, "content": text} for role, text in [*turns, ("assistant", "B.")]]
    first, second = read_questions(str(write([{"messages": messages}])), None)
    assert (first.instruction, first.reference, first.history) == ("a?", "A.", ())
    assert second == Question("b?", "", "B.", "answers", "Be kind.", (("a?", "A."),))
    assert [(turn.role, turn.content) for turn in second.turns()] == turns


def test_the_shipped_questions_have_solutions() -> None:
    found = read_questions("default", None)
    assert len(found) == 2400 and all(asked.reference and asked.group for asked in found)


def test_sets_and_files_that_are_not_there() -> None:
    with pytest.raises(UnknownName, match="did you mean 'default'"):
        read_questions("defualt", None)
    with pytest.raises(DataError, match="no such file"):
        read_questions("none.jsonl", None)


def test_equal_questions_are_asked_once() -> None:
    unsolved, solved, other = Question("Why?"), Question("Why?", reference="So."), Question("Who?")
    assert once([unsolved, other, solved, unsolved]) == [solved, other]


def test_what_cannot_be_ranked_is_counted_by_reason() -> None:
    def answered(texts: list[str], **more: Any) -> Answered:
        asked = Question(**({"instruction": "Why?", "reference": "So."} | more))
        return Answered(asked, tuple(Candidate(text) for text in texts))

    statistics = "Give a 95% confidence interval, and say how a confidence level is chosen."
    found = sift(
        [
            answered(["a", " a\n", "b", ""]),  # two that differ
            answered(["a", "b"], instruction=statistics),
            answered(["a"]),
            answered(["a", "a"]),
            answered(["", " "]),
            answered(["a", "b"], reference=" "),
            answered(["a", "b"], input="State a confidence score from 0 to 1."),
        ],
        unsolved=False,
    )
    assert [kept.answers for kept in found.kept] == [("a", "b"), ("a", "b")]
    assert found.dropped == {
        "a single answer": 3,
        "no solution": 1,
        "asks for a confidence score": 1,
    }
    assert (found.answers, found.left_out) == (15, {"empty": 3, "identical to another": 2})


def test_answers_that_were_cut_off_are_not_ranked() -> None:
    cut = Candidate("c", {"finish": "length"})
    rows = [Answered(Question("Why?"), (Candidate("a", {"finish": "stop"}), Candidate("b"), cut))]
    found = sift(rows, unsolved=True)
    assert found.kept[0].answers == ("a", "b")
    assert found.left_out == {"cut off at max_tokens": 1}


def test_questions_without_a_solution_are_kept_where_that_is_wanted() -> None:
    rows = [Answered(Question("Why?"), (Candidate("a"), Candidate("b")))]
    assert len(sift(rows, unsolved=True).kept) == 1
