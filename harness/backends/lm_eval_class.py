"""Any model class of lm-eval's by its name and arguments, behind the Backend protocol.

It is asked as lm-eval asks it: by text, through `loglikelihood`, `loglikelihood_rolling` and
`generate_until`. What a class does with that, cutting included, is its own affair.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import MODEL_REGISTRY, get_model
from lm_eval.utils import simple_parse_args_string

from harness.backends.backend import ELSEWHERE, BackendFacts, LoadOptions, NoTokenizer
from harness.errors import UnknownName, UsageError, WeightsError
from harness.types import (
    Answer,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Request,
    Response,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
)

TOGETHER = 64
"""Requests of one call: what a kill loses at most. Batches within a call are the class's own."""
KINDS: Mapping[type[Request], str] = {
    LogLikelihood: "loglikelihood",
    RollingLogLikelihood: "loglikelihood_rolling",
    GenerateUntil: "generate_until",
}
"""What lm-eval calls the kinds of requests that it knows."""
_PLACES = frozenset({"pretrained", "tokenizer", "device"})


class LmEvalClass:
    """A Backend over an instance of any of lm-eval's model classes.

    Args:
        model: the instance.
        identity: of the class, its arguments and the weights.
    """

    def __init__(self, model: LM, identity: Mapping[str, str]) -> None:
        self._lm, self.identity = model, identity
        device = getattr(model, "device", None)
        self.facts = BackendFacts(
            dtype="as lm-eval has it",
            device=str(device) if device else ELSEWHERE,
            parameters=None,
            memory_bytes=None,
            max_length=None,
            plan=f"{identity['class']} of lm-eval, {TOGETHER} requests a call",
        )

    def encode(self, requests: Sequence[Request]) -> list[Question]:
        """No tokens: the text itself is the question."""
        return [Question(request, refused=_refused(request)) for request in requests]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """Refusals first, then by kind and settings, some together."""
        groups: dict[Any, list[int]] = {}
        for index, question in enumerate(questions):
            if question.refused is not None:
                yield Answer(index, Unanswered(question.refused))
                continue
            request = question.request
            settings = repr(_options(request)) if isinstance(request, GenerateUntil) else ""
            groups.setdefault((type(request), settings), []).append(index)
        for (kind, _), places in groups.items():
            # Equal contexts side by side, long ones first, as lm-eval orders them itself.
            places.sort(key=lambda index: _order(questions[index].request))
            for start in range(0, len(places), TOGETHER):
                together = places[start : start + TOGETHER]
                requests = [questions[index].request for index in together]
                yield from map(Answer, together, self._asked(KINDS[kind], requests))

    def relaid(self) -> None:
        """None: batches are the class's own."""

    def tokenize(self, text: str) -> list[int]:
        """The class's token ids, with what it adds by default.

        Raises:
            NoTokenizer: the class has none.
        """
        encode: Callable[..., Any] | None = getattr(self._lm, "tok_encode", None)
        if encode is None or getattr(self._lm, "tokenizer", None) is None:
            raise NoTokenizer(
                f"it is made of the model's tokens, and {self.identity['class']} of "
                "lm-eval has no tokenizer"
            )
        return list(encode(text))

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """As the class renders them: a text, or what it reads as messages again."""
        return str(self._lm.apply_chat_template(messages, add_generation_prompt))

    def reset_peak_memory(self) -> None:
        """There is nothing to measure."""

    def peak_memory(self) -> int | None:
        """Unknown: the class may well run its model elsewhere."""
        return None

    def _asked(self, method: str, requests: Sequence[Request]) -> list[Response]:
        instances = [
            Instance(request_type=method, doc={}, arguments=_arguments(request), idx=place)
            for place, request in enumerate(requests)
        ]
        found = getattr(self._lm, method)(instances, disable_tqdm=True)
        if len(found) != len(requests):
            raise WeightsError(
                f"{self.identity['class']} of lm-eval answered {len(found)} of {len(requests)}"
            )
        return [_response(request, each) for request, each in zip(requests, found, strict=True)]


