"""What a chat completion asks, and what is read out of its answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from harness.openai_api.server import Server

CUT_OFF = "length"
"""The ``finish_reason`` of an answer that reached ``max_tokens``."""
REFUSED, BROKEN = "refused", "broken off by the server"
"""Why a reply is no answer, see `Reply.unusable`."""
_UNUSABLE = {"content_filter": REFUSED, "refusal": REFUSED, "error": BROKEN}
_MOST_TOKENS = 10**15
"""A count beyond this is none."""


@dataclass(frozen=True)
class Chat:
    """Asks for the next message of a conversation.

    Attributes:
        messages: role and content, in order.
        max_tokens: of the answer, at most.
        temperature: 0 for the likeliest answer.
        seed: for servers that take one; tells apart samples of one prompt.
    """

    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float
    seed: int

    def payload(self, model: str) -> dict[str, Any]:
        """The request's body."""
        return {
            "model": model,
            "messages": [{"role": role, "content": text} for role, text in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": False,
        }

    def digest(self, server: Server) -> str:
        """32 hexadecimal digits that are equal where the same is asked of the same server."""
        content = json.dumps([server.url, self.payload(server.model)], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Reply:
    """A server's answer to a `Chat`.

    Attributes:
        text: may be empty.
        finish: its ``finish_reason``; empty where it names none.
        refusal: what the server wrote into the field of that name, mostly nothing.
        model: what the server calls the model that answered; empty where it does not say.
        tokens_in, tokens_out: as the server counts them, ``None`` where it does not.
    """

    text: str
    finish: str = ""
    refusal: str = ""
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None

    @property
    def unusable(self) -> str:
        """Why its text is not what the model had to say, in a few words; else empty."""
        return REFUSED if self.refusal else _UNUSABLE.get(self.finish, "")


def read_reply(body: str) -> Reply:
    """Read a chat completion.

    Raises:
        ValueError: it is not JSON, or no chat completion; says which.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the answer is not JSON") from None
    try:
        choice = content["choices"][0]
        message = choice["message"]
        text = _joined(message.get("content"))
        refusal = message.get("refusal")
        finish, model = choice.get("finish_reason"), content.get("model")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("the answer is JSON, but no chat completion") from None
    if text is not None and not isinstance(text, str):
        raise ValueError("the answer is JSON, but no chat completion: its content is no text")
    usage = content.get("usage")
    return Reply(
        _whole(text),
        _whole(finish),
        _whole(refusal),
        _whole(model),
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
    )


def read_problem(body: str) -> str:
    """What an error's body says, on one line; empty where it says nothing."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    said: Any = content.get("error", content) if isinstance(content, dict) else None
    if isinstance(said, dict):
        said = said.get("message") or said.get("code")
    text = " ".join(_whole(said if isinstance(said, str) else body).split())
    return "".join(letter for letter in text if letter.isprintable())


def _joined(content: Any) -> Any:
    """A content that is a list of parts, as the texts among them; else as it is."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _whole(text: Any) -> str:
    """A text without halves of UTF-16 pairs, which JSON can spell and no file can hold."""
    if not isinstance(text, str):
        return ""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MOST_TOKENS else None
