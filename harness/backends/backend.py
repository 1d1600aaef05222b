"""The Backend protocol, and the look-up of backends by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from harness.credentials import names_secret, struck_out
from harness.errors import UnknownName, UsageError
from harness.types import Answer, Question, Request
from harness.zoo import DTYPES

if TYPE_CHECKING:
    from harness.openai_api.terms import Terms

BACKENDS: Mapping[str, str] = {
    "hf": "harness.backends.hf",
    "lm_eval": "harness.backends.lm_eval",
    "vllm": "harness.backends.vllm",
    "api": "harness.backends.api",
}
"""Name to module; each module has a function ``load(options) -> Backend``."""

ELSEWHERE = "elsewhere"
"""The device of a model that this machine does not run."""

HEADS = ("float32", "model")
"""Dtypes of the vocabulary projection: float32 whatever the model's, or the model's own."""


class CannotBeAsked(UsageError):
    """A task's prompts cannot be made of what whoever has the model lends: no tokenizer, say."""


BEGUN_ANSWER = "its prompts begin the model's answer, and chat completions begin a new one"
"""Why a prompt whose last message is to be continued is no chat."""


HARMLESS = frozenset({"add_bos_token", "prefix_token_id", "think_end_token", "think_start_token"})
"""Arguments of lm-eval's model classes that are called like secrets and are none."""
_KEYED = re.compile(r"([\w.-]+)['\"]?\s*[:=]")
"""A name within a value, as in ``{"api-key": ...}`` and ``url?key=...``."""


@dataclass(frozen=True)
class LmEvalModel:
    """One of lm-eval's model classes, as its users name it.

    Attributes:
        name: lm-eval's ``--model``.
        arguments: its ``--model_args``, such as ``model=M,base_url=URL``.
    """

    name: str = "hf"
    arguments: str = ""


@dataclass(frozen=True)
class LoadOptions:
    """What a backend needs to load a model.

    Attributes:
        path: an ordinary Hugging Face folder.
        weights_id: digest of its tensors, config and tokenizer.
        dtype: one of `harness.zoo.DTYPES`; ``auto`` is the checkpoint's own.
        tokenizer: folder of the tokenizer; mostly ``path``.
        head: dtype of the vocabulary projection, one of `HEADS`.
        add_bos: whether prompts begin with BOS; ``None`` leaves it to the tokenizer.
        trust_remote_code: whether code inside the folder may run.
        quantization: the scheme that the loaded model must be of, ``none`` included; ``None`` for
            any.
        budget: tokens of a pass; ``None`` measures which number is fast.
        spread: whether a model may be spread over all GPUs that there are, layer by layer.
        lm_eval: which of lm-eval's model classes answers, for the backend lm_eval.
    """

    path: Path
    tokenizer: Path
    dtype: str = "auto"
    add_bos: bool | None = None
    trust_remote_code: bool = False
    weights_id: str = ""
    head: str = "float32"
    quantization: str | None = None
    budget: int | None = None
    spread: bool = False
    lm_eval: LmEvalModel = LmEvalModel()


@dataclass(frozen=True, kw_only=True)
class ServedOptions(LoadOptions):
    """What the backend api needs besides: these hold a key, and stay in this process.

    Attributes:
        terms: the server that has the model.
        chat: whether it is asked for chat completions.
    """

    terms: Terms
    chat: bool


@dataclass(frozen=True)
class BackendFacts:
    """What a loaded model is, measured, not declared.

    Attributes:
        dtype: of the model's body.
        device: ``cpu``, ``cuda:0``, ...
        parameters: number of parameters; a packed weight is one.
        memory_bytes: bytes of all tensors, those beside packed weights included.
        max_length: context in tokens. All three are ``None`` where another program has the model
            and does not say.
        plan: how questions are put into batches, in words.
        remark: what the user should know of that plan, such as why it is slow; else empty.
        budget: tokens of a pass, where there are passes; else 0.
        packed: whether tokens that questions share run once.
    """

    dtype: str
    device: str
    parameters: int | None
    memory_bytes: int | None
    max_length: int | None
    plan: str = ""
    remark: str = ""
    budget: int = 0
    packed: bool = False


