"""The driver's line to one model in the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from harness.errors import HarnessError
from harness.executors.dispatch import Dispatcher
from harness.executors.messages import Failed, Load, Message, Reply, encode, error_of
from harness.executors.queue import Job, SetApart

ReplyT = TypeVar("ReplyT", bound=Reply)


class Line:
    """The way to one model in the workers, by its number."""

    def __init__(self, dispatcher: Dispatcher, model: int) -> None:
        self.model = model
        self._dispatcher = dispatcher

    def send(
        self, message: Message, cost: int, deliver: Callable[[Job, Reply | SetApart], None]
    ) -> None:
        """Put a message into the queue.

        Raises:
            HarnessError: it has a text that cannot be sent.
        """
        try:
            content = encode(message)
        except UnicodeEncodeError as error:
            raise HarnessError(f"a text cannot be sent to a worker: {error}") from None
        self._dispatcher.submit(Job(self.model, content, isinstance(message, Load), cost, deliver))

    def wait(self) -> None:
        """Take in the next reply, whosever it is."""
        self._dispatcher.deliver_next()

    def call(self, message: Message, kind: type[ReplyT]) -> ReplyT:
        """Send a message and wait for its reply.

        Raises:
            HarnessError: it could not be done.
        """
        return self.call_all([message], kind)[0]

    def call_all(self, messages: Sequence[Message], kind: type[ReplyT]) -> list[ReplyT]:
        """Send messages and wait for all replies."""
        replies: dict[int, Reply | SetApart] = {}
        for place, message in enumerate(messages):
            self.send(message, 0, partial(_keep, replies, place))
        while len(replies) < len(messages):
            self.wait()
        return [_expected(replies[place], kind) for place in range(len(messages))]


def _keep(
    replies: dict[int, Reply | SetApart], place: int, job: Job, reply: Reply | SetApart
) -> None:
    replies[place] = reply


def _expected(reply: Reply | SetApart, kind: type[ReplyT]) -> ReplyT:
    if isinstance(reply, SetApart):
        raise HarnessError(f"workers end over it: {reply.reason}")
    if isinstance(reply, Failed):
        raise error_of(reply)
    if not isinstance(reply, kind):
        raise RuntimeError(f"a worker replied with {type(reply).__name__}, not {kind.__name__}")
    return reply
