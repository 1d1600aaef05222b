"""Any model class of lm-eval's by its name and arguments, behind the Backend protocol.

It is asked as lm-eval asks it: by text, through `loglikelihood`, `loglikelihood_rolling` and
`generate_until`. What a class does with that, cutting included, is its own affair.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import lm_eval
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import MODEL_REGISTRY, get_model
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import simple_parse_args_string
from transformers import PreTrainedTokenizerBase

from harness.backends.backend import (
    BEGUN_ANSWER,
    ELSEWHERE,
    BackendFacts,
    CannotBeAsked,
    LoadOptions,
)
from harness.chat_template import render_as_lm_eval
from harness.credentials import struck_out
from harness.errors import HarnessError, UnknownName, UsageError, WeightsError
from harness.openai_api.reply import whole
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
_REGISTRYS = frozenset(
    {"trust_remote_code", "peft", "delta", "gguf_file", "revision", "subfolder", "code_revision"}
    | {"tokenizer_revision", "lora_local_path", "hf_overrides", "load_format"}
)
"""Arguments that are refused wherever they come from, a record that is resumed among them."""
_PLACES = frozenset({"pretrained", "tokenizer", "device"})


_BY_HTTP = frozenset(
    {"local-completions", "local-chat-completions", "openai-completions", "openai-chat-completions"}
)
"""Classes whose packages are in lm-eval's extra ``api``."""


