"""Whole mixtures, from files to files: what is in them, what is not, and what is said of it."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import load_catalog
from harness.data_card import DataCard, encode_card, read_card
from harness.errors import DataError, UsageError
from harness.report.card_words import cautions
from tests.conftest import REPOSITORY
from tests.training.data.mixture.rows import (
    Silent,
    alpaca,
    made,
    mixture,
    parquet,
    read,
    source,
    sources_of,
    words,
    write,
)
from training.data.formats import read_examples, read_pairs
from training.data.mixture import making, surveying
from training.data.mixture.built import mixture_folder
from training.data.mixture.declared import Taken
from training.data.mixture.locating import Located
from training.data.mixture.making import Place, make
from training.data.mixture.tested_docs import DocTexts, TestSet
from training.data.mixture.tested_docs import test_sets as sets_of_tests
from training.data.mixture.words import question_key
from training.data.sets import apart, pairs
from training.preference import judged

TWO_SIDES = {"chosen": words(30, "good"), "rejected": words(30, "bad")}


def in_and_out(card: DataCard) -> None:
    """Every stage's counts add up, and each stage takes what the one before left."""
    for before, after in zip(card.stages, card.stages[1:], strict=False):
        assert (before.came_out, before.unit_out) == (after.went_in, after.unit_in)
    for stage in card.stages:
        if stage.name not in ("draw", "read"):
            assert stage.went_in - sum(stage.dropped.values()) == stage.came_out
    assert card.stages[-1].came_out == card.rows == sum(each.taken for each in card.sources)


def test_two_sources_become_one_file_and_a_card(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", alpaca(30, "one"))
    two = write(tmp_path / "two.jsonl.gz", alpaca(20, "two"), zipped=True)
    card = made(mixture(source(one, "one"), source(two, "two")), tmp_path / "out")
    rows = read(tmp_path / "out" / "train.jsonl")
    assert [row["group"] for row in rows] == ["one"] * 30 + ["two"] * 20
    assert {k: v for k, v in rows[0].items() if k != "group"} == alpaca(1, "one")[0]
    assert len(read_examples(tmp_path / "out" / "train.jsonl")) == 50
    assert read_card(tmp_path / "out") == card
    assert sources_of(card) == [("one", 30, 30), ("two", 20, 20)]
    assert card.drops == {}
    in_and_out(card)
    assert sum(card.lengths[0].counts) == 50
    assert not list(tmp_path.glob(".out.work")) and not list(tmp_path.glob(".out.partial"))


def test_the_same_sources_make_the_same_files_in_whatever_order(tmp_path: Path) -> None:
    rows = alpaca(300)
    shuffled = random.Random(1).sample(rows, len(rows))
    for name, content in (("a", rows), ("b", shuffled)):
        path = write(tmp_path / name / "rows.jsonl", content)
        made(mixture(Taken(source(path), 40)), tmp_path / f"out-{name}")
    a, b = (read(tmp_path / f"out-{name}" / "train.jsonl") for name in "ab")
    assert sorted(map(str, a)) == sorted(map(str, b))
    again = write(tmp_path / "a" / "rows.jsonl", rows)
    card = made(mixture(Taken(source(again), 40)), tmp_path / "out-c")
    assert read(tmp_path / "out-c" / "train.jsonl") == a
    assert card == read_card(tmp_path / "out-a")
    other = made(mixture(Taken(source(again), 40), seed=2), tmp_path / "out-d")
    assert other.rows == 40 and read(tmp_path / "out-d" / "train.jsonl") != a


def test_a_mixture_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(5))
    made(mixture(source(path)), tmp_path / "out")
    before = (tmp_path / "out" / "train.jsonl").stat().st_mtime_ns
    told: list[str] = []
    make(mixture(source(path)), Place(None, tmp_path / "out", None, told.append), Silent())
    assert (tmp_path / "out" / "train.jsonl").stat().st_mtime_ns == before
    assert any("is there" in line for line in told)
    write(path, alpaca(6))
    assert made(mixture(source(path)), tmp_path / "out").rows == 6


