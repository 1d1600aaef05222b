"""Requests as the protocol of servers words them, and replies as the responses that they hold."""

from __future__ import annotations

import json
from typing import Any

from harness.openai_api.chat import Chat
from harness.openai_api.completion import MOST_STOPS, Completion
from harness.openai_api.continuation import scored
from harness.openai_api.reply import Ask, Reply
from harness.types import (
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Request,
    Response,
    RollingLogLikelihood,
    Unanswered,
)

SEED = 1234


def unfit(kind: type[Request], chat: bool) -> str | None:
    """Why a kind of request fits no server at all, or no chat."""
    if kind is GenerateUntil or (kind is LogLikelihood and not chat):
        return None
    if kind is LogLikelihood:
        return "chat completions give a continuation no log-probability"
    if kind is RollingLogLikelihood:
        return (
            "the perplexity of a whole text needs windows of the model's own tokens and its first "
            "token's log-probability, and a server gives neither"
        )
    return "it is asked in tokens, or of two models, and a server takes text"


def worded(request: Request, chat: bool) -> Ask:
    """A request as the protocol words it."""
    if isinstance(request, GenerateUntil):
        limit, warm = request.max_new_tokens, request.temperature
        seed, stop = SEED + request.repeat, request.until[:MOST_STOPS]
        if chat:
            return Chat(_messages(request.context), limit, warm, seed, stop)
        return Completion(request.context, limit, warm, seed, stop)
    assert isinstance(request, LogLikelihood)
    text = request.context + request.continuation
    return Completion(text, 1, 0.0, SEED, logprobs=True, echo=True)


def _messages(prompt: str) -> tuple[tuple[str, str], ...]:
    """What `harness.backends.api` renders; any other text is one message of the user's."""
    try:
        found: Any = json.loads(prompt)
        if found and all(set(each) == {"role", "content"} for each in found):
            return tuple((each["role"], each["content"]) for each in found)
    except (ValueError, TypeError, RecursionError):
        pass
    return (("user", prompt),)


def responded(request: Request, reply: Reply) -> tuple[Response, int]:
    """What a reply answers, and how many tokens of the question the server listed."""
    if isinstance(request, LogLikelihood):
        assert reply.logprobs is not None
        try:
            # Spaces at the context's end belong to the continuation, as words carry theirs.
            border = len(request.context.rstrip())
            found = scored(reply.logprobs, request.context + request.continuation, border)
        except ValueError as error:
            return Unanswered(str(error)), 0
        return LogProb(found.logprob, found.greedy), found.tokens
    assert isinstance(request, GenerateUntil)
    if reply.unusable:
        return Unanswered(f"the server's answer is none: {reply.unusable}"), 0
    ends = [at for stop in request.until if stop and (at := reply.text.find(stop)) >= 0]
    return Generation(reply.text[: min(ends)] if ends else reply.text), 0
