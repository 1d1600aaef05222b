"""The client against a server that answers well, badly, late or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.errors import UsageError
from harness.openai_api.chat import Chat, read_reply
from harness.openai_api.client import ApiError, Asked, Client, Patience, seconds_to_wait
from harness.openai_api.reply import Reply, read_problem
from harness.openai_api.server import Key, Server
from tests.openai_api.local_server import (
    DROPPED,
    LocalServer,
    Payload,
    Says,
    completion,
    dripping,
    failure,
    serving,
)

CHAT = Chat((("system", "be brief"), ("user", "1+1?")), 16, 0.5, 7)
QUICK = Patience(timeout=20.0, attempts=3, first_wait=0.001, longest_wait=0.002)
SECRET = "sk-secret-4711"


def ask(
    script: Callable[[Payload, int], Says],
    patience: Patience = QUICK,
    key: Key | None = None,
) -> tuple[Asked | ApiError, LocalServer]:
    """One question to a server with this script."""
    with serving(script) as server, Client(Server(server.url, "m", key), patience) as client:
        try:
            return client.ask(CHAT), server
        except ApiError as error:
            return error, server


def first(bad: Says) -> Callable[[Payload, int], Says]:
    """A server whose first answer is ``bad``, and all others good."""
    return lambda payload, number: bad if number == 0 else completion("2")


def test_what_is_sent_and_what_is_read() -> None:
    found, server = ask(lambda payload, number: completion("2"), key=Key(SECRET))
    assert found == Asked(Reply("2", "stop", "", "judge-2026", 100, 10), 1)
    assert server.asked == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "1+1?"},
            ],
            "max_tokens": 16,
            "temperature": 0.5,
            "seed": 7,
            "stream": False,
        }
    ]
    assert server.paths == ["/v1/chat/completions"]
    assert server.keys == [f"Bearer {SECRET}"]


def test_without_a_key_none_is_sent() -> None:
    _, server = ask(lambda payload, number: completion("2"))
    assert server.keys == [""]


@pytest.mark.parametrize(
    "bad",
    [
        failure(429, "slow down", retry_after="0"),
        failure(429, "slow down", retry_after="Thu, 01 Jan 2026 00:00:00 GMT"),
        failure(500),
        failure(503, "overloaded"),
        Says(b"<html>bad gateway</html>", 502),
        Says(completion("2").body, sent=20),
        Says(b'{"choices": [', 200),
        Says(b"[]", 200),
        Says(b'{"choices": []}', 200),
        Says(b'{"choices": [{"message": {"content": 2}}]}', 200),
        DROPPED,
    ],
    ids=[
        "429 with seconds",
        "429 with a date that is past",
        "500",
        "503",
        "502 of a proxy",
        "half a body",
        "wrong JSON",
        "a list",
        "no choice",
        "a number for a text",
        "dropped",
    ],
)
def test_what_may_pass_is_asked_again(bad: Says) -> None:
    found, server = ask(first(bad))
    assert isinstance(found, Asked)
    assert (found.reply.text, found.attempts) == ("2", 2)
    assert server.asked[0] == server.asked[1]


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        (failure(500, "out of\nmemory"), "status 500", "status 500: out of memory"),
        (failure(429, "slow down"), "status 429", "slow down"),
        (Says(completion("2").body, sent=20), "broken off", "the connection broke off"),
        (DROPPED, "broken off", "the connection broke off"),
        (Says(b"nonsense"), "the answer is not JSON", "nonsense"),
        (Says(b"{}"), "the answer is JSON, but no chat completion", "{}"),
    ],
)
def test_what_does_not_pass_is_told_after_the_last_attempt(
    bad: Says, reason: str, said: str
) -> None:
    found, server = ask(lambda payload, number: bad)
    assert isinstance(found, ApiError)
    assert (found.reason, found.attempts, found.fatal) == (reason, 3, False)
    assert said in str(found) and "(asked 3 times)" in str(found) and server.url in str(found)
    assert len(server.asked) == 3


def test_a_server_that_is_slow_is_asked_again() -> None:
    over = threading.Event()

    def script(payload: Payload, number: int) -> Says:
        if number == 0:
            over.wait(20)
        return completion("2")

    try:
        found, _ = ask_and_release(script, over)
    finally:
        over.set()
    assert isinstance(found, Asked) and found.attempts == 2


def ask_and_release(
    script: Callable[[Payload, int], Says], over: threading.Event
) -> tuple[Asked | ApiError, int]:
    """Ask with little patience, and let the server's thread end before the server does."""
    with serving(script) as server:
        patience = Patience(timeout=0.3, attempts=2, first_wait=0.001)
        with Client(Server(server.url, "m"), patience) as client:
            try:
                found: Asked | ApiError = client.ask(CHAT)
            except ApiError as error:
                found = error
        over.set()
        return found, len(server.asked)


