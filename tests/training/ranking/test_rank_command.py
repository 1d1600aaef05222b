"""``harness-train rank`` against a local server that judges well, badly, or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.openai_api.local_server import (
    DROPPED,
    LocalServer,
    Payload,
    Says,
    completion,
    failure,
    serving,
)
from tests.training.ranking.conftest import Write, question, ranking, row, shown
from training.cli import main
from training.data.formats import read_pairs

SECRET = "sk-secret-4711"


def good(payload: Payload, number: int) -> Says:
    """A judge that knows."""
    return completion(ranking(payload))


def arguments(answers: Path, server: LocalServer, *more: str) -> list[str]:
    """The command, in the folder of the answers."""
    out = str(answers.parent / "pairs.json")
    words = ["rank", str(answers), "--endpoint", server.url, "--model", "judge", "--out", out]
    return [*words, "--attempts", "1", *more]


def card(answers: Path) -> dict[str, Any]:
    """The counts of a finished call."""
    found: dict[str, Any] = json.loads((answers.parent / "pairs.card.json").read_text("utf-8"))
    return found


def test_answers_become_pairs_that_the_trainer_reads(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(1, [1, 3, 2]), row(2, [5, 4], system="Be kind.", history=[["a", "b"]])])
    with serving(good) as server:
        assert main(arguments(answers, server)) == 0
    rows = json.loads((answers.parent / "pairs.json").read_text("utf-8"))
    assert [list(found) for found in rows[:1]] == [
        ["instruction", "input", "chosen", "rejected", "group"]
    ]
    assert [(found["chosen"][-2], found["rejected"][-2]) for found in rows] == [
        ("3", "2"),
        ("3", "1"),
        ("2", "1"),
        ("5", "4"),
    ]
    assert rows[3]["system"] == "Be kind." and rows[3]["history"] == [["a", "b"]]
    pairs = read_pairs(answers.parent / "pairs.json")
    assert [pair.group for pair in pairs] == ["topic"] * 4
    assert pairs[0].prompt[0].content == "Question 1?"
    assert [len(payload["messages"]) for payload in server.asked] == [2] * 4
    found = card(answers)
    assert found["complete"] and found["rows"] == 4
    assert found["questions"] == {"read": 2, "ranked": 2, "dropped": {}}
    assert found["rankings"]["valid"] == 4 and found["rankings"]["invalid"] == {}
    assert found["agreement"]["kendall_tau"]["mean"] == 1.0
    assert found["requests"]["put"] == 4
    assert found["requests"]["tokens_in"] == 400 and found["requests"]["tokens_out"] == 40
    assert found["judge"]["answered_as"] == ["judge-2026"]
    assert "4 of 4 rankings valid" in capsys.readouterr().out


def test_lines_where_a_jsonl_file_is_wanted(write: Write) -> None:
    answers = write([row(1)])
    with serving(good) as server:
        assert main(arguments(answers, server, "--out", str(answers.parent / "p.jsonl"))) == 0
    assert len(read_pairs(answers.parent / "p.jsonl")) == 3


def test_each_answer_is_shown_before_and_after_every_other(write: Write) -> None:
    answers = write([row(1, [1, 2, 3, 4])])
    with serving(good) as server:
        assert main(arguments(answers, server, "--at-once", "1")) == 0
    first, second = (shown(payload) for payload in server.asked)
    assert first == second[::-1] and sorted(first) == [1, 2, 3, 4]
    with serving(good) as server:
        main(arguments(answers, server, "--seed", "1", "--at-once", "1"))
    assert shown(server.asked[0]) != first


def test_a_judge_that_goes_by_the_place_gives_no_pair(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(1), row(2)])
    with serving(lambda payload, number: completion("[1, 2, 3]")) as server:
        assert main(arguments(answers, server)) == 1
    out, err = capsys.readouterr()
    assert "no pair came of it" in err
    assert "tau of the two rankings: -1.00 over 2 questions; 0 are equal" in out
    assert "shown first was ranked best 4 times; by chance 1.3" in out  # 4 / 3
    assert card(answers)["agreement"]["pairs"] == {"agreed": 0, "disagreed": 6}


def test_pairs_that_the_rankings_disagree_on_are_left_out(write: Write) -> None:
    """The judge takes the two worse answers in the order in which it sees them: of three pairs two
    stand, and tau is (2 - 1) / 3.
    """
    answers = write([row(1, [9, 1, 2])])

    def script(payload: Payload, number: int) -> Says:
        qualities = shown(payload)
        best = qualities.index(9) + 1
        return completion(json.dumps([best, *(place for place in (1, 2, 3) if place != best)]))

    with serving(script) as server:
        assert main(arguments(answers, server)) == 0
    rows = json.loads((answers.parent / "pairs.json").read_text("utf-8"))
    assert sorted((found["chosen"][-2], found["rejected"][-2]) for found in rows) == [
        ("9", "1"),
        ("9", "2"),
    ]
    found = card(answers)["agreement"]
    assert found["kendall_tau"]["mean"] == pytest.approx(1 / 3)
    assert found["pairs"] == {"agreed": 2, "disagreed": 1}


def test_invalid_rankings_are_dropped_and_counted_by_reason(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {
        2: completion("[1, 1, 2]"),
        3: completion("[1, 2]"),
        4: completion("I'm sorry, I cannot rank these."),
        5: completion(""),
        6: completion("[3, 2, 1"),
        7: completion("[3 > 2 > 1]"),
        8: completion(None, refusal="No."),
        9: completion("[1, 2, 3]", finish_reason="length"),
    }
    answers = write([row(number) for number in range(1, 10)])
    with serving(lambda payload, n: bad.get(question(payload), good(payload, n))) as server:
        assert main(arguments(answers, server)) == 0
    found = card(answers)
    assert found["rankings"]["valid"] == 2
    assert found["rankings"]["invalid"] == {
        "a list that is not JSON": 2,
        "a missing index": 2,
        "a repeated index": 2,
        "cut off at max_tokens": 2,
        "empty answer": 2,
        "no list": 2,
        "refused": 4,
    }
    assert found["questions"] == {"read": 9, "ranked": 1, "dropped": {"an invalid ranking": 8}}
    assert found["rows"] == 3 and found["complete"]
    assert "2 of 18 rankings valid" in capsys.readouterr().out


def test_one_invalid_ranking_costs_its_question(write: Write) -> None:
    answers = write([row(1), row(2)])

    def script(payload: Payload, number: int) -> Says:
        return completion("none") if number == 0 else good(payload, number)

    with serving(script) as server:
        assert main(arguments(answers, server, "--at-once", "1")) == 0
    found = card(answers)
    assert found["rankings"]["valid"] == 3 and found["questions"]["ranked"] == 1


def test_questions_that_cannot_be_ranked_are_not_asked_about(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(1), row(2, output=""), row(3, [1]), row(4, [1, 1])])
    with serving(good) as server:
        assert main(arguments(answers, server)) == 0
    assert {question(payload) for payload in server.asked} == {1}
    assert card(answers)["questions"]["dropped"] == {"a single answer": 2, "no solution": 1}
    out = capsys.readouterr().out
    assert "4 questions with 9 answers; 1 to rank" in out and "dropped, no solution: 1" in out


def test_nothing_to_rank_is_refused(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(good) as server:
        assert main(arguments(write([row(1, [1])]), server)) == 1
    assert "no question is left to rank" in capsys.readouterr().err


def test_the_plan_tells_the_cost_and_asks_nothing(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(number) for number in range(5)])
    prices = ["--price-in", "1", "--price-out", "2"]
    with serving(good) as server:
        assert main(arguments(answers, server, "--plan", *prices)) == 0
        assert server.asked == []
        assert {path.name for path in answers.parent.iterdir()} == {"answers.jsonl"}
        out = capsys.readouterr().out
        assert f"asks judge at {server.url}, without a key" in out
        assert "10 requests\n" in out and "at most 10,240 out" in out and "money: about" in out
        assert main(arguments(answers, server)) == 0
        capsys.readouterr()
        assert main(arguments(answers, server, "--plan", *prices)) == 0
        assert "0 requests (10 more are answered already)" in capsys.readouterr().out
    assert len(server.asked) == 10


def test_a_constitution_of_one_s_own_is_what_the_judge_reads(write: Write) -> None:
    answers = write([row(1)])
    own = answers.parent / "mine.txt"
    own.write_text("Prefer the shorter.", "utf-8")
    with serving(good) as server:
        assert main(arguments(answers, server)) == 0
        assert main(arguments(answers, server, "--constitution", str(own))) == 0
    systems = [payload["messages"][0]["content"] for payload in server.asked]
    assert "1. Correctness" in systems[0] and systems[2:] == ["Prefer the shorter."] * 2
    assert card(answers)["constitution"]["file"] == "mine.txt"


def test_a_budget_of_requests_stops_and_goes_on(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(number) for number in range(5)])
    with serving(good) as server:
        assert main(arguments(answers, server, "--budget-requests", "7")) == 1
        assert len(server.asked) == 7
        err = capsys.readouterr().err
        assert (
            "stopped: the budget of 7 requests admits no more" in err and "a larger budget" in err
        )
        found = card(answers)
        assert (found["complete"], found["stopped"]) == (
            False,
            "the budget of 7 requests admits no more",
        )
        assert found["questions"]["dropped"] == {"not asked, or not answered": 2}
        assert len(read_pairs(answers.parent / "pairs.json")) == 9
        assert main(arguments(answers, server, "--budget-requests", "7")) == 1
        assert len(server.asked) == 7, "a budget is of all calls together"
        assert len(read_pairs(answers.parent / "pairs.partial.json")) == 9
        assert main(arguments(answers, server, "--budget-requests", "10")) == 0
    assert len(server.asked) == 10 == len({json.dumps(payload) for payload in server.asked})
    assert card(answers)["complete"] and card(answers)["rows"] == 15


def test_attempts_that_fail_count_towards_the_budget_of_all_calls(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(number) for number in range(10)])
    with serving(lambda payload, number: failure(503)) as server:
        words = arguments(answers, server, "--budget-requests", "3", "--at-once", "2")
        for _ in range(2):
            assert main([*words, "--attempts", "2"]) == 1
            assert len(server.asked) == 3
            assert "the budget of 3 requests admits no more" in capsys.readouterr().err


def test_answers_that_do_not_come_whole_count_with_all_that_they_may_take(write: Write) -> None:
    """They may have to be paid for: a prompt, and the 1,024 tokens of an answer."""
    answers = write([row(number) for number in range(10)])
    with serving(lambda payload, number: Says(b"{")) as server:
        words = arguments(answers, server, "--budget-tokens", "5000", "--attempts", "4")
        for _ in range(2):
            assert main(words) == 1
            assert len(server.asked) == 2, "a third might take more than what is left"


def test_questions_that_are_always_refused_do_not_keep_the_others_from_being_asked(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first twelve requests do not fit: the first call gives up, the second asks the others
    first, and then sees that it is these questions.
    """
    answers = write([row(number) for number in range(20)])

    def script(payload: Payload, number: int) -> Says:
        return failure(400, "too long") if question(payload) < 6 else good(payload, number)

    with serving(script) as server:
        words = arguments(answers, server, "--at-once", "1")
        assert main(words) == 1
        assert "10 requests in a row without an answer" in capsys.readouterr().err
        assert len(server.asked) == 10
        assert main(words) == 1
    assert "12 requests not answered, the last: " in capsys.readouterr().err
    # Eleven and twelve are new, then come 28 that are answered, and at last the ten.
    assert [question(payload) for payload in server.asked[10:]] == [
        *[5, 5],
        *(number for number in range(6, 20) for _ in range(2)),
        *(number for number in range(5) for _ in range(2)),
    ]
    found = card(answers)
    assert found["questions"]["ranked"] == 14 and not found["complete"]
    assert found["requests"]["failed"] == {"status 400": 12} and found["stopped"] == ""


