"""What a text completion asks, and what is read out of its answer."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.openai_api.reply import (
    BrokenFigures,
    Reply,
    TokenLogProbs,
    count,
    estimated_tokens,
    whole,
)

MOST_STOPS = 4
"""Stop strings that the protocol takes; who asks cuts at the others."""
NO_LOGPROBS = "the answer holds no log-probabilities"


@dataclass(frozen=True)
class Completion:
    """Asks how a text goes on.

    Attributes:
        prompt: the text.
        max_tokens: of the answer, at most.
        temperature: 0 for the likeliest answer.
        seed: for servers that take one; tells apart samples of one prompt.
        stop: texts that end the answer.
        logprobs: whether log-probabilities are needed: an answer without them is none.
        echo: whether the prompt's own are, too.
    """

    prompt: str
    max_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    echo: bool = False

    path: ClassVar[str] = "/completions"

    def payload(self, model: str) -> dict[str, Any]:
        """The request's body."""
        return {
            "model": model,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": False,
            **({"stop": list(self.stop)} if self.stop else {}),
            **({"logprobs": 1} if self.logprobs else {}),
            **({"echo": True} if self.echo else {}),
        }

    def prompt_tokens(self) -> int:
        """Its tokens, estimated."""
        return estimated_tokens(self.prompt)

    def read(self, body: str) -> Reply:
        """Read a completion.

        Raises:
            ValueError: it is not JSON, no completion, or without the log-probabilities that were
                asked for; says which.
        """
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("the answer is not JSON") from None
        try:
            choices = content["choices"]
            if len(choices) != 1:
                raise ValueError(f"the answer holds {len(choices)} choices, one was asked for")
            text, finish = choices[0]["text"], choices[0].get("finish_reason")
            model, usage = content.get("model"), content.get("usage")
            found = choices[0].get("logprobs")
        except (KeyError, TypeError, AttributeError):
            raise ValueError("the answer is JSON, but no completion") from None
        if not isinstance(text, str):
            raise ValueError("the answer is JSON, but no completion: its text is none")
        return Reply(
            whole(text),
            whole(finish),
            "",
            whole(model),
            count(usage, "prompt_tokens"),
            count(usage, "completion_tokens"),
            _logprobs(found) if self.logprobs else None,
        )


def _logprobs(found: Any) -> TokenLogProbs:
    if found is None:
        raise BrokenFigures(NO_LOGPROBS)
    try:
        tokens, logprobs = found["tokens"], found["token_logprobs"]
        tops, offsets = found["top_logprobs"], found["text_offset"]
        if not len(tokens) == len(logprobs) == len(tops) == len(offsets):
            raise BrokenFigures("the answer holds log-probabilities of unequal number")
        return TokenLogProbs(
            tuple(map(_text, tokens)),
            tuple(None if one is None else _finite(one) for one in logprobs),
            tuple(max(map(_finite, top.values())) if top else None for top in tops),
            tuple(map(_place, offsets)),
        )
    except (KeyError, TypeError, AttributeError):
        raise BrokenFigures(NO_LOGPROBS) from None


def _text(token: Any) -> str:
    if not isinstance(token, str):
        raise TypeError
    return token


def _place(offset: Any) -> int:
    if not isinstance(offset, int):
        raise TypeError
    return offset


def _finite(logprob: Any) -> float:
    try:
        if isinstance(logprob, int | float) and math.isfinite(found := float(logprob)):
            return found
    except OverflowError:
        pass
    raise BrokenFigures("the answer holds a log-probability that is no number")
