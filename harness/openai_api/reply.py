"""What every question to a server has in common, and what is read out of its answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

BYTES_PER_TOKEN = 3.0
"""Of UTF-8: few, as in texts with many numbers, so that the cost is rather told too high."""
CUT_OFF = "length"
"""The ``finish_reason`` of an answer that reached ``max_tokens``."""
REFUSED, BROKEN, SILENT = "refused", "broken off by the server", "without any text"
"""Why a reply is no answer, see `Reply.unusable`."""
_UNUSABLE = {"content_filter": REFUSED, "refusal": REFUSED, "error": BROKEN}
_MOST_TOKENS = 10**15
"""A count beyond this is none."""


class BrokenFigures(ValueError):
    """An answer of the protocol's form whose figures cannot be used: as a rule this question's own
    lot, which another attempt mostly meets again.
    """


class Ask(Protocol):
    """What is asked of a server, a `Chat` or a `Completion`."""

    @property
    def path(self) -> str:
        """Where it is asked, after the base address."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of the answer, at most."""
        ...

    def payload(self, model: str) -> dict[str, Any]:
        """The request's body, with the limit as ``max_tokens``."""
        ...

    def prompt_tokens(self) -> int:
        """The question's tokens, estimated from its length."""
        ...

    def read(self, body: str) -> Reply:
        """What a body with status 200 says; raises ValueError where it is no answer."""
        ...


@dataclass(frozen=True)
class TokenLogProbs:
    """What a server says of each token of a text, in order.

    Attributes:
        tokens: their texts; a part of a character may be empty or a replacement character.
        logprobs: in nats, given all earlier ones; ``None`` for the first.
        best: the likeliest token's, in its place.
        offsets: where each begins in the text, in characters.
    """

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]
    best: tuple[float | None, ...]
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Reply:
    """A server's answer to a `Chat` or a `Completion`.

    Attributes:
        text: may be empty.
        finish: its ``finish_reason``; empty where it names none.
        refusal: what the server wrote into the field of that name, mostly nothing.
        model: what the server calls the model that answered; empty where it does not say.
        tokens_in, tokens_out: as the server counts them, ``None`` where it does not.
        logprobs: of a `Completion` that asked for them, else ``None``.
        silent: whether it ended before there was a text, as a model that was still thinking, or
            that called a tool.
    """

    text: str
    finish: str = ""
    refusal: str = ""
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    logprobs: TokenLogProbs | None = None
    silent: bool = False

    @property
    def unusable(self) -> str:
        """Why its text is not what the model had to say, in a few words; else empty."""
        if self.refusal:
            return REFUSED
        return _UNUSABLE.get(self.finish, SILENT if self.silent else "")

    def struck_out(self, strike: Callable[[str], str]) -> Reply:
        """The reply without a secret, which JSON can also spell in escapes of its letters."""
        return replace(
            self,
            text=strike(self.text),
            finish=strike(self.finish),
            refusal=strike(self.refusal),
            model=strike(self.model),
        )


def estimated_tokens(text: str) -> int:
    """A text's tokens, from its length.

    >>> estimated_tokens("seven b"), estimated_tokens("")
    (3, 0)
    """
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def read_problem(body: str) -> str:
    """What an error's body says, on one line; empty where it says nothing."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    said: Any = content.get("error", content) if isinstance(content, dict) else None
    if isinstance(said, dict):
        said = said.get("message") or said.get("code")
    text = " ".join(whole(said if isinstance(said, str) else body).split())
    return "".join(letter for letter in text if letter.isprintable())


def whole(text: Any) -> str:
    """A text without halves of UTF-16 pairs, which JSON can spell and no file can hold."""
    if not isinstance(text, str):
        return ""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def count(usage: Any, name: str) -> int | None:
    """A number of tokens that the server names, ``None`` where it names none, or nonsense."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MOST_TOKENS else None
