"""BLEU and ROUGE against their packages, by hand, and on texts empty, long or not Latin."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_chinese import Rouge
from rouge_score.rouge_scorer import RougeScorer

from harness.metrics import overlap
from harness.metrics.metric import Sample
from harness.stats import mean_interval

SOLUTIONS = [
    (
        " 48/2 = 24 clips in May.\nIn all 48 + 24 = 72.\n#### 72",
        "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
        "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72",
    ),
    ("She earns $12 an hour, so $10.", "She earns 12/60 = $<<12/60=0.2>>0.2 a minute.\n#### 10"),
    ("", "Betty has 100 / 2 = $<<100/2=50>>50.\n#### 5"),
    ("Why?\n\nBecause 2 + 2 is 4!", "Is it?\n\n2 + 2 is 4.\n\nSo?  \n4"),
    ("我来到北京大学。你呢？我很好", "我来到北京清华大学。你呢？他也很好……再见"),
    ("Ответ: сорок два", "Ответ: сорок три"),
    ("?", "4"),
]

TEXTS = st.text(alphabet="ab c.?!\n12我们北京…\"'", max_size=40)


@pytest.fixture(scope="module")
def words() -> object:
    return overlap._jieba()


def bleu_of(pairs: Sequence[tuple[str, str]]) -> float | None:
    samples: list[Sample] = [(overlap.bleu_counts(*pair), None) for pair in pairs]
    return overlap.bleu().estimate(samples).value


def test_corpus_bleu_by_hand() -> None:
    """The text "a b c d e" of "a b c d f": matches 4, 3, 2, 1 of 5, 4, 3, 2; "x y" of "x z w": 1, 0
    of 2, 1. Sums: 5/7, 3/5, 2/3, 1/2, product 1/7, its fourth root 0.614788; 7 tokens of 8, brevity
    exp(1 - 8/7) = 0.866878: 53.2947.
    """
    pairs = [("a b c d e", "a b c d f"), ("x y", "x z w")]
    assert overlap.bleu_counts(*pairs[0]) == (5, 5, 4, 3, 2, 1, 5, 4, 3, 2)
    assert overlap.bleu_counts(*pairs[1]) == (2, 3, 1, 0, 0, 0, 2, 1, 0, 0)
    assert bleu_of(pairs) == pytest.approx(53.2947, abs=1e-4)


def test_orders_without_a_match_are_smoothed() -> None:
    """The text "a b c d e" of "a c e b d": matches 5, 0, 0, 0 of 5, 4, 3, 2, counted as 1, 1/(2*4),
    1/(4*3), 1/(8*2): (1/1536)^(1/4) = 0.159736.
    """
    assert bleu_of([("a b c d e", "a c e b d")]) == pytest.approx(15.9736, abs=1e-4)


@pytest.mark.parametrize("size", range(1, len(SOLUTIONS) + 1))
def test_corpus_bleu_is_sacrebleus(size: int) -> None:
    texts, references = zip(*SOLUTIONS[:size], strict=True)
    expected = sacrebleu.corpus_bleu(list(texts), [list(references)]).score
    assert bleu_of(SOLUTIONS[:size]) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_corpus_bleu_is_sacrebleus_on_anything(pairs: list[tuple[str, str]]) -> None:
    expected = sacrebleu.corpus_bleu([text for text, _ in pairs], [[ref for _, ref in pairs]]).score
    assert bleu_of(pairs) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_many_sums_at_once_are_each_on_its_own() -> None:
    counts = np.array([overlap.bleu_counts(*pair) for pair in SOLUTIONS], dtype=np.float64)
    together = overlap.corpus_bleu(counts)
    assert together == pytest.approx([bleu_of([pair]) for pair in SOLUTIONS])


def test_the_interval_of_bleu_holds_what_a_bootstrap_of_sacrebleus_own_gives() -> None:
    """Sacrebleu's bootstrap of the same docs, mean +- half its 95% range: within a tenth of it."""
    rng = random.Random(3)
    pairs = [
        (
            " ".join(rng.choices("abcdefgh", k=rng.randint(5, 30))),
            " ".join(rng.choices("abcdefgh", k=rng.randint(5, 30))),
        )
        for _ in range(60)
    ]
    estimate = overlap.bleu().estimate([(overlap.bleu_counts(*pair), None) for pair in pairs])
    theirs = sacrebleu.metrics.bleu.BLEU().corpus_score(
        [text for text, _ in pairs], [[ref for _, ref in pairs]], n_bootstrap=2000
    )
    assert estimate.low is not None and estimate.high is not None
    half = (estimate.high - estimate.low) / 2
    assert half == pytest.approx(theirs._ci, rel=0.1)
    assert estimate.unit == "bleu" and estimate.n == 60 and estimate.higher_is_better


def test_bleu4_char_by_hand() -> None:
    """The text "abcd" of "abce": 3/4, 2/3, 1/2 and, smoothed, 0/1 as 1/2: (1/8)^(1/4) = 0.5946."""
    assert overlap.bleu4_char("abcd", "abce") == pytest.approx(59.4604, abs=1e-4)


def test_bleu4_char_is_what_llama_factory_takes() -> None:
    for text, reference in SOLUTIONS:
        expected = 100 * sentence_bleu(
            [list(reference)], list(text), smoothing_function=SmoothingFunction().method3
        )
        assert overlap.bleu4_char(text, reference) == expected


def test_the_two_bleus_are_different_things() -> None:
    """Of "ab" and "ac" no word is the same, but a character is."""
    assert bleu_of([("ab", "ac")]) == 0
    assert overlap.bleu4_char("ab", "ac") > 0


