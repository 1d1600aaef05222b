"""`harness show`: the worst docs of a metric, and those that two runs answer otherwise."""

import io
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.cli import main
from harness.marks import Mark, write_marks
from harness.records import Row, TaskResult
from harness.report.docs import shown_beside, shown_doc
from harness.report.per_doc import ScoredDoc, doc_metric, doc_value
from harness.report.terminal_doc import print_doc
from harness.run_folder import RunFolder
from tests.report.fixtures.runs import (
    HOSTILE_TEXT,
    choice_row,
    ends,
    generated_row,
    proportion,
    result,
    run,
    stored,
)

Command = Callable[..., tuple[int, str, str]]

EXACT = "exact_match,strict-match"
COUNTS = [(6, 6, 6, 5, 4, 3, 6, 5, 4, 3), (4, 6, 2, 0, 0, 0, 4, 3, 2, 1), (0, 6, *[0] * 8)]
"""What docs add to corpus BLEU: a perfect one, a poor one, an empty one."""


def gsm8k(count: int) -> TaskResult:
    estimates = {
        EXACT: proportion(0.5, count),
        "rouge1": ends(30.0, 20.0, 40.0, unit="of 100"),
        "loss": ends(1.0, 0.5, 1.5, unit="score", higher=False),
        "bleu": ends(12.0, 8.0, 15.0, unit="bleu"),
        "mcc": ends(0.3, 0.1, 0.5, unit="score"),
        "token_perplexity": ends(12.0, 8.0, 15.0, unit="perplexity", higher=False),
        "exact_match_macro": proportion(0.4, count),
    }
    return result("gsm8k", estimates[EXACT], EXACT, estimates=estimates)


def rows(right: str, rouge: Sequence[float | None], who: str) -> list[Row]:
    """Docs that are right where ``right`` has a letter r, unscored where it has a minus."""
    made = []
    for index, (letter, value) in enumerate(zip(right, rouge, strict=True)):
        scores: dict[str, Any] = {
            EXACT: float(letter == "r"),
            "exact_match": float(letter == "r"),
            "loss": float(index),
            "bleu": COUNTS[index % 3],
            "mcc": (1, 0),
            "token_perplexity": (-math.log(2 + index) * 10, 10),
        }
        scores |= {} if value is None else {"rouge1": value}
        gone = {"unscored": "no answer", "scores": {}} if letter == "-" else {}
        made.append(generated_row(index, f" {who} says {index}", **{"scores": scores, **gone}))
    return made


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """smol, and smol-dpo, its child, with two runs each; the newer ones of unequal work."""
    runs = tmp_path / "reports" / "runs"
    for name, right, rouge, lineage in (
        ("smol", "rrww-r", (10, 20, 30, 40, 50, 60), ["smol"]),
        ("smol-dpo", "rwrwr-", (11, 5, 30, 90, 50, 61), ["smol", "smol-dpo"]),
    ):
        task, answers = gsm8k(6), rows(right, rouge, name)
        made = run(name, [task, result("arc_easy", proportion(0.5, 6))], lineage=lineage)
        choices = [choice_row(index, letter == "r") for index, letter in enumerate(right)]
        stored(runs / made.id, made, {"gsm8k": answers, "arc_easy": choices})
        other = result("gsm8k", proportion(0.5, 6), EXACT, prompts="others")
        newer = run(name, [other], lineage=lineage, created="2026-04-01T12:00:00+00:00")
        stored(runs / f"newer-{name}", newer, {"gsm8k": answers})
    return tmp_path / "reports"


ID = run("smol-dpo", []).id
PARENT = run("smol", []).id