@pytest.mark.parametrize(
    "name",
    ["pairs.json", "pairs.card.json", "pairs.rank.replies.jsonl", "pairs.partial.card.json"],
)
def test_what_is_read_is_not_overwritten(
    write: Write, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    answers = write([row(1)]).rename(write([row(1)]).with_name("mine.jsonl"))
    link = answers.with_name(name)
    link.symlink_to(answers)
    before = answers.read_bytes()
    with serving(good) as server:
        assert main(arguments(answers, server)) == 2
    assert f"{link} would be written, and is read" in capsys.readouterr().err
    assert answers.read_bytes() == before and server.asked == []


def test_neither_is_the_constitution(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    answers = write([row(1)])
    mine = answers.with_name("pairs.json")
    mine.write_text("Prefer the shorter.", "utf-8")
    with serving(good) as server:
        assert main(arguments(answers, server, "--constitution", str(mine))) == 2
    assert "is read" in capsys.readouterr().err and mine.read_text("utf-8") == "Prefer the shorter."


def test_what_is_missing_takes_the_place_of_no_complete_result(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(number) for number in range(4)])
    with serving(good) as server:
        assert main(arguments(answers, server)) == 0
        before = (answers.parent / "pairs.json").read_bytes()
        assert main(arguments(answers, server, "--seed", "1", "--budget-requests", "10")) == 1
        assert "3 pairs in " + str(answers.parent / "pairs.partial.json") in capsys.readouterr().out
        assert (answers.parent / "pairs.json").read_bytes() == before
        assert card(answers)["complete"] and card(answers)["judge"]["seed"] == 0
        part = json.loads((answers.parent / "pairs.partial.card.json").read_text("utf-8"))
        assert not part["complete"] and part["judge"]["seed"] == 1
        assert main(arguments(answers, server, "--seed", "1")) == 0
    assert card(answers)["judge"]["seed"] == 1 and card(answers)["rows"] == 12
    assert not list(answers.parent.glob("pairs.partial*")), "what is complete takes its place"


def test_a_budget_of_tokens_is_never_passed(write: Write) -> None:
    """The server counts 110 tokens a request; each may take its prompt and 1,024."""
    answers = write([row(number) for number in range(10)])
    with serving(good) as server:
        assert main(arguments(answers, server, "--budget-tokens", "3000")) == 1
    found = card(answers)
    used = found["requests"]["tokens_in"] + found["requests"]["tokens_out"]
    assert used == 110 * len(server.asked)
    assert 1000 < used <= 3000, "room that a request did not take is used by the next"


def test_failures_are_counted_and_asked_again(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(number) for number in range(6)])
    broken = {0: failure(500, "no memory"), 3: DROPPED, 5: Says(b"{")}
    with serving(lambda payload, number: broken.get(number, good(payload, number))) as server:
        assert main(arguments(answers, server)) == 1
        err = capsys.readouterr().err
        assert "3 requests not answered, the last: " in err
        found = card(answers)
        assert found["requests"]["failed"] == {
            "broken off": 1,
            "status 500": 1,
            "the answer is not JSON": 1,
        }
        assert not found["complete"] and found["requests"]["put"] == 12
        assert found["requests"]["tokens_estimated"], "two may have to be paid for"
        assert main(arguments(answers, server)) == 0
    assert len(server.asked) == 12 + 3
    assert card(answers)["complete"] and card(answers)["rows"] == 18


