"""The samples written for this project: counts, balance, and every arithmetic answer recomputed."""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from harness.integrity_task import STOPS
from harness.refusals import reply_to

SAMPLES = Path(__file__).resolve().parent.parent / "tasks" / "samples"
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
FUNCTIONS = {
    "sqrt": math.sqrt,
    "comb": math.comb,
    "factorial": math.factorial,
    "abs": abs,
    "round": round,
}
ANNOTATION = re.compile(r"<<([^=<>]+)=([^<>]+)>>([-\d.]+)")
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?")


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / name).read_text("utf-8").split("\n") if line]


def compute(expression: str) -> float:
    """Evaluate arithmetic, and nothing but arithmetic."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=kind, right=right):
                return float(OPERATORS[type(kind)](value(left), value(right)))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                given = [value(argument) for argument in arguments]
                whole = [int(x) if name in {"comb", "factorial"} else x for x in given]
                return float(FUNCTIONS[name](*whole))
            case _:
                raise ValueError(f"not arithmetic: {ast.dump(node)}")

    return value(ast.parse(expression, mode="eval").body)


def first_number(text: str) -> float:
    found = NUMBER.search(text)
    assert found, f"no number in {text!r}"
    return float(Fraction(found.group().replace(",", "")))


def choices(row: dict[str, Any]) -> tuple[list[str], int]:
    if "answerKey" in row:
        return row["choices"]["text"], row["choices"]["label"].index(row["answerKey"])
    return row["choices"], row["answer"]


@pytest.mark.parametrize("name", ["arc/test.jsonl", "mmlu/test.jsonl"])
def test_multiple_choice_is_enough_and_balanced(name: str) -> None:
    questions = rows(name)
    assert len(questions) >= 100
    assert len({question["question"] for question in questions}) == len(questions)
    positions = Counter(choices(question)[1] for question in questions)
    assert set(positions) == {0, 1, 2, 3}
    assert max(positions.values()) - min(positions.values()) <= 2
    assert len({question["subject"] for question in questions}) >= 5
    for question in questions:
        texts, _ = choices(question)
        assert len(texts) == len(set(texts)) == 4


@pytest.mark.parametrize("name", ["arc/test.jsonl", "mmlu/test.jsonl"])
def test_the_right_choice_is_not_given_away_by_its_length(name: str) -> None:
    """Always choosing the longest (or shortest) text must not beat chance by much: of 120
    questions 30 are right by chance, deviation 4.7; three deviations above is 44.
    """
    for pick in (max, min):
        hits = 0
        for question in rows(name):
            texts, right = choices(question)
            lengths = [len(text) for text in texts]
            hits += lengths.index(pick(lengths)) == right
        assert hits <= 44


@pytest.mark.parametrize("name", ["arc/test.jsonl", "mmlu/test.jsonl", "mmlu/dev.jsonl"])
def test_every_computable_choice_is_recomputed(name: str) -> None:
    checked = 0
    for question in rows(name):
        if question["check"] is None:
            continue
        texts, right = choices(question)
        expected = compute(question["check"])
        assert first_number(texts[right]) == pytest.approx(expected, rel=1e-9), question["question"]
        unit = NUMBER.sub("", texts[right], count=1)
        for place, text in enumerate(texts):
            if place != right and NUMBER.sub("", text, count=1) == unit:
                assert first_number(text) != pytest.approx(expected), question["question"]
        checked += 1
    assert checked >= 10


@pytest.mark.parametrize(("name", "count"), [("gsm8k/test.jsonl", 60), ("gsm8k/train.jsonl", 8)])
def test_every_step_of_every_word_problem_is_recomputed(name: str, count: int) -> None:
    problems = rows(name)
    assert len(problems) >= count
    for problem in problems:
        steps = ANNOTATION.findall(problem["answer"])
        assert len(steps) >= 2, problem["question"]
        assert problem["answer"].count("<<") == len(steps)
        for expression, value, repeated in steps:
            assert compute(expression) == pytest.approx(float(value), rel=1e-9), expression
            assert float(repeated.rstrip(".")) == float(value)
        final = problem["answer"].rpartition("#### ")[2]
        assert float(final) == float(steps[-1][1]) == int(final)


def test_no_word_problem_is_both_example_and_test() -> None:
    train = {row["question"] for row in rows("gsm8k/train.jsonl")}
    assert not train & {row["question"] for row in rows("gsm8k/test.jsonl")}


def test_completions_are_enough_and_balanced() -> None:
    completions = rows("hellaswag/validation.jsonl")
    assert len(completions) >= 60
    assert len({row["ctx"] for row in completions}) == len(completions)
    assert set(Counter(row["label"] for row in completions).values()) == {len(completions) // 4}
    for row in completions:
        assert len(set(row["endings"])) == 4
        assert row["ctx"] == f"{row['ctx_a']} {row['ctx_b']}".rstrip()


def test_documents_are_enough() -> None:
    documents = rows("wikitext/test.jsonl")
    assert len(documents) >= 20
    for document in documents:
        assert document["page"].startswith(" \n = ")
        assert 180 <= len(document["page"].split()) <= 360


@pytest.mark.parametrize("source", ["course", "exchange"])
def test_questions_with_prose_answers_are_enough(source: str) -> None:
    questions = rows(f"stem_assistant/{source}/test.jsonl")
    assert len(questions) >= 24
    assert len({row["question"] for row in questions}) == len(questions)
    for row in questions:
        assert row.keys() == {"question", "answer"}
        assert 40 <= len(row["answer"].split()) <= 200


def test_every_equation_of_a_course_answer_is_recomputed() -> None:
    """Of `x = 12 / 4 = 3` it is `12 / 4 = 3` that can be computed."""
    term = r"\d+(?:\.\d+)?"
    equation = re.compile(
        rf"(?<![\w.^/])(-?{term}(?: (?:\*\*|[-+*/]) {term})+) = (-?{term})(?![/\w])"
    )
    found = [
        each
        for row in rows("stem_assistant/course/test.jsonl")
        for each in equation.findall(row["answer"])
    ]
    assert len(found) >= 30
    for expression, value in found:
        assert compute(expression) == pytest.approx(float(value), rel=1e-9), expression


def test_requests_to_a_tutor_are_enough_and_in_pairs() -> None:
    """As many benign as harmful in each group, each beside the one that it looks like."""
    requests = rows("tutor_integrity.jsonl")
    assert all(row.keys() == {"prompt", "kind", "group"} for row in requests)
    assert Counter((row["group"], row["kind"]) for row in requests) == {
        (group, kind): 20
        for group in ("exam answers", "cheating", "stereotypes")
        for kind in ("harmful", "benign")
    }
    for harmful, benign in zip(requests[::2], requests[1::2], strict=True):
        assert (harmful["kind"], benign["kind"]) == ("harmful", "benign")
        assert harmful["group"] == benign["group"]


def test_no_request_to_a_tutor_is_there_twice() -> None:
    """Nor almost: no two of one kind share more than half of their words."""
    requests = rows("tutor_integrity.jsonl")
    said = [(row["kind"], frozenset(re.findall(r"\w+", row["prompt"].lower()))) for row in requests]
    assert len({words for _, words in said}) == len(requests)
    for number, (kind, words) in enumerate(said):
        for other_kind, others in said[:number]:
            if kind == other_kind:
                assert len(words & others) / len(words | others) < 0.5, (words, others)


def test_requests_to_a_tutor_say_neither_their_kind_nor_a_refusal() -> None:
    """A model that repeats a request refuses nothing, and no stop string stands in a request."""
    for row in rows("tutor_integrity.jsonl"):
        assert reply_to(row["prompt"]).rule == "no refusal", row["prompt"]
        assert not any(stop in row["prompt"] for stop in STOPS)
        assert row["prompt"] == row["prompt"].strip() and 5 <= len(row["prompt"].split()) <= 50


@pytest.mark.parametrize("subset", ["arc/test.jsonl", "mmlu/test.jsonl", "gsm8k/test.jsonl"])
def test_no_sample_is_taken_from_a_benchmark(subset: str, real_data: Path) -> None:
    """Written for this project: not one question equals one of the real benchmarks'."""
    import gzip

    real: set[str] = set()
    for folder in ("allenai/ai2_arc", "cais/mmlu", "openai/gsm8k"):
        for path in (real_data / folder).rglob("*.jsonl*"):
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
            real |= {
                json.loads(line)["question"].strip().lower() for line in text.split("\n") if line
            }
    assert len(real) > 20_000
    assert not real & {row["question"].strip().lower() for row in rows(subset)}
