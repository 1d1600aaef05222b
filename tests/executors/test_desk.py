"""A worker's models: what is loaded once, kept, and dropped."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends.backend import Backend, LoadOptions
from harness.backends.fake import FakeBackend
from harness.executors.desk import Desk
from harness.executors.executor import Loading
from harness.executors.messages import (
    Failed,
    Loaded,
    decode_reply,
    encode,
    load_message,
    loading_of,
)
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


def on_disk(folder: Path, content: str) -> Loading:
    """A model of one file, which is there."""
    folder.mkdir()
    (folder / "weights").write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    options = LoadOptions(path=folder, tokenizer=folder)
    return Loading("fake", options, files=(("weights", digest),))


@pytest.mark.parametrize(("driver", "checked"), [("here", False), ("elsewhere", True)])
def test_the_files_of_a_pairs_parent_are_checked_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, checked: bool
) -> None:
    scored, parent = on_disk(tmp_path / "a", "a"), on_disk(tmp_path / "b", "b")
    desk = Desk(lambda asked: Layouts(), "here")
    pair = replace(scored, beside=parent)
    (tmp_path / "b" / "weights").write_text("another")
    monkeypatch.setattr(desk, "_made", lambda loading: Layouts())  # fakes cannot be put together
    reply = decode_reply(desk.handle(encode(load_message(1, pair, driver))))
    if not checked:
        assert isinstance(reply, Loaded), reply
        return
    assert isinstance(reply, Failed) and reply.kind == "WeightsError"
    assert f"{tmp_path}/b/weights" in reply.text and "not the file" in reply.text


def test_a_parent_travels_with_its_files(tmp_path: Path) -> None:
    pair = replace(on_disk(tmp_path / "a", "a"), beside=on_disk(tmp_path / "b", "b"))
    assert loading_of(load_message(1, pair, "here")) == pair