def test_what_is_dropped_is_made_up_for_from_the_reserve(tmp_path: Path) -> None:
    """100 of 200 rows, some of which are empty: the draw has 25 more to take their place."""
    rows = [dict(row, output="") if n % 10 == 0 else row for n, row in enumerate(alpaca(200))]
    path = write(tmp_path / "rows.jsonl", rows)
    card = made(mixture(Taken(source(path), 100)), tmp_path / "out")
    assert card.sources[0].drawn == 125
    assert card.rows == card.sources[0].taken_rows == 100
    assert card.drops["empty"] + card.drops["spare"] == 25
    in_and_out(card)


@pytest.mark.parametrize("short", ["stop", "take"])
def test_more_is_drawn_where_the_reserve_does_not_suffice(tmp_path: Path, short: str) -> None:
    """20 of 400 rows are wanted ones. 12 + 20 in reserve are drawn first, then 128, then all: the
    expected number of wanted ones among 128 is 6.4.
    """
    rows = [dict(row, label=int(n % 20 == 0)) for n, row in enumerate(alpaca(400))]
    path = write(tmp_path / "rows.jsonl", rows)
    chosen = source(path, where={"label": 1})
    told: list[str] = []
    place = Place(None, tmp_path / "out", None, told.append)
    card = make(mixture(Taken(chosen, 12), short=short), place, Silent())
    assert card.rows == card.sources[0].taken_rows == 12
    assert card.sources[0].drawn == 400
    assert any("more are drawn" in line for line in told)
    in_and_out(card)
    keys = surveying.survey(Taken(chosen, None), Located((path,)), 1234, None)
    wanted = [row for row in keys.drawn_rows() if row.raw.columns()["label"]]
    first = sorted(wanted, key=lambda row: row.key)[:12]
    texts = {str(row.raw.columns()["instruction"]) for row in first}
    assert {row["instruction"] for row in read(tmp_path / "out" / "train.jsonl")} == texts


def test_a_mixture_larger_than_its_sources(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(5))
    with pytest.raises(DataError) as refused:
        made(mixture(Taken(source(path), 9)), tmp_path / "out")
    assert "a: 5 of 9 (it holds 5)" in str(refused.value)
    assert "short: take" in str(refused.value)
    assert not (tmp_path / "out").exists()
    assert made(mixture(Taken(source(path), 9), short="take"), tmp_path / "out").rows == 5


def test_duplicates_are_taken_once_the_first_source_first(tmp_path: Path) -> None:
    rows = alpaca(10)
    near = [dict(row, output=row["output"] + " and") for row in alpaca(3)]
    near = [dict(row, instruction=words(60, row["instruction"])) for row in near]
    nearer = [dict(row, output=row["output"] + " more") for row in near]
    loud = [dict(row, output=row["output"].upper()) for row in rows[:4]]
    one = write(tmp_path / "one.jsonl", [*rows, *near])
    two = write(tmp_path / "two.jsonl", [*loud, *nearer, *alpaca(2, "new")])
    card = made(mixture(source(one, "one"), source(two, "two")), tmp_path / "out")
    assert sources_of(card) == [("one", 13, 13), ("two", 9, 2)]
    assert card.drops == {"duplicate": 4, "near-duplicate": 3}
    assert {each.rule for each in card.dropped} == {"duplicate", "near-duplicate"}
    assert all(each.why.startswith("repeats one, row ") for each in card.dropped)
    in_and_out(card)


def test_the_answers_of_one_conversation_are_each_kept(tmp_path: Path) -> None:
    said = [words(60, n) for n in range(2)]
    talk = {"conversations": [*said, "And in one word?", "Seven."]}
    path = write(tmp_path / "rows.jsonl", [talk])
    card = made(mixture(source(path, format="turns")), tmp_path / "out")
    assert (card.sources[0].taken_rows, card.rows, card.drops) == (1, 2, {})
    second = read(tmp_path / "out" / "train.jsonl")[1]
    assert second["history"] == [said] and second["output"] == "Seven."
    assert [e.answer for e in read_examples(tmp_path / "out" / "train.jsonl")] == [
        said[1],
        "Seven.",
    ]


