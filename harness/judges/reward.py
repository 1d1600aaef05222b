"""Reward models: classifiers with one output."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from harness.backends.backend import LoadOptions
from harness.chat_template import render
from harness.judge_options import RewardJudge
from harness.judges.checkpoint import readable_tokens
from harness.judges.classifier import load_classifier
from harness.types import Question, Request, Response, Reward, Rewarded


class RewardMarker:
    """A Marker over a sequence classifier.

    Args:
        model: with one output.
        tokenizer: its own.
        template: see `RewardJudge`; ``auto`` is resolved.
    """

    def __init__(self, model: Any, tokenizer: Any, template: str) -> None:
        self.model, self._tokenizer, self._template = model, tokenizer, template
        self.max_length = readable_tokens(model)
        self.identity: Mapping[str, str] = {"judge": "reward 1", "template": template}

    def question(self, request: Request) -> Question:
        """Prompt and response as one text, as this model was trained to read them."""
        if not isinstance(request, Reward):
            return Question(request, refused="a reward model gives rewards only")
        ids = array("i", self._ids(request))
        refused = None if ids else "prompt and response have no tokens"
        if len(ids) > self.max_length:
            refused = (
                f"prompt and response have {len(ids):,} tokens, the judge reads "
                f"{self.max_length:,} at most"
            )
        return Question(request, (ids,), refused=refused)

    def mark(self, questions: Sequence[Question]) -> list[Response]:
        """One forward pass, padded on the right; the rewards are the logits."""
        rows = [self._row(question) for question in questions]
        batch = self._tokenizer.pad(rows, padding_side="right", return_tensors="pt")
        inputs = {name: batch[name].to(self.model.device) for name in [*rows[0], "attention_mask"]}
        rewards = self.model(**inputs).logits[:, 0].float()
        return [Rewarded(float(reward)) for reward in rewards]

    def _row(self, question: Question) -> dict[str, list[int]]:
        """The ids; and which side of the pair each is of, where the model is told that."""
        row = {"input_ids": list(question.tokens[0])}
        request = question.request
        sides = getattr(self.model.config, "type_vocab_size", 0) > 1
        if sides and self._template == "pair" and isinstance(request, Reward):
            joined = self._tokenizer(request.prompt, request.response, return_token_type_ids=True)
            row["token_type_ids"] = list(joined["token_type_ids"])
        return row

    def _ids(self, request: Reward) -> list[int]:
        tokenizer = self._tokenizer
        if self._template == "pair":
            return list(tokenizer(request.prompt, request.response).input_ids)
        if self._template == "chat":
            messages = [{"role": "user", "content": request.prompt}]
            prompt = render(tokenizer, messages)
            ids = list(tokenizer(prompt + request.response, add_special_tokens=False).input_ids)
        else:
            text = f"Question: {request.prompt}\nAnswer: {request.response}"
            ids = list(tokenizer(text).input_ids)
        end = tokenizer.eos_token_id
        return ids if end is None or ids[-1:] == [end] else [*ids, end]


def load(options: LoadOptions, judge: RewardJudge) -> RewardMarker:
    """Load a reward model.

    Raises:
        WeightsError: it is no classifier, lacks its output's weights, or has several outputs.
    """
    model, tokenizer = load_classifier(options, "reward model")
    # A causal model's classifier looks for the last token that is no padding: by its own token.
    config = model.config.get_text_config()
    if config.pad_token_id is None:
        pad = tokenizer.pad_token_id
        config.pad_token_id = tokenizer.eos_token_id if pad is None else pad
    tokenizer.pad_token_id = config.pad_token_id
    template = judge.template
    if template == "auto":
        template = "chat" if tokenizer.chat_template else "plain"
    return RewardMarker(model, tokenizer, template)
