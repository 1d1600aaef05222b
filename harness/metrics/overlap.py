"""Overlap of a generated text with a reference: BLEU and ROUGE, each in two conventions.

===================  ==========================================================================
``bleu``             sacrebleu's corpus BLEU, its default settings (13a tokens, ``exp`` smoothing,
                     case kept): the counts of all docs are added up before they are divided
``bleu4_char``       mean over docs of NLTK's sentence BLEU-4 over characters, smoothing method 3:
                     the ``bleu-4`` that LLaMA-Factory prints
``rouge1/2/L``       rouge-score's F-measure, unstemmed: lower-cased runs of a-z and 0-9, counted
``rouge1/2/L_words`` F-measure of the package rouge-chinese over jieba's words, every n-gram counted
                     once: the ``rouge-1``, ``rouge-2``, ``rouge-l`` that LLaMA-Factory prints
===================  ==========================================================================

All of 100. They share names elsewhere and nothing else: on the same texts ``bleu4_char`` may be
twice ``bleu``. rouge-score sees no letters beyond a-z, so a text without any scores 0 there. A text
that is empty scores 0 everywhere. LLaMA-Factory's source: ``src/llamafactory/train/sft/metric.py``;
it rounds every doc to four decimals, which is left out here.

Longest common subsequences are exact at any length: the packages' tables take memory and time with
the product of the lengths, the bit-parallel way below a small share of both.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from harness.metrics.metric import Metric, Sample
from harness.stats import UNDEFINED, bootstrap_interval, mean_interval, mean_stderr
from harness.types import Estimate

Floats = NDArray[np.float64]

BLEU_UNIT = "bleu"
OF_100 = "of 100"
ORDERS = 4
COUNTS = 2 + 2 * ORDERS
"""Length of what a doc contributes to ``bleu``, see `bleu_counts`."""

ROUGE = ("rouge1", "rouge2", "rougeL")
ROUGE_WORDS = ("rouge1_words", "rouge2_words", "rougeL_words")


def bleu() -> Metric:
    """Corpus BLEU of the docs' counts, with a bootstrap over docs."""

    def estimate(samples: Sequence[Sample]) -> Estimate:
        counts = np.array([statistic for statistic, _ in samples], dtype=np.float64)

        def of_docs(indices: NDArray[np.intp]) -> float:
            return float(corpus_bleu(counts[indices].sum(axis=0)[None, :])[0])

        value = of_docs(np.arange(len(counts)))
        (low, high), stderr = bootstrap_interval(len(counts), of_docs)
        if low == high:  # no spread to learn from
            (low, high), stderr = UNDEFINED, None
        method = "percentile bootstrap over docs, 1,000 resamples"
        return Estimate(value, low, high, stderr, len(counts), method, BLEU_UNIT, True)

    return Metric("bleu", BLEU_UNIT, True, estimate)


def mean_of_100(name: str) -> Metric:
    """The mean over docs of a figure between 0 and 100, with Student's interval."""

    def estimate(samples: Sequence[Sample]) -> Estimate:
        values = [
            float(statistic) for statistic, _ in samples if isinstance(statistic, int | float)
        ]
        low, high = mean_interval(values)
        if low is not None and high is not None:
            low, high = max(0.0, low), min(100.0, high)
        method, value = "Student's t interval over docs", sum(values) / len(values)
        return Estimate(value, low, high, mean_stderr(values), len(values), method, OF_100, True)

    return Metric(name, OF_100, True, estimate)


def bleu_counts(text: str, reference: str) -> tuple[int, ...]:
    """What a doc adds to corpus BLEU, as sacrebleu counts it.

    Returns:
        Tokens of the text, tokens of the reference, n-grams of the text that the reference has
        (n = 1 to 4, each no more often than there), n-grams of the text (n = 1 to 4).
    """
    found = _sacrebleu().corpus_score([text], [[reference]])
    return (found.sys_len, found.ref_len, *found.counts, *found.totals)


