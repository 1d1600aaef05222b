"""From requests in text to questions in tokens, by lm-eval's rules.

The rules are those of ``HFLM`` (lm-eval 0.4.13): where the border between context and continuation
lies, when BOS is added, what is cut off when a prompt is too long. The texts of a whole task go to
the tokenizer in batches, each distinct text once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lm_eval.models.utils import resolve_max_length
from transformers import PreTrainedTokenizerBase

from harness.errors import WeightsError
from harness.types import (
    GenerateUntil,
    LogLikelihood,
    Question,
    Request,
    RollingLogLikelihood,
    Tokens,
    WindowLogLikelihood,
)

_DEFAULT_MAX_LENGTH = 2048
"""lm-eval's, for a model whose configuration and tokenizer name no length."""
TOGETHER = 256
"""Texts that are tokenized in one call."""


class Encoder:
    """Turns requests into questions for one tokenizer and one context length.

    Args:
        tokenizer: the model's.
        config: the model's configuration.
        add_bos: whether prompts begin with BOS; ``None`` leaves it to the tokenizer.
        rows: how many tokens the model has an embedding of; ``None`` where that is not known.

    Raises:
        WeightsError: the tokenizer has no token to begin with.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: Any,
        add_bos: bool | None,
        rows: int | None = None,
    ) -> None:
        self.tokenizer: Any = tokenizer
        self.max_length: int = resolve_max_length(config, tokenizer, default=_DEFAULT_MAX_LENGTH)
        if add_bos is None and "gemma" in getattr(config, "model_type", ""):
            add_bos = True  # as lm-eval: without it these models answer noise
        self._add_bos, self._rows = add_bos, rows
        bos = self.tokenizer.bos_token_id
        self.prefix_token: Any = bos if bos is not None else self.tokenizer.eos_token_id
        if self.prefix_token is None:
            raise WeightsError(
                f"{self.tokenizer.name_or_path}: the tokenizer has neither a BOS nor an EOS token, "
                "and a text must begin with one; name one in its tokenizer_config.json"
            )
        self._prefix_text = str(self.tokenizer.decode(self.prefix_token))

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Encode all requests; one that cannot be asked of this model is refused."""
        texts = self._tokenize(text for request in requests for text in _texts(request))
        bare = self._tokenize(
            (r.continuation for r in requests if isinstance(r, LogLikelihood) and not r.context),
            add_special_tokens=False,
        )
        return [self._checked(self._question(request, texts, bare)) for request in requests]

    def _checked(self, question: Question) -> Question:
        """Refuse a token that the model has no row for, which its embedding would fail at.

        By the token, not by the tokenizer's size: many a tokenizer has more than is ever used.
        """
        if self._rows is None or question.refused is not None:
            return question
        most = max(int(np.max(tokens)) for tokens in question.tokens)
        if most < self._rows:
            return question
        refused = (
            f"the tokenizer makes token {most}, the model has {self._rows} rows: it is of another "
            "model, or the model was not resized for its added tokens"
        )
        return replace(question, refused=refused)

    def _question(
        self, request: Request, texts: dict[str, Tokens], bare: dict[str, Tokens]
    ) -> Question:
        match request:
            case LogLikelihood():
                return self._pair(request, *self._split(request, texts, bare))
            case GenerateUntil():
                return self._prompt(request, texts[request.context])
            case RollingLogLikelihood():
                ids = texts[request.text]
                refused = None if ids else "the text has no tokens"
                return Question(request, (array("i", [self.prefix_token]) + ids,), refused=refused)
            case WindowLogLikelihood():
                return self._window(request)
            case _:
                return Question(request, refused="a language model does not judge answers")

    def _split(
        self, request: LogLikelihood, texts: dict[str, Tokens], bare: dict[str, Tokens]
    ) -> tuple[Tokens, Tokens]:
        if not request.context:
            continuation = bare[request.continuation]
            if continuation and continuation[0] == self.prefix_token:
                return continuation[:1], continuation[1:]
            return array("i", [self.prefix_token]), continuation
        context, whole = _texts(request)
        return texts[context], texts[whole][len(texts[context]) :]

    def _pair(self, request: LogLikelihood, context: Tokens, continuation: Tokens) -> Question:
        excess = len(context) + len(continuation) - (self.max_length + 1)
        refused = None
        if not context or not continuation:
            refused = f"the {'continuation' if context else 'prompt'} has no tokens"
        elif len(continuation) > self.max_length:
            refused = (
                f"the continuation has {len(continuation)} tokens, "
                f"the model's context {self.max_length}"
            )
        elif excess > 0:
            context = context[excess:]
        return Question(request, (context, continuation), excess > 0, refused)

    def _prompt(self, request: GenerateUntil, ids: Tokens) -> Question:
        room = self.max_length - request.max_new_tokens
        refused = None
        if room <= 0:
            refused = (
                f"{request.max_new_tokens} new tokens leave no room for a prompt in a context "
                f"of {self.max_length}"
            )
        elif request.max_new_tokens < 1:
            refused = f"{request.max_new_tokens} new tokens are nothing to generate"
        elif not ids:
            refused = "the prompt has no tokens"
        return Question(request, (ids[-room:],), len(ids) > room, refused)

    def _window(self, request: WindowLogLikelihood) -> Question:
        refused = None
        if len(request.tokens) > self.max_length:
            refused = (
                f"a window has {len(request.tokens)} tokens, the model's context {self.max_length}"
            )
        elif len(request.tokens) < 2:
            refused = "the window has no token to predict"
        return Question(request, (array("i", request.tokens),), refused=refused)

    def _tokenize(
        self, texts: Iterable[str], add_special_tokens: bool | None = None
    ) -> dict[str, Tokens]:
        """Each distinct text's token ids; ``None`` adds what the tokenizer adds by default."""
        distinct = list(dict.fromkeys(texts))
        encoded: dict[str, Tokens] = {}
        # A text that already begins with BOS gets no second one.
        begun = [text for text in distinct if text.startswith(self._prefix_text)]
        plain = [text for text in distinct if not text.startswith(self._prefix_text)]
        default = self._add_bos if add_special_tokens is None else add_special_tokens
        for group, special in ((begun, False), (plain, default)):
            options = {} if special is None else {"add_special_tokens": special}
            # The tokenizer's own results are large: a whole task at once would take gigabytes.
            for start in range(0, len(group), TOGETHER):
                part = group[start : start + TOGETHER]
                batch = self.tokenizer(
                    part, return_attention_mask=False, verbose=False, **options
                ).input_ids
                encoded |= {text: array("i", ids) for text, ids in zip(part, batch, strict=True)}
        return encoded


def _texts(request: Request) -> tuple[str, ...]:
    """What must be tokenized; for a pair its context, and context and continuation together.

    Spaces at the context's end belong to the continuation, as words carry theirs in front.
    """
    match request:
        case LogLikelihood() if request.context:
            return request.context.rstrip(), request.context + request.continuation
        case GenerateUntil():
            return (request.context,)
        case RollingLogLikelihood():
            return (request.text,)
        case _:
            return ()