class LmEvalClass:
    """A Backend over an instance of any of lm-eval's model classes.

    Args:
        model: the instance.
        identity: of the class, its arguments and the weights.
    """

    def __init__(self, model: LM, identity: Mapping[str, str]) -> None:
        self._lm, self.identity = model, identity
        self._who = f"{identity['class']} of lm-eval"
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
        return [Question(request, refused=self._refused(request)) for request in requests]

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

    def cannot(self, kinds: Collection[type[Request]]) -> Mapping[type[Request], str]:
        """The kinds that the class has no method for, found by asking one question of each.

        Generations are not tried: what a class takes for a prompt depends on its chat template.

        Raises:
            WeightsError: it fails at such a question.
        """
        lacking: dict[type[Request], str] = {
            kind: "lm-eval's model classes answer texts only" for kind in kinds if kind not in KINDS
        }
        for question in (LogLikelihood("One, two,", " three"), RollingLogLikelihood("One, two")):
            if type(question) in kinds:
                try:
                    self._asked(KINDS[type(question)], [question])
                except UsageError as error:
                    lacking[type(question)] = str(error)
        return lacking

    def relaid(self) -> None:
        """None: batches are the class's own."""

    def tokenize(self, text: str) -> list[int]:
        """The class's token ids, with what it adds by default.

        Raises:
            CannotBeAsked: the class has none.
        """
        encode: Callable[..., Any] | None = getattr(self._lm, "tok_encode", None)
        if encode is None or getattr(self._lm, "tokenizer", None) is None:
            raise CannotBeAsked(
                f"it is made of the model's tokens, and {self.identity['class']} of "
                "lm-eval has no tokenizer"
            )
        return list(encode(text))

    def render_chat(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """By a tokenizer of transformers with bounds, as everywhere here; else as the class renders
        them: a text, or what it reads as messages again.

        Raises:
            WeightsError: there is no template, or it cannot be used.
            CannotBeAsked: messages, the last of which is to be continued.
        """
        if _plain_chat(self._lm):
            return render_as_lm_eval(self._lm.tokenizer, messages, add_generation_prompt)
        try:
            rendered = self._lm.apply_chat_template(messages, add_generation_prompt)
        except Exception as error:  # of as many kinds as there are classes
            raise self._no_chat(_first_line(error)) from None
        if isinstance(rendered, str):
            return rendered
        prompt = getattr(rendered, "prompt", None)
        if not isinstance(prompt, str):
            raise self._no_chat(f"it makes a {type(rendered).__name__} of it, and no text")
        if not add_generation_prompt:
            raise CannotBeAsked(BEGUN_ANSWER)
        return prompt

    def reset_peak_memory(self) -> None:
        """There is nothing to measure."""

    def peak_memory(self) -> int | None:
        """Unknown: the class may well run its model elsewhere."""
        return None

    def _refused(self, request: Request) -> str | None:
        if isinstance(request, LogLikelihood) and self._chat(request.context) is not None:
            return "chats that are sent as messages give a continuation no log-probability"
        return _refused(request)

    def _given(self, request: Request) -> tuple[Any, ...]:
        """What the class is given; a chat in the type by which it knows it from a text."""
        context, *others = _arguments(request)
        chat = self._chat(context) if isinstance(request, GenerateUntil) else None
        return (context if chat is None else chat, *others)

    def _chat(self, context: str) -> Any:
        """What the class made of a chat, where it was messages and this is their text. Not kept
        from `render_chat`: a worker may be asked what another has rendered.
        """
        if not context.startswith("[{") or _plain_chat(self._lm):
            return None
        try:
            rendered = self._lm.apply_chat_template(json.loads(context), True)
        except Exception:  # no messages, or a class that renders no chat
            return None
        return rendered if getattr(rendered, "prompt", None) == context else None

    def _no_chat(self, reason: str) -> WeightsError:
        return WeightsError(
            f"{self._who} renders no chat: {reason}; set `chat_template: false` in the model's "
            "registry entry"
        )

    def _asked(self, method: str, requests: Sequence[Request]) -> list[Response]:
        instances = [
            Instance(request_type=method, doc={}, arguments=self._given(request), idx=place)
            for place, request in enumerate(requests)
        ]
        try:
            found = getattr(self._lm, method)(instances, disable_tqdm=True)
        except HarnessError:
            raise
        except NotImplementedError as error:
            raise UsageError(f"{self._who} {_lacks(method, error)}") from None
        except Exception as error:  # of as many kinds as there are classes
            raise WeightsError(
                f"{self._who} failed while it was asked ({method}): {_first_line(error)}; what was "
                "answered is in the journal: the same command asks only what is missing"
            ) from None
        if len(found) != len(requests):
            raise WeightsError(f"{self._who} answered {len(found)} of {len(requests)}")
        return [_response(request, each) for request, each in zip(requests, found, strict=True)]


def load_class(options: LoadOptions) -> LmEvalClass:
    """Make an instance, with the model's folder where it has weights here.

    Raises:
        UnknownName: lm-eval has no such class.
        UsageError: the class takes no folder, or the arguments name another model.
        WeightsError: it cannot be made, with its reason.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    name, arguments = options.lm_eval.name, simple_parse_args_string(options.lm_eval.arguments)
    try:
        kind = get_model(name)
    except (ValueError, KeyError):
        raise UnknownName("model class", name, MODEL_REGISTRY, "lm-eval's") from None
    except ImportError as error:
        raise WeightsError(_not_installed(name, error)) from None
    if named := sorted(_REGISTRYS & set(arguments)):
        raise UsageError(
            f"--lm-eval-args {named[0]}=...: that loads other weights than were named, or runs "
            "their code; the registry says what may (source, tokenizer, trust_remote_code)"
        )
    added: dict[str, Any] = {}
    if options.path.parts:
        added = _with_folder(kind, arguments, options)
    try:
        model = kind.create_from_arg_obj({**added, **arguments})
    except HarnessError:
        raise
    except ImportError as error:
        raise WeightsError(_not_installed(name, error)) from None
    except Exception as error:  # of as many kinds as there are classes
        raise WeightsError(f"lm-eval's {name} cannot be made: {_first_line(error)}") from None
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
    if "pretrained" not in taken or "base_url" in taken:
        why = "asks a server" if "base_url" in taken else "takes no `pretrained`"
        raise UsageError(
            f"this class of lm-eval {why}, so that the model's weights would not be asked: name an "
            "entry that has none, `source: {server: NAME}`"
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


def _plain_chat(model: LM) -> bool:
    """Whether a class renders chats by its tokenizer alone, with nothing of its own."""
    plain = type(model).apply_chat_template is HFLM.apply_chat_template
    tokenizer = getattr(model, "tokenizer", None)
    bounded = plain and isinstance(tokenizer, PreTrainedTokenizerBase)
    return bounded and not getattr(model, "chat_template_args", None)


def _not_installed(name: str, error: ImportError) -> str:
    extra = "api" if name in _BY_HTTP else name
    known = importlib.metadata.metadata("lm-eval").get_all("Provides-Extra") or []
    line = f"; pip install 'lm-eval[{extra}]=={lm_eval.__version__}'" if extra in known else ""
    return f"lm-eval's {name} needs what is not installed: {_first_line(error)}{line}"


def _lacks(method: str, error: Exception) -> str:
    said = f": {_first_line(error)}" if str(error).strip() else ""
    return f"does not answer {method}{said}"


def _first_line(error: Exception) -> str:
    """What an error says, without secrets: arguments may be in it."""
    said = str(error).strip()
    return struck_out(said.splitlines()[0]) if said else type(error).__name__


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
        text = whole(found)  # a class may read JSON, which spells halves of UTF-16 pairs
        ends = [at for stop in request.until if stop and (at := text.find(stop)) >= 0]
        return Generation(text[: min(ends)] if ends else text)
    logprob = float(found[0] if isinstance(request, LogLikelihood) else found)
    if not math.isfinite(logprob):
        return Unanswered(f"the log-probability is {logprob}")
    if isinstance(request, LogLikelihood):
        return LogProb(logprob, bool(found[1]))
    return RollingLogProb(logprob)