def test_a_server_that_stays_slow_is_a_time_out() -> None:
    over = threading.Event()

    def script(payload: Payload, number: int) -> Says:
        over.wait(20)
        return completion("2")

    found, asked = ask_and_release(script, over)
    assert isinstance(found, ApiError) and asked == 2
    assert found.reason == "time-out" and "no whole answer within 0.3 s" in str(found)


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        # An empty block of gzip, again and again: bytes come, and unpacked there are none.
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
            b"\x00\x00\x00\xff\xff",
        ),
    ],
    ids=["a header", "a body", "a packed body"],
)
def test_an_answer_that_drips_is_a_time_out(begin: bytes, drop: bytes) -> None:
    patience = Patience(timeout=0.3, attempts=1)
    with (
        dripping(begin, drop) as url,
        Client(Server(url, "m"), patience) as client,
        pytest.raises(ApiError, match=r"no whole answer within 0\.3 s") as failed,
    ):
        client.ask(CHAT)
    assert (failed.value.reason, failed.value.lost) == ("time-out", 1)


def test_nobody_listens() -> None:
    with serving(lambda payload, number: completion("")) as gone:
        pass
    with Client(Server(gone.url, "m"), QUICK) as client, pytest.raises(ApiError) as failed:
        client.ask(CHAT)
    assert (failed.value.reason, failed.value.attempts) == ("no connection", 3)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "--key-env"),
        (403, "may not use"),
        (404, "often ends in /v1"),
        (302, "redirects are not followed"),
    ],
)
def test_what_all_questions_would_meet_is_fatal_at_once(status: int, advice: str) -> None:
    found, server = ask(lambda payload, number: failure(status, location="http://elsewhere/"))
    assert isinstance(found, ApiError)
    assert found.fatal and advice in str(found) and len(server.asked) == 1


def test_a_question_that_is_refused_is_neither_asked_again_nor_fatal() -> None:
    found, server = ask(lambda payload, number: failure(400, "context too long"))
    assert isinstance(found, ApiError)
    assert (found.reason, found.fatal, len(server.asked)) == ("status 400", False, 1)


def test_a_spent_quota_is_not_waited_for() -> None:
    body = json.dumps({"error": {"code": "insufficient_quota", "message": "pay first"}}).encode()
    found, server = ask(lambda payload, number: Says(body, 429))
    assert isinstance(found, ApiError)
    assert found.fatal and "pay first" in str(found) and len(server.asked) == 1


def test_a_server_that_asks_for_a_long_pause_is_left_alone() -> None:
    found, server = ask(lambda payload, number: failure(429, retry_after="3600"))
    assert isinstance(found, ApiError)
    assert found.reason == "status 429" and len(server.asked) == 1


def test_the_pause_that_a_server_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    with (
        serving(first(failure(429, retry_after="2"))) as server,
        Client(Server(server.url, "m"), QUICK, Stop()) as client,
    ):
        assert client.ask(CHAT).attempts == 2
    assert 2.0 <= waits[0] <= 2.001, "what was asked for, and a drawn thousandth of a second"


def test_nothing_is_tried_again_once_the_user_has_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with (
        serving(lambda payload, number: failure(500)) as server,
        Client(Server(server.url, "m"), QUICK, stop) as client,
        pytest.raises(ApiError),
    ):
        client.ask(CHAT)
    assert len(server.asked) == 1


def test_a_pause_for_all_that_the_user_stops_sends_nothing() -> None:
    """One thread was told to wait, another begins, and then Ctrl-C is pressed."""
    begun = threading.Event()

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            begun.set()
            return super().wait(timeout)

    stop, found = Stop(), []

    def ask_it(client: Client) -> None:
        try:
            client.ask(CHAT)
        except ApiError as error:
            found.append(error)

    with (
        serving(lambda payload, number: failure(429, retry_after="60")) as server,
        Client(Server(server.url, "m"), QUICK, stop) as client,
    ):
        for wanted in (1, 2):
            begun.clear()
            thread = threading.Thread(target=ask_it, args=(client,))
            thread.start()
            assert begun.wait(20), wanted
        stop.set()
        thread.join(20)
    assert len(server.asked) == 1, "the second was never sent"
    assert ("stopped", 0) in [(error.reason, error.attempts) for error in found]


