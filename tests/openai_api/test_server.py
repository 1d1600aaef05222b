"""Addresses and keys: what is taken, what is refused, and that no key is ever shown."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.openai_api.server import Key, Server, make_server

SECRET = 'sk-"quoted"-4711'


def test_the_key_comes_from_the_variable_that_is_named() -> None:
    environment = {"OPENAI_API_KEY": "sk-openai-1", "MINE": " sk-mine-22 \n"}
    default = make_server("http://localhost:1/v1/", "m", None, environment)
    assert default.url == "http://localhost:1/v1"
    assert default.key is not None and default.key.header() == "Bearer sk-openai-1"
    named = make_server("http://localhost:1/v1", "m", "MINE", environment)
    assert named.key is not None and named.key.header() == "Bearer sk-mine-22"
    assert make_server("http://localhost:1/v1", "m", None, {}).key is None


def test_no_text_of_a_server_shows_its_key() -> None:
    server = make_server("https://host/v1", "m", "MINE", {"MINE": SECRET})
    for shown in (repr(server), str(server), f"{server!r}", repr([server.key]), str(server.key)):
        assert "4711" not in shown
    assert str(server) == (
        "m at https://host/v1, with the key in MINE (struck out of what the server says)"
    )
    word = Server("http://host/v1", "m", Key("any", "MINE"))
    assert "with the key in MINE (not struck out of what" in str(word)
    assert str(Server("http://host/v1", "m", Key("x" * 9))).endswith(", unencrypted")
    assert str(Server("http://host/v1", "m")) == "m at http://host/v1, without a key"


def test_a_key_that_a_server_says_back_is_struck_out() -> None:
    key = Key(SECRET)
    assert key.struck_out(f"bad key {SECRET}!") == "bad key ***!"
    assert (
        key.struck_out(r'{"message": "bad key sk-\"quoted\"-4711"}') == '{"message": "bad key ***"}'
    )


def test_a_placeholder_is_not_struck_out_of_texts() -> None:
    """Local servers are given ``EMPTY``; an answer about empty sets must stay whole."""
    for word in ("EMPTY", "anything", "not-needed", "no-key-required", "1234567"):
        assert Key(word).struck_out(f"it is {word}") == f"it is {word}"
    for secret in ("abcdefghijklmnop", "sk-12345", "12345678"):
        assert Key(secret).struck_out(f"it is {secret}") == "it is ***"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "https://user:hunter2secret@host/v1",
        "https://host/v1?api-key=hunter2secret",
        "https://host/v1#hunter2secret",
        "bob:hunter2secret@localhost:1/v1",
        "http://bob:12/hunter2secret@host/v1",
        "localhost:1/v1?api-key=hunter2secret",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="as http://localhost:8000/v1") as refused:
        make_server(url, "m", None, {})
    assert "hunter2secret" not in str(refused.value)


@pytest.mark.parametrize("value", ["sk-with blank", "sk-line\nfeed", "sk-schlüssel"])
def test_a_key_that_no_header_carries_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(UsageError, match="printable ASCII") as refused:
        make_server("http://host/v1", "m", "MINE", {"MINE": value})
    assert value[:4] not in str(refused.value)


def test_a_named_variable_that_is_not_set_is_refused() -> None:
    with pytest.raises(UsageError, match="--key-env names no variable"):
        make_server("http://host/v1", "m", "MINE", {"OPENAI_API_KEY": "sk-another"})


def test_a_key_that_is_given_for_the_name_of_its_variable_is_not_shown() -> None:
    with pytest.raises(UsageError) as refused:
        make_server("http://host/v1", "m", SECRET, {})
    assert "4711" not in str(refused.value)


def test_an_empty_model_is_refused() -> None:
    with pytest.raises(UsageError, match="--model is empty"):
        make_server("http://host/v1", " ", None, {})
