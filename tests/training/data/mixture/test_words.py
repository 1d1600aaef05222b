"""Words, sequences of them, near-duplicates and test questions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.data.mixture.rows import words
from training.data.mixture.near import clusters, signatures
from training.data.mixture.tests_index import TestSet, TestsIndex, shared_words
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
        ("x_1 + X_2 = \t", ["x_1", "x_2"]),
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
    return TestsIndex([TestSet("t", "shipped", {}, docs)], 13)


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        (f"Zero. {LONG.upper()}!", "", "t, doc 2: one two three"),
        ("two, three four five six seven eight nine ten eleven twelve thirteen; fourteen", "", "2"),
        (" ".join(LONG.split()[:12]), "", None),
        ("x", "Which gas do plants need?", "asks t, doc 1"),
        ("x", "Choose.\nwhich gas do plants need\nA. one", "asks t, doc 1"),
        ("x", "Which gas do most plants need?", None),
        ("Which gas do plants need?", "", None),  # an answer that asks is no test question
        ("x", "A short one", None),
    ],
)
def test_a_row_that_shares_words_is_found(text: str, asked: str, said: str | None) -> None:
    tests = index(("Which gas do plants need?", "A short one"), (LONG,))
    hits = tests.hits(hashed(["nothing", text, "nothing"]), [[], [asked], []])
    if said is None:
        assert hits == {}
    else:
        assert list(hits) == [1]
        assert said in shared_words(hits[1], text, 13)


def test_words_of_two_rows_are_shared_by_neither() -> None:
    first, rest = LONG.split()[:7], LONG.split()[7:]
    assert index((LONG,)).hits(hashed([" ".join(first), " ".join(rest)]), [[], []]) == {}


def test_no_tests_find_nothing() -> None:
    assert index().hits(hashed([LONG]), [[LONG]]) == {}
