"""Workers whose model takes a fixed time for each request, and may end its worker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from harness.backends.backend import Backend, LoadOptions
from harness.backends.fake import FakeBackend
from harness.errors import WeightsError
from harness.executors.desk import Desk
from harness.executors.executor import Loading
from harness.types import Request, Response


def loading(seconds: float = 0.0, poison: str = "", name: str = "a") -> Loading:
    """A model that takes so long for a request, and ends over one that holds a word."""
    path = Path("scripted") / name / str(seconds) / (poison or "none")
    return Loading("fake", LoadOptions(path=path, tokenizer=path))


def desk(place: str = "") -> Desk:
    """A worker's desk in a process of its own."""
    return Desk(lambda asked: load(asked, lambda: os._exit(9)), place)


def make_desk(end: Callable[[], None]) -> Desk:
    """A desk whose models end their worker as they are told to."""
    return Desk(lambda asked: load(asked, end))


def load(asked: Loading, end: Callable[[], None] = lambda: None) -> Backend:
    """The model that a loading of `loading` stands for.

    Args:
        asked: what its path says: a name, seconds of a request, and the word that ends a worker.
        end: ends the worker.
    """
    _, name, seconds, poison = asked.options.path.parts
    if name == "broken":
        raise WeightsError("it is broken")

    def script(request: Request) -> Response | None:
        if float(seconds):
            time.sleep(float(seconds))
        if poison in repr(request):
            end()
        if "bug" in repr(request):
            raise ZeroDivisionError("a bug")
        return None

    return FakeBackend(script)
