"""DialogRPT: how likely people are to prefer an answer (Gao et al. 2020, arXiv 2009.06978).

Context and answer are joined and marked as the authors' `src/model.py` does it
(github.com/golsun/DialogRPT): every turn of the context without blanks around it, followed by
``<|endoftext|>``; then the answer, followed by nothing; the logistic of the last token's output.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError
from harness.judge_options import DialogRptJudge
from harness.judges.classifier import load_classifier
from harness.types import Question, Request, Response, Reward, Rewarded

END_OF_TURN = "<|endoftext|>"
TURNS = 2
"""Of the context, the last ones are read: the authors' ``--max_cxt_turn``."""


class DialogRptMarker:
    """A Marker over a GPT-2 with one output.

    Args:
        model: the classifier.
        tokenizer: GPT-2's.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self._tokenizer = model, tokenizer
        self._end: int = tokenizer.convert_tokens_to_ids(END_OF_TURN)
        self.max_length: int = model.config.n_positions
        self.identity: Mapping[str, str] = {"judge": "dialogrpt 1"}

    def question(self, request: Request) -> Question:
        """The prompt's turns and the response; an empty response is marked like any other."""
        if not isinstance(request, Reward):
            return Question(request, refused="DialogRPT marks an answer to a context only")
        ids = array("i")
        for turn in request.prompt.split(END_OF_TURN)[-TURNS:]:
            ids.extend([*self._ids(turn), self._end])
        ids.extend(self._ids(request.response))
        refused = None
        if len(ids) > self.max_length:
            refused = (
                f"prompt and response have {len(ids):,} tokens, the judge reads "
                f"{self.max_length:,} at most"
            )
        return Question(request, (ids,), refused=refused)

    def mark(self, questions: Sequence[Question]) -> list[Response]:
        """One forward pass, padded on the right.

        Each row's own last token is read: transformers' classifier takes the last that is no
        ``<|endoftext|>``, which is another one for an empty response.
        """
        rows = [torch.tensor(question.tokens[0].tolist()) for question in questions]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self._end)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        device = self.model.device
        hidden = self.model.transformer(ids.to(device), attention_mask=mask.to(device))[0]
        last = hidden[torch.arange(len(rows), device=device), (lengths - 1).to(device)]
        chances = self.model.score(last)[:, 0].sigmoid()
        return [Rewarded(float(chance)) for chance in chances]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text.strip(), add_special_tokens=False).input_ids)


def load(options: LoadOptions, judge: DialogRptJudge) -> DialogRptMarker:
    """Load a DialogRPT model.

    Raises:
        WeightsError: it is no GPT-2 with one output, or its tokenizer has no end-of-text token.
    """
    model, tokenizer = load_classifier(options, "DialogRPT model")
    if model.config.model_type != "gpt2":
        raise WeightsError(
            f"{options.path} is a {model.config.model_type}; a DialogRPT model is a gpt2"
        )
    if END_OF_TURN not in tokenizer.get_vocab():
        raise WeightsError(f"{options.tokenizer}: the tokenizer has no token {END_OF_TURN}")
    return DialogRptMarker(model, tokenizer)
