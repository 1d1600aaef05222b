"""Decides, by asking, how a loaded model can be run.

A handful of random token sequences with shared beginnings is answered one by one by the model's own
forward pass, and then the engine's ways. What differs by more than rounding is not used.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch

from harness.engine.attention import NAME, windows_seen
from harness.engine.choosing import unusual_settings
from harness.engine.generation import score_stepwise
from harness.engine.head import ModelLogits
from harness.engine.model import LoadedModel
from harness.engine.plain import score_plain
from harness.engine.quantized import rounds_inputs
from harness.engine.scoring import score_packed
from harness.engine.shared import score_shared
from harness.errors import WeightsError
from harness.types import Answer, LogLikelihood, LogProb, Question, Tokens

Plan = Literal["packed", "shared", "plain", "unpadded"]
"""Every shared token once; every long context once; rows of like length; rows of equal length."""

Score = Callable[[LoadedModel, Mapping[int, Question], int, int], Iterator[Answer]]

EXACT = 1e-3
"""Nats per token that two ways of computing in float32 may differ by."""
ROUNDED = 0.02
"""The same in 16 bits, at least; a wrong mask moves some token by a tenth of a nat or more."""
NOISE = 4
"""Times the difference of plain batches from single rows: that is rounding alone."""


@dataclass(frozen=True)
class Verdict:
    """How to run a model.

    Attributes:
        model: with the head that gives its own logits.
        plan: the fastest that gives the model's own answers.
        reason: why not ``packed``, else empty.
        generates: why generations are left to the model's own `generate`, else empty.
    """

    model: LoadedModel
    plan: Plan
    reason: str = ""
    generates: str = ""


def examine(model: LoadedModel, max_length: int) -> Verdict:
    """Choose the fastest way that gives the model's own answers.

    Raises:
        WeightsError: no way gives the same answer twice.
    """
    unpadded: Score = partial(score_plain, pad=False)
    reason = _length_matters(model.causal.config.get_text_config())
    exam = _Exam(model, max_length, alike=not reason)
    plain = unpadded if reason else score_plain
    if exam.trouble(plain, model):
        model = replace(model, head=ModelLogits(str(model.causal.dtype).removeprefix("torch.")))
        if not reason and (trouble := exam.trouble(score_plain, model)):
            reason, plain = f"padded rows are {trouble}", unpadded
        if plain is unpadded and (trouble := exam.trouble(unpadded, model)):
            raise WeightsError(
                f"{model.causal.name_or_path}: asked the same twice, its answers are {trouble}"
            )
    if reason:
        return Verdict(model, "unpadded", reason, reason)
    exam.allow_for_noise(model)
    reason = _packed_trouble(model, exam, max_length)
    if not reason:
        return Verdict(model, "packed", generates=_generation_trouble(model, exam))
    model.causal.set_attn_implementation(model.attention)
    shared: Score = partial(score_shared, long=1)
    plan: Plan = "plain" if exam.trouble(shared, model) else "shared"
    return Verdict(model, plan, reason, reason)


def _packed_trouble(model: LoadedModel, exam: _Exam, max_length: int) -> str:
    """Give the model packed attention; why it cannot be used, if it cannot."""
    try:
        model.causal.set_attn_implementation(NAME)
    except Exception as error:  # a model's own code: any kind
        return str(error).splitlines()[0]
    if model.causal.config._attn_implementation != NAME:
        return "its attention cannot be replaced"
    windows_seen.clear()
    # A budget of a few tokens also tries what is kept from one pass for the next.
    trouble = exam.trouble(score_packed, model) or exam.trouble(score_packed, model, budget=24)
    if trouble:
        return f"packed answers are {trouble}"
    # Some models put a window into a mask that packed attention does not see, and probes are short.
    window = _window(model.causal.config.get_text_config())
    if window is not None and window < max_length and window not in windows_seen:
        return "its sliding window is in a mask of its own"
    return ""


def _generation_trouble(model: LoadedModel, exam: _Exam) -> str:
    """Why generations cannot be packed, if they cannot."""
    if unusual := unusual_settings(model.causal.generation_config):
        return f"its generation settings name {', '.join(unusual)}"
    trouble = exam.stepwise_trouble(model)
    return f"answers token by token are {trouble}" if trouble else ""


class _Exam:
    """Questions, and what the model itself says, in rows that ran alone.

    Args:
        model: the model.
        max_length: its context.
        alike: whether a row's beginning is what it would be alone.
    """

    def __init__(self, model: LoadedModel, max_length: int, *, alike: bool) -> None:
        self._max_length = max_length
        self._questions = _probes(model, max_length)
        self._truth = _one_by_one(model, self._questions, alike)
        self._rounds = model.causal.dtype != torch.float32 or rounds_inputs(model.footprint)
        self._most = 1.0 if self._rounds else EXACT

    def allow_for_noise(self, model: LoadedModel) -> None:
        """Take plain batches of a model, which is known to be right, for the measure."""
        if self._rounds:
            apart = self._apart(score_plain, model, self._questions, 1024)
            self._most = max(ROUNDED, NOISE * max(apart)) if isinstance(apart, list) else ROUNDED

    def trouble(self, score: Score, model: LoadedModel, budget: int = 1024) -> str:
        """What is wrong with a way of scoring; empty if nothing is."""
        return self._judged(self._apart(score, model, self._questions, budget))

    def stepwise_trouble(self, model: LoadedModel) -> str:
        """What is wrong with going token by token: asked of some choices of a few tokens, as every
        row has keys and values of its own there, and every token a step.
        """
        several = {i: q for i, q in self._questions.items() if 1 < len(q.tokens[1]) < 8}
        return self._judged(self._apart(score_stepwise, model, several, 1024))

    def _judged(self, apart: list[float] | str) -> str:
        if isinstance(apart, str):
            return apart
        return "" if max(apart) <= self._most else f"off by {max(apart):.2g} nats a token"

    def _apart(
        self, score: Score, model: LoadedModel, asked: Mapping[int, Question], budget: int
    ) -> list[float] | str:
        """Each question's distance from the truth in nats per token, or what went wrong."""
        apart: list[float] = []
        try:
            for answer in score(model, asked, self._max_length, budget):
                logprob, greedy = self._truth[answer.index]
                if not isinstance(answer.response, LogProb):
                    return f"missing ({answer.response})"
                if not self._rounds and answer.response.is_greedy != greedy:
                    return "wrong about what is greedy"
                tokens = len(asked[answer.index].tokens[1])
                apart.append(abs(answer.response.logprob - logprob) / tokens)
        except Exception as error:  # a model's own code: any kind
            return f"impossible ({type(error).__name__}: {str(error).splitlines()[:1]})"
        return apart if len(apart) == len(asked) else "incomplete"


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


