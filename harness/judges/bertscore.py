"""BERTScore: how near the tokens of a text are to those of a reference (arXiv 1904.09675).

Tokenization, embedding and matching are the `bert-score` package's own functions, and the figures
are those of ``BERTScorer.score`` for one pair at a time. Where the package breaks on today's
transformers, it is given what it expects: ids for an empty text, which no tokenizer builds any
more, and a length for an encoder whose tokenizer states none. Its loader is not used: it takes any
folder with ``t5`` in its path for a T5, and does not tell weights that are missing.

Figures do not depend on a batch: there are no weights by document frequency, and every pair is
matched without padding (the package's padding counts as a similarity of 0).
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import bert_score
import torch
from bert_score.utils import bert_encode, get_tokenizer, greedy_cos_idf, padding, sent_encode
from transformers import AutoModel

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError
from harness.judge_options import BertScoreJudge
from harness.judges.checkpoint import load_checkpoint, readable_tokens
from harness.types import Question, Request, Resemblance, Resembled, Response, Tokens

Figures = tuple[float, float, float]
"""Precision, recall, F1."""


class BertScoreMarker:
    """A Marker over an encoder.

    Args:
        model: cut behind the layer whose outputs are compared.
        tokenizer: its own.
        baseline: figures of unrelated sentences, which become 0; ``None`` does not rescale.
        identity: layer and baseline, in words.
    """

    def __init__(
        self, model: Any, tokenizer: Any, baseline: Figures | None, identity: Mapping[str, str]
    ) -> None:
        self.model, self._tokenizer, self._baseline = model, tokenizer, baseline
        self.max_length = min(tokenizer.model_max_length, readable_tokens(model))
        tokenizer.model_max_length = self.max_length  # by which the package truncates
        self._ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        version = metadata.version("bert-score")
        self.identity: Mapping[str, str] = {"judge": f"bertscore 1, bert-score {version}"} | dict(
            identity
        )

    def question(self, request: Request) -> Question:
        """Text and reference as the package encodes them, cut to what the encoder reads."""
        if not isinstance(request, Resemblance):
            return Question(request, refused="BERTScore compares a text with a reference only")
        sides = (request.text, request.reference)
        ids = (self._ids(request.text), self._ids(request.reference))
        cut = any(map(self._is_cut, sides, ids))
        return Question(request, ids, truncated=cut)

    def mark(self, questions: Sequence[Question]) -> list[Response]:
        """One forward pass over the texts, one over the references, then pair by pair."""
        texts = self._embedded([question.tokens[0] for question in questions])
        references = self._embedded([question.tokens[1] for question in questions])
        return [self._matched(*pair) for pair in zip(questions, texts, references, strict=True)]

    def _ids(self, text: str) -> Tokens:
        # A tokenizer of today has no method for what the package does with an empty text.
        return array("i", sent_encode(self._tokenizer, text) if text.strip() else self._ends)

    def _is_cut(self, text: str, ids: Tokens) -> bool:
        if len(ids) < self.max_length:
            return False
        whole = self._tokenizer(text.strip(), truncation=False, verbose=False)["input_ids"]
        return len(whole) > len(ids)

    def _embedded(self, rows: Sequence[Tokens]) -> list[torch.Tensor]:
        """Of each row, the embeddings of its tokens: (tokens, width)."""
        ids, lengths, mask = padding(rows, self._tokenizer.pad_token_id)
        device = self.model.device
        found = bert_encode(self.model, ids.to(device), attention_mask=mask.to(device))
        return [row[:length] for row, length in zip(found, lengths, strict=True)]

    def _matched(
        self, question: Question, text: torch.Tensor, reference: torch.Tensor
    ) -> Resembled:
        given: list[torch.Tensor] = []
        for embeddings, ids in ((reference, question.tokens[1]), (text, question.tokens[0])):
            counted = torch.tensor([[float(token not in self._ends) for token in ids]]).to(text)
            given += [embeddings[None], torch.ones_like(counted), counted]
        figures = [float(figure) for figure in greedy_cos_idf(*given)]
        if self._baseline is not None:
            figures = [
                (figure - base) / (1 - base)
                for figure, base in zip(figures, self._baseline, strict=True)
            ]
        precision, recall, f1 = figures
        return Resembled(precision, recall, f1, question.truncated)


def load(options: LoadOptions, judge: BertScoreJudge) -> BertScoreMarker:
    """Load an encoder in float32, up to the judge's layer.

    Raises:
        WeightsError: it is no encoder that can be cut, has fewer layers, lacks weights, or the
            package has no baseline for it.
    """
    model, lacking = load_checkpoint(AutoModel, options, "an encoder")
    try:
        tokenizer: Any = get_tokenizer(str(options.tokenizer.resolve()))
    except Exception as error:  # transformers and tokenizers raise many kinds
        raise WeightsError(f"{options.tokenizer} holds no tokenizer: {error}") from None
    # The pooler is behind the layers that are compared.
    if missing := [key for key in lacking if not key.startswith("pooler.")]:
        raise WeightsError(f"{options.path} is no encoder: it holds no {', '.join(missing[:3])}")
    if None in (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id):
        raise WeightsError(
            f"{options.tokenizer}: BERTScore needs a tokenizer with the tokens cls, sep and pad"
        )
    _cut(model, judge.layer, options.path)
    baseline = _baseline(judge.baseline, judge.layer) if judge.baseline else None
    scale = f"baseline of {judge.baseline}" if judge.baseline else "not rescaled"
    identity = {"layer": str(judge.layer), "scale": scale}
    return BertScoreMarker(model, tokenizer, baseline, identity)


def _cut(model: Any, layer: int, path: Path) -> None:
    """Drop the layers behind the one that is compared."""
    stack: Any = getattr(model, "encoder", None) or getattr(model, "transformer", None)
    layers = getattr(stack, "layer", None)
    if not isinstance(layers, torch.nn.ModuleList):
        raise WeightsError(
            f"{path} is a {type(model).__name__}; BERTScore is computed here with encoders built "
            "like BERT, RoBERTa, DeBERTa or DistilBERT"
        )
    if layer > len(layers):
        raise WeightsError(f"{path} has {len(layers)} layers; the judge's layer is {layer}")
    stack.layer = layers[:layer]


def _baseline(name: str, layer: int) -> Figures:
    """The package's baseline of an encoder's layer, for English."""
    place = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / f"{name}.tsv"
    rows = place.read_text("ascii").split() if place.is_file() else []
    found = next((row for row in rows[1:] if row.startswith(f"{layer},")), None)
    if found is None:
        raise WeightsError(
            f"bert-score has no baseline for {name}, layer {layer}: write rescale: false into its "
            "entry in the registry"
        )
    precision, recall, f1 = map(float, found.split(",")[1:])
    return precision, recall, f1
