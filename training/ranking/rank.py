"""Answers are ranked twice by a judge, and what both rankings say becomes preference pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.resampling import bootstrap
from harness.storage import replacing
from training.ranking.agreement import agreed_pairs, kendall_tau
from training.ranking.asking import Wanted
from training.ranking.judging import Constitution, asked_to_rank, orders, read_ranking
from training.ranking.questions import Question
from training.ranking.replies import Kept
from training.ranking.sifting import Rankable
from training.ranking.spending import estimated_tokens

PASSES = 2
ASKED_IN_PART = "not asked, or not answered"
INVALID = "an invalid ranking"
"""Why a question gives no pair, besides those of `training.ranking.sifting`."""


@dataclass(frozen=True)
class Judging:
    """What, besides the answers, a ranking depends on.

    Attributes:
        constitution: what the judge goes by.
        seed: draws the orders.
        temperature, max_tokens: of the judge.
    """

    constitution: Constitution
    seed: int = 0
    temperature: float = 0.0
    max_tokens: int = 1024


@dataclass(frozen=True)
class Ranked:
    """A question whose two rankings are valid, each from best to worst."""

    rankable: Rankable
    rankings: tuple[tuple[int, ...], tuple[int, ...]]

    def tau(self) -> float:
        """How far they agree."""
        return kendall_tau(*self.rankings)

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs that both have in the same order, the better answer first."""
        return agreed_pairs(*self.rankings)


@dataclass
class Verdicts:
    """What the judge said of all questions.

    Attributes:
        ranked: questions with two valid rankings.
        valid: valid rankings.
        invalid: rankings that were dropped, by reason.
        dropped: questions that give no pair, by reason.
        first_best: valid rankings whose best answer was the one that was shown first.
        by_chance: as many as a judge would have that draws lots.
    """

    ranked: list[Ranked] = field(default_factory=list)
    valid: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    first_best: int = 0
    by_chance: float = 0.0


def wanted(rows: Sequence[Rankable], judging: Judging) -> Wanted:
    """Two requests for each question, one after the other."""

    def chat(place: int) -> Any:
        row = rows[place // PASSES]
        order = orders(row.question, len(row.answers), judging.seed)[place % PASSES]
        return asked_to_rank(
            judging.constitution,
            row.question,
            [row.answers[answer] for answer in order],
            max_tokens=judging.max_tokens,
            temperature=judging.temperature,
            seed=judging.seed,
        )

    answers = sum(len(row.answers) for row in rows) / max(1, len(rows))
    listed = estimated_tokens("1, " * round(answers))
    return Wanted(chat, PASSES * len(rows), len(rows), "rank", listed)


def judge(rows: Sequence[Rankable], replies: Sequence[Kept | None], seed: int) -> Verdicts:
    """Read the judge's replies, two for each question as `wanted` asks for them."""
    found = Verdicts()
    for place, row in enumerate(rows):
        said = replies[place * PASSES : (place + 1) * PASSES]
        rankings = []
        for order, kept in zip(orders(row.question, len(row.answers), seed), said, strict=True):
            if kept is None:
                continue
            ranking = read_ranking(kept.reply, len(order))
            if isinstance(ranking, str):
                found.invalid[ranking] += 1
                continue
            found.valid += 1
            found.first_best += ranking[0] == 0
            found.by_chance += 1 / len(order)
            rankings.append(tuple(order[shown] for shown in ranking))
        if len(rankings) == PASSES:
            found.ranked.append(Ranked(row, (rankings[0], rankings[1])))
        else:
            found.dropped[ASKED_IN_PART if None in said else INVALID] += 1
    return found


def preference_rows(ranked: Sequence[Ranked]) -> Iterator[dict[str, Any]]:
    """LLaMA-Factory's preference rows, one for each pair that both rankings agree on."""
    for one in ranked:
        question, answers = one.rankable.question, one.rankable.answers
        for better, worse in one.pairs():
            yield _row(question, answers[better], answers[worse])


def write_rows(path: Path, ranked: Sequence[Ranked]) -> int:
    """Write the rows, a list in a .json file, a row a line in a .jsonl file; returns how many.

    Raises:
        StorageError: the file cannot be written.
    """
    count = 0
    lines = path.suffix == ".jsonl"
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write("" if lines else "[")
        for row in preference_rows(ranked):
            between = "" if lines else ("\n" if count == 0 else ",\n")
            file.write(between + json.dumps(row, ensure_ascii=False) + ("\n" if lines else ""))
            count += 1
        file.write("" if lines else "\n]\n")
    return count


def agreement(ranked: Sequence[Ranked]) -> dict[str, Any]:
    """How far the two rankings agree, over all questions, for the card."""
    taus = [one.tau() for one in ranked]
    # Of resampled means none leaves [-1, 1], where tau lives.
    both = np.array([[tau, 1.0] for tau in taus]).reshape(-1, 2)
    low, high = bootstrap(both, lambda sums: sums[:, 0] / sums[:, 1]).interval
    agreed = sum(len(one.pairs()) for one in ranked)
    of = sum(len(one.rankable.answers) * (len(one.rankable.answers) - 1) // 2 for one in ranked)
    return {
        "questions": len(taus),
        "kendall_tau": {
            "mean": sum(taus) / len(taus) if taus else None,
            "low": low,
            "high": high,
            "interval": "95%, bootstrap over questions",
            "equal_rankings": sum(tau == 1 for tau in taus),
        },
        "pairs": {"agreed": agreed, "disagreed": of - agreed},
    }


def _row(question: Question, chosen: str, rejected: str) -> dict[str, Any]:
    columns = question.columns()
    return {**columns, "chosen": chosen, "rejected": rejected, "group": question.group}
