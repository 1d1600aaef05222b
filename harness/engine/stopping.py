"""When a generation ends, and what of it is the answer; lm-eval's rules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from harness.types import GenerateUntil

LOOKBACK = 2
"""Tokens looked back beyond a stop string's own: it may come in another tokenization."""


class Stopping:
    """Ends rows of one model.

    Args:
        config: the model's generation settings.
        tokenizer: its tokenizer.
    """

    def __init__(self, config: Any, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        named = config.eos_token_id
        named = [] if named is None else named if isinstance(named, list) else [named]
        own = tokenizer.eos_token_id
        self.end_tokens: frozenset[int] = frozenset(named or ([] if own is None else [own]))
        self._end_text = "" if own is None else str(tokenizer.decode(own))
        self._lookback = cache(self._tokens_of)

    def ends(self, request: GenerateUntil, tokens: Sequence[int]) -> bool:
        """Whether a row is finished after its newest token.

        Only the last tokens are looked at. A stop string that they miss still cuts the text, it
        only cost some tokens.
        """
        if tokens[-1] in self.end_tokens or len(tokens) >= request.max_new_tokens:
            return True
        tail = tokens[-self._lookback(request.until) :]
        text = self.tokenizer.decode(tail)
        return any(stop in text for stop in self.stops(request))

    def text(self, request: GenerateUntil, tokens: Sequence[int]) -> str:
        """The text before the first stop string, without special tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        for stop in self.stops(request):
            text = text.split(stop)[0]
        return text

    def cut(self, request: GenerateUntil, tokens: Sequence[int]) -> list[int]:
        """The tokens that a row had when it ended: a batch pads it while others go on."""
        for count in range(1, len(tokens)):
            if self.ends(request, tokens[:count]):
                return list(tokens[:count])
        return list(tokens)

    def stops(self, request: GenerateUntil) -> list[str]:
        """The request's stop strings and the end-of-text token's."""
        return [stop for stop in (*request.until, self._end_text) if stop]

    def _tokens_of(self, until: tuple[str, ...]) -> int:
        encode = self.tokenizer.encode
        lengths = [len(encode(stop, add_special_tokens=False)) for stop in until]
        return max(lengths, default=1) + LOOKBACK