def test_personal_data_is_masked_dropped_or_kept_as_declared(tmp_path: Path) -> None:
    mail = {"instruction": words(9, 1), "output": f"{words(9, 2)} jo@epfl.ch 8.8.8.8"}
    card_number = {"instruction": words(9, 3), "output": f"{words(9, 4)} 4111 1111 1111 1111"}
    path = write(tmp_path / "rows.jsonl", [mail, card_number])
    declared = mixture(
        source(path, personal={"ip": "keep"}),
        personal={"email": "mask", "phone": "mask", "card": "drop", "ip": "mask"},
    )
    card = made(declared, tmp_path / "out")
    (row,) = read(tmp_path / "out" / "train.jsonl")
    assert row["output"] == f"{words(9, 2)} [email] 8.8.8.8"
    assert card.masked == {"email": 1} and card.drops == {"personal data": 1}
    assert "4111" not in encode_card(card).decode()  # nor in the example of what was dropped


def test_answers_that_masking_makes_equal_are_identical(tmp_path: Path) -> None:
    row = {"instruction": words(9, 1), "chosen": "Ask a@epfl.ch.", "rejected": "Ask b@epfl.ch."}
    fine = {"instruction": words(9, 2), **TWO_SIDES}
    path = write(tmp_path / "rows.jsonl", [row, fine])
    card = made(mixture(source(path, format="preference"), kind="pairs"), tmp_path / "out")
    assert card.drops == {"identical": 1} and card.stages[2].dropped == {"identical": 1}
    in_and_out(card)


