"""``harness-train answers``: samples answers to rank, of a registered model or a server's."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from harness.errors import DataError, HarnessError, UsageError
from harness.openai_api.chat import Chat
from harness.openai_api.options import at_least, not_below, prices
from harness.openai_api.reply import SILENT
from harness.parser import Parser
from harness.progress import note
from harness.report.wording import counted
from harness.zoo import load_zoo
from training.data.template import Template
from training.data_folder import data_folder
from training.ranking import options as shared
from training.ranking.asking import Wanted, ask_all, forecast
from training.ranking.candidates import Answered, Candidate, write_answers
from training.ranking.questions import Question, once, read_questions
from training.ranking.replies import open_replies, read_replies
from training.ranking.sampling import Sampling

REPLIES = "answers.replies.jsonl"
"""What lies beside the result."""
_TERMS = ("key_env", "at_once", "timeout", "attempts")
_COST = ("price_in", "price_out", "budget_requests", "budget_tokens")
_LOCAL = ("zoo", "models", "template")
"""Options that are of no use to a registered model (the first two), and to a server."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code.

    Raises:
        HarnessError: it cannot be done; or not all answers are there, although those that are were
            written.
    """
    parser = _parser()
    options = parser.parse(arguments)
    _check_asked(options, parser)
    shared.check_out(options.out, [Path(options.questions)], (REPLIES,))
    if options.out.suffix != ".jsonl":
        raise UsageError(f"--out {options.out}: answers go into a file that ends in .jsonl")
    sampling = Sampling(options.answers, options.temperature, options.seed, options.max_tokens)
    if sampling.answers > 1 and sampling.temperature == 0:
        raise UsageError(
            "--temperature 0 gives the same answer each time; sample with --temperature 0.7, or "
            "ask for --answers 1"
        )
    questions = _questions(options)
    if options.endpoint:
        return _from_server(options, questions, sampling)
    return _from_registry(options, questions, sampling)


def _parser() -> Parser:
    parser = Parser(
        prog="harness-train answers",
        description="Samples several answers to each question, of a registered model or, with "
        "--endpoint, of an OpenAI-compatible server's; harness-train rank ranks them.",
    )
    parser.add_argument(
        "questions",
        metavar="QUESTIONS",
        help="a set by name (default, gsm8k, a mixture), or a file of alpaca or chat rows",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .jsonl")
    parser.add_argument(
        "--model",
        required=True,
        metavar="M",
        help="of model_zoo.yaml; with --endpoint, the server's",
    )
    parser.add_argument(
        "--answers", type=at_least(1), default=4, metavar="N", help="to each question (4)"
    )
    parser.add_argument(
        "--limit", type=at_least(1), metavar="N", help="so many questions, drawn by the seed"
    )
    parser.add_argument(
        "--temperature",
        type=not_below(0),
        default=0.7,
        metavar="T",
        help="of the sampling (0.7)",
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="of the first answer"
    )
    parser.add_argument(
        "--max-tokens", type=at_least(1), default=512, metavar="N", help="of an answer (512)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds ORG/NAME/CONFIG/SPLIT")
    local = parser.add_argument_group("a registered model")
    local.add_argument("--zoo", type=Path, metavar="FILE", help="the registry to read")
    local.add_argument("--models", type=Path, metavar="DIR", help="holds org/name/ of hub models")
    local.add_argument(
        "--template", choices=get_args(Template), default="auto", help="how a question is worded"
    )
    shared.add_server(parser, needed=False)
    return parser


def _check_asked(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuse what would do nothing: a budget that bounds nothing is believed to."""
    others, when = (_LOCAL, "without") if options.endpoint else (_TERMS + _COST, "with")
    given = [
        "--" + name.replace("_", "-")
        for name in others
        if getattr(options, name) != parser.get_default(name)
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)}: only {when} --endpoint, which names a server; without it a "
            "registered model answers"
        )


