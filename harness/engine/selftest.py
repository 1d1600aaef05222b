"""Decides, by asking, how a loaded model can be run.

A handful of random token sequences with shared beginnings is answered one by one by the model's own
forward pass, and then the engine's way. What does not agree is not used.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from harness.engine.attention import NAME
from harness.engine.head import ModelLogits
from harness.engine.model import LoadedModel
from harness.engine.plain import score_plain
from harness.engine.scoring import score_packed
from harness.engine.shared import score_shared
from harness.types import Answer, LogLikelihood, LogProb, Question, Tokens

Plan = Literal["packed", "shared", "plain", "unpadded"]
"""Every shared token once; every long context once; rows of like length; rows of equal length."""

Score = Callable[[LoadedModel, Mapping[int, Question], int, int], Iterator[Answer]]

TOLERANCE = {"float32": 1e-3}
"""Nats per token that two ways of computing may differ by, on average."""
TOLERANCE_16_BIT = 0.1
"""Bfloat16 and float16 round by up to some hundredths; a wrong mask is off by whole nats."""


@dataclass(frozen=True)
class Verdict:
    """How to run a model.

    Attributes:
        model: with the head that gives its own logits.
        plan: the fastest that gives the model's own answers.
        reason: why not ``packed``, else empty.
    """

    model: LoadedModel
    plan: Plan
    reason: str = ""


def examine(model: LoadedModel, max_length: int) -> Verdict:
    """Choose the fastest way that gives the model's own answers."""
    if reason := _length_matters(model.causal.config.get_text_config()):
        return Verdict(_with_right_head(model, _Exam(model, max_length)), "unpadded", reason)
    model = _with_right_head(model, _Exam(model, max_length))
    exam = _Exam(model, max_length)
    before = model.causal.config._attn_implementation
    reason = _replace_attention(model)
    # A budget of a few tokens also tries what is kept from one pass for the next.
    for budget in (1024, 24):
        reason = reason or exam.trouble(score_packed, budget)
    if not reason:
        return Verdict(model, "packed")
    model.causal.set_attn_implementation(before)
    plan: Plan = "plain" if exam.trouble(score_shared, 1024) else "shared"
    return Verdict(model, plan, reason)


class _Exam:
    """Questions, and what the model itself says, one forward pass each."""

    def __init__(self, model: LoadedModel, max_length: int) -> None:
        self._model, self._max_length = model, max_length
        self._questions = _probes(model, max_length)
        self._truth = {i: _one_by_one(model, q) for i, q in self._questions.items()}
        dtype = str(model.causal.dtype).removeprefix("torch.")
        self._tolerance = TOLERANCE.get(dtype, TOLERANCE_16_BIT)

    def trouble(self, score: Score, budget: int) -> str:
        """What is wrong with a way of scoring; empty if nothing is."""
        apart: list[float] = []
        try:
            for answer in score(self._model, self._questions, self._max_length, budget):
                if not isinstance(answer.response, LogProb):
                    return str(answer.response)
                tokens = len(self._questions[answer.index].tokens[1])
                apart.append(abs(answer.response.logprob - self._truth[answer.index]) / tokens)
        except Exception as error:  # a model's own code: any kind
            return f"{type(error).__name__}: {error}".splitlines()[0]
        mean = sum(apart) / len(self._questions)
        return "" if mean <= self._tolerance else f"off by {mean:.2g} nats a token"


def _length_matters(config: Any) -> str:
    """Why a row's answer depends on the other rows' length, if it does.

    Short probes cannot show it: these models treat a whole batch by its longest row.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, dict)]
    for each in (parameters, *nested):
        if each.get("rope_type") in ("longrope", "dynamic"):
            return f"its {each['rope_type']} positions depend on the longest row"
    if getattr(config, "attention_chunk_size", None):
        return "its attention is chunked"
    return ""


def _with_right_head(model: LoadedModel, exam: _Exam) -> LoadedModel:
    """The model with a float32 head, or with its own where that is not what it computes."""
    if not exam.trouble(score_plain, 64):
        return model
    return replace(model, head=ModelLogits(str(model.causal.dtype).removeprefix("torch.")))


def _replace_attention(model: LoadedModel) -> str:
    """Give the model packed attention; why that was not possible, if it was not."""
    try:
        model.causal.set_attn_implementation(NAME)
    except Exception as error:  # a model's own code: any kind
        return str(error).splitlines()[0]
    taken = model.causal.config._attn_implementation == NAME
    return "" if taken else "its attention cannot be replaced"


def _probes(model: LoadedModel, max_length: int) -> dict[int, Question]:
    """Questions of three subjects: a shared beginning, two contexts each, three choices each."""
    vocabulary = model.causal.config.get_text_config().vocab_size
    source = random.Random(0)

    def some(length: int) -> Tokens:
        return array("i", [source.randrange(vocabulary) for _ in range(length)])

    unit = max(1, min(70, max_length // 4))
    questions: list[Question] = []
    for subject in range(3):
        beginning = some(unit + subject)
        for context in (beginning + some(unit), beginning + some(unit + 3)):
            for length in (1, 4, 7):
                pair = (context, some(min(length, unit)))
                questions.append(Question(LogLikelihood("", ""), pair))
    return dict(enumerate(questions))


@torch.inference_mode()
def _one_by_one(model: LoadedModel, question: Question) -> float:
    context, continuation = question.tokens
    ids = torch.tensor([(context + continuation)[:-1]], device=model.device)
    logits = model.causal(input_ids=ids, use_cache=False).logits[0, len(context) - 1 :]
    wanted = torch.tensor(continuation, device=model.device)[:, None]
    return float(torch.log_softmax(logits.float(), -1).gather(1, wanted).sum())