def test_lengths_by_characters_and_tokens(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rows = [
        {"instruction": words(3, n), "output": words(count, -n)} for n, count in ((1, 7), (2, 8))
    ]
    rows.append({"instruction": "a", "output": "b" * 200})
    path = write(tmp_path / "rows.jsonl", rows)
    declared = mixture(source(path), max_chars=150, max_tokens=10, tokenizer=str(tmp_path))
    card = made(declared, tmp_path / "out")
    assert card.drops == {"too long": 2}
    assert {each.why for each in card.dropped} == {"11 tokens", "202 characters"}
    with pytest.raises(UsageError, match=r"name a tokenizer\.json"):
        made(dataclasses.replace(declared, tokenizer="no"), tmp_path / "other")


def planted(question: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The same question in every format, with the kind of mixture that takes it."""
    said, other = words(20, "said"), words(20, "other")
    return [
        ("examples", "alpaca", {"instruction": "Solve.", "input": question, "output": said}),
        ("examples", "alpaca", {"instruction": "Recite.", "output": f"{said} {question} {said}"}),
        (
            "examples",
            "chat",
            {
                "messages": [
                    {"role": "user", "content": question.upper()},
                    {"role": "assistant", "content": said},
                ]
            },
        ),
        ("examples", "turns", {"conversations": [question, said]}),
        ("examples", "choices", {"question": question, "choices": ["x", "y"], "answer": 0}),
        ("pairs", "preference", {"prompt": question, "chosen": said, "rejected": other}),
        ("pairs", "preference", {"prompt": said, "chosen": other, "rejected": question}),
        ("pairs", "either", {"prompt": question, "a": said, "b": other, "label": 1}),
        (
            "pairs",
            "transcripts",
            {
                "chosen": f"\n\nHuman: {question}\n\nAssistant: {said}",
                "rejected": f"\n\nHuman: {question}\n\nAssistant: {other}",
            },
        ),
        (
            "pairs",
            "stack_exchange",
            {
                "question": f"<p>{question.replace('<', '&lt;')}</p>",
                "answers": [{"text": said, "score": 5}, {"text": other, "score": 0}],
            },
        ),
    ]


@pytest.mark.parametrize("place", range(10))
def test_a_planted_test_question_is_found_in_every_format(tmp_path: Path, place: int) -> None:
    sets, _ = sets_of_tests(load_catalog(REPOSITORY / "tasks"), None)
    (stem,) = [each for each in sets if each.task == "stem"]
    question = max(stem.docs[0].every, key=len)
    kind, format, row = planted(question)[place]
    clean = planted(words(40, "clean"))[place][2]
    path = write(tmp_path / "rows.jsonl", [clean, row])
    card = made(mixture(source(path, format=format), kind=kind, ngram=13), tmp_path / "out")
    assert card.drops == {"contaminated": 1}
    (found,) = card.dropped
    assert found.where == "a, rows.jsonl, row 2"
    # Preference pairs on the same questions are test docs too, and come first.
    assert "shares with reward_accuracy, doc 1: " in found.why
    assert card.decontamination is not None
    assert [test.task for test in card.decontamination.tests if test.found] == ["reward_accuracy"]
    in_and_out(card)


def test_a_planted_test_question_is_found_in_parquet(tmp_path: Path) -> None:
    sets, _ = sets_of_tests(load_catalog(REPOSITORY / "tasks"), None)
    (stem,) = [each for each in sets if each.task == "stem"]
    planted = max(stem.docs[0].every, key=len)
    rows = [*alpaca(3), {"instruction": planted, "input": "", "output": "7"}]
    path = parquet(tmp_path / "rows.parquet", rows)
    card = made(mixture(source(path), ngram=13), tmp_path / "out")
    assert (card.rows, card.drops) == (3, {"contaminated": 1})
    assert card.dropped[0].where == "a, rows.parquet, row 4"


def test_test_docs_that_are_not_at_hand_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", alpaca(2))
    told: list[str] = []
    place = Place(None, tmp_path / "out", None, told.append)
    card = make(mixture(source(path), ngram=13), place, Silent())
    assert card.decontamination is not None
    (partly,) = [line for line in told if line.startswith("held against the shipped samples only")]
    assert "gsm8k," in partly and "stem," not in partly and "DATA=dir" in partly
    assert "bbq" in card.decontamination.unchecked
    origins = {test.task: test.origin for test in card.decontamination.tests}
    assert (origins["gsm8k"], origins["stem"]) == ("samples", "shipped")


def test_no_question_is_in_two_splits(tmp_path: Path) -> None:
    """Four answers to each of 300 questions, some of them worded with other signs and cases."""
    rows = [
        {
            "instruction": asked if answer % 2 else f"{asked.upper()} ?!",
            "chosen": words(20, (asked, answer)),
            "rejected": words(20, (answer, asked)),
        }
        for asked in (words(8, n) for n in range(300))
        for answer in range(4)
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    shares = {"reward": 30, "sft": 30, "rl": 30, "test": 10}
    card = made(
        mixture(source(path, format="preference"), kind="pairs", splits=shares), tmp_path / "out"
    )
    questions = {}
    for split in card.splits:
        found = read(tmp_path / "out" / split.file)
        questions[split.name] = {question_key(row["instruction"]) for row in found}
        assert (len(found), len(questions[split.name])) == (split.rows, split.questions)
        assert split.rows == 4 * split.questions
    assert sum(map(len, questions.values())) == len(set().union(*questions.values())) == 300
    # Binomial: 3.5 standard deviations of 300 questions at 30% are 28, at 10% 18.
    sizes = {name: len(found) for name, found in questions.items()}
    assert all(abs(sizes[name] - 90) < 28 for name in ("reward", "sft", "rl"))
    assert abs(sizes["test"] - 30) < 18


def split_questions(card: DataCard, out: Path) -> list[set[str]]:
    """What each split asks, by the words that `words` made up."""
    return [
        {re.findall("[a-z]{7}(?: [a-z]{7})+", row["instruction"])[0] for row in found}
        for found in (read(out / split.file) for split in card.splits)
    ]


def test_a_question_is_in_one_split_however_it_is_worded(tmp_path: Path) -> None:
    asked = [words(8, n) for n in range(100)]
    for name in ("one", "two", "three"):
        rows = [{"instruction": each, "output": words(20, (name, each))} for each in asked]
        write(tmp_path / f"{name}.jsonl", rows)
    one, two, three = (source(tmp_path / f"{name}.jsonl", name) for name in ("one", "two", "three"))
    two = dataclasses.replace(two, template="Question: {instruction}")
    three = dataclasses.replace(three, template="As briefly as you can: {instruction} Go!")
    card = made(mixture(one, two, three, splits={"a": 50, "b": 50}, near=None), tmp_path / "out")
    a, b = split_questions(card, tmp_path / "out")
    assert (card.rows, len(a | b), a & b) == (300, 100, set())
    assert sum(split.questions for split in card.splits) == 100


def test_a_question_is_in_one_split_whatever_its_choices_are(tmp_path: Path) -> None:
    rows = [
        {"question": words(8, n), "choices": choices, "answer": 0}
        for n in range(100)
        for choices in (["x", "y", "z"], ["z", "x", "y"])
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    card = made(
        mixture(source(path, format="choices"), splits={"a": 50, "b": 50}, near=None),
        tmp_path / "out",
    )
    a, b = split_questions(card, tmp_path / "out")
    assert (card.rows, len(a | b), a & b) == (200, 100, set())


def test_a_masked_row_is_held_against_the_tests_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The masked number stands in the middle of the thirteen words of a test doc."""
    doc = f"{words(6, 1)} 8.8.8.8 {words(5, 2)}"
    tests = [TestSet("t", "shipped", {}, (DocTexts((doc,), (doc,)),))]
    monkeypatch.setattr(making, "test_sets", lambda *_: (tests, {}))
    rows = [{"instruction": doc, "output": words(9, 3)}, *alpaca(1)]
    path = write(tmp_path / "rows.jsonl", rows)
    card = made(mixture(source(path), ngram=13), tmp_path / "out")
    assert card.drops == {"contaminated": 1}
    (found,) = card.dropped
    assert found.why == "shares with t, doc 1: words that are masked in part"
    assert "8.8.8.8" not in encode_card(card).decode()


def test_a_conversation_stays_in_one_split(tmp_path: Path) -> None:
    talks = [
        {"conversations": [words(8, n), words(30, (n, 1)), words(9, (n, 2)), words(30, (n, 3))]}
        for n in range(40)
    ]
    path = write(tmp_path / "rows.jsonl", talks)
    card = made(mixture(source(path, format="turns"), splits={"a": 50, "b": 50}), tmp_path / "out")
    assert all(split.rows == 2 * split.questions for split in card.splits)


def test_sources_of_a_share_give_equally_many(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{n}.jsonl", alpaca(count, str(n))) for n, count in ((1, 50), (2, 8))
    ]
    one, two = (source(path, path.stem, share="sites") for path in paths)
    card = made(mixture(Taken(one, 20), Taken(two, 20), short="take"), tmp_path / "out")
    assert [each.taken_rows for each in card.sources] == [8, 8]
    assert card.drops["equal share"] == 12
    in_and_out(card)


def test_what_repeats_a_row_that_a_share_cuts_off_stays(tmp_path: Path) -> None:
    rich, poor = alpaca(60, "rich"), alpaca(5, "poor")
    one = source(write(tmp_path / "one.jsonl", rich), "one", share="sites")
    two = source(write(tmp_path / "two.jsonl", poor), "two", share="sites")
    last = source(write(tmp_path / "last.jsonl", rich), "last")
    card = made(mixture(one, two, last), tmp_path / "out")
    assert [each.taken_rows for each in card.sources] == [5, 5, 55]
    assert card.drops == {"duplicate": 5, "equal share": 55}
    in_and_out(card)


def test_a_share_of_which_one_source_gives_nothing(tmp_path: Path) -> None:
    empty = [dict(row, output="") for row in alpaca(5)]
    one = source(write(tmp_path / "one.jsonl", alpaca(9)), "one", share="sites")
    two = source(write(tmp_path / "two.jsonl", empty), "two", share="sites")
    with pytest.raises(DataError, match="nothing is left of two, and the sources of share 'sites'"):
        made(mixture(one, two, short="take"), tmp_path / "out")


def test_a_share_that_cuts_does_not_make_a_source_short(tmp_path: Path) -> None:
    one = source(write(tmp_path / "one.jsonl", alpaca(40)), "one", share="sites")
    two = source(write(tmp_path / "two.jsonl", alpaca(30, "b")), "two", share="sites")
    card = made(mixture(Taken(one, 40), Taken(two, 30)), tmp_path / "out")
    assert [each.taken_rows for each in card.sources] == [30, 30]


def test_other_numbers_make_another_exercise(tmp_path: Path) -> None:
    """Forty words in common and two numbers apart: other exercises, until the numbers agree."""
    story = words(40, "story")
    rows = [
        {"instruction": f"{story} A train goes {n} km. {story}", "output": f"{n} km"}
        for n in range(30)
    ]
    again = [dict(row, instruction="Now: " + row["instruction"]) for row in rows[:3]]
    path = write(tmp_path / "rows.jsonl", [*rows, *again])
    card = made(mixture(source(path)), tmp_path / "out")
    assert card.drops == {"near-duplicate": 3}
    assert card.rows == 30


def about_a_text(format: str, text: int, question: int) -> dict[str, Any]:
    """A row that asks one of several questions about one of several long texts."""
    asked = f"{words(300, text)}\n{words(6, (text, question))}?"
    if format == "alpaca":
        return {"instruction": asked, "output": words(2, ("answer", text, question))}
    choices = [words(4, (text, question, choice)) for choice in "ABCD"]
    return {"question": asked, "choices": choices, "answer": question % 4}


@pytest.mark.parametrize("format", ["alpaca", "choices"])
def test_other_questions_about_one_text_are_kept(tmp_path: Path, format: str) -> None:
    rows = [about_a_text(format, text, question) for text in range(20) for question in range(4)]
    path = write(tmp_path / "rows.jsonl", rows)
    assert made(mixture(source(path, format=format)), tmp_path / "out").drops == {}
    column = "question" if format == "choices" else "instruction"
    changed = []
    for place in (5, 100, 302):  # in the text and in the question
        told = rows[place // 4][column].split(" ")
        told[place] = "changed"
        changed.append({**rows[place // 4], column: " ".join(told)})
    write(path, [*rows, *changed])
    card = made(mixture(source(path, format=format)), tmp_path / "out")
    assert card.drops == {"near-duplicate": 3}


@pytest.mark.parametrize("answers", [("Yes", "No"), ("No one did.", "A dog.")])
def test_an_answer_of_a_few_words_is_compared_too(tmp_path: Path, answers: tuple[str, str]) -> None:
    """After a long conversation that all rows share."""
    before = [[words(300, "before"), words(20, "said")]]
    rows = [{"instruction": "So?", "history": before, "output": answer} for answer in answers]
    path = write(tmp_path / "rows.jsonl", [*rows, {**rows[0], "instruction": "So!"}])
    assert made(mixture(source(path)), tmp_path / "out").drops == {"near-duplicate": 1}


def test_only_what_is_near_a_taken_row_is_near(tmp_path: Path) -> None:
    """Each text is near the one before it and far from the first: a chain is no near-duplicate of
    its end. Each drops 6 of 200 words and adds 6: Jaccard of triples is about 0.94 for one step.
    All ask the same about them.
    """
    told = [f"w{chr(97 + n % 26)}{'abcdefghij'[n // 26 % 10]}{'xyz'[n // 260]}" for n in range(500)]
    rows = [
        {
            "instruction": " ".join([*told[6 * n : 6 * n + 200], "\n", words(12, "asked")]),
            "output": "So.",
        }
        for n in range(40)
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    made(mixture(source(path)), tmp_path / "out")
    kept = [set(row["instruction"].split()) for row in read(tmp_path / "out" / "train.jsonl")]
    assert 5 < len(kept) < 40
    for row in rows:
        mine = set(row["instruction"].split())
        assert max(len(mine & each) / len(mine | each) for each in kept) > 0.7


def test_a_licence_that_forbids_the_use_stops_it(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(3))
    free = source(path, "free")
    bound = dataclasses.replace(free, name="bound", licence="cc-by-nc-4.0")
    with pytest.raises(UsageError) as refused:
        made(mixture(free, bound, use="commercial"), tmp_path / "out")
    assert str(refused.value) == (
        "mix is for commercial use, which 1 source does not permit: bound (cc-by-nc-4.0); leave it "
        "out, or declare another use"
    )
    made(mixture(free, bound), tmp_path / "out")


def test_an_unknown_licence_permits_research_with_a_warning_and_nothing_else(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(3))
    rows = dataclasses.replace(source(path), licence="unknown")
    with pytest.raises(UsageError, match=r"permit: a \(unknown: no licence permits it\)"):
        made(mixture(rows, use="commercial"), tmp_path / "out")
    card = made(mixture(rows), tmp_path / "out")
    assert "Licence not known: a. Nobody has permitted any use of these rows." in cautions(card)


BAD = [
    ("encoding", b'{"instruction": "\xe9", "output": "x"}', "not UTF-8"),
    ("not JSON", b'{"instruction": ', "not JSON"),
    ("malformed", b'{"instruction": "x", "output": 3}', "a number"),
    ("malformed", b'{"question": "x"}', "none of the formats"),
    ("too large", b'{"instruction": "' + b"x" * 17_000_000 + b'"}', "larger than 16 MiB"),
]


@pytest.mark.parametrize(("rule", "line", "said"), BAD)
def test_a_row_that_cannot_be_read_stops_it_or_is_counted(
    tmp_path: Path, rule: str, line: bytes, said: str
) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(2))
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(DataError) as refused:
        made(mixture(source(path)), tmp_path / "out")
    assert f"{path}, row 3: " in str(refused.value) and said in str(refused.value)
    assert "unreadable: drop" in str(refused.value)
    card = made(mixture(source(path), unreadable="drop"), tmp_path / "out")
    assert (card.rows, card.drops) == (2, {rule: 1})
    in_and_out(card)


def test_a_file_that_ends_in_a_row(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(3))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"row 3 is the last and ends in its middle: the file was"):
        made(mixture(Taken(source(path), 1)), tmp_path / "out")
    card = made(mixture(source(path), unreadable="drop"), tmp_path / "out")
    assert (card.rows, card.drops) == (2, {"not JSON": 1})
    assert card.notes == ("a: row 3 is the last and ends in its middle: the file was cut off.",)
    path.write_bytes(write(path, alpaca(3)).read_bytes()[:-1])  # only the last line feed is missing
    assert made(mixture(source(path)), tmp_path / "out").rows == 3


def test_rows_without_answers_and_equal_pairs_are_always_counted(tmp_path: Path) -> None:
    rows = [
        {"instruction": words(5, 1), "chosen": "", "rejected": "x"},
        {"instruction": words(5, 2), "chosen": "x", "rejected": " x"},
        {"instruction": words(5, 3), **TWO_SIDES},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    card = made(mixture(source(path, format="preference"), kind="pairs"), tmp_path / "out")
    assert card.drops == {"empty": 1, "identical": 1}
    assert len(read_pairs(tmp_path / "out" / "train.jsonl")) == 1


def test_reward_accuracy_is_reported_by_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mixture's pairs carry their source as the group by which preference steps report."""
    paths = [
        write(
            tmp_path / f"{name}.jsonl",
            [
                {"prompt": words(8, (name, n)), **TWO_SIDES, "group": "theirs"}
                | {"chosen": words(30, (name, n, "good"))}
                for n in range(count)
            ],
        )
        for name, count in (("one", 3), ("two", 2))
    ]
    one, two = (source(path, path.stem, format="preference") for path in paths)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    made(mixture(one, two, kind="pairs"), mixture_folder("mix"))
    found = pairs("mix", None)
    groups = [pair.group for pair in found.rows]
    assert groups == ["one"] * 3 + ["two"] * 2
    figures = judged([1.0, -1.0, 1.0, 1.0, 1.0], groups)
    assert figures["reward_accuracy/one"] == pytest.approx(2 / 3)
    assert (figures["reward_accuracy/two"], figures["held_out_rows/two"]) == (1.0, 2)
    assert {one.group for one in apart(found).rows} == {"one", "two"}


def test_the_card_of_a_ranking_is_taken_over(tmp_path: Path) -> None:
    path = write(tmp_path / "ranked.jsonl", [{"prompt": words(9, 1), **TWO_SIDES}])
    beside = tmp_path / "ranked.card.json"
    beside.write_text(
        json.dumps(
            {
                "questions": {"read": 1200, "ranked": 1000, "dropped": {}},
                "judge": {"endpoint": "http://x", "model": "judge <7b>", "seed": 0},
                "constitution": {"file": "constitution.txt", "sha256": "ab12cd34" * 8},
            }
        )
    )
    declared = mixture(source(path, format="preference"), kind="pairs")
    assert made(declared, tmp_path / "out").notes == (
        "a: pairs from 1,000 of 1,200 questions, whose answers judge <7b> ranked under "
        "constitution.txt (ab12cd34).",
    )
    beside.write_text('{"questions": 3}')
    assert made(declared, tmp_path / "other").notes == ()


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"instruction": "x", "output": ""}])
    with pytest.raises(DataError, match="nothing is left"):
        made(mixture(source(path)), tmp_path / "out")
    path.write_text("\n\n")
    with pytest.raises(DataError, match="holds no rows"):
        made(mixture(source(path)), tmp_path / "out")


def test_a_trial_reads_the_first_rows_of_each_source(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(30))
    card = made(mixture(source(path)), tmp_path / "out", limit=4)
    assert (card.limit, card.sources[0].rows, card.rows) == (4, 4, 4)


def test_a_trial_may_have_fewer_rows_than_are_to_be_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(30))
    card = made(mixture(Taken(source(path), 20)), tmp_path / "out", limit=4)
    assert card.rows == 4


def test_the_draw_takes_the_smallest_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(500))
    place = Located((path,))
    found = surveying.survey(Taken(source(path), 100), place, 1, None)
    drawn = [row.key for row in found.drawn_rows()]
    every = surveying.survey(Taken(source(path), None), place, 1, None)
    keys = sorted(row.key for row in every.drawn_rows())
    assert (found.rows, found.drawn, every.drawn) == (500, 125, 500)
    assert sorted(drawn) == keys[:125]
    assert json.loads(next(iter(found.drawn_rows())).raw.content)


@pytest.mark.slow
def test_real_gsm8k_train(tmp_path: Path, real_data: Path) -> None:
    from training.data.mixture.mixtures_file import find_mixture

    declared = find_mixture("gsm8k-arc")
    only = dataclasses.replace(declared, sources=declared.sources[:1])
    card = made(only, tmp_path / "out", data=real_data)
    assert card.sources[0].rows == 7_473
    assert card.rows + sum(card.drops.values()) == 7_473
    assert card.drops["contaminated"] >= 10
    in_and_out(card)
    assert len(read_examples(tmp_path / "out" / "train.jsonl")) == card.rows
