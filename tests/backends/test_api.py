"""The api backend against a server that answers well, badly, in part, or for too much money."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.backends.api import ApiBackend, BudgetSpent
from harness.journal import Journal, answered
from harness.openai_api.client import ApiError, Patience
from harness.openai_api.server import Key, Server
from harness.openai_api.spending import Budget, Prices
from harness.openai_api.terms import Terms
from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    Unanswered,
    WindowLogLikelihood,
)
from tests.openai_api.local_server import (
    DROPPED,
    LocalServer,
    Payload,
    Says,
    completion,
    failure,
    serving,
)

Script = Callable[[Payload, int], Says]
QUICK = Patience(timeout=20.0, attempts=3, first_wait=0.001, longest_wait=0.002)
SECRET = "sk-secret-4711"


def written(text: str, **changes: Any) -> Says:
    """A text completion; ``choices``, ``logprobs`` and ``usage`` by name."""
    choice = {"index": 0, "text": text, "logprobs": changes.get("logprobs")}
    body = {
        "model": "m",
        "choices": changes.get("choices", [choice]),
        "usage": changes.get("usage", {"prompt_tokens": 10, "completion_tokens": 2}),
    }
    return Says(json.dumps(body).encode())


def words(payload: Payload, **changes: Any) -> Says:
    """A server whose tokens are words, each of log-probability minus its number of letters; what it
    writes is `` end``, and a word that begins with g is the likeliest.
    """
    prompt = payload["prompt"] if payload.get("echo") else ""
    tokens: list[str] = []
    offsets: list[int] = []
    for word in prompt.split(" "):
        offsets.append(sum(map(len, tokens)))
        tokens.append(word if not tokens else f" {word}")
    if not prompt:
        tokens, offsets = [], []
    offsets.append(len(payload["prompt"]))
    tokens.append(" end")
    figures = [-float(len(token.strip())) for token in tokens]
    logprobs: list[float | None] = list(figures)
    best = [
        {token: logprob, "other": logprob - 1 if token.strip()[:1] in "ge" else logprob + 1}
        for token, logprob in zip(tokens, figures, strict=True)
    ]
    tops: list[Any] = list(best)
    if prompt:
        logprobs[0] = tops[0] = None
    found = {
        "tokens": tokens,
        "token_logprobs": logprobs,
        "top_logprobs": tops,
        "text_offset": offsets,
    }
    return written(prompt + " end", logprobs={**found, **changes})


def backend(server: LocalServer, chat: bool = False, **terms: Any) -> ApiBackend:
    key = terms.pop("key", None)
    made = Terms(Server(server.url, "m", key), terms.pop("patience", QUICK), **terms)
    return ApiBackend(made, chat, "m of a server")


def ask(backend: ApiBackend, requests: Sequence[Request]) -> list[Response]:
    answers = sorted(backend.answer(backend.encode(requests)), key=lambda answer: answer.index)
    return [answer.response for answer in answers]


PAIR = LogLikelihood("one two", " grey goose")


def test_a_continuation_is_summed_over_its_tokens() -> None:
    with serving(lambda payload, number: words(payload)) as server:
        asked = backend(server)
        found = ask(asked, [PAIR, LogLikelihood("one two ", "three"), LogLikelihood("one", " two")])
    assert found == [LogProb(-9.0, True), LogProb(-5.0, False), LogProb(-3.0, False)]
    assert server.paths == ["/v1/completions"] * 3
    assert {
        "model": "m",
        "prompt": "one two grey goose",
        "max_tokens": 1,
        "temperature": 0.0,
        "seed": 1234,
        "stream": False,
        "logprobs": 1,
        "echo": True,
    } in server.asked


def test_what_is_sent_for_a_generation() -> None:
    with serving(lambda payload, number: written("12 eggs\nQ: 5")) as server:
        stops = ("Q:", "</s>", "!", "?", "eggs")
        found = ask(backend(server), [GenerateUntil("How many?", stops, 16, 0.5, repeat=3)])
    assert found == [Generation("12 ")], "the fifth is not sent, and cut all the same"
    assert server.asked == [
        {
            "model": "m",
            "prompt": "How many?",
            "max_tokens": 16,
            "temperature": 0.5,
            "seed": 1237,
            "stream": False,
            "stop": ["Q:", "</s>", "!", "?"],
        }
    ]


def test_a_chat_is_asked_in_messages() -> None:
    with serving(lambda payload, number: completion("yes")) as server:
        asked = backend(server, chat=True)
        prompt = asked.render_chat([{"role": "user", "content": "Käse? “ja”"}])
        found = ask(
            asked,
            [
                GenerateUntil(prompt, ("\n",), 4),
                GenerateUntil("[1, 2]", (), 4),
                LogLikelihood("a", " b"),
            ],
        )
    assert found[:2] == [Generation("yes"), Generation("yes")]
    assert isinstance(found[2], Unanswered) and "chat" in found[2].reason
    assert server.paths == ["/v1/chat/completions"] * 2
    contents = {payload["messages"][0]["content"]: payload.get("stop") for payload in server.asked}
    assert contents == {"Käse? “ja”": ["\n"], "[1, 2]": None}


@pytest.mark.parametrize(
    "bad",
    [
        failure(429, "slow down", retry_after="0"),
        failure(503),
        Says(written("x").body, sent=20),
        Says(b'{"choices": ['),
        Says(b"[]"),
        written("x", choices=[]),
        written("x", choices=[{"text": "a"}, {"text": "b"}]),
        written("x", choices=[{"text": 2}]),
        written("x", logprobs=None),
        DROPPED,
    ],
    ids=["429", "503", "half", "JSON", "list", "none", "two", "number", "null", "dropped"],
)
def test_what_may_pass_is_asked_again(bad: Says) -> None:
    with serving(lambda payload, number: words(payload) if number else bad) as server:
        assert ask(backend(server), [PAIR]) == [LogProb(-9.0, True)]
    assert len(server.asked) == 2 and server.asked[0] == server.asked[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token_logprobs": [None, -1.0, -1.0, None, -1.0]}, "no log-probability"),
        ({"text_offset": [0, 3, 8, 12, 18]}, "' two' stands at characters 3 to 8"),
        ({"text_offset": [0, 3, 30, 31, 32]}, "' two' stands at characters 3 to 18"),
        ({"text_offset": [30, 31, 32, 33, 34]}, "belongs to the continuation"),
    ],
)
def test_tokens_that_make_no_sense_leave_a_question_without_an_answer(
    changes: dict[str, Any], reason: str
) -> None:
    with serving(lambda payload, number: words(payload, **changes)) as server:
        (found,) = ask(backend(server), [PAIR])
    assert isinstance(found, Unanswered) and reason in found.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"token_logprobs": [None, -1.0]},
        {"token_logprobs": [None, -1.0, math.nan, -1.0, -1.0]},
        {"top_logprobs": [None, 3, {}, {}, {}]},
        {"tokens": [1, 2, 3, 4, 5]},
    ],
)
def test_broken_figures_are_asked_for_again_and_then_left(changes: dict[str, Any]) -> None:
    with serving(lambda payload, number: words(payload, **changes)) as server:
        (found,) = ask(backend(server), [PAIR])
    assert isinstance(found, Unanswered) and "the answer holds" in found.reason
    assert len(server.asked) == 3


def test_a_prompt_that_does_not_fit_is_refused_alone() -> None:
    def script(payload: Payload, number: int) -> Says:
        return failure(400, "too long") if len(payload["prompt"]) > 50 else words(payload)

    long = LogLikelihood("word " * 40, "grey")
    with serving(script) as server:
        found = ask(backend(server, at_once=1), [PAIR, *[long] * 12, PAIR])
    assert found[0] == found[-1] == LogProb(-9.0, True)
    assert found[1] == Unanswered("the server gave no answer: status 400")


@pytest.mark.parametrize("chat", [False, True])
def test_a_finished_run_with_many_refusals_can_be_repeated(tmp_path: Path, chat: bool) -> None:
    def script(payload: Payload, number: int) -> Says:
        if "long" in json.dumps(payload):
            return failure(400, "too long")
        return completion("yes") if chat else written(" yes")

    requests = [
        GenerateUntil(f"{'long' if number % 5 < 3 else 'short'} {number}", (), 5)
        for number in range(20)
    ]
    unscored = []
    with serving(script) as server:
        for _ in range(2):
            asked = backend(server, chat=chat)
            assert asked.cannot([GenerateUntil]) == {}
            with Journal(tmp_path, asked.identity, lambda line: None) as journal:
                answers = list(answered(asked, asked.encode(requests), journal))
            unscored.append(sum(isinstance(each.response, Unanswered) for each in answers))
            assert len(answers) == 20
    assert unscored == [12, 12]
    assert len(server.asked) == 1 + 20 + 1 + 12


def test_many_answers_with_broken_figures_do_not_end_it() -> None:
    def script(payload: Payload, number: int) -> Says:
        broken = "many" in payload["prompt"]
        return words(payload, **({"token_logprobs": [None, -1.0]} if broken else {}))

    with serving(script) as server:
        asked = backend(server, at_once=1, patience=Patience(20.0, 1))
        found = ask(asked, [PAIR, *[LogLikelihood("many", f" w{n}") for n in range(12)], PAIR])
    assert found[0] == found[-1] == LogProb(-9.0, True)
    assert sum(isinstance(each, Unanswered) for each in found) == 12


@pytest.mark.parametrize(
    ("bad", "said"),
    [(failure(503, "down"), "status 503"), (DROPPED, "broken off"), (Says(b"<html>"), "not JSON")],
    ids=["503", "dropped", "a page"],
)
def test_questions_lost_to_an_outage_are_no_result(tmp_path: Path, bad: Says, said: str) -> None:
    def script(payload: Payload, number: int) -> Says:
        if "huge" in payload["prompt"]:
            return failure(400, "too long")
        return bad if 4 <= number < 7 else words(payload)

    requests = [LogLikelihood("huge", " x"), *REQUESTS]
    kept: list[int] = []
    with serving(script) as server:
        asked = backend(server, at_once=1, patience=Patience(20.0, 1))
        with Journal(tmp_path, asked.identity, lambda line: None) as journal:
            with pytest.raises(ApiError, match="the same command asks it again") as ended:
                kept += [each.index for each in answered(asked, asked.encode(requests), journal)]
            assert len(journal) == len(REQUESTS) - 3
        assert f"failed at 3 of 10 questions (3 times {said}" in str(ended.value).replace(
            "the answer is ", ""
        )
        assert len(server.asked) == len(requests), "the others were asked all the same"
        with Journal(tmp_path, asked.identity, lambda line: None) as journal:
            answers = list(answered(asked, asked.encode(requests), journal))
    assert sum(isinstance(each.response, Unanswered) for each in answers) == 1, "what was refused"
    assert sum(each.stored for each in answers) == len(REQUESTS) - 3


def test_a_question_that_a_server_fails_at_each_time_is_unscored() -> None:
    """More of them than the server may leave unanswered in a row, when it is asked again."""

    def script(payload: Payload, number: int) -> Says:
        if "poison" in payload["prompt"] or number == 0:
            return failure(500)
        return words(payload)

    poison = [LogLikelihood(f"poison {number}", " x") for number in range(12)]
    requests = [each for pair in zip([PAIR] * 12, poison, strict=True) for each in pair]
    with serving(script) as server:
        found = ask(backend(server, at_once=1, patience=Patience(20.0, 1)), requests)
    assert found[::2] == [LogProb(-9.0, True)] * 12, "the first was asked once more"
    assert found[1::2] == [Unanswered("the server failed at it each time: status 500")] * 12
    assert len(server.asked) == 24 + 13 + 1


def test_questions_lost_with_their_server_are_no_result() -> None:
    def script(payload: Payload, number: int) -> Says:
        return words(payload) if number < 4 else failure(500)

    with serving(script) as server:
        with pytest.raises(ApiError, match=r"failed at 5 of 9 questions \(5 times status 500"):
            ask(backend(server, at_once=1, patience=Patience(20.0, 1)), REQUESTS)
        assert len(server.asked) == 9 + 5 + 1


def test_a_server_that_answers_nothing_ends_it_after_ten(tmp_path: Path) -> None:
    requests = [LogLikelihood("one", f" g{number}") for number in range(30)]
    with serving(lambda payload, number: failure(500)) as server:
        patience = Patience(20.0, 1)
        with pytest.raises(ApiError, match="only what is missing"):
            ask(backend(server, at_once=1, patience=patience), requests)
    assert len(server.asked) == 10


def test_a_wrong_key_ends_it_at_once_and_is_not_shown() -> None:
    with serving(lambda payload, number: failure(401, f"no {SECRET}")) as server:
        with pytest.raises(ApiError) as refused:
            ask(backend(server, at_once=1, key=Key(SECRET)), [PAIR] * 5)
        assert SECRET not in str(refused.value)
    assert len(server.asked) == 1


def test_the_key_is_in_no_identity_and_no_fact() -> None:
    with serving(lambda payload, number: words(payload)) as server:
        asked = backend(server, key=Key(SECRET))
        ask(asked, [PAIR])
        texts = repr((asked.identity, asked.facts, asked.spent(), asked._terms))
    assert SECRET not in texts and server.keys == [f"Bearer {SECRET}"]


REQUESTS: list[Request] = [LogLikelihood("one", f" g{number}") for number in range(9)]


@pytest.mark.parametrize(
    ("budget", "answered_before"),
    [
        (Budget(requests=4), 4),
        # " g0" after "one": 6 bytes are 2 tokens, and 1 to write; 12 in all are said to be taken
        (Budget(tokens=39), 4),
        (Budget(money=0.000039, prices=Prices(1.0, 1.0)), 4),
    ],
)
def test_a_spent_budget_stops_and_the_journal_takes_it_up(
    tmp_path: Path, budget: Budget, answered_before: int
) -> None:
    told: list[str] = []
    with serving(lambda payload, number: words(payload)) as server:
        asked = backend(server, budget=budget, at_once=1)
        with Journal(tmp_path, asked.identity, told.append) as journal:
            with pytest.raises(BudgetSpent, match="admits no more"):
                list(answered(asked, asked.encode(REQUESTS), journal))
            assert len(journal) == len(server.asked) == answered_before
        again = backend(server)
        with Journal(tmp_path, again.identity, told.append) as journal:
            answers = list(answered(again, again.encode(REQUESTS), journal))
    assert sum(answer.stored for answer in answers) == answered_before
    assert len(server.asked) == len(answers) == 9


def test_attempts_count_towards_a_budget() -> None:
    with (
        serving(lambda payload, number: failure(503)) as server,
        pytest.raises(BudgetSpent, match="2 requests"),
    ):
        ask(backend(server, budget=Budget(requests=2)), [PAIR])
    assert len(server.asked) == 2


def test_what_was_spent_in_words() -> None:
    with serving(lambda payload, number: words(payload)) as server:
        asked = backend(server, budget=Budget(prices=Prices(100.0, 1000.0)))
        ask(asked, [PAIR])
    # 10 tokens in at 100 and 2 out at 1,000 for a million: 0.001 and 0.002
    assert asked.spent() == (
        "1 requests were put to the server, 10 tokens read and 2 written, 0.003 in money"
    )


def test_two_servers_and_two_models_never_share_an_answer() -> None:
    one = Terms(Server("http://a/v1", "m"))
    for other in (Server("http://b/v1", "m"), Server("http://a/v1", "n")):
        here, there = (ApiBackend(t, False, "w").identity for t in (one, Terms(other)))
        assert here != there
    assert ApiBackend(one, True, "w").identity != ApiBackend(one, False, "w").identity


def cannot(script: Script, *kinds: type[Request], chat: bool = False) -> dict[str, str]:
    with serving(script) as server:
        found = backend(server, chat=chat).cannot(kinds)
    return {kind.__name__: reason for kind, reason in found.items()}


def test_a_server_with_log_probabilities_is_believed_after_a_look() -> None:
    kinds = (LogLikelihood, GenerateUntil)
    assert cannot(lambda payload, number: words(payload), *kinds) == {}


def test_a_server_without_them_is_said_to_have_none() -> None:
    def script(payload: Payload, number: int) -> Says:
        return written("the")

    found = cannot(script, LogLikelihood, GenerateUntil)
    assert set(found) == {"LogLikelihood"}
    assert "no log-probabilities of a prompt" in found["LogLikelihood"]


def test_a_server_that_gives_each_token_that_of_another_place_is_not_believed() -> None:
    def script(payload: Payload, number: int) -> Says:
        if not payload.get("echo"):
            return words(payload)
        count = len(payload["prompt"].split(" ")) + 1
        return words(payload, token_logprobs=[None] + [-0.5] * (count - 1))

    found = cannot(script, LogLikelihood)
    assert "contradict one another" in found["LogLikelihood"]


def cut(text: str) -> list[str]:
    return re.findall(r"\n|[ ]?[^\s]+", text)


def table(writes: Sequence[str], shift: int, sure: bool = False) -> Script:
    """A server that writes these tokens after any prompt, and gives each token of a prompt what
    belongs ``shift`` places behind it. A token's own is minus its length and its place's eighth;
    minus 0.01 where it is written and the server is sure.
    """

    def script(payload: Payload, number: int) -> Says:
        tokens = cut(payload["prompt"])
        given = len(tokens)
        mine = [each for each in writes if each != "</s>"]
        done = len(mine) if mine and tokens[-len(mine) :] == mine else 0
        new = [*writes, "."][done:][: payload["max_tokens"]]
        tokens += new
        figures: list[float | None] = [
            -0.01 if sure and place >= given - done else -len(token) - place / 8
            for place, token in enumerate(tokens)
        ]
        figures[0] = None
        offsets = [sum(map(len, tokens[:place])) for place in range(len(tokens))]
        echoes = bool(payload.get("echo"))
        if echoes and shift:
            figures = [None, *figures[1 + shift :], *[-4.0] * shift]
        kept = slice(0 if echoes else given, None)
        shown = "".join(tokens[kept]).replace("</s>", "")
        best = [None if each is None else {"a": 0.0} for each in figures]
        found = {
            "tokens": tokens[kept],
            "token_logprobs": figures[kept],
            "top_logprobs": best[kept],
            "text_offset": offsets[kept],
        }
        return written(shown, logprobs=found)

    return script


@pytest.mark.parametrize("writes", [("\n", "\n"), (" Paris", "</s>"), (" a", " b"), ("\n", "So")])
def test_a_shift_is_seen_whatever_the_first_token_is(writes: tuple[str, ...]) -> None:
    assert cannot(table(writes, 0), LogLikelihood) == {}
    found = cannot(table(writes, 1), LogLikelihood)
    assert "contradict one another" in found["LogLikelihood"]


def test_a_shift_among_sure_tokens_is_looked_for_with_other_prompts() -> None:
    def script(payload: Payload, number: int) -> Says:
        spiders = "spiders" in payload["prompt"]
        return table((" x", " yy"), 1, sure=not spiders)(payload, number)

    found = cannot(script, LogLikelihood)
    assert "contradict one another" in found["LogLikelihood"]


def test_a_server_that_writes_nothing_comparable_is_not_believed() -> None:
    found = cannot(table(("</s>",), 0), LogLikelihood)
    assert "could not be checked" in found["LogLikelihood"]
    assert "wrote nothing" in found["LogLikelihood"]


def test_kinds_that_no_server_answers() -> None:
    kinds = (RollingLogLikelihood, WindowLogLikelihood, LogLikelihood)
    found = cannot(lambda payload, number: completion("x"), *kinds, chat=True)
    assert set(found) == {kind.__name__ for kind in kinds}


def test_a_server_that_is_not_there_is_named() -> None:
    terms = Terms(Server("http://127.0.0.1:9/v1", "m"), QUICK)
    with pytest.raises(ApiError, match=r"http://127\.0\.0\.1:9/v1"):
        ApiBackend(terms, False, "w").cannot([GenerateUntil])