def test_a_server_that_is_down_is_given_up(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = write([row(number) for number in range(40)])
    with serving(lambda payload, number: failure(503)) as server:
        assert main(arguments(answers, server, "--at-once", "2")) == 1
    assert 10 <= len(server.asked) <= 12
    assert not (answers.parent / "pairs.json").exists(), "an earlier one is not lost either"
    assert "10 requests in a row without an answer" in capsys.readouterr().err


def test_a_wrong_key_ends_it_at_once_and_keeps_what_came(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    answers = write([row(number) for number in range(20)])

    def script(payload: Payload, number: int) -> Says:
        return good(payload, number) if number < 4 else failure(401, f"bad key {SECRET}")

    with serving(script) as server:
        words = arguments(answers, server, "--key-env", "JUDGE_KEY", "--at-once", "2")
        assert main(words) == 1
    out, err = capsys.readouterr()
    assert len(server.asked) <= 6 and set(server.keys) == {f"Bearer {SECRET}"}
    assert "status 401: bad key ***" in err and "(4 in all)" in err
    assert SECRET not in out + err and SECRET not in everything(answers.parent)


def test_the_key_is_in_no_file_and_no_output(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the judge says it back, in a text, a model's name or an error."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    answers = write([row(number) for number in range(4)])

    def script(payload: Payload, number: int) -> Says:
        if number == 1:
            return failure(400, f"no {SECRET}")
        return completion(f"{SECRET} {ranking(payload)}", model=SECRET)

    with serving(script) as server:
        assert main(arguments(answers, server)) == 1
        assert main(arguments(answers, server)) == 0
    out, err = capsys.readouterr()
    assert set(server.keys) == {f"Bearer {SECRET}"}
    assert "with the key in OPENAI_API_KEY" in out
    assert SECRET not in out + err and SECRET not in everything(answers.parent)


def everything(folder: Path) -> str:
    """All that all files of a folder hold, with their names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return "".join(f"{path}{path.read_bytes().decode('latin-1')}" for path in files)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--out", "pairs.txt"], "ends in .json or .jsonl"),
        (["--endpoint", "https://me:secret@host/v1"], "holds @"),
        (["--price-in", "1"], "belong together"),
        (["--constitution", "none.txt"], "no such file"),
        (["--key-env", "NOT_SET_HERE"], "names no variable"),
    ],
)
def test_wrong_use_is_told_before_anything_is_read(
    write: Write, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    with serving(good) as server:
        assert main(arguments(write([row(1)]), server, *more)) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and server.asked == []


@pytest.mark.parametrize(
    "more",
    [
        ["--at-once", "0"],
        ["--timeout", "0"],
        ["--timeout", "1e300"],
        ["--timeout", "86401"],
        ["--temperature", "-1"],
        ["--price-in", "nan"],
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    write: Write, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    with serving(good) as server:
        assert main(arguments(write([row(1)]), server, *more)) == 2
    assert more[0] in capsys.readouterr().err


@contextmanager
def held_after(answered: int) -> Iterator[tuple[LocalServer, threading.Event, Counter[str]]]:
    """A server that answers so many requests and holds the others until it is told to go on.

    Yields:
        The server, the event, and how often each request was answered.
    """
    go_on = threading.Event()
    lock = threading.Lock()
    seen: Counter[str] = Counter()

    def script(payload: Payload, number: int) -> Says:
        if number >= answered and not go_on.wait(60):
            return DROPPED
        with lock:
            seen[json.dumps(payload)] += 1
        return good(payload, number)

    with serving(script) as server:
        try:
            yield server, go_on, seen
        finally:
            go_on.set()


def started(words: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OPENAI_API_KEY": SECRET}
    return subprocess.Popen(
        [sys.executable, "-m", "training.cli", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that the process does; fail with its output if it ends before."""
    end = time.monotonic() + 60
    while not holds():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "it did not happen within a minute"
        time.sleep(0.01)


def test_a_killed_call_goes_on_and_no_answered_question_is_asked_twice(write: Write) -> None:
    answers = write([row(number) for number in range(12)])
    kept = answers.parent / "pairs.rank.replies.jsonl"
    with held_after(11) as (server, go_on, seen):
        words = arguments(answers, server, "--at-once", "3", "--timeout", "60")
        process = started(words, answers.parent)
        try:
            until(lambda: kept.exists() and kept.read_bytes().count(b"\n") == 11, process)
            until(lambda: len(server.asked) == 14, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (answers.parent / "pairs.json").exists()
        with kept.open("ab") as file:
            file.write(b'{"asked":"to')  # and the kill tore a line
        first = Counter(seen)
        assert sum(first.values()) == 11
        under_way = [json.dumps(payload) for payload in server.asked[11:]]
        go_on.set()
        resumed = started(words, answers.parent)
        output, _ = resumed.communicate(timeout=60)
        assert resumed.returncode == 0, output
        asked_again = [json.dumps(payload) for payload in server.asked[14:]]
    assert "11 replies are kept" in output and "damaged lines are left out, 1 of them" in output
    assert "13 requests (11 more are answered already)" in output
    assert len(asked_again) == 13 == len(set(asked_again))
    assert not set(asked_again) & set(first), "what was answered is not asked again"
    assert set(under_way) <= set(asked_again), "what was under way is"
    assert card(answers)["complete"] and card(answers)["rows"] == 36
    assert SECRET not in output + everything(answers.parent)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_call_waits_for_what_is_under_way(write: Write, number: signal.Signals) -> None:
    answers = write([row(number) for number in range(12)])
    with held_after(5) as (server, go_on, seen):
        words = arguments(answers, server, "--at-once", "3", "--timeout", "60")
        process = started(words, answers.parent)
        assert process.stdout is not None
        until(lambda: len(server.asked) == 8, process)
        process.send_signal(number)
        for line in process.stdout:
            if line.startswith("stopping: "):
                break
        go_on.set()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert len(server.asked) == 8 and sum(seen.values()) == 8
        assert "stopped; what was answered is kept" in output and "(8 in all)" in output
        assert main(words) == 0
    assert len(server.asked) == 24 and set(seen.values()) == {1}
    assert card(answers)["rows"] == 36


def test_stopped_twice_it_does_not_wait(write: Write) -> None:
    answers = write([row(number) for number in range(12)])
    with held_after(5) as (server, _, _):
        words = arguments(answers, server, "--at-once", "3", "--timeout", "60")
        process = started(words, answers.parent)
        assert process.stdout is not None
        until(lambda: len(server.asked) == 8, process)
        process.send_signal(signal.SIGINT)
        for line in process.stdout:
            if line.startswith("stopping: "):
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in output, output
    kept = (answers.parent / "pairs.rank.replies.jsonl").read_bytes()
    assert kept.count(b"\n") == 5