class Backend(Protocol):
    """Answers requests with one model.

    Attributes:
        facts: what was loaded.
        identity: all that an answer depends on besides the question, by name: the backend and its
            version, the digest of the weights, quantization, dtype of body and head. Answers of
            two backends with equal identities may stand for each other.
    """

    facts: BackendFacts
    identity: Mapping[str, str]

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """Each request as the model will be given it; one that cannot be asked is refused."""
        ...

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Yield one Answer per question, in whatever order is fastest, as they come.

        A question that cannot be answered yields `Unanswered` with its reason; the others go on.
        """
        ...

    def relaid(self) -> Backend | None:
        """The same loaded model, which puts its questions into other batches.

        ``None`` where there is no other layout. What the two answer differs by rounding alone.
        """
        ...

    def tokenize(self, text: str) -> list[int]:
        """The text's token ids, with whatever the tokenizer adds by default."""
        ...

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages in the model's chat template, as text."""
        ...

    def reset_peak_memory(self) -> None:
        """Begin a new measurement of peak memory."""
        ...

    def peak_memory(self) -> int | None:
        """Peak bytes since the reset, on the device that runs the model; ``None`` if unknown."""
        ...


@runtime_checkable
class Lacking(Protocol):
    """What a backend has besides that asks a program which may lack something."""

    def cannot(self, kinds: Collection[type[Request]]) -> Mapping[type[Request], str]:
        """The kinds of requests that cannot be answered, each with the reason; may ask for it."""
        ...


@runtime_checkable
class Remote(Lacking, Protocol):
    """What a backend has besides whose program may be paid for."""

    def spent(self) -> str:
        """What was asked so far, in words."""
        ...


def checked_arguments(arguments: str) -> str:
    """Arguments of a model class of lm-eval's, which every record holds.

    Raises:
        UsageError: they could hold a secret, or are not of the form a=b,c=d. None is shown.
    """
    for argument in filter(None, arguments.split(",")):
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UsageError("--lm-eval-args takes NAME=VALUE, several separated by commas")
        if _could_hold_a_secret(name.strip(), value):
            raise UsageError(
                f"--lm-eval-args {struck_out(name.strip())}=...: it could hold a secret, by its "
                "name or by its value (an address with @, ? or #), and arguments are written into "
                "every record; lm-eval takes keys from the environment, as OPENAI_API_KEY"
            )
    return arguments


def _could_hold_a_secret(name: str, value: str) -> bool:
    if name not in HARMLESS and names_secret(name):
        return True
    keyed = any(names_secret(inner) for inner in _KEYED.findall(value))
    address = "://" in value and set(value) & set("?#")
    return bool("@" in value or address or keyed or struck_out(value) != value)


def check_backend(name: str) -> None:
    """Raise UnknownName unless ``name`` is a backend."""
    if name not in BACKENDS:
        raise UnknownName("backend", name, BACKENDS, "the harness's backends")


def check_dtype(name: str) -> None:
    """Raise UnknownName unless ``name`` is a dtype that models can be loaded in."""
    if name not in DTYPES:
        raise UnknownName("dtype", name, DTYPES, "the harness's dtypes")


def check_head(name: str) -> None:
    """Raise UnknownName unless ``name`` is a way to project onto the vocabulary."""
    if name not in HEADS:
        raise UnknownName("head", name, HEADS, "the harness's heads")


def load_backend(name: str, options: LoadOptions) -> Backend:
    """Import a backend and load the model into it.

    Raises:
        UnknownName: there is no such backend.
        WeightsError: the model cannot be loaded.
    """
    check_backend(name)
    module: Any = import_module(BACKENDS[name])
    return cast(Backend, module.load(options))
