"""A worker's models: what is loaded once, kept, and dropped."""

from __future__ import annotations

from dataclasses import replace

from harness.backends.backend import Backend
from harness.backends.fake import FakeBackend
from harness.executors.desk import Desk
from harness.executors.executor import Loading
from harness.executors.messages import Loaded, decode_reply, encode, load_message
from tests.executors.scripted import loading


class Layouts(FakeBackend):
    """A model that has a second layout."""

    def relaid(self) -> FakeBackend | None:
        """Another of the kind."""
        return FakeBackend()


def load(desk: Desk, number: int, asked: Loading, drop: tuple[int, ...] = ()) -> None:
    reply = decode_reply(desk.handle(encode(load_message(number, asked, "", drop))))
    assert isinstance(reply, Loaded), reply


def test_what_a_dropped_model_was_made_of_goes_with_it() -> None:
    made: list[str] = []

    def make(asked: Loading) -> Backend:
        made.append(asked.options.path.parts[1])
        return Layouts()

    desk = Desk(make)
    load(desk, 1, replace(loading(name="a"), relaid=True))
    load(desk, 2, loading(name="b"), drop=(1,))
    load(desk, 3, loading(name="a"))
    assert made == ["a", "b", "a"], "the base has no number of its own"


def test_what_another_model_is_made_of_stays() -> None:
    made: list[str] = []

    def make(asked: Loading) -> Backend:
        made.append(asked.options.path.parts[1])
        return Layouts()

    desk = Desk(make)
    load(desk, 1, loading(name="a"))
    load(desk, 2, replace(loading(name="a"), relaid=True))
    load(desk, 3, loading(name="b"), drop=(1,))
    load(desk, 4, loading(name="a"), drop=(3,))
    assert made == ["a", "b"]
