"""Holds the harness's rows against lm-eval's docs, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.records import Row
from tests.parity.reference import ReferenceDoc

LOGPROB_TOLERANCE = 1e-3
PERPLEXITY_TOLERANCE = 1e-4


@dataclass
class Parity:
    """What agreed and what did not, for one task.

    Attributes:
        docs: docs compared.
        different_prompts, different_scores, different_texts: doc indices.
        excused: docs whose difference is a tie within 1e-3, with the gap.
        largest_logprob_difference: over all requests, in nats.
        perplexity: ours, lm-eval's, relative difference; for rolling tasks.
    """

    task: str
    docs: int = 0
    different_prompts: list[int] = field(default_factory=list)
    different_scores: list[int] = field(default_factory=list)
    different_texts: list[int] = field(default_factory=list)
    excused: dict[int, float] = field(default_factory=dict)
    largest_logprob_difference: float = 0.0
    perplexity: tuple[float, float, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether every doc agrees or is excused."""
        wrong = {*self.different_prompts, *self.different_scores, *self.different_texts}
        close = self.largest_logprob_difference <= LOGPROB_TOLERANCE
        same = self.perplexity is None or self.perplexity[2] <= PERPLEXITY_TOLERANCE
        # A rolling log-likelihood sums thousands of tokens: its bound is that of the perplexity.
        return not (wrong - self.excused.keys()) and (close or self.perplexity is not None) and same

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "holds": self.holds}


def compare(
    task: str,
    rows: Sequence[Row],
    reference: Sequence[ReferenceDoc],
    top_two_gap: Callable[[str, str, str], float],
) -> Parity:
    """Compare docs pairwise.

    Args:
        task: name for the report.
        rows: the harness's, by index.
        reference: lm-eval's, in the same order.
        top_two_gap: (prompt, text a, text b) to the gap between the two best logits at the first
            token where the texts differ.

    Raises:
        ValueError: the numbers of docs differ.
    """
    if len(rows) != len(reference):
        raise ValueError(f"{task}: {len(rows)} rows against {len(reference)} docs of lm-eval")
    parity = Parity(task, docs=len(rows))
    for row, doc in zip(rows, reference, strict=True):
        _compare_doc(parity, row, doc, top_two_gap)
    if "word_perplexity" in rows[0].scores:
        ours, theirs = (_word_perplexity(side) for side in (rows, reference))
        parity.perplexity = (ours, theirs, abs(ours - theirs) / theirs)
    return parity


def _compare_doc(
    parity: Parity,
    row: Row,
    doc: ReferenceDoc,
    top_two_gap: Callable[[str, str, str], float],
) -> None:
    if _asked(row) != [
        tuple(arguments)[: 2 if row.continuations else 1] for arguments in doc.arguments
    ]:
        parity.different_prompts.append(row.index)
    if row.text is not None:
        (text,) = doc.responses
        if row.text != text:
            parity.different_texts.append(row.index)
            gap = top_two_gap(row.prompt, row.text, text)
            if gap <= LOGPROB_TOLERANCE:
                parity.excused[row.index] = gap
    if row.logprobs:
        theirs = [response[0] for response in doc.responses]
        differences = [abs(a - b) for a, b in zip(row.logprobs, theirs, strict=True)]
        parity.largest_logprob_difference = max(parity.largest_logprob_difference, *differences)
    if not _same_scores(row, doc):
        parity.different_scores.append(row.index)
        if row.logprobs and (gap := _best_two_gap(row)) <= LOGPROB_TOLERANCE:
            parity.excused[row.index] = gap


def _asked(row: Row) -> list[tuple[str, ...]]:
    if row.continuations:
        contexts = row.contexts or (row.prompt,) * len(row.continuations)
        return list(zip(contexts, row.continuations, strict=True))
    return [(row.prompt,)]


def _same_scores(row: Row, doc: ReferenceDoc) -> bool:
    for name, value in row.scores.items():
        theirs = doc.metrics[name]
        if isinstance(value, tuple):
            if not math.isclose(value[0], theirs[0], rel_tol=PERPLEXITY_TOLERANCE):
                return False
        elif value != float(theirs):
            return False
    return row.unscored is None


def _best_two_gap(row: Row) -> float:
    """How near the two best choices lie, raw or per character, whichever is nearer."""
    lengths = [max(1, len(text) - 1) for text in row.continuations]
    raw = sorted(row.logprobs, reverse=True)
    per_character = sorted(
        (value / length for value, length in zip(row.logprobs, lengths, strict=True)), reverse=True
    )
    return min(raw[0] - raw[1], per_character[0] - per_character[1])


def _word_perplexity(docs: Sequence[Row] | Sequence[ReferenceDoc]) -> float:
    pairs = [
        doc.scores["word_perplexity"] if isinstance(doc, Row) else doc.metrics["word_perplexity"]
        for doc in docs
    ]
    nats = -sum(pair[0] for pair in pairs)  # type: ignore[index]
    return math.exp(nats / sum(pair[1] for pair in pairs))  # type: ignore[index]
