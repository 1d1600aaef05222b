"""Whether a server gives log-probabilities of a prompt that can be believed; asked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.openai_api.client import ApiError
from harness.openai_api.completion import Completion
from harness.openai_api.continuation import scored
from harness.openai_api.reply import Reply

PROMPTS = (
    "The capital of France is the city of",
    "My favourite word begins with the letter",
    "Q: How many legs do three spiders have?\nA:",
    "She opened the old box and",
)
"""What is written after them differs in kind and in how sure a model is of it."""
NEAR = 0.1
"""Nats by which a token may differ as the end of a prompt from itself when it was written: servers
that compute in 16 bits differ by hundredths, a wrong place by whole nats.
"""


@dataclass(frozen=True)
class _Compared:
    """A text's tokens as they were written and as the end of a prompt.

    Attributes:
        contradiction: which of them has two log-probabilities; empty where none has.
        telling: whether the places beside one of them have others, so that a server which mixes
            places up would have been seen.
    """

    contradiction: str
    telling: bool


def without_logprobs(put: Callable[[Completion], Reply], seed: int) -> str | None:
    """Why what the server says of a prompt's tokens cannot be used; ``None`` where it can.

    The server writes a token or two, and is then asked for the same text as a prompt: its last
    tokens must have the log-probabilities that they were written with. Servers are known that give
    each token the one of the next place. Where that could not be seen, as among tokens of which the
    model is equally sure, another prompt is tried.

    Raises:
        ApiError: every other question would meet the same.
    """
    compared, why = 0, ""
    try:
        for prompt in PROMPTS:
            try:
                found = _compared(prompt, put, seed)
            except ValueError as error:
                why = str(error)
                continue
            if found.contradiction:
                return f"its log-probabilities contradict one another: {found.contradiction}"
            if found.telling:
                return None
            compared += 1
    except ApiError as error:
        if error.fatal:
            raise
        return f"it gives no log-probabilities of a prompt (echo and logprobs): {error}"
    if compared:
        return None
    return f"its log-probabilities of a prompt could not be checked with {len(PROMPTS)}: {why}"


def _compared(prompt: str, put: Callable[[Completion], Reply], seed: int) -> _Compared:
    """Raises ValueError where nothing can be compared; says why."""
    written = put(Completion(prompt, 2, 0.0, seed, logprobs=True))
    said = written.logprobs
    count = _whole_tokens(written)
    if said is None or not count:
        raise ValueError("the model wrote nothing that could be a part of a prompt")
    text = prompt + "".join(said.tokens[:count])
    echoed = put(Completion(text, 1, 0.0, seed, logprobs=True, echo=True)).logprobs
    assert echoed is not None
    scored(echoed, text, len(prompt))  # whether they can be laid onto the text at all
    first = next(at for at, offset in enumerate(echoed.offsets) if offset >= len(prompt))
    if echoed.tokens[first : first + count] != said.tokens[:count]:
        raise ValueError("what the model wrote is cut into other tokens when it is read")
    telling = False
    for place, token, expected in zip(
        range(first, first + count), said.tokens, said.logprobs, strict=False
    ):
        found = echoed.logprobs[place]
        if expected is None or found is None:
            raise ValueError("the server gives a token that it wrote no log-probability")
        if abs(found - expected) > NEAR:
            return _Compared(
                f"{token!r} had {expected:.3f} when it was written, and has {found:.3f} as the end "
                "of a prompt",
                True,
            )
        beside = echoed.logprobs[place - 1 : place] + echoed.logprobs[place + 1 : place + 2]
        telling |= all(one is None or abs(one - expected) > NEAR for one in beside)
    return _Compared("", telling)


def _whole_tokens(written: Reply) -> int:
    """How many of the first tokens are a text's beginning: an end of text is not, nor a part of a
    character.
    """
    tokens = written.logprobs.tokens if written.logprobs is not None else ()
    count, length = 0, 0
    for token in tokens:
        if not token or "�" in token or not written.text.startswith(token, length):
            break
        count, length = count + 1, length + len(token)
    return count
