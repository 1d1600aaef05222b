"""An OpenAI-compatible server of a tiny checkpoint: generations by the engine, log-probabilities by
plain forward passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.backends.backend import LoadOptions, load_backend
from harness.types import GenerateUntil, Generation, Unanswered
from tests.openai_api.local_server import LocalServer, Payload, Says, failure, serving


class TinyModel:
    """Answers payloads of text completions, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._engine = load_backend("hf", LoadOptions(folder, folder, "float32"))
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def says(self, payload: Payload) -> Says:
        """A completion, or the 400 of a prompt that does not fit."""
        prompt, stop = payload["prompt"], tuple(payload.get("stop", ()))
        asked = GenerateUntil(prompt, stop, payload["max_tokens"])
        (question,) = self._engine.encode([asked])
        if question.truncated:
            return failure(400, "the prompt does not fit into the context")
        (answer,) = self._engine.answer([question])
        if isinstance(answer.response, Unanswered):
            return failure(400, answer.response.reason)
        assert isinstance(answer.response, Generation)
        written = answer.response.text
        echoed = prompt if payload.get("echo") else ""
        choice: dict[str, Any] = {"index": 0, "text": echoed + written, "finish_reason": "stop"}
        if "logprobs" in payload:
            choice["logprobs"] = self._logprobs(prompt, written, bool(echoed))
        usage = {"prompt_tokens": answer.tokens_in, "completion_tokens": answer.tokens_out}
        body = {"model": "tiny", "choices": [choice], "usage": usage}
        return Says(json.dumps(body).encode())

    def _logprobs(self, prompt: str, written: str, echo: bool) -> Payload:
        text = prompt + written
        found = self._tokenizer(text, return_offsets_mapping=True)
        ids, spans = found.input_ids, found.offset_mapping
        with torch.no_grad():
            logits = self._model(torch.tensor([ids])).logits[0].double()
        table = torch.log_softmax(logits, -1)
        rows = [(None, None)] + [
            (float(table[at - 1, ids[at]]), {"top": float(table[at - 1].max())})
            for at in range(1, len(ids))
        ]
        places = _laid(text, spans)
        kept = [at for at, (start, _) in enumerate(places) if echo or start >= len(prompt)]
        return {
            "tokens": [places[at][1] for at in kept],
            "token_logprobs": [rows[at][0] for at in kept],
            "top_logprobs": [rows[at][1] for at in kept],
            "text_offset": [places[at][0] for at in kept],
        }


def _laid(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, str]]:
    """Where each token begins, and its text: blanks go with the word after them, and a part of a
    character has no text.
    """
    found = []
    for at, (start, end) in enumerate(spans):
        if (start, end) in (spans[at - 1] if at else None, *spans[at + 1 : at + 2]):
            found.append((start, ""))
        else:
            begin = spans[at - 1][1] if at else 0
            found.append((begin, text[begin:end]))
    return found


@contextmanager
def serving_tiny(folder: Path) -> Iterator[LocalServer]:
    """Serve a checkpoint on a free port of this machine."""
    import threading

    model, one = TinyModel(folder), threading.Lock()

    def script(payload: Payload, number: int) -> Says:
        with one:
            return model.says(payload)

    with serving(script) as server:
        yield server
