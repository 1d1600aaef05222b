"""``harness-train rank``: a judge ranks answers under a constitution; out come preference pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.openai_api.options import at_least, not_below, prices
from harness.openai_api.server import Server
from harness.openai_api.spending import Prices
from harness.parser import Parser
from harness.progress import note
from harness.report.wording import counted
from harness.storage import write_atomic
from training.ranking import options as shared
from training.ranking.asking import Outcome, ask_all, forecast
from training.ranking.candidates import read_answers
from training.ranking.judging import read_constitution
from training.ranking.rank import Judging, Verdicts, agreement, judge, wanted, write_rows
from training.ranking.replies import open_replies, read_replies
from training.ranking.sifting import Sifted, sift

CARD, REPLIES = "card.json", "rank.replies.jsonl"
"""What lies beside the result."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code.

    Raises:
        HarnessError: it cannot be done; or not all questions were ranked, although the files of
            those that were are written.
    """
    options = _parser().parse(arguments)
    inputs = [*options.answers, *([options.constitution] if options.constitution else [])]
    shared.check_out(options.out, inputs, (CARD, REPLIES))
    terms, priced = shared.terms(options), prices(options)
    judging = Judging(
        read_constitution(options.constitution),
        options.seed,
        options.temperature,
        options.max_tokens,
    )
    sifted = sift(read_answers(options.answers), unsolved=options.unsolved)
    print("\n".join(_read(sifted)))
    if not sifted.kept:
        raise DataError("no question is left to rank")
    asked = wanted(sifted.kept, judging)
    path = shared.beside(options.out, REPLIES)
    ahead = forecast(asked, terms.server, read_replies(path))
    print(f"asks {terms.server}")
    print("\n".join(ahead.lines(priced)), flush=True)
    if options.plan:
        return 0
    with open_replies(path, note) as replies:
        outcome = ask_all(asked, terms, replies, ahead.requests, note)
    verdicts = judge(sifted.kept, outcome.replies, judging.seed)
    if not verdicts.ranked:
        outcome.check()  # what an earlier call wrote stays
    out = shared.place(options.out, outcome.complete)
    rows = write_rows(out, verdicts.ranked)
    card = _card(sifted, verdicts, outcome, judging, terms.server, priced, rows)
    card_path = shared.beside(out, CARD)
    write_atomic(card_path, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    print("\n".join(_said(card, out, card_path)))
    outcome.check()
    shared.remove_partial(options.out, [CARD])
    if not rows:
        raise DataError(f"no pair came of it; {card_path} counts why")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="harness-train rank",
        description="A judge ranks the answers to each question twice, under a written "
        "constitution; pairs that both rankings agree on become preference rows.",
    )
    parser.add_argument(
        "answers",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="questions with answers, as harness-train answers writes them; of several files, the "
        "answers to equal questions are ranked together",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the preference rows"
    )
    parser.add_argument("--model", required=True, metavar="M", help="as the server calls the judge")
    parser.add_argument(
        "--constitution", type=Path, metavar="FILE", help="a text file (default: the shipped one)"
    )
    parser.add_argument(
        "--unsolved", action="store_true", help="rank questions without a solution too"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="draws the orders")
    parser.add_argument(
        "--temperature", type=not_below(0), default=0.0, metavar="T", help="of the judge (0)"
    )
    parser.add_argument(
        "--max-tokens",
        type=at_least(1),
        default=1024,
        metavar="N",
        help="of a judge's answer, its thoughts included (1024)",
    )
    shared.add_server(parser, needed=True)
    return parser


def _read(sifted: Sifted) -> list[str]:
    dropped = sum(sifted.dropped.values())
    lines = [
        f"{counted(len(sifted.kept) + dropped, 'question')} with "
        f"{counted(sifted.answers, 'answer')}; {len(sifted.kept):,} to rank"
    ]
    lines += [f"  dropped, {why}: {count:,}" for why, count in sorted(sifted.dropped.items())]
    lines += [
        f"  answers left out, {why}: {count:,}" for why, count in sorted(sifted.left_out.items())
    ]
    return lines


def _card(
    sifted: Sifted,
    verdicts: Verdicts,
    outcome: Outcome,
    judging: Judging,
    server: Server,
    priced: Prices | None,
    rows: int,
) -> dict[str, Any]:
    """All counts, and what the ranking depends on; no text of a question, and no key."""
    dropped = sifted.dropped + verdicts.dropped
    spending = outcome.spending
    models = sorted({kept.model for kept in outcome.replies if kept is not None and kept.model})
    return {
        "complete": outcome.complete,
        "stopped": outcome.stopped,
        "questions": {
            "read": len(sifted.kept) + sum(sifted.dropped.values()),
            "ranked": len(verdicts.ranked),
            "dropped": dict(sorted(dropped.items())),
        },
        "answers": {"read": sifted.answers, "left_out": dict(sorted(sifted.left_out.items()))},
        "rankings": {
            "valid": verdicts.valid,
            "invalid": dict(sorted(verdicts.invalid.items())),
            "first_shown_is_best": verdicts.first_best,
            "first_shown_is_best_by_chance": round(verdicts.by_chance, 1),
        },
        "agreement": agreement(verdicts.ranked),
        "rows": rows,
        "requests": {
            "put": spending.requests,
            "failed": dict(sorted(outcome.failed.items())),
            "tokens_in": spending.tokens_in,
            "tokens_out": spending.tokens_out,
            "tokens_estimated": spending.estimated,
            "cost": priced and round(priced.of(spending.tokens_in, spending.tokens_out), 6),
        },
        "judge": {
            "endpoint": server.url,
            "model": server.model,
            "answered_as": models,
            "temperature": judging.temperature,
            "max_tokens": judging.max_tokens,
            "seed": judging.seed,
        },
        "constitution": {
            "file": judging.constitution.name,
            "sha256": judging.constitution.sha256,
        },
    }


def _said(card: dict[str, Any], out: Path, card_path: Path) -> list[str]:
    rankings, agreed = card["rankings"], card["agreement"]
    invalid = rankings["invalid"]
    of = rankings["valid"] + sum(invalid.values())
    tau, pairs = agreed["kendall_tau"], agreed["pairs"]
    lines = [f"{rankings['valid']:,} of {counted(of, 'ranking')} valid"]
    lines += [f"  dropped, {why}: {count:,}" for why, count in invalid.items()]
    if tau["mean"] is not None:
        ends = (
            ""
            if tau["low"] is None
            else f" (95% interval, bootstrap over questions: {tau['low']:.2f} to {tau['high']:.2f})"
        )
        lines.append(
            f"Kendall's tau of the two rankings: {tau['mean']:.2f}{ends} over "
            f"{counted(agreed['questions'], 'question')}; {tau['equal_rankings']:,} are equal"
        )
        lines.append(
            f"the answer shown first was ranked best {rankings['first_shown_is_best']:,} times; "
            f"by chance {rankings['first_shown_is_best_by_chance']:,.1f}"
        )
    lines.append(
        f"{counted(card['rows'], 'pair')} in {out}, {pairs['disagreed']:,} left out because the "
        f"rankings disagree; counts in {card_path}"
    )
    return lines