def load_class(options: LoadOptions) -> LmEvalClass:
    """Make an instance, with the model's folder where it has weights here.

    Raises:
        UnknownName: lm-eval has no such class.
        UsageError: the class takes no folder, or the arguments name another model.
        WeightsError: it cannot be made, with its reason.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    import lm_eval.models  # registers them

    name, arguments = options.lm_eval.name, simple_parse_args_string(options.lm_eval.arguments)
    try:
        kind = get_model(name)
    except (ValueError, KeyError):
        raise UnknownName("model class", name, MODEL_REGISTRY, "lm-eval's") from None
    except ImportError as error:
        raise WeightsError(f"lm-eval's {name} needs what is not installed: {error}") from None
    added: dict[str, Any] = {}
    if options.path.parts:
        added = _with_folder(kind, arguments, options)
    try:
        model = kind.create_from_arg_obj({**added, **arguments})
    except Exception as error:  # of as many kinds as there are classes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"lm-eval's {name} cannot be made: {reason}") from None
    identity = {
        "backend": f"lm_eval {lm_eval.__version__}",
        "class": name,
        "arguments": options.lm_eval.arguments,
        "added": json.dumps(_decisive(added), sort_keys=True),
        "dtype": options.dtype,
        "weights": options.weights_id,
    }
    return LmEvalClass(model, identity)


def _with_folder(kind: type, arguments: dict[str, Any], options: LoadOptions) -> dict[str, Any]:
    """What is added for a class that loads weights itself: the registry's, as it loads them."""
    taken = [
        name
        for base in kind.__mro__
        if "__init__" in vars(base)
        for name in inspect.signature(base.__init__).parameters  # type: ignore[misc]
    ]
    if "pretrained" not in taken:
        raise UsageError(
            "this class of lm-eval takes no `pretrained`, so that the model's weights would not be "
            "asked: name an entry that has none, `source: {server: NAME}`"
        )
    if named := sorted({"pretrained", "tokenizer", "dtype"} & set(arguments)):
        raise UsageError(f"--lm-eval-args {named[0]}=...: the registry and --dtype say that")
    ours: dict[str, Any] = {
        "pretrained": str(options.path),
        "tokenizer": str(options.tokenizer),
        "dtype": options.dtype,
        "device": "cuda:0" if torch.cuda.is_available() else "cpu",
    }
    if options.add_bos is not None:
        ours["add_bos_token"] = options.add_bos
    if options.trust_remote_code:
        ours["trust_remote_code"] = True
    return {name: value for name, value in ours.items() if name in taken}


def _decisive(added: Mapping[str, Any]) -> dict[str, Any]:
    """What answers depend on: not where the files lie, whose digest is the weights', nor where they
    are computed, which is a fact of its own.
    """
    return {name: value for name, value in added.items() if name not in _PLACES}


def _refused(request: Request) -> str | None:
    if type(request) not in KINDS:
        return "lm-eval's model classes answer texts only"
    if isinstance(request, LogLikelihood) and not request.continuation:
        return "the continuation is empty"
    if isinstance(request, RollingLogLikelihood) and not request.text:
        return "the text is empty"
    if isinstance(request, GenerateUntil) and not request.context:
        return "the prompt is empty"
    return None


def _order(request: Request) -> tuple[int, str]:
    arguments = _arguments(request)
    return -sum(len(each) for each in arguments if isinstance(each, str)), str(arguments[0])


def _arguments(request: Request) -> tuple[Any, ...]:
    if isinstance(request, LogLikelihood):
        return request.context, request.continuation
    if isinstance(request, GenerateUntil):
        return request.context, _options(request)
    assert isinstance(request, RollingLogLikelihood)
    return (request.text,)


def _options(request: GenerateUntil) -> dict[str, Any]:
    warm = {"temperature": request.temperature} if request.temperature > 0 else {}
    return {
        "until": list(request.until),
        "max_gen_toks": request.max_new_tokens,
        "do_sample": request.temperature > 0,
        **warm,
    }


def _response(request: Request, found: Any) -> Response:
    if isinstance(request, GenerateUntil):
        if not isinstance(found, str):
            return Unanswered("lm-eval's class gave no text")
        ends = [at for stop in request.until if stop and (at := found.find(stop)) >= 0]
        return Generation(found[: min(ends)] if ends else found)
    logprob = float(found[0] if isinstance(request, LogLikelihood) else found)
    if not math.isfinite(logprob):
        return Unanswered(f"the log-probability is {logprob}")
    if isinstance(request, LogLikelihood):
        return LogProb(logprob, bool(found[1]))
    return RollingLogProb(logprob)
