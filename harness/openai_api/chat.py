"""What a chat completion asks, and what is read out of its answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.openai_api.reply import Reply, count, estimated_tokens, whole
from harness.openai_api.server import Server

TOKENS_PER_MESSAGE = 8
"""What a chat template puts around a message."""


@dataclass(frozen=True)
class Chat:
    """Asks for the next message of a conversation.

    Attributes:
        messages: role and content, in order.
        max_tokens: of the answer, at most.
        temperature: 0 for the likeliest answer.
        seed: for servers that take one; tells apart samples of one prompt.
        stop: texts that end the answer.
    """

    path: ClassVar[str] = "/chat/completions"

    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...] = ()

    def payload(self, model: str) -> dict[str, Any]:
        """The request's body."""
        return {
            "model": model,
            "messages": [{"role": role, "content": text} for role, text in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": False,
            **({"stop": list(self.stop)} if self.stop else {}),
        }

    def prompt_tokens(self) -> int:
        """Its tokens, estimated."""
        return sum(TOKENS_PER_MESSAGE + estimated_tokens(text) for _, text in self.messages)

    def read(self, body: str) -> Reply:
        """As `read_reply`."""
        return read_reply(body)

    def digest(self, server: Server) -> str:
        """32 hexadecimal digits that are equal where the same is asked of the same server."""
        content = json.dumps([server.url, self.payload(server.model)], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


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
        whole(text),
        whole(finish),
        whole(refusal),
        whole(model),
        count(usage, "prompt_tokens"),
        count(usage, "completion_tokens"),
        silent=text is None and finish != "stop",
    )


def _joined(content: Any) -> Any:
    """A content that is a list of parts, as the texts among them; else as it is."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")