def corpus_bleu(sums: Floats) -> Floats:
    """BLEU of added-up counts, of 100: sacrebleu's, with its ``exp`` smoothing.

    The geometric mean of the four precisions, times exp(1 - reference / text) where the text is
    the shorter. The k-th order without a match counts as 1 / 2^k of one (NIST's mteval-v13a). 0
    where nothing matches, or the text has no n-gram of some order.

    Args:
        sums: counts as `bleu_counts` orders them; shape (resamples, 10).

    Returns:
        Shape (resamples,).
    """
    of_text, of_reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + ORDERS], sums[:, 2 + ORDERS :]
    none = matches == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(none, 0.5 ** np.cumsum(none, axis=1), matches) / totals
        brevity = np.exp(np.minimum(0.0, 1 - of_reference / of_text))
        score = 100 * brevity * np.exp(np.log(precisions).mean(axis=1))
    undefined = none.all(axis=1) | (totals == 0).any(axis=1)
    return np.asarray(np.where(undefined, 0.0, score), dtype=np.float64)


def bleu4_char(text: str, reference: str) -> float:
    """NLTK's sentence BLEU-4 over characters, equal weights, smoothing method 3; of 100."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method3
    return 100 * float(sentence_bleu([list(reference)], list(text), smoothing_function=smoothing))


def rouge(text: str, reference: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L of rouge-score: F-measures without stemming, of 100."""
    from rouge_score import tokenize

    scores = _rouge_score().score(reference, text)
    words = [tokenize.tokenize(each, None) for each in (text, reference)]
    values = (scores["rouge1"].fmeasure, scores["rouge2"].fmeasure, _rouge_l(words[0], words[1]))
    return {name: 100 * float(value) for name, value in zip(ROUGE, values, strict=True)}


def rouge_words(text: str, reference: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L as LLaMA-Factory takes them: jieba's words, rouge-chinese; of 100."""
    from rouge_chinese import Rouge

    if not text.strip() or not reference.strip():
        return dict.fromkeys(ROUGE_WORDS, 0.0)
    spaced = [" ".join(_jieba()(each)) for each in (text, reference)]
    package = Rouge(metrics=["rouge-1", "rouge-2"], stats=["f"])
    (scores,) = package.get_scores(*spaced)
    words = [list(_words_of(package.cut_sent(each))) for each in spaced]
    values = (scores["rouge-1"]["f"], scores["rouge-2"]["f"], _rouge_l(words[0], words[1], 1e-8))
    return {name: 100 * float(value) for name, value in zip(ROUGE_WORDS, values, strict=True)}


def _words_of(sentences: Sequence[str]) -> Iterator[str]:
    """rouge-chinese's words: a sentence of white space alone counts as one, empty, word."""
    for sentence in sentences:
        if sentence:
            yield from " ".join(sentence.split()).split(" ")


def _rouge_l(text: Sequence[str], reference: Sequence[str], slack: float = 0.0) -> float:
    """F-measure of the longest common subsequence: 2pr / (p + r + slack)."""
    common = longest_common_subsequence(text, reference)
    if not common:
        return 0.0
    precision, recall = common / len(text), common / len(reference)
    return 2 * precision * recall / (precision + recall + slack)


def longest_common_subsequence(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, a row of the table at a time as one integer.

    Bit i of the row is 0 where the table rises from column i to i + 1 (Hyyrö 2004, "Bit-parallel
    LCS-length computation revisited", AWOCA).
    """
    short, long = sorted((one, other), key=len)
    shared = set(long)
    places: dict[Hashable, int] = {}
    for place, item in enumerate(short):
        if item in shared:
            places[item] = places.get(item, 0) | 1 << place
    row = everywhere = (1 << len(short)) - 1
    for item in long:
        if matched := row & places.get(item, 0):
            row = ((row + matched) | (row - matched)) & everywhere
    return len(short) - row.bit_count()


@functools.cache
def _sacrebleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU()


@functools.cache
def _rouge_score() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2"], use_stemmer=False)


@functools.cache
def _jieba() -> Callable[[str], Iterator[str]]:
    """Jieba's ``cut``, its dictionary read as the package does, but never from or to a cache.

    The package logs while it loads, and keeps a marshalled copy in the temporary folder, which it
    would believe whoever else had written it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own source, under some setuptools
        import jieba
    words = jieba.Tokenizer()
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True
    return cast("Callable[[str], Iterator[str]]", words.cut)
