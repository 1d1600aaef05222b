"""BLEU and ROUGE as measures of an answer: see `harness.metrics.overlap` for which is which."""

from __future__ import annotations

from harness.answers_task import Measure
from harness.metrics import overlap
from harness.metrics.overlap import mean_of_100

BLEU = Measure(
    (overlap.bleu(),),
    lambda answered, _: {"bleu": overlap.bleu_counts(answered.answer, answered.reference)},
)

BLEU4_CHAR = Measure(
    (mean_of_100("bleu4_char"),),
    lambda answered, _: {"bleu4_char": overlap.bleu4_char(answered.answer, answered.reference)},
)

ROUGE = Measure(
    tuple(mean_of_100(name) for name in overlap.ROUGE),
    lambda answered, _: overlap.rouge(answered.answer, answered.reference),
)

ROUGE_WORDS = Measure(
    tuple(mean_of_100(name) for name in overlap.ROUGE_WORDS),
    lambda answered, _: overlap.rouge_words(answered.answer, answered.reference),
)
