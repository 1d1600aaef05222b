"""Rows as token ids: where the prompt ends, what is learned, what is too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import TrainingError
from harness.weights import file_names, tokenizer_files
from training.data.rows import Message
from training.data.template import Template, choose, continuation, render
from training.step import Work

IGNORED = -100
"""The label of a token that the loss leaves out."""


def load_tokenizer(work: Work) -> Any:
    """The tokenizer of the step's parent; without a padding token, it pads with its end token.

    Raises:
        TrainingError: there is none, it cannot be loaded, or it has no token to pad with.
    """
    from transformers import AutoTokenizer

    if not tokenizer_files(file_names(work.tokenizer)):
        raise TrainingError(
            f"{work.name}: {work.tokenizer} holds no tokenizer, so its text cannot be read: write "
            "`tokenizer: {hub: org/name}` into the parent's entry in the registry"
        )
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            work.tokenizer, trust_remote_code=work.trust_remote_code
        )
    except Exception as error:  # custom code and torn files raise many kinds
        raise TrainingError(f"{work.name}: the tokenizer cannot be loaded: {error}") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise TrainingError(
            f"{work.name}: the tokenizer in {work.tokenizer} has neither a padding token nor an "
            "end-of-text token; name one of them in its tokenizer_config.json"
        )
    return tokenizer


@dataclass(frozen=True)
class TextEncoder:
    """Turns prompts and answers into token ids.

    Attributes:
        tokenizer: as `load_tokenizer` gives it.
        template: ``auto``, ``chat`` or ``plain``, see `training.data.template.render`.
        name: of the model that is made, for errors.
    """

    tokenizer: Any
    template: Template
    name: str

    def answers(
        self, prompt: Sequence[Message], *answers: str
    ) -> tuple[list[int], list[list[int]]]:
        """Ids of the prompt, and of each answer with the end token.

        Prompt and answer are tokenized as one text, as they are when a benchmark scores an
        answer. A token that spans their border belongs to the answer.

        Raises:
            TrainingError: the tokenizer has no end token: a model could not learn to stop.
            UsageError: it has no chat template, and ``chat`` was asked for.
        """
        end = self.tokenizer.eos_token_id
        if end is None:
            raise TrainingError(
                f"{self.name}: the tokenizer has no end-of-text token, so the model could not "
                "learn where an answer ends; name one in its tokenizer_config.json"
            )
        alone = _without_end(self._ids(render(prompt, self.tokenizer, self.template)), end)
        wholes = [
            [*_without_end(self._ids(self._text(prompt, answer)), end), end] for answer in answers
        ]
        border = min(_shared(alone, whole) for whole in wholes)
        return alone[:border], [whole[border:] for whole in wholes]

    def whole(self, prompt: Sequence[Message], answer: str) -> list[int]:
        """Ids of prompt and answer as one text that ends with the end token, if there is one."""
        ids = self._ids(self._text(prompt, answer))
        end = self.tokenizer.eos_token_id
        return ids if end is None or ids[-1:] == [end] else [*ids, end]

    def _text(self, prompt: Sequence[Message], answer: str) -> str:
        text = render(prompt, self.tokenizer, self.template)
        return text + continuation(answer, self.tokenizer, self.template)

    def _ids(self, text: str) -> list[int]:
        # A chat template writes the special tokens itself.
        plain = choose(self.tokenizer, self.template) == "plain"
        return list(self.tokenizer(text, add_special_tokens=plain)["input_ids"])


def _without_end(ids: list[int], end: int) -> list[int]:
    return ids[:-1] if ids[-1:] == [end] else ids


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences share from their beginning."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def labelled(
    prompt: list[int], answer: list[int], max_length: int, answer_only: bool
) -> dict[str, list[int]] | None:
    """A row for supervised learning, cut to ``max_length``; ``None`` if no answer is left."""
    ids = (prompt + answer)[:max_length]
    hidden = min(len(prompt), len(ids)) if answer_only else 0
    if hidden == len(ids):
        return None
    return {"input_ids": ids, "labels": [IGNORED] * hidden + ids[hidden:]}


def check_readable(
    highest: int, longest: int, model: Any, name: str, option: str = "max_length"
) -> None:
    """Refuse rows that the model has no embeddings for.

    Args:
        highest: the highest token id in the data.
        longest: tokens of the longest row.
        model: the parent.
        name: of the model that is made.
        option: of the recipe, that says how long rows may be.

    Raises:
        TrainingError: the tokenizer knows more tokens than the parent, or a row is longer than what
            the parent was made for.
    """
    known = model.get_input_embeddings().num_embeddings
    if highest >= known:
        raise TrainingError(
            f"{name}: the tokenizer writes token {highest:,}, but the parent knows only {known:,} "
            "tokens: it is the tokenizer of another model"
        )
    places = getattr(model.config.get_text_config(), "max_position_embeddings", None) or longest
    if longest > places:
        raise TrainingError(
            f"{name}: the longest row has {longest:,} tokens, but the parent reads {places:,} at "
            f"most: write {option}: {places}, or less"
        )
