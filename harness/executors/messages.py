"""What driver and workers say to each other: bytes that hold plain data, never code, never tasks.

A message is msgpack. A request, a response or a judge's options is a list that begins with the name
of its kind; what is no kind of the table is refused. Token ids that several questions of a message
share are sent once.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from harness import errors
from harness.backends.backend import BackendFacts, CannotBeAsked, LoadOptions
from harness.errors import HarnessError, WeightsError
from harness.executors.executor import Loading
from harness.judge_options import BertScoreJudge, DialogRptJudge, RewardJudge
from harness.types import (
    Answer,
    Diverged,
    Divergence,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Request,
    Resemblance,
    Resembled,
    Reward,
    Rewarded,
    RollingLogLikelihood,
    RollingLogProb,
    Tokens,
    Unanswered,
    WindowLogLikelihood,
)

_KINDS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(LogLikelihood, RollingLogLikelihood, WindowLogLikelihood, GenerateUntil),
        *(Reward, Resemblance, Divergence),
        *(LogProb, RollingLogProb, Generation, Rewarded, Resembled, Diverged, Unanswered),
        *(RewardJudge, BertScoreJudge, DialogRptJudge),
    )
}
_FIELDS = {name: tuple(each.name for each in fields(kind)) for name, kind in _KINDS.items()}

Packed = list[Any]
"""The name of a kind, then the values of its fields."""


class Hello(msgspec.Struct, frozen=True, tag=True):
    """Who are you?"""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load a model, which later messages name by this number.

    Attributes:
        driver: the driver's machine; on another one the files are checked.
        beside: the parent that it is put beside.
        drop: numbers of models that nobody will ask for any more.
    """

    model: int
    backend: str
    options: LoadOptions
    judge: Packed | None
    beside: Load | None
    relaid: bool
    files: tuple[tuple[str, str], ...]
    driver: str
    drop: tuple[int, ...] = ()


class Encode(msgspec.Struct, frozen=True, tag=True):
    """Make questions of requests."""

    model: int
    requests: list[Packed]


class Tokenize(msgspec.Struct, frozen=True, tag=True):
    """Token ids of a text."""

    model: int
    text: str


class Render(msgspec.Struct, frozen=True, tag=True):
    """Messages in the model's chat template."""

    model: int
    messages: list[dict[str, str]]
    add_generation_prompt: bool


class PackedQuestions(msgspec.Struct, frozen=True):
    """Questions.

    Attributes:
        parts: the distinct runs of token ids, four bytes each.
        requests: of each question; empty where the reader has them.
        tokens: of each question, the places of its runs among ``parts``.
        truncated, refused: of each question.
    """

    parts: list[bytes]
    requests: list[Packed]
    tokens: list[tuple[int, ...]]
    truncated: list[bool]
    refused: list[str | None]


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Answer these."""

    model: int
    questions: PackedQuestions


class Name(msgspec.Struct, frozen=True, tag=True):
    """A worker's machine, and its version of the harness."""

    machine: str
    harness: str


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """What was loaded; without facts there is no such model: no second layout."""

    facts: BackendFacts | None
    identity: dict[str, str]


class Encoded(msgspec.Struct, frozen=True, tag=True):
    """The questions, without their requests."""

    questions: PackedQuestions


class Ids(msgspec.Struct, frozen=True, tag=True):
    """Token ids."""

    ids: list[int]


class Text(msgspec.Struct, frozen=True, tag=True):
    """A text."""

    text: str


class PackedAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer."""

    index: int
    response: Packed
    tokens_in: int
    tokens_out: int


class Answers(msgspec.Struct, frozen=True, tag=True):
    """All answers of a batch, with the worker's seconds and its peak memory in bytes."""

    answers: list[PackedAnswer]
    seconds: float
    peak: int | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It could not be done.

    Attributes:
        kind: name of the HarnessError that says so; empty for another error.
        text: what a user is told.
    """

    kind: str
    text: str


Message = Hello | Load | Encode | Tokenize | Render | Ask
Reply = Name | Loaded | Encoded | Ids | Text | Answers | Failed


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no part of a message")


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"a {kind.__name__} is no part of a message")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
_MESSAGES: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message, dec_hook=_path)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply, dec_hook=_path)


def encode(message: Message | Reply) -> bytes:
    """The message as bytes."""
    return _ENCODER.encode(message)


def decode_message(content: bytes) -> Message:
    """What the driver says; raises `msgspec.DecodeError` for anything else."""
    return _MESSAGES.decode(content)


def decode_reply(content: bytes) -> Reply:
    """What a worker says; raises `msgspec.DecodeError` for anything else."""
    return _REPLIES.decode(content)


def pack(value: Any) -> Packed:
    """A request, a response or a judge's options."""
    name = type(value).__name__
    return [name, *(getattr(value, each) for each in _FIELDS[name])]