@pytest.fixture
def show(reports: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(["show", *arguments, "--reports", str(reports)])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def indices(show: Command, *arguments: str) -> list[int]:
    code, out, err = show(ID, "--docs", "9", "--json", *arguments)
    assert code == 0, err
    return [json.loads(line)["index"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("metric", "order"),
    [
        ("rouge1", [1, 0, 2, 4, 3]),  # 5, 11, 30, 50, 90; doc 5 is unscored
        ("loss", [4, 3, 2, 1, 0]),  # lower is better: the highest comes first
        (EXACT, [1, 3, 0, 2, 4]),  # the wrong ones, then the right ones, in the task's order
        ("exact_match (strict-match)", [1, 3, 0, 2, 4]),
        ("exact_match_macro", [1, 3, 0, 2, 4]),  # by what it is the macro average of
        ("token_perplexity", [4, 3, 2, 1, 0]),  # 6, 5, 4, 3, 2
        # Sentence BLEU: 0 of no words, then the poor ones, then 100.
        ("bleu", [2, 1, 4, 0, 3]),
    ],
)
def test_the_worst_docs_come_first(metric: str, order: list[int], show: Command) -> None:
    assert indices(show, "--task", "gsm8k", "--worst", metric) == order
    assert indices(show, "--task", "gsm8k", "--worst", metric, "--docs", "2") == order[:2]


def test_the_worst_say_what_they_are(show: Command) -> None:
    """Six docs, five scored. Doc 4's perplexity: exp(log(2 + 4) * 10 / 10) = 6.

    Its BLEU: of the 1-grams 2 of 4 match, and no others, so the k-th order without a match counts
    as 1 / 2^k of one: 100 (2/4 * 1/2/3 * 1/4/2 * 1/8/1)^(1/4) = 19.00, times exp(1 - 6/4) for being
    shorter than the reference: 11.52.
    """
    code, out, _ = show(ID, "--task", "gsm8k", "--worst", "token_perplexity", "--docs", "1")
    assert code == 0
    first, second, *_ = out.splitlines()
    assert first == (
        "gsm8k: 5 docs, the worst token_perplexity first; 1 left out: no token_perplexity"
    )
    assert second.startswith("doc 4  right  exact_match (strict-match) 1")
    assert "bleu 11.52 of this doc alone" in second
    assert "token_perplexity 6 (-17.92 / 10)" in second
    assert "smol-dpo says 4" in out


def test_the_task_may_be_left_out_where_only_one_has_the_metric(show: Command) -> None:
    assert indices(show, "--worst", "rouge1") == [1, 0, 2, 4, 3]
    for options in (["--wrong"], ["--disagree", "smol"], ["--worst", "nothing"]):
        code, _, err = show(ID, *options)
        assert code == 2
        assert f"{options[0]} needs a task: --task T, one of gsm8k, arc_easy" in err
    assert show("newer-smol", "--wrong", "--json")[1].count('"index"') == 2


def test_an_unknown_metric_is_refused_with_the_nearest(show: Command) -> None:
    code, out, err = show(ID, "--task", "gsm8k", "--worst", "rogue1")
    assert (code, out) == (2, "")
    assert "unknown metric 'rogue1': did you mean 'rouge1'" in err
    assert "looked in the docs of gsm8k" in err


def test_a_metric_of_all_docs_together_is_refused_with_those_that_work(show: Command) -> None:
    """Matthews' correlation needs many docs; what a doc adds, (1, 0), is no value of it."""
    code, _, err = show(ID, "--task", "gsm8k", "--worst", "mcc")
    assert code == 2
    assert "mcc has no value for a single doc of gsm8k, only for all together" in err
    assert f"that have: {EXACT}, rouge1, loss, bleu, token_perplexity, exact_match_macro" in err


def test_wrong_docs_can_be_put_in_order(show: Command) -> None:
    assert indices(show, "--task", "gsm8k", "--wrong") == [1, 3]
    assert indices(show, "--task", "gsm8k", "--wrong", "--worst", "loss") == [3, 1]


def test_wrong_docs_of_a_metric_by_degrees_are_refused(reports: Path, show: Command) -> None:
    """Nothing was wrong, and nobody can say what was, are two things; so is nothing scored."""
    graded = result("overlap", ends(30, 20, 40, unit="of 100", n=4), "rouge1")
    stored(
        reports / "runs" / "by-degrees",
        run("a", [graded]),
        {"overlap": rows("rrrr", (1, 2, 3, 4), "a")},
    )
    for options in ([], ["--worst", "rouge1"], ["--json"]):
        code, out, err = show("by-degrees", "--wrong", *options)
        assert (code, out) == (2, "")
        assert "rouge1 does not say which docs of overlap are wrong: --worst METRIC orders" in err
    for name, letters in (("all-right", "rr"), ("unscored", "--")):
        made = run("a", [result("gsm8k", proportion(1.0, 2), EXACT)])
        stored(reports / "runs" / name, made, {"gsm8k": rows(letters, (1, 2), "a")})
        assert show(name, "--wrong")[:2] == (0, "no such doc\n")


def test_a_number_of_docs_asks_for_docs(reports: Path, show: Command) -> None:
    code, out, err = show(ID, "--docs", "1")
    assert (code, out) == (2, "")
    assert "--docs needs a task: --task T, one of gsm8k, arc_easy" in err
    assert show("newer-smol", "--docs", "4", "--json")[1].count('"index"') == 4
    assert show("newer-smol", "--task", "gsm8k", "--json")[1].count('"index"') == 3


def test_marked_docs_are_counted_not_their_marks(reports: Path, show: Command) -> None:
    folder = RunFolder(reports / "runs" / ID)
    first, second = (row.doc_id for row in itertools.islice(folder.rows("gsm8k"), 2))
    when = "2026-03-02T12:00:00+00:00"
    two = [Mark("gsm8k", first, "good", "", who, when) for who in ("ann", "bob")]
    write_marks(folder, two)
    assert f"1 marked doc: `harness marks list {ID}`" in show(ID)[2]
    write_marks(folder, [*two, Mark("gsm8k", second, "bad", "", "ann", when)])
    assert f"2 marked docs: `harness marks list {ID}`" in show(ID)[2]


def test_a_macro_average_is_wrong_where_what_it_averages_is(reports: Path, show: Command) -> None:
    task = result("mmlu", proportion(0.5, 2), "acc_macro")
    stored(
        reports / "runs/macro",
        run("macro", [task]),
        {"mmlu": [choice_row(0, True), choice_row(1, False)]},
    )
    code, out, _ = show("macro", "--wrong", "--json")
    assert code == 0 and [json.loads(line)["index"] for line in out.splitlines()] == [1]
    code, out, _ = show("macro", "--wrong")
    assert code == 0 and "doc 1  wrong  acc 0" in out
    assert shown_doc(choice_row(0, True), task).score == "1"


def test_disagreement_is_right_against_wrong(show: Command) -> None:
    """Docs rrww-r of smol against rwrwr-: docs 1 and 2; docs 4 and 5 have one unscored side."""
    options = ["--task", "gsm8k", "--disagree", "smol"]
    assert indices(show, *options) == [1, 2]
    assert indices(show, *options, "--wrong") == [1]
    code, out, _ = show(ID, *options)
    assert code == 0
    assert out.splitlines()[0] == (
        f"gsm8k: 2 docs on which it and smol (run {PARENT}) differ in exact_match (strict-match)"
        "; 2 left out: no exact_match (strict-match) on both sides"
    )
    of_doc_1 = out.partition("doc 2")[0]
    assert "smol-dpo  wrong" in of_doc_1 and " smol-dpo says 1" in of_doc_1
    assert "smol  right" in of_doc_1 and " smol says 1" in of_doc_1


def test_other_metrics_disagree_by_the_largest_difference(show: Command) -> None:
    """rouge1, less smol's: doc 0 +1, 1 -15, 2 0, 3 +50; 4 and 5 unscored on one side. The worst of
    this run: 5 (doc 1), 11 (doc 0), 90 (doc 3).
    """
    options = ["--task", "gsm8k", "--disagree", "smol", "--worst", "rouge1"]
    assert indices(show, *options) == [1, 0, 3]


def test_without_a_worst_the_primary_metric_decides(reports: Path, show: Command) -> None:
    """The largest difference first: doc 3 by 50, doc 1 by 15, doc 0 by 1."""
    for name, rouge in (("a", (10, 20, 30, 40)), ("b", (11, 5, 30, 90))):
        made = run(name, [result("gsm8k", ends(30, 20, 40, unit="of 100", n=4), "rouge1")])
        stored(reports / "runs" / name, made, {"gsm8k": rows("rrrr", rouge, name)})
    code, out, _ = show("b", "--disagree", "a", "--json", "--docs", "9")
    assert code == 0
    told = [json.loads(line) for line in out.splitlines()]
    assert [row["index"] for row in told] == [3, 1, 0]
    assert [row["other"]["model"] for row in told] == ["a"] * 3
    assert told[0]["other"]["text"] == " a says 3" and told[0]["text"] == " b says 3"


def test_a_run_can_be_named_and_unequal_work_is_refused(show: Command) -> None:
    assert indices(show, "--task", "gsm8k", "--disagree", PARENT) == [1, 2]
    code, _, err = show(ID, "--task", "gsm8k", "--disagree", "newer-smol")
    assert code == 1 and "smol and smol-dpo did not do the same work" in err
    assert "gsm8k: " in err and "make eval" in err
    code, _, err = show(ID, "--task", "gsm8k", "--disagree", ID)
    assert code == 2 and "has no other run than" in err
    code, _, err = show(ID, "--task", "gsm8k", "--disagree", "smoll")
    assert code == 2 and "unknown model or run 'smoll': did you mean 'smol'" in err


def printed(console_width: int, terminal: bool, *docs: Row) -> str:
    """A doc and the one beside it, printed."""
    task = gsm8k(6)
    shown = [shown_doc(row, task) for row in docs]
    out = io.StringIO()
    console = Console(file=out, width=console_width, force_terminal=terminal, color_system=None)
    print_doc(shown_beside(shown[0], shown[1]), console, names=("smol-dpo", "smol"))
    return out.getvalue()


def test_two_answers_stand_side_by_side_where_there_is_room() -> None:
    first, second = rows("r", (1,), "mine")[0], rows("w", (1,), "theirs")[0]
    wide = printed(120, True, first, second)
    assert any("mine says 0" in line and "theirs says 0" in line for line in wide.splitlines())
    for narrow in (printed(80, True, first, second), printed(200, False, first, second)):
        lines = narrow.splitlines()
        assert lines.index(" mine says 0") < lines.index(" theirs says 0")


@pytest.mark.parametrize(("width", "terminal"), [(120, True), (80, True), (80, False)])
def test_hostile_answers_are_text_in_a_terminal(width: int, terminal: bool) -> None:
    hostile = generated_row(0, HOSTILE_TEXT, prompt=HOSTILE_TEXT, note=HOSTILE_TEXT)
    long = generated_row(0, "y" * 100_000, note="[red]rule[/red]")
    out = printed(width, terminal, hostile, long)
    assert "\x1b]0;" not in out and "\x00" not in out
    assert "␛]0;owned" in out.replace("\n", "") and "[red]rule[/red]" in out
    assert out.count("y") < 9_000 and "92,000 characters left out" in " ".join(out.split())


def test_a_doc_has_the_mean_of_its_tokens() -> None:
    """12.5 nats over 100 tokens are 0.125 a token."""
    assert doc_value("kl", "nats/token", (12.5, 100.0)) == 0.125
    assert doc_value("top_token_agreement", "share of tokens", (75.0, 100.0)) == 0.75


def test_sentence_bleu_is_sacrebleus() -> None:
    """Of counts as of texts, sacrebleu's own figure for a single sentence."""
    from sacrebleu.metrics.bleu import BLEU

    text, reference = "the cat sat on the mat", "the cat lay on the mat today"
    expected = BLEU(effective_order=True).sentence_score(text, [reference])
    counted = (expected.sys_len, expected.ref_len, *expected.counts, *expected.totals)
    for statistic in (counted, (reference, text)):
        doc = ScoredDoc("d", 0, {"bleu": statistic}, None)
        value = doc_metric("bleu", gsm8k(1), [doc]).value(doc)
        assert value == pytest.approx(expected.score, abs=1e-9)
    assert 0 < expected.score < 100
