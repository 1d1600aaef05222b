"""Decides, by asking, how a loaded model can be run.

A handful of random token sequences with shared beginnings is answered one by one by the model's own
forward pass, and then the engine's way. What does not agree is not used.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from harness.engine.attention import NAME
from harness.engine.head import ModelLogits
from harness.engine.model import LoadedModel
from harness.engine.plain import score_plain
from harness.engine.scoring import score_packed
from harness.types import Answer, LogLikelihood, LogProb, Question, Tokens

Plan = Literal["packed", "plain"]

TOLERANCE = {"float32": 1e-3}
"""Nats per token that two ways of computing may differ by, on average."""
TOLERANCE_16_BIT = 0.1
"""Bfloat16 and float16 round by up to some hundredths; a wrong mask is off by whole nats."""


@dataclass(frozen=True)
class Verdict:
    """How to run a model.

    Attributes:
        model: with the head that gives its own logits.
        plan: ``packed``, or ``plain`` where packed tokens give other answers.
        reason: why not ``packed``, else empty.
    """

    model: LoadedModel
    plan: Plan
    reason: str = ""


def examine(model: LoadedModel, max_length: int) -> Verdict:
    """Choose the fastest way that gives the model's own answers."""
    questions = _probes(model, max_length)
    truth = [_one_by_one(model, question) for question in questions.values()]
    tolerance = TOLERANCE.get(str(model.causal.dtype).removeprefix("torch."), TOLERANCE_16_BIT)

    def trouble(ask: Callable[[], Iterator[Answer]]) -> str:
        try:
            answers = {answer.index: answer.response for answer in ask()}
        except Exception as error:  # a model's own code: any kind
            return f"{type(error).__name__}: {error}".splitlines()[0]
        apart: list[float] = []
        for index, question in questions.items():
            response = answers[index]
            if not isinstance(response, LogProb):
                return str(response)
            apart.append(abs(response.logprob - truth[index]) / len(question.tokens[1]))
        mean = sum(apart) / len(apart)
        return "" if mean <= tolerance else f"off by {mean:.2g} nats a token"

    if trouble(lambda: score_plain(model, questions, max_length, 64)):
        own = ModelLogits(str(model.causal.dtype).removeprefix("torch."))
        model = replace(model, head=own)
    before = model.causal.config._attn_implementation
    reason = ""
    try:
        model.causal.set_attn_implementation(NAME)
    except Exception as error:
        reason = str(error).splitlines()[0]
    if model.causal.config._attn_implementation != NAME:
        reason = reason or "its attention cannot be replaced"
    # A budget of a few tokens also tries what is kept from one pass for the next.
    for budget in (1024, 24):
        reason = reason or trouble(lambda: score_packed(model, questions, max_length, budget))  # noqa: B023
    if not reason:
        return Verdict(model, "packed")
    model.causal.set_attn_implementation(before)
    return Verdict(model, "plain", reason)


def _probes(model: LoadedModel, max_length: int) -> dict[int, Question]:
    """Questions of three subjects: a shared beginning, two contexts each, three choices each."""
    vocabulary = model.causal.config.get_text_config().vocab_size
    source = random.Random(0)

    def some(length: int) -> Tokens:
        return array("i", [source.randrange(vocabulary) for _ in range(length)])

    unit = max(1, min(20, max_length // 4))
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