def test_the_name_of_the_limit_costs_no_attempt() -> None:
    def script(payload: Payload, number: int) -> Says:
        if "max_tokens" in payload:
            return failure(400, "Use 'max_completion_tokens' instead of 'max_tokens'.")
        return completion("2")

    found, _ = ask(script, Patience(timeout=20.0, attempts=1))
    assert isinstance(found, Asked) and found.attempts == 2, "but it was sent"


class Counting:
    """A meter that admits so many attempts after the first."""

    def __init__(self, further: int) -> None:
        self.further, self.lost = further, list[bool]()

    def failed(self, chat: Chat, lost: bool) -> None:
        self.lost.append(lost)

    def admit(self, chat: Chat) -> str | None:
        self.further -= 1
        return None if self.further >= 0 else "no more"


def test_every_failed_attempt_is_metered_and_told_whether_it_may_cost() -> None:
    bad = {0: failure(503), 1: Says(completion("2").body, sent=20), 2: Says(b"{"), 3: failure(504)}
    meter = Counting(9)
    patience = Patience(timeout=20.0, attempts=5, first_wait=0.001)
    with (
        serving(lambda payload, number: bad.get(number, completion("2"))) as server,
        Client(Server(server.url, "m"), patience, meter=meter) as client,
    ):
        found = client.ask(CHAT)
    assert (found.attempts, found.lost) == (5, 3)
    assert meter.lost == [False, True, True, True]


def test_a_meter_that_admits_no_more_ends_the_question() -> None:
    meter = Counting(1)
    with (
        serving(lambda payload, number: failure(503)) as server,
        Client(Server(server.url, "m"), QUICK, meter=meter) as client,
        pytest.raises(ApiError, match=r"status 503: no \(asked 2 times\); no more") as failed,
    ):
        client.ask(CHAT)
    assert (len(server.asked), failed.value.attempts, meter.lost) == (2, 2, [False, False])


@pytest.mark.parametrize("proxy", ["foo://bob:hunter2@host", "socks5://bob:hunter2@host"])
def test_a_proxy_that_is_none_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(UsageError, match="HTTP_PROXY") as refused:
        Client(Server("http://host/v1", "m"))
    assert "hunter2" not in str(refused.value)


def test_newer_models_are_given_the_limit_by_its_new_name() -> None:
    def script(payload: Payload, number: int) -> Says:
        if "max_tokens" in payload:
            return failure(400, "Use 'max_completion_tokens' instead of 'max_tokens'.")
        return completion(str(payload["max_completion_tokens"]))

    with serving(script) as server, Client(Server(server.url, "m"), QUICK) as client:
        assert client.ask(CHAT).reply.text == "16"
        assert client.ask(CHAT).attempts == 1, "it remembers"
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_the_server_says_back_is_nowhere(status: int) -> None:
    def script(payload: Payload, number: int) -> Says:
        said = f"your key {SECRET}"
        return completion(said, model=SECRET) if status == 200 else failure(status, said)

    found, _ = ask(script, key=Key(SECRET))
    assert SECRET not in repr(found) and SECRET not in str(found)
    assert "your key ***" in (found.reply.text if isinstance(found, Asked) else str(found))


@pytest.mark.parametrize("status", [200, 400])
def test_nor_is_one_that_is_spelt_in_another_way(status: int) -> None:
    said = rb'"your key \u0073k-secret-4711"'
    body = rb'{"error": %b, "choices": [{"message": {"content": %b}}]}' % (said, said)
    found, _ = ask(lambda payload, number: Says(body, status), key=Key(SECRET))
    assert SECRET not in repr(found) + str(found)
    assert "your key ***" in (found.reply.text if isinstance(found, Asked) else str(found))


@pytest.mark.parametrize("status", [200, 400])
def test_nor_is_half_of_one_where_a_text_is_cut(status: int) -> None:
    """The error is cut at 300 characters, one that is no completion at 80."""
    key = "sk-proj-abcdefghijklmnop"
    for fill in (70, 290):
        said = b"x" * fill + rb"sk\u002dproj\u002dabcdefghijklmnop"
        says = Says(rb'{"error": {"message": "%b"}}' % said, status)
        found, _ = ask(lambda payload, number, says=says: says, key=Key(key))  # type: ignore[misc]
        assert "sk-" not in str(found) and "sk\\u002d" not in str(found)


def test_an_error_is_cut() -> None:
    found, _ = ask(lambda payload, number: failure(400, "x" * 400))
    assert "x" * 300 + "..." in str(found) and "x" * 301 not in str(found)


