"""One line of a journal: what is written of an answer, and what is read back of it."""

from __future__ import annotations

import math

import msgspec

from harness.types import (
    Answer,
    Diverged,
    Generation,
    LogProb,
    Resembled,
    Response,
    Rewarded,
    RollingLogProb,
)


class _Line(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="kind"
):
    question: str
    tokens_in: int = 0
    tokens_out: int = 0


class _LogProbLine(_Line, frozen=True, gc=False, kw_only=True, tag="logprob"):
    logprob: float
    is_greedy: bool
    truncated: bool = False

    def response(self) -> Response:
        return LogProb(self.logprob, self.is_greedy, self.truncated)


class _RollingLine(_Line, frozen=True, gc=False, kw_only=True, tag="rolling"):
    logprob: float

    def response(self) -> Response:
        return RollingLogProb(self.logprob)


class _GenerationLine(_Line, frozen=True, gc=False, kw_only=True, tag="generation"):
    text: str
    truncated: bool = False

    def response(self) -> Response:
        return Generation(self.text, self.truncated)


class _RewardedLine(_Line, frozen=True, gc=False, kw_only=True, tag="rewarded"):
    value: float

    def response(self) -> Response:
        return Rewarded(self.value)


class _ResembledLine(_Line, frozen=True, gc=False, kw_only=True, tag="resembled"):
    precision: float
    recall: float
    f1: float

    def response(self) -> Response:
        return Resembled(self.precision, self.recall, self.f1)


class _DivergedLine(_Line, frozen=True, gc=False, kw_only=True, tag="diverged"):
    kl: float
    agreed: int
    tokens: int
    change: float
    squared_change: float
    bins: tuple[int, ...]

    def response(self) -> Response:
        return Diverged(
            self.kl, self.agreed, self.tokens, self.change, self.squared_change, self.bins
        )


JournalLine = (
    _LogProbLine | _RollingLine | _GenerationLine | _RewardedLine | _ResembledLine | _DivergedLine
)
DECODER: msgspec.json.Decoder[JournalLine] = msgspec.json.Decoder(JournalLine)


def journal_line(question: str, answer: Answer) -> JournalLine | None:
    """What is kept of an answer; ``None`` for one without a response, or with a NaN.

    Args:
        question: the question's digest, in hexadecimal digits.
        answer: its answer.
    """
    # int: a count may be a bool, and then be read back as something else.
    response, tokens_in, tokens_out = answer.response, int(answer.tokens_in), int(answer.tokens_out)
    if isinstance(response, Generation):
        return _GenerationLine(
            question=question,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            text=response.text,
            truncated=response.truncated,
        )
    if isinstance(response, Rewarded | Resembled):
        return _judge_line(question, response, tokens_in)
    if isinstance(response, Diverged):
        return _diverged_line(question, response, tokens_in)
    if not isinstance(response, LogProb | RollingLogProb) or not math.isfinite(response.logprob):
        return None
    if isinstance(response, RollingLogProb):
        return _RollingLine(question=question, tokens_in=tokens_in, logprob=response.logprob)
    return _LogProbLine(
        question=question,
        tokens_in=tokens_in,
        logprob=response.logprob,
        is_greedy=response.is_greedy,
        truncated=response.truncated,
    )


def _judge_line(
    question: str, response: Rewarded | Resembled, tokens_in: int
) -> JournalLine | None:
    if isinstance(response, Rewarded):
        if not math.isfinite(response.value):
            return None
        return _RewardedLine(question=question, tokens_in=tokens_in, value=response.value)
    if not all(map(math.isfinite, (response.precision, response.recall, response.f1))):
        return None
    return _ResembledLine(
        question=question,
        tokens_in=tokens_in,
        precision=response.precision,
        recall=response.recall,
        f1=response.f1,
    )


def _diverged_line(question: str, response: Diverged, tokens_in: int) -> JournalLine | None:
    if not math.isfinite(response.kl):
        return None
    return _DivergedLine(
        question=question,
        tokens_in=tokens_in,
        kl=response.kl,
        agreed=response.agreed,
        tokens=response.tokens,
        change=response.change,
        squared_change=response.squared_change,
        bins=response.bins,
    )