def _questions(options: argparse.Namespace) -> list[Question]:
    found = once(read_questions(options.questions, data_folder(options.data)))
    if options.limit is not None and options.limit < len(found):
        places = sorted(random.Random(options.seed).sample(range(len(found)), options.limit))
        found = [found[place] for place in places]
    unsolved = sum(not question.reference.strip() for question in found)
    print(f"{counted(len(found), 'question')}, {unsolved:,} of them without a solution")
    return found


def _from_server(
    options: argparse.Namespace, questions: Sequence[Question], sampling: Sampling
) -> int:
    terms = shared.terms(options)
    wanted = Wanted(
        _chat_at(questions, sampling),
        len(questions) * sampling.answers,
        len(questions),
        f"answers of {terms.server.model}",
        sampling.max_tokens,
    )
    path = shared.beside(options.out, REPLIES)
    ahead = forecast(wanted, terms.server, read_replies(path))
    print(f"asks {terms.server}")
    print("\n".join(ahead.lines(prices(options))), flush=True)
    if options.plan:
        return 0
    with open_replies(path, note) as replies:
        outcome = ask_all(wanted, terms, replies, ahead.requests, note)
    found: list[list[Candidate]] = [[] for _ in questions]
    left_out: Counter[str] = Counter()
    for place, kept in enumerate(outcome.replies):
        if kept is None:
            continue
        if kept.reply.unusable:
            left_out[kept.reply.unusable] += 1
            continue
        made = {
            "model": kept.model or terms.server.model,
            "asked_as": terms.server.model,
            "endpoint": terms.server.url,
            **sampling.of(place % sampling.answers),
            "finish": kept.finish,
        }
        found[place // sampling.answers].append(Candidate(kept.text, made))
    if not any(found):
        outcome.check()  # what an earlier call wrote stays
    for why, count in sorted(left_out.items()):
        print(f"  answers left out, {why}: {count:,}")
    if left_out[SILENT] and not any(found):
        raise DataError(
            f"{terms.server.model} answered without any text: --max-tokens {sampling.max_tokens} "
            "may be too few for a model that thinks first; ask with more"
        )
    _write(shared.place(options.out, outcome.complete), questions, found)
    outcome.check()
    shared.remove_partial(options.out)
    return 0


def _chat_at(questions: Sequence[Question], sampling: Sampling) -> Callable[[int], Chat]:
    def chat(place: int) -> Chat:
        turns = questions[place // sampling.answers].turns()
        return Chat(
            tuple((turn.role, turn.content) for turn in turns),
            sampling.max_tokens,
            sampling.temperature,
            sampling.seed + place % sampling.answers,
        )

    return chat


def _from_registry(
    options: argparse.Namespace, questions: Sequence[Question], sampling: Sampling
) -> int:
    from training.ranking import registered  # torch

    zoo = load_zoo(options.zoo)
    model = registered.Registered(
        zoo.get(options.model),
        zoo,
        options.models,
        options.template,
        shared.beside(options.out, "journal"),
    )
    registered.check(model)
    print(
        f"{len(questions) * sampling.answers:,} answers of {options.model}, of at most "
        f"{sampling.max_tokens:,} tokens each",
        flush=True,
    )
    if options.plan:
        return 0
    found, failed = registered.sample(model, questions, sampling, note)
    _write(shared.place(options.out, not failed), questions, found)
    if failed:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(failed.items()))
        raise HarnessError(f"{options.model} could not give all answers: {reasons}")
    shared.remove_partial(options.out)
    return 0


def _write(path: Path, questions: Sequence[Question], found: Sequence[Sequence[Candidate]]) -> None:
    rows = [
        Answered(question, tuple(candidates))
        for question, candidates in zip(questions, found, strict=True)
        if candidates
    ]
    if not rows:
        raise DataError("no question was answered")
    write_answers(path, rows)
    answers = sum(len(row.candidates) for row in rows)
    print(f"{counted(answers, 'answer')} to {counted(len(rows), 'question')} in {path}")