def _window(config: Any) -> int | None:
    """The sliding window of some layer, where the configuration names one that is used."""
    window = getattr(config, "sliding_window", None)
    used = getattr(config, "use_sliding_window", True)
    return window if isinstance(window, int) and used else None


def _probes(model: LoadedModel, max_length: int) -> dict[int, Question]:
    """Questions of two subjects: a shared beginning, two contexts each, three choices each.

    Of every context one question also asks for the tokens of the context itself, so that those just
    behind a border between shared and own tokens are looked at.
    """
    vocabulary = model.causal.config.get_text_config().vocab_size
    source = random.Random(0)

    def some(length: int) -> Tokens:
        return array("i", [source.randrange(vocabulary) for _ in range(length)])

    unit = max(1, min(70, max_length // 4))
    pairs: list[tuple[Tokens, Tokens]] = []
    for subject in range(2):
        beginning = some(max(1, unit - subject))
        for context in (beginning + some(unit), beginning + some(unit + 3)):
            choices = [some(min(length, unit)) for length in (1, 4, 7)]
            pairs += [(context, choice) for choice in choices]
            pairs.append((context[:1], context[1:] + choices[-1]))
            # A short prompt, which stands beside the long ones when rows grow side by side.
            pairs.append((context[: unit // 2], context[unit // 2 :][:4]))
            # Single tokens right behind the borders: elsewhere a mistake there is one of many.
            pairs += [
                (context[: len(beginning) + n], context[len(beginning) + n :][:1]) for n in (0, 1)
            ]
    fitting = [(c, t) for c, t in pairs if c and t and len(c) + len(t) <= max_length + 1]
    return {i: Question(LogLikelihood("", ""), pair) for i, pair in enumerate(fitting)}


@torch.inference_mode()
def _one_by_one(
    model: LoadedModel, questions: Mapping[int, Question], alike: bool
) -> dict[int, tuple[float, bool]]:
    """Log-probability and greedy flag of each question, from rows that ran alone.

    Where beginnings are ``alike``, a question that begins another one is read off that one's row.
    """
    rows: list[tuple[Tokens, list[int]]] = []
    for index, question in sorted(questions.items(), key=lambda item: -_length(item[1])):
        context, continuation = question.tokens
        ids = (context + continuation)[:-1]
        shared = (members for known, members in rows if alike and known[: len(ids)] == ids)
        if (members := next(shared, None)) is not None:
            members.append(index)
        else:
            rows.append((ids, [index]))
    truth: dict[int, tuple[float, bool]] = {}
    for ids, members in rows:
        inputs = torch.tensor([ids], device=model.device)
        logits = model.causal(input_ids=inputs, use_cache=False).logits[0]
        for index in members:
            context, continuation = questions[index].tokens
            own = logits[len(context) - 1 :][: len(continuation)].float()
            wanted = torch.tensor(continuation, device=model.device)[:, None]
            logprob = float(torch.log_softmax(own, -1).gather(1, wanted).sum())
            truth[index] = logprob, bool((own.argmax(-1) == wanted[:, 0]).all())
    return truth


def _length(question: Question) -> int:
    return sum(map(len, question.tokens))
