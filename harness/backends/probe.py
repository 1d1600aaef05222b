"""Whether a server gives log-probabilities of a prompt that can be believed; asked once."""

from __future__ import annotations

from collections.abc import Callable

from harness.openai_api.client import ApiError
from harness.openai_api.completion import Completion
from harness.openai_api.continuation import scored
from harness.openai_api.reply import Reply

PROMPT = "The capital of France is the city of"
NEAR = 0.1
"""Nats by which a token may differ as the end of a prompt from itself when it was written: servers
that compute in 16 bits differ by hundredths, a wrong place by whole nats.
"""


def without_logprobs(put: Callable[[Completion], Reply], seed: int) -> str | None:
    """Why what the server says of a prompt's tokens cannot be used; ``None`` where it can.

    The server writes one token, and is then asked for the same text as a prompt: its last token
    must have the log-probability that it was written with. Servers are known that give each token
    the one of the next place.

    Raises:
        ApiError: every other question would meet the same.
    """
    try:
        written = put(Completion(PROMPT, 1, 0.0, seed, logprobs=True))
        said = written.logprobs
        if said is None or not written.text.strip() or not said.tokens:
            return None if _echoes(put, seed) else "it echoes no prompt"
        text = PROMPT + written.text
        echoed = put(Completion(text, 1, 0.0, seed, logprobs=True, echo=True))
        assert echoed.logprobs is not None
        found = scored(echoed.logprobs, text, len(PROMPT))
    except ApiError as error:
        if error.fatal:
            raise
        return f"it gives no log-probabilities of a prompt (echo and logprobs): {error}"
    except ValueError as error:
        return str(error)
    expected = said.logprobs[0]
    if expected is not None and abs(found.logprob - expected) > NEAR:
        return (
            f"its log-probabilities contradict one another: {written.text!r} had {expected:.3f} "
            f"when it was written, and has {found.logprob:.3f} as the end of a prompt"
        )
    return None


def _echoes(put: Callable[[Completion], Reply], seed: int) -> bool:
    """Where the model has nothing to write, its prompt must at least come back with figures."""
    echoed = put(Completion(PROMPT, 1, 0.0, seed, logprobs=True, echo=True))
    assert echoed.logprobs is not None
    return scored(echoed.logprobs, PROMPT, len("The")).tokens > 1
