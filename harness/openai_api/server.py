"""Where an OpenAI-compatible server is, and the key that opens it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.errors import UsageError

KEY_VARIABLE = "OPENAI_API_KEY"
_SECRET_FROM, _SECRET_WORD_FROM = 8, 16
"""Characters from which a key is taken for a secret, the second where it is only letters and
hyphens. Local servers are given ``EMPTY``, ``anything`` or ``not-needed``, which must not be struck
out of every text that holds it.
"""


class Key:
    """A secret that is sent and never shown: its ``repr`` does not hold it.

    Args:
        value: printable ASCII, as a header can carry it.
        variable: of the environment, where it came from.
    """

    __slots__ = ("_value", "variable")

    def __init__(self, value: str, variable: str = KEY_VARIABLE) -> None:
        self._value, self.variable = value, variable

    def __repr__(self) -> str:
        return "Key(***)"

    def header(self) -> str:
        """The value of the header ``Authorization``."""
        return f"Bearer {self._value}"

    @property
    def secret(self) -> bool:
        """Whether it is taken for more than a word that a local server is given."""
        word = self._value.replace("-", "").isalpha()
        return len(self._value) >= (_SECRET_WORD_FROM if word else _SECRET_FROM)

    def struck_out(self, text: str) -> str:
        """The text without the key, should a server say it back, as it is or escaped by JSON."""
        if not self.secret:
            return text
        for form in (self._value, json.dumps(self._value)[1:-1]):
            text = text.replace(form, "***")
        return text


@dataclass(frozen=True)
class Server:
    """One model of one server.

    Attributes:
        url: the base, such as ``http://localhost:8000/v1``, without a slash at its end.
        model: as the server calls it.
        key: ``None`` for a server that asks for none.
    """

    url: str
    model: str
    key: Key | None = None

    def __str__(self) -> str:
        """Who is asked, and what is sent along: a key may be meant for another server, and one
        that looks like a placeholder stays in its texts.
        """
        if self.key is None:
            return f"{self.model} at {self.url}, without a key"
        parts = urlsplit(self.url)
        local = parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
        plain = "" if local else ", unencrypted"
        struck = "" if self.key.secret else "not "
        key = f"the key in {self.key.variable} ({struck}struck out of what the server says)"
        return f"{self.model} at {self.url}, with {key}{plain}"

    def struck_out(self, text: str) -> str:
        """The text without the key."""
        return self.key.struck_out(text) if self.key is not None else text


def make_server(
    url: str, model: str, key_variable: str | None, environment: Mapping[str, str] = os.environ
) -> Server:
    """A server by its address; the key is read from an environment variable.

    Args:
        url: the base address, http or https.
        model: as the server calls it.
        key_variable: names the variable; ``None`` reads `KEY_VARIABLE`, which need not be set.
        environment: the variables.

    Raises:
        UsageError: the address is none, or could hold a secret; the variable that was named is not
            set; or its value cannot be a key. Neither secret is in the message.
    """
    if not model.strip():
        raise UsageError("--model is empty; name the model as the server calls it")
    return Server(_checked(url), model, _key(key_variable, environment))


def _checked(url: str) -> str:
    valid = "a base address is http:// or https://, a host and a path, as http://localhost:8000/v1"
    if set(url) & set("@?#"):
        raise UsageError(
            "--endpoint holds @, ? or #: a user, a password, a query or a fragment would be "
            f"written into every record; give a key by the environment ({KEY_VARIABLE}, or "
            f"--key-env); {valid}"
        )
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"--endpoint is no address; {valid}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--endpoint {url!r} is no address; {valid}")
    return url.strip().rstrip("/").removesuffix("/chat/completions")


def _key(variable: str | None, environment: Mapping[str, str]) -> Key | None:
    value = environment.get(variable or KEY_VARIABLE, "").strip()
    if not value:
        if variable:
            raise UsageError(  # what was given may be the key itself
                "--key-env names no variable of the environment, or an empty one; it takes the "
                "name of a variable that holds the key, and is left out where the server asks for "
                "no key"
            )
        return None
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise UsageError(
            f"the key in {variable or KEY_VARIABLE} holds characters that no header can carry: "
            "a key is printable ASCII without blanks"
        )
    return Key(value, variable or KEY_VARIABLE)
