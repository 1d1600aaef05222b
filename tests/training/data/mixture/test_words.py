"""Words, sequences of them, near-duplicates and test questions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.data.mixture.rows import words
from training.data.mixture.near import clusters, signatures
from training.data.mixture.tested_docs import DocTexts, TestSet, doc_texts
from training.data.mixture.tests_index import TestsIndex, shared_words
from training.data.mixture.words import (
    grams,
    hashed,
    question_key,
    split_words,
    starts_within,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The  Cat's 3.5 kg!", ["the", "cat", "s", "3", "5", "kg"]),
        ("x_1 + X_2 = \t", ["x", "1", "x", "2"]),
        ("_so_ it___ is", ["so", "it", "is"]),
        ("it&#39;s&nbsp;AT&amp;T", ["it", "s", "at", "t"]),
        ("soft\u00adly zero\u200bwidth \u200bé", ["softly", "zerowidth", "é"]),
        ("Straße ÉTÉ ﬁn", ["strasse", "été", "fin"]),
        ("水は100℃", ["水", "は", "100", "c"]),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, found: list[str]) -> None:
    assert split_words(text) == found


def test_ascii_is_split_as_any_text_is() -> None:
    every = "".join(map(chr, range(128)))
    assert split_words(every) == split_words(every + "\u2028")


def test_sequences_are_equal_where_their_words_are_and_end_with_their_text() -> None:
    texts = hashed(["a b c d", "b c", "", "x a b c"])
    assert texts.offsets.tolist() == [0, 4, 6, 6, 10]
    inside = starts_within(texts.offsets, 3)
    # abc bcd | (cdb dbc) | (bcx cxa) | xab abc: places 0, 1, 6 and 7 lie within a text.
    assert np.flatnonzero(inside).tolist() == [0, 1, 6, 7]
    found = grams(texts.words, 3)
    assert found[0] == found[7]
    assert len(set(found.tolist())) == 7
    assert len(grams(texts.words[:2], 3)) == 0


def test_the_order_of_words_counts() -> None:
    one, other = (grams(hashed([text]).words, 3)[0] for text in ("a b c", "a c b"))
    assert one != other


def test_a_question_is_its_words() -> None:
    assert question_key("What is  2 + 2?") == question_key("what IS 2+2")
    assert question_key("What is 2 + 3?") != question_key("What is 2 + 2?")
    assert question_key("???") != question_key("!!!")
    assert question_key("a", 1) != question_key("a", 2)


def test_signatures_estimate_similarity() -> None:
    """200 words, the last 20 changed: triples 178 + 20 + 2 others; J = 178 / 218 = 0.817."""
    text = words(200, "s").split()
    changed = [*text[:180], *words(20, "t").split()]
    one, other, third = signatures(hashed([" ".join(text), " ".join(changed), words(200, "other")]))
    assert abs(float((one == other).mean()) - 0.817) < 0.12
    assert float((one == third).mean()) < 0.05


def test_near_duplicates_hang_together_and_short_texts_do_not() -> None:
    text = words(120, "base")
    near, far = text + " and more", words(120, "far")
    found = clusters(signatures(hashed([text, far, near, "yes", "yes", text])), 0.8)
    assert found[0] == found[2] == found[5]
    assert len({found[0], found[1], found[3], found[4]}) == 4


def test_the_threshold_is_kept() -> None:
    text = words(200, "s").split()
    half = [*text[:130], *words(70, "t").split()]  # J = 128 / 268 = 0.48
    found = signatures(hashed([" ".join(text), " ".join(half)]))
    assert len(set(clusters(found, 0.8).tolist())) == 2
    assert len(set(clusters(found, 0.3).tolist())) == 1


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def index(*docs: tuple[str, ...]) -> TestsIndex:
    """Of docs that ask their first text, and give the others as choices."""
    every = tuple(DocTexts(doc, doc[:1], doc[1:]) for doc in docs)
    return TestsIndex([TestSet("t", "shipped", {}, every)], 13)


def said(tests: TestsIndex, text: str) -> str | None:
    """What is said of a row among others; nothing where nothing is found in it."""
    hits = tests.hits(hashed(["nothing", text, "nothing"]), ["nothing", text, "nothing"])
    assert set(hits) <= {1}
    return shared_words(hits[1], text) if hits else None


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        (f"Zero. {LONG.upper()}!", 2),
        ("two, three four five six seven eight nine ten eleven twelve thirteen; fourteen", 2),
        (" ".join(LONG.split()[:12]), None),
        ("Which gas do plants need?", 1),
        ("Choose.\nwhich gas do plants need\nA. one", 1),
        ("Question: Which gas do plants need?", 1),
        ("Q12 which gas do plants need", 1),
        ("3. Which gas do plants need? (A) x (B) y", 1),
        ("Think, then say:\nwhich gas do\nplants need (A) x", 1),
        ("Tell me this.\nA quiz asks, 'Which gas do plants _need_?'", 1),
        ("Which gas do most plants need?", None),
        ("Tell me which gas do plants need", None),  # so few words in a sentence are everybody's
        ("Which gas do plants need in the dark?", None),
        ("A short one", None),
        ("Say in one word why the sky that we see is blue today", 4),
        ("Say in one word why the sea that we see is blue today", None),
    ],
)
def test_a_row_that_shares_words_is_found(text: str, doc: int | None) -> None:
    tests = index(
        ("Which gas do plants need?",),
        (LONG,),
        ("A short one",),
        ("Why the sky that we see is blue",),
    )
    found = said(tests, text)
    assert found is None if doc is None else (found or "").startswith(f"shares with t, doc {doc}: ")


def test_what_every_doc_asks_is_found_with_its_choices_only() -> None:
    tests = index(
        ("Which of these is true?", "Iron is a metal.", "Iron is a gas."),
        ("Which of these is true?", "Seven is odd.", "Seven is even."),
        ("What is DNA?", "an acid", "a base"),
    )
    assert said(tests, "Which of these is true?\nA. Gold is odd\nB. Gold is even") is None
    assert said(tests, "All of these: Iron is a gas.") is None
    for listed in ("Seven is odd. Seven is even.", "A. Seven is odd\nB. Seven is even"):
        found = said(tests, f"Question: which of these is true? {listed}")
        assert found is not None and "t, doc 2: which of these is true" in found
    assert said(tests, "What is DNA?") is None
    assert "doc 3" in str(said(tests, "Q: what is DNA?\n1) an acid\n2) a base"))


def test_the_same_question_twice_is_still_one() -> None:
    same = ("Which gas do plants need?", "Neon", "Argon")
    assert said(index(same, (*same[:1], "Argon", "Xenon")), same[0]) is not None


def test_a_short_sequence_of_a_row_and_of_the_next_is_shared_by_neither() -> None:
    texts = ["Which gas do", "plants need?"]
    assert index(("Which gas do plants need?",)).hits(hashed(texts), texts) == {}


def test_short_questions_are_counted_by_where_they_are_found() -> None:
    tests = index(
        (LONG,),
        ("Why the sky that we see is blue",),
        ("Which gas do plants need?",),
        ("A short one", "x", "y"),
        ("Which of these is true?", "x"),
        ("Which of these is true?", "y"),
    )
    (card,) = tests.tested({"t": 2})
    assert (card.docs, card.found, card.as_sentence, card.with_choices) == (6, 2, 1, 3)


def test_what_of_a_test_row_asks() -> None:
    arc = {"question": "Why?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "id": "7"}
    assert doc_texts(arc) == DocTexts(("Why?", "x", "y", "A", "B", "7"), ("Why?",), ("x", "y"))
    told = {"context": "It rained.", "question": "Who is wet?", "ans0": "He"}
    assert doc_texts(told).asked == ("It rained.\nWho is wet?",)
    assert doc_texts({"text": "= Title ="}) == DocTexts(("= Title =",))


def test_words_of_two_rows_are_shared_by_neither() -> None:
    first, rest = LONG.split()[:7], LONG.split()[7:]
    texts = [" ".join(first), " ".join(rest)]
    assert index((LONG,)).hits(hashed(texts), texts) == {}


def test_no_tests_find_nothing() -> None:
    assert index().hits(hashed([LONG]), [LONG]) == {}