def test_a_content_in_parts_is_the_texts_among_them() -> None:
    parts = [{"type": "text", "text": "[2, "}, {"type": "thinking"}, {"type": "text", "text": "1]"}]
    body = json.dumps({"choices": [{"message": {"content": parts}}]})
    assert read_reply(body).text == "[2, 1]"
    for bad in (["a"], [{"type": "text"}], [{"type": "text", "text": 2}]):
        with pytest.raises(ValueError, match="no chat completion"):
            read_reply(json.dumps({"choices": [{"message": {"content": bad}}]}))


@pytest.mark.parametrize(
    ("message", "finish", "why"),
    [
        ({"content": None, "reasoning_content": "Hm"}, "length", "without any text"),
        ({"content": None, "tool_calls": []}, "tool_calls", "without any text"),
        ({"content": ""}, "length", ""),
        ({"content": None}, "stop", ""),
    ],
)
def test_a_reply_that_ended_before_its_text_is_none(
    message: dict[str, Any], finish: str, why: str
) -> None:
    body = json.dumps({"choices": [{"message": message, "finish_reason": finish}]})
    assert read_reply(body).unusable == why


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply("2", "stop"), ""),
        (Reply("2", "length"), ""),
        (Reply("2", "content_filter"), "refused"),
        (Reply("2", "refusal"), "refused"),
        (Reply("", "stop", "No."), "refused"),
        (Reply("2", "error"), "broken off by the server"),
    ],
)
def test_replies_that_are_no_answers(reply: Reply, why: str) -> None:
    assert reply.unusable == why


def test_an_empty_completion_and_a_refusal_are_replies() -> None:
    empty, _ = ask(lambda payload, number: completion("", usage=None))
    assert isinstance(empty, Asked) and empty.reply == Reply("", "stop", "", "judge-2026")
    refused, _ = ask(lambda payload, number: completion(None, refusal="No."))
    assert isinstance(refused, Asked)
    assert (refused.reply.text, refused.reply.refusal) == ("", "No.")


def test_half_a_pair_of_utf_16_becomes_a_character_that_files_can_hold() -> None:
    body = rb'{"choices": [{"message": {"content": "a\ud83d b \ud83d\ude00"}}]}'
    assert read_reply(body.decode()).text == "a� b \U0001f600"


def test_counts_that_are_none_are_unknown() -> None:
    usage = {"prompt_tokens": True, "completion_tokens": -1}
    reply = read_reply(completion("2", usage=usage).body.decode())
    assert (reply.tokens_in, reply.tokens_out) == (None, None)
    usage = {"prompt_tokens": 10**25, "completion_tokens": 3}
    reply = read_reply(completion("2", usage=usage).body.decode())
    assert (reply.tokens_in, reply.tokens_out) == (None, 3)


def test_what_an_error_says_is_one_short_printable_line() -> None:
    assert read_problem('{"error": {"message": "a\\n\\u001b[31mb"}}') == "a [31mb"
    assert read_problem('{"error": "plain"}') == "plain"


def test_how_long_a_header_asks_to_wait() -> None:
    def now() -> datetime:
        return datetime(2026, 1, 1, 0, 0, 0, tzinfo=UTC)

    assert seconds_to_wait("2.5") == 2.5
    assert seconds_to_wait("-3") == 0.0
    assert seconds_to_wait("Thu, 01 Jan 2026 00:01:30 GMT", now) == 90.0
    assert seconds_to_wait("soon") is None and seconds_to_wait("nan") is None
    assert seconds_to_wait(None) is None


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 41 Jan 2030 00:00:00 GMT",
        "Mon, 01 Jan 2030 00:00:00 +99999999999",
    ],
)
def test_a_date_that_no_calendar_has_asks_for_nothing(date: str) -> None:
    assert seconds_to_wait(date) is None


def test_a_date_at_the_end_of_the_calendar_is_a_long_wait() -> None:
    wait = seconds_to_wait("Fri, 31 Dec 9999 23:59:59 -2359")
    assert wait is not None and wait > 1e11


def test_a_digest_tells_apart_all_that_an_answer_depends_on() -> None:
    server = Server("http://host/v1", "m")
    changed = [
        Chat(CHAT.messages[1:], 16, 0.5, 7).digest(server),
        Chat(CHAT.messages, 17, 0.5, 7).digest(server),
        Chat(CHAT.messages, 16, 0.6, 7).digest(server),
        Chat(CHAT.messages, 16, 0.5, 8).digest(server),
        CHAT.digest(Server("http://host/v1", "n")),
        CHAT.digest(Server("http://other/v1", "m")),
    ]
    assert len({CHAT.digest(server), *changed}) == 7
    assert CHAT.digest(Server("http://host/v1", "m", Key(SECRET))) == CHAT.digest(server)
