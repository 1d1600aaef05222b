"""The worker's side: holds models, and answers one message after the other."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from harness import __version__
from harness.backends.backend import Backend
from harness.errors import HarnessError, WeightsError
from harness.executors.executor import Loading, without_budget
from harness.executors.local import load_here
from harness.executors.messages import (
    Answers,
    Ask,
    Encode,
    Encoded,
    Hello,
    Ids,
    Load,
    Loaded,
    Message,
    Name,
    Render,
    Reply,
    Text,
    Tokenize,
    decode_message,
    encode,
    failure,
    loading_of,
    pack_answer,
    pack_questions,
    unpack,
    unpack_questions,
)


class Desk:
    """One worker's models, by the numbers that the driver gave them; each is loaded once.

    Args:
        load: loads one; tests and benchmarks have models of their own.
        place: the machine that it is on, by the name that the driver would have for it. A host's
            name is not enough: cloned machines share it.
    """

    def __init__(self, load: Callable[[Loading], Backend] | None = None, place: str = "") -> None:
        self._place = place
        self._load_one = load or load_spread
        self._numbers: dict[int, Loading] = {}
        self._loaded: dict[Loading, Backend | None] = {}

    def handle(self, content: bytes) -> bytes:
        """The reply to a message; an error is a reply too."""
        try:
            return encode(self._reply(decode_message(content)))
        except Exception as error:  # a model's own code: any kind
            return encode(failure(error, _place(error)))

    def _reply(self, message: Message) -> Reply:
        match message:
            case Hello():
                return Name(platform.node(), __version__)
            case Load():
                return self._load(message)
            case Encode():
                requests = [unpack(each) for each in message.requests]
                questions = self._model(message.model).encode(requests)
                return Encoded(pack_questions(questions, requests=False))
            case Tokenize():
                return Ids(self._model(message.model).tokenize(message.text))
            case Render():
                backend = self._model(message.model)
                return Text(backend.render_chat(message.messages, message.add_generation_prompt))
            case Ask():
                return self._answer(message)
        assert_never(message)

    def _load(self, message: Load) -> Loaded:
        loading = loading_of(message)
        self._drop(message.drop, loading)
        if message.driver != self._place:
            check_files(loading)
        backend = self._get(loading)
        self._numbers[message.model] = without_budget(loading)
        if backend is None:
            return Loaded(None, {})
        return Loaded(backend.facts, {**_accelerator(backend), **backend.identity})

    def _get(self, loading: Loading) -> Backend | None:
        key = without_budget(loading)
        if key not in self._loaded:
            self._loaded[key] = self._made(loading)
        return self._loaded[key]

    def _made(self, loading: Loading) -> Backend | None:
        if loading.relaid:
            base = self._get(*_parts(loading))
            return base.relaid() if base is not None else None
        if loading.beside is not None:
            from harness.backends.pair import make_pair

            scored, parent = map(self._get, _parts(loading))
            assert scored is not None and parent is not None
            return make_pair(scored, parent)
        return self._load_one(loading)

    def _drop(self, numbers: Iterable[int], wanted: Loading) -> None:
        """Drop models and what they were made of, but not what others, or the next, are made of."""
        for number in numbers:
            self._numbers.pop(number, None)
        needed = {key for each in (*self._numbers.values(), wanted) for key in _made_of(each)}
        self._loaded = {key: made for key, made in self._loaded.items() if key in needed}

    def _model(self, number: int) -> Backend:
        backend = self._loaded[self._numbers[number]]
        assert backend is not None
        return backend

    def _answer(self, message: Ask) -> Answers:
        backend = self._model(message.model)
        questions = unpack_questions(message.questions)
        backend.reset_peak_memory()
        started = time.perf_counter()
        answers = [pack_answer(answer) for answer in backend.answer(questions)]
        seconds = time.perf_counter() - started
        indices = [answer.index for answer in answers]
        if left := set(range(len(questions))) - set(indices):
            raise HarnessError(f"the backend left {len(left)} without an answer")
        if len(indices) > len(questions):
            raise HarnessError("the backend answered one question more than once")
        return Answers(answers, seconds, backend.peak_memory())


def _accelerator(backend: Backend) -> dict[str, str]:
    """What a worker's GPU is called: the driver may have none, or another."""
    if not backend.facts.device.startswith("cuda"):
        return {}
    import torch

    return {"device": torch.cuda.get_device_name(backend.facts.device)}


def check_files(loading: Loading) -> None:
    """Hold this machine's files against the driver's, those of the parent beside it too.

    Raises:
        WeightsError: one is missing, or another.
    """
    from harness.prepared import cache_folder
    from harness.weights import DigestCache

    if loading.beside is not None:
        check_files(loading.beside)
    digest = DigestCache(cache_folder()).sha256
    here = platform.node()
    for name, expected in loading.files:
        folder, own = loading.options.path, name
        if name.startswith("tokenizer/"):
            folder, own = loading.options.tokenizer, name.removeprefix("tokenizer/")
        path = Path(folder) / own
        if not path.is_file():
            raise WeightsError(
                f"{path} is not there on {here}: every machine must see the model under the path "
                "that the driver has it under (a shared file system, or the same cache)"
            )
        if digest(path) != expected:
            raise WeightsError(f"{path} on {here} is not the file that the driver has")


def _parts(loading: Loading) -> list[Loading]:
    """What has to be loaded before a model can be made of it."""
    if loading.relaid:
        return [replace(loading, relaid=False)]
    if loading.beside is not None:
        return [replace(loading, beside=None), loading.beside]
    return []


def _made_of(loading: Loading) -> list[Loading]:
    """The keys of a model and of all that it is made of."""
    parts = [key for part in _parts(loading) for key in _made_of(part)]
    return [without_budget(loading), *parts]


def load_spread(loading: Loading) -> Backend:
    """Load a model here; where there are several GPUs, it is spread over them."""
    import torch

    spread = torch.cuda.device_count() > 1
    return load_here(replace(loading, options=replace(loading.options, spread=spread)))


def _place(error: BaseException) -> str:
    """The last line of code that is named in an error, for a report without a traceback."""
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    last = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames][-1:]
    return f"{platform.node()}, {last[0]}" if last else platform.node()