def unsendable(request: Request) -> str | None:
    """Why a request cannot travel; ``None`` where it can."""
    try:
        _ENCODER.encode(pack(request))
    except UnicodeEncodeError:
        return "its text is no Unicode: it has a lone surrogate"
    return None


def unpack(packed: Sequence[Any]) -> Any:
    """The value again.

    Raises:
        msgspec.ValidationError: it is of no known kind, or its fields are not of their types.
    """
    name, *values = packed
    if name not in _KINDS or len(values) != len(_FIELDS[name]):
        raise msgspec.ValidationError(f"{name!r} with {len(values)} fields is no part of a message")
    return msgspec.convert(dict(zip(_FIELDS[name], values, strict=True)), _KINDS[name])


def pack_questions(questions: Sequence[Question], *, requests: bool) -> PackedQuestions:
    """Questions, with their requests or without."""
    parts: dict[bytes, int] = {}
    tokens = [
        tuple(parts.setdefault(part.tobytes(), len(parts)) for part in question.tokens)
        for question in questions
    ]
    return PackedQuestions(
        parts=list(parts),
        requests=[pack(question.request) for question in questions] if requests else [],
        tokens=tokens,
        truncated=[question.truncated for question in questions],
        refused=[question.refused for question in questions],
    )


def unpack_questions(
    packed: PackedQuestions, requests: Sequence[Request] | None = None
) -> list[Question]:
    """The questions again; ``requests`` are those that did not travel with them."""
    parts: list[Tokens] = [array("i", part) for part in packed.parts]
    asked = requests if requests is not None else [unpack(each) for each in packed.requests]
    return [
        Question(request, tuple(parts[place] for place in places), truncated, refused)
        for request, places, truncated, refused in zip(
            asked, packed.tokens, packed.truncated, packed.refused, strict=True
        )
    ]


def pack_answer(answer: Answer) -> PackedAnswer:
    """An answer."""
    # int: a count may be a bool.
    counts = int(answer.tokens_in), int(answer.tokens_out)
    return PackedAnswer(answer.index, pack(answer.response), *counts)


def unpack_answer(packed: PackedAnswer, seconds: float) -> Answer:
    """The answer again, with the worker's seconds that it took."""
    return Answer(
        packed.index,
        unpack(packed.response),
        packed.tokens_in,
        packed.tokens_out,
        seconds=seconds,
    )


def load_message(model: int, loading: Loading, driver: str, drop: tuple[int, ...] = ()) -> Load:
    """The request to load a model."""
    return Load(
        model=model,
        backend=loading.backend,
        options=loading.options,
        judge=pack(loading.judge) if loading.judge is not None else None,
        beside=load_message(0, loading.beside, driver) if loading.beside is not None else None,
        relaid=loading.relaid,
        files=loading.files,
        driver=driver,
        drop=drop,
    )


def loading_of(message: Load) -> Loading:
    """What a worker is to load."""
    return Loading(
        backend=message.backend,
        options=message.options,
        judge=unpack(message.judge) if message.judge is not None else None,
        beside=loading_of(message.beside) if message.beside is not None else None,
        relaid=message.relaid,
        files=message.files,
    )


def failure(error: Exception, where: str) -> Failed:
    """What the driver is told of an error in a worker."""
    if isinstance(error, HarnessError):
        return Failed(type(error).__name__, str(error))
    said = str(error).strip() or "without a word"
    return Failed("", f"{type(error).__name__}: {said} (a worker, {where})")


def error_of(failed: Failed) -> HarnessError:
    """The error to raise in the driver, with the exit code that it would have had there."""
    if failed.kind == CannotBeAsked.__name__:
        return CannotBeAsked(failed.text)
    kind = getattr(errors, failed.kind, HarnessError) if failed.kind else HarnessError
    if issubclass(kind, errors.UsageError):
        return errors.UsageError(failed.text)
    return WeightsError(failed.text) if kind is WeightsError else HarnessError(failed.text)
