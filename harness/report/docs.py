"""A task's rows prepared for reading: what was asked, what was chosen, whether it was right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.choices import chosen, per_char, statistic_of
from harness.marks import Mark
from harness.records import Row, TaskResult
from harness.report.per_doc import OF_RATE, ScoredDoc, doc_value
from harness.report.wording import clean, metric_name, visible
from harness.types import Statistic

HEAD_CHARS = 2_000
TAIL_CHARS = 6_000
GIST_CHARS = 160


@dataclass(frozen=True)
class Excerpt:
    """A text as it is shown: whole, or its two ends with ``cut`` characters left out between."""

    head: str
    cut: int = 0
    tail: str = ""


@dataclass(frozen=True)
class Choice:
    """One continuation the model was asked to weigh.

    Attributes:
        per_char: ``logprob`` per character, what lm-eval's acc_norm compares; ``None`` if empty.
    """

    text: Excerpt
    context: Excerpt | None
    logprob: float
    per_char: float | None
    greedy: bool
    chosen: bool
    gold: bool


@dataclass(frozen=True)
class ShownDoc:
    """One doc of a run's page; ``verdict`` is right, wrong, unscored or scored.

    Attributes:
        prompt: what the model saw, without its first ``shared`` characters.
        shared: how many are shown once for many docs; 0 where the prompt is whole.
        note: what the task says of how it was scored.
        beside: another run's answer to the same prompt, where there is one.
        marks: what reviewers said of the answer.
    """

    index: int
    doc_id: str
    group: str
    verdict: str
    score: str
    scores: tuple[tuple[str, str], ...]
    gist: str
    prompt: Excerpt
    choices: tuple[Choice, ...]
    text: Excerpt | None
    target: Excerpt
    unscored: str
    truncated: bool
    shared: int = 0
    note: str = ""
    beside: ShownDoc | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def all_scores(self) -> str:
        """What the doc contributes to each metric, in a line."""
        return " · ".join([f"{name} {value}" for name, value in self.scores])

    @property
    def turned(self) -> str:
        """How it stands to the answer beside it: ``gained`` where only this one is right, ``lost``
        where only the other is, ``differs`` where neither or both are and the answers differ.
        """
        if self.beside is None:
            return ""
        pair = (self.verdict, self.beside.verdict)
        if pair in (("right", "wrong"), ("wrong", "right")):
            return "gained" if self.verdict == "right" else "lost"
        return "differs" if self._answer != self.beside._answer else ""

    @property
    def _answer(self) -> object:
        return self.text, [choice.chosen for choice in self.choices]


def shown_beside(doc: ShownDoc, other: ShownDoc) -> ShownDoc:
    """Put another run's answer beside a doc."""
    return replace(doc, beside=other)


def shown_doc(
    row: Row,
    result: TaskResult,
    marks: Sequence[Mark] = (),
    beginning: str = "",
    beside: ShownDoc | None = None,
) -> ShownDoc:
    """Prepare one row; the verdict is that of the task's primary metric.

    Args:
        row: the doc.
        result: its task's.
        marks: what reviewers said of it.
        beginning: what is shown once for many docs: prompts that begin with it are shown without.
        beside: another run's answer to the same prompt.
    """
    shares = len(row.prompt) > len(beginning) and row.prompt.startswith(beginning)
    shared = len(beginning) if shares else 0
    primary = statistic_of(result.primary, row.scores)
    return ShownDoc(
        index=row.index,
        doc_id=row.doc_id,
        group=clean(row.group or ""),
        verdict=verdict(row, result),
        score=_score(primary, row.scores[primary], result) if primary in row.scores else "",
        scores=tuple(
            (metric_name(key), _score(key, value, result)) for key, value in row.scores.items()
        ),
        gist=_gist(row),
        prompt=excerpt(row.prompt[shared:]),
        choices=_choices(row, result.primary),
        text=None if row.text is None else excerpt(row.text),
        target=excerpt(row.target),
        unscored=row.unscored or "",
        truncated=row.truncated,
        shared=shared,
        note=clean(row.note),
        beside=beside,
        marks=tuple(marks),
    )


def verdict(row: Row | ScoredDoc, result: TaskResult) -> str:
    """Say whether the doc was right; only metrics that are 0 or 1 per doc can say so."""
    if row.unscored is not None:
        return "unscored"
    estimate = result.estimates.get(result.primary)
    value = row.scores.get(statistic_of(result.primary, row.scores))
    if estimate is not None and estimate.unit == "proportion" and isinstance(value, int | float):
        if value == 1:
            return "right" if estimate.higher_is_better else "wrong"
        if value == 0:
            return "wrong" if estimate.higher_is_better else "right"
    return "scored"


def excerpt(text: str) -> Excerpt:
    """Shorten a text in its middle: a prompt's question stands at its end."""
    cut = len(text) - HEAD_CHARS - TAIL_CHARS
    if cut <= 0:
        return Excerpt(visible(text))
    return Excerpt(visible(text[:HEAD_CHARS]), cut, visible(text[-TAIL_CHARS:]))


def _choices(row: Row, primary: str) -> tuple[Choice, ...]:
    each = per_char(row.continuations, row.logprobs)
    choice = chosen(row.continuations, row.logprobs, primary)
    # Where only the contexts differ (WinoGrande) all continuations are equal: none is "the" gold.
    distinct = len(set(row.continuations)) == len(row.continuations) > 1
    return tuple(
        Choice(
            text=excerpt(continuation),
            context=excerpt(row.contexts[position]) if position < len(row.contexts) else None,
            logprob=row.logprobs[position],
            per_char=each[position],
            greedy=position < len(row.greedy) and row.greedy[position],
            chosen=position == choice,
            gold=distinct and continuation.strip() == row.target.strip(),
        )
        for position, continuation in enumerate(row.continuations[: len(row.logprobs)])
    )


def _score(key: str, value: Statistic, result: TaskResult) -> str:
    """Write what a doc contributes, with the doc's own value where that is something else."""
    written, estimate = _statistic(value), result.estimates.get(key)
    if estimate is None or isinstance(value, int | float):
        return written
    alone = doc_value(key, estimate.unit, value)
    if alone is None:
        return written
    # A ratio's parts say something; the counts of a corpus metric do not.
    return f"{alone:,.4g} " + (f"({written})" if estimate.unit in OF_RATE else "of this doc alone")


def _statistic(value: Statistic) -> str:
    """Write what a doc contributes: a number, a ratio's two parts, or a corpus metric's texts."""
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, tuple) and [type(part) in (float, int) for part in value] == [True] * 2:
        try:
            return f"{value[0]:,.2f} / {value[1]:,.0f}"
        except OverflowError:  # an integer beyond any float
            pass
    return _shortened(clean(json.dumps(value, ensure_ascii=False, default=str)))


def _gist(row: Row) -> str:
    """The question in a line: few-shot examples stand before it, so take the last paragraph."""
    if row.text is None and not row.continuations:
        return clean(row.prompt[: 2 * GIST_CHARS])[:GIST_CHARS]
    paragraph = row.prompt[-TAIL_CHARS:].strip().rpartition("\n\n")[2]
    return _shortened(clean(paragraph))


def _shortened(words: str) -> str:
    return words if len(words) <= GIST_CHARS else words[: GIST_CHARS - 1].rstrip() + "…"