def test_rouge_by_hand() -> None:
    """The text "the cat sat down" (4 words) of "the cat sat on the mat" (6): the, cat, sat are in
    both, 2*3/(4+6) = 0.6; pairs 2 of 3 and 5, 2*2/8 = 0.5; subsequence 3, 0.6.
    """
    found = overlap.rouge("The cat sat down!", "the cat sat on the mat")
    assert found == pytest.approx({"rouge1": 60, "rouge2": 50, "rougeL": 60})


def test_rouge_is_not_stemmed() -> None:
    assert overlap.rouge("cats", "cat")["rouge1"] == 0


@pytest.mark.parametrize(("text", "reference"), SOLUTIONS)
def test_rouge_is_rouge_scores(text: str, reference: str) -> None:
    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(reference, text)
    assert overlap.rouge(text, reference) == pytest.approx(
        {name: 100 * score.fmeasure for name, score in theirs.items()}
    )


def as_llama_factory(words: object, text: str, reference: str) -> dict[str, float]:
    """LLaMA-Factory's figures, from the packages alone, before it rounds them."""
    cut = [list(words(each)) for each in (text, reference)]  # type: ignore[operator]
    if not all(" ".join(each).split() for each in cut):
        return {"rouge1_words": 0, "rouge2_words": 0, "rougeL_words": 0}
    (found,) = Rouge().get_scores(*(" ".join(each) for each in cut))
    return {
        f"rouge{name}_words": 100 * found[f"rouge-{name.lower()}"]["f"] for name in ("1", "2", "L")
    }


@pytest.mark.parametrize(("text", "reference"), SOLUTIONS)
def test_rouge_words_is_what_llama_factory_takes(words: object, text: str, reference: str) -> None:
    expected = as_llama_factory(words, text, reference)
    assert overlap.rouge_words(text, reference) == pytest.approx(expected, abs=1e-12)


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_rouge_words_on_anything(words: object, text: str, reference: str) -> None:
    expected = as_llama_factory(words, text, reference)
    assert overlap.rouge_words(text, reference) == pytest.approx(expected, abs=1e-12)


def test_rouge_words_by_hand() -> None:
    """The text "a a b" of "a b c d", each n-gram once: words 2 of 2 and 4, 2*1*0.5/1.5 = 0.6667;
    pairs (a a), (a b) and (a b), (b c), (c d): 1/2 and 1/3, 0.4; the longest
    subsequence, where a word counts as often as it stands, 2 of 3 and 4: 4/7.
    """
    found = overlap.rouge_words("a a b", "a b c d")
    assert found["rouge1_words"] == pytest.approx(66.6667, abs=1e-4)
    assert found["rouge2_words"] == pytest.approx(40, abs=1e-4)
    assert found["rougeL_words"] == pytest.approx(400 / 7, abs=1e-4)


@given(st.lists(st.integers(0, 4), max_size=40), st.lists(st.integers(0, 4), max_size=40))
def test_the_longest_common_subsequence_is_the_tables(first: list[int], second: list[int]) -> None:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            longer = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else longer
    assert overlap.longest_common_subsequence(first, second) == table[-1][-1]


@pytest.mark.parametrize(("text", "reference"), [("", "4"), ("", ""), ("4", "")])
@pytest.mark.filterwarnings("error")
def test_what_is_empty_scores_nothing(text: str, reference: str) -> None:
    assert bleu_of([(text, reference)]) == 0 and overlap.bleu4_char(text, reference) == 0
    assert set(overlap.rouge(text, reference).values()) == {0.0}
    assert set(overlap.rouge_words(text, reference).values()) == {0.0}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "letters", ["abcdefghij ", "我来到北京清华大学。", "жзий ", "ab", "\U0001f600 "]
)
def test_long_texts_take_no_table(letters: str) -> None:
    """100,000 characters against as many: a table of ten thousand million cells would never end."""
    rng = random.Random(1)
    text, reference = ("".join(rng.choices(letters, k=100_000)) for _ in range(2))
    values = [
        bleu_of([(text, reference)]),
        overlap.bleu4_char(text, reference),
        *overlap.rouge(text, reference).values(),
        *overlap.rouge_words(text, reference).values(),
    ]
    assert all(value is not None and 0 <= value <= 100 for value in values)
    assert values[1]


def test_a_mean_of_100_keeps_its_unit_whatever_it_met() -> None:
    """All 0 is no proportion of right answers; an interval does not leave 0 to 100."""
    nothing = overlap.mean_of_100("rouge1").estimate([(0.0, None)] * 3)
    assert (nothing.value, nothing.low, nothing.unit) == (0.0, None, "of 100")
    low, high = mean_interval([0.0, 0.0, 9.0])
    assert low is not None and low < 0
    estimate = overlap.mean_of_100("rouge1").estimate([(0.0, None), (0.0, None), (9.0, None)])
    assert (estimate.value, estimate.low) == (3.0, 0.0)
    assert estimate.high == pytest.approx(high) and math.isclose(estimate.stderr or 0, 3.0)


def test_bleu_without_spread_has_no_interval() -> None:
    estimate = overlap.bleu().estimate([(overlap.bleu_counts("", "a b c"), None)] * 3)
    assert (estimate.value, estimate.low, estimate.high, estimate.stderr) == (0.0, None, None, None)


def test_jieba_is_quiet_and_leaves_no_cache(tmp_path: Path) -> None:
    program = "from harness.metrics.overlap import rouge_words; print(rouge_words('a b', 'a b'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "" and done.stdout.startswith("{'rouge1_words'")
    assert list(tmp_path.iterdir()) == []
