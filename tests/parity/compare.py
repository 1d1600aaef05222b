"""Holds the harness's rows against lm-eval's docs, one by one.

Float arithmetic in another order moves a log-probability by some 1e-5. Where two answers lie nearer
together than `TIE`, that may decide between them, so such a difference is a tie: listed with its
gap, not counted. A tie excuses the very thing that it decides, a text or one metric, never a prompt
and never another metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.records import Row
from tests.parity.reference import ReferenceDoc

LOGPROB_TOLERANCE = 1e-3
PERPLEXITY_TOLERANCE = 1e-4
TIE = 1e-3

TopTwoGap = Callable[[str, str, str], float]
"""(prompt, text a, text b) to the gap between the two best logits where the texts first differ."""


@dataclass(frozen=True)
class Tie:
    """A difference that is excused: which doc, what differs (``text``, a metric), how near."""

    doc: int
    what: str
    gap: float


@dataclass
class Parity:
    """What agreed and what did not, for one task.

    Attributes:
        docs: docs compared.
        different_prompts, different_logprobs, different_texts: indices of docs.
        different_scores: index of the doc, and the metric (``unscored`` where there is none).
        ties: differences that are excused, and so in none of the lists above.
        largest_logprob_difference: over all log-likelihood requests, in nats.
        perplexity: ours, lm-eval's, relative difference; for rolling tasks.
    """

    task: str
    docs: int = 0
    different_prompts: list[int] = field(default_factory=list)
    different_logprobs: list[int] = field(default_factory=list)
    different_texts: list[int] = field(default_factory=list)
    different_scores: list[tuple[int, str]] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)
    largest_logprob_difference: float = 0.0
    perplexity: tuple[float, float, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether everything agrees, but for ties."""
        different = (
            self.different_prompts
            or self.different_logprobs
            or self.different_texts
            or self.different_scores
        )
        same = self.perplexity is None or self.perplexity[2] <= PERPLEXITY_TOLERANCE
        return not different and same

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "holds": self.holds}


def compare(
    task: str, rows: Sequence[Row], reference: Sequence[ReferenceDoc], top_two_gap: TopTwoGap
) -> Parity:
    """Compare docs pairwise.

    Args:
        task: name for the report.
        rows: the harness's, by index.
        reference: lm-eval's, in the same order.
        top_two_gap: asked about texts that differ.

    Raises:
        ValueError: there are no docs, or not equally many.
    """
    if not rows or len(rows) != len(reference):
        raise ValueError(f"{task}: {len(rows)} rows against {len(reference)} docs of lm-eval")
    parity = Parity(task, docs=len(rows))
    for row, doc in zip(rows, reference, strict=True):
        _compare_doc(parity, row, doc, top_two_gap)
    if all("word_perplexity" in row.scores for row in rows):
        ours = _word_perplexity([row.scores["word_perplexity"] for row in rows])
        theirs = _word_perplexity([doc.metrics["word_perplexity"] for doc in reference])
        parity.perplexity = (ours, theirs, abs(ours - theirs) / theirs)
    return parity


def _compare_doc(parity: Parity, row: Row, doc: ReferenceDoc, top_two_gap: TopTwoGap) -> None:
    if _asked(row) != [
        tuple(arguments)[: 2 if row.continuations else 1] for arguments in doc.arguments
    ]:
        parity.different_prompts.append(row.index)
    text_tie = row.text is not None and _compare_texts(parity, row, doc, top_two_gap)
    if row.continuations:
        _compare_logprobs(parity, row, doc)
    if row.unscored is not None:
        parity.different_scores.append((row.index, "unscored"))
        return
    for metric in sorted(row.scores.keys() | doc.metrics.keys()):
        if _same_score(row, doc, metric) or text_tie:  # other words, another score
            continue
        gap = _choice_gap(row, metric) if metric in doc.metrics else None
        if gap is not None and gap <= TIE:
            parity.ties.append(Tie(row.index, metric, gap))
        else:
            parity.different_scores.append((row.index, metric))


def _asked(row: Row) -> list[tuple[str, ...]]:
    if row.continuations:
        contexts = row.contexts or (row.prompt,) * len(row.continuations)
        return list(zip(contexts, row.continuations, strict=True))
    return [(row.prompt,)]


def _compare_texts(parity: Parity, row: Row, doc: ReferenceDoc, top_two_gap: TopTwoGap) -> bool:
    """Compare the generated texts; whether they differ by a tie."""
    (theirs,) = doc.responses
    if row.text is None or row.text == theirs:
        return False
    gap = top_two_gap(row.prompt, row.text, theirs)
    if not gap <= TIE:
        parity.different_texts.append(row.index)
        return False
    parity.ties.append(Tie(row.index, "text", gap))
    return True


def _compare_logprobs(parity: Parity, row: Row, doc: ReferenceDoc) -> None:
    theirs = [response[0] for response in doc.responses]
    if len(theirs) != len(row.logprobs):
        parity.different_logprobs.append(row.index)
        return
    differences = [abs(a - b) for a, b in zip(row.logprobs, theirs, strict=True)]
    parity.largest_logprob_difference = max(parity.largest_logprob_difference, *differences)
    if not all(difference <= LOGPROB_TOLERANCE for difference in differences):  # NaN is none
        parity.different_logprobs.append(row.index)


def _same_score(row: Row, doc: ReferenceDoc, metric: str) -> bool:
    if metric not in row.scores or metric not in doc.metrics:
        return False
    ours: Any = row.scores[metric]
    theirs: Any = doc.metrics[metric]
    if row.text is None and not row.continuations:
        # Rolling: thousands of tokens summed, so the bound is relative.
        (nats, size), (their_nats, their_size) = ours, theirs
        close = math.isclose(nats, their_nats, rel_tol=PERPLEXITY_TOLERANCE)
        return close and size == their_size
    return bool(_plain(ours) == _plain(theirs))


def _plain(value: Any) -> Any:
    """As a record would hold it: lm-eval gives numpy's numbers, and tuples where JSON has lists."""
    return json.loads(json.dumps(value, default=lambda number: number.item()))


def _choice_gap(row: Row, metric: str) -> float | None:
    """How near the two best choices lie in what ``metric`` ranks them by; ``None`` if it does not
    rank them.
    """
    if metric not in row.scores.keys() & {"acc", "acc_norm"} or len(row.logprobs) < 2:
        return None
    ranked = list(row.logprobs)
    if metric == "acc_norm":
        # lm-eval divides by the characters of the choice, without the blank before it.
        lengths = [max(1, len(text.removeprefix(" "))) for text in row.continuations]
        ranked = [value / length for value, length in zip(ranked, lengths, strict=True)]
    best, second = sorted(ranked, reverse=True)[:2]
    return best - second


def _word_perplexity(pairs: Sequence[Any]) -> float:
    """From (log-likelihood, words) per doc."""
    return math.exp(-sum(nats for nats, _ in pairs) / sum(words for _, words in pairs))
