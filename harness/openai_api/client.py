"""Asks an OpenAI-compatible server, and asks again where that may help."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NoReturn

import httpx2

from harness.errors import HarnessError
from harness.openai_api.chat import Chat, Reply, read_problem, read_reply
from harness.openai_api.server import Server

LONGEST_WAIT = 300.0
"""Seconds; a server that asks for a longer pause is left alone."""
LONGEST_BODY = 32_000_000
"""Bytes of an answer that are read at most."""
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_NEWER_LIMIT = "max_completion_tokens"
"""What newer models of OpenAI call ``max_tokens``, and say so."""
_SPENT = ("insufficient_quota", "billing_hard_limit_reached")
"""What a 429 holds that no waiting helps against."""


class ApiError(HarnessError):
    """A server gave no answer that can be used.

    Attributes:
        reason: in a few words that errors alike share: ``time-out``, ``status 503``.
        fatal: whether every other question would meet the same: a wrong key, address or model.
        attempts: how often it was asked.
    """

    def __init__(self, reason: str, message: str, fatal: bool = False, attempts: int = 1) -> None:
        super().__init__(message)
        self.reason, self.fatal, self.attempts = reason, fatal, attempts


@dataclass(frozen=True)
class Patience:
    """How long and how often a question is asked.

    Attributes:
        timeout: seconds for one attempt, from connecting to the answer's last byte.
        attempts: at most.
        first_wait: seconds before the second attempt, at most; each further wait may be twice as
            long. The wait itself is drawn, so that several questions do not come back together.
        longest_wait: seconds that such a wait grows to.
    """

    timeout: float = 120.0
    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0


@dataclass(frozen=True)
class Asked:
    """A reply, and how many attempts it took."""

    reply: Reply
    attempts: int


class _TryAgain(Exception):
    """An attempt failed in a way that another may not; ``wait``: what the server asked for."""

    def __init__(self, reason: str, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.wait = reason, wait


class Client:
    """Connections to one server; several threads may ask at the same time.

    Redirects are not followed: the key is for the address that was given.

    Args:
        server: whom to ask.
        patience: how long, how often.
        stop: once it is set, nothing is tried again.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        server: Server,
        patience: Patience = Patience(),
        stop: threading.Event | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.server, self._patience = server, patience
        self._stop = stop or threading.Event()
        self._paused_until = 0.0
        self._max_tokens = "max_tokens"
        headers = {"Authorization": server.key.header()} if server.key is not None else {}
        self._http = httpx2.Client(
            headers=headers,
            timeout=patience.timeout,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def ask(self, chat: Chat) -> Asked:
        """Ask once, and again after 408, 429, 5xx, a time-out, a broken connection or answer.

        Raises:
            ApiError: there is no answer; names the server's address and what it said last.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                self._wait_for_pause()
                return Asked(self._attempt(chat), attempt)
            except _TryAgain as failed:
                if attempt >= self._patience.attempts or (failed.wait or 0) > LONGEST_WAIT:
                    raise self._error(failed.reason, str(failed), attempt) from None
                if self._stop.wait(self._pause(attempt, failed)):
                    raise self._error(failed.reason, str(failed), attempt) from None
            except ApiError as error:
                error.attempts = attempt
                raise

    def _pause(self, attempt: int, failed: _TryAgain) -> float:
        """Seconds to wait: what the server asked for, which holds for all threads, and a drawn
        time that may double with each attempt.
        """
        most = min(self._patience.longest_wait, self._patience.first_wait * 2 ** (attempt - 1))
        if failed.wait:
            self._paused_until = max(self._paused_until, time.monotonic() + failed.wait)
        return (failed.wait or 0) + random.uniform(0, most)

    def _wait_for_pause(self) -> None:
        left = self._paused_until - time.monotonic()
        if left > 0:  # and not all threads at the same moment
            self._stop.wait(left + random.uniform(0, self._patience.first_wait))

    def _attempt(self, chat: Chat) -> Reply:
        limit = self._max_tokens
        status, headers, body = self._exchange(chat, limit)
        if status != 200:
            self._refused(status, headers, body, limit)
        try:
            return self._struck_out(read_reply(body))
        except ValueError as error:
            raise _TryAgain(str(error), f"{error}: {read_problem(body, 80)}") from None

    def _exchange(self, chat: Chat, limit: str) -> tuple[int, httpx2.Headers, str]:
        payload = chat.payload(self.server.model)
        payload[limit] = payload.pop("max_tokens")
        deadline = time.monotonic() + self._patience.timeout
        late = _TryAgain("time-out", f"no whole answer within {self._patience.timeout:g} s")
        try:
            with self._http.stream(
                "POST", f"{self.server.url}/chat/completions", json=payload
            ) as response:
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LONGEST_BODY:
                        raise _TryAgain("too long", f"an answer of over {LONGEST_BODY:,} bytes")
                    if time.monotonic() > deadline:
                        raise late
                return response.status_code, response.headers, self._text(body)
        except httpx2.TimeoutException:
            raise late from None
        except httpx2.ConnectError as error:
            raise _TryAgain("no connection", f"no connection ({error})") from None
        except httpx2.TransportError as error:
            raise _TryAgain("broken off", f"the connection broke off ({error})") from None
        except (httpx2.DecodingError, httpx2.InvalidURL) as error:
            raise self._error("no answer", f"no answer that can be read ({error})", 1) from None

    def _text(self, body: bytes) -> str:
        return self.server.struck_out(body.decode("utf-8", "replace"))

    def _struck_out(self, reply: Reply) -> Reply:
        """The reply without the key, which JSON can also spell in escapes of its letters."""
        strike = self.server.struck_out
        return replace(
            reply,
            text=strike(reply.text),
            finish=strike(reply.finish),
            refusal=strike(reply.refusal),
            model=strike(reply.model),
        )

    def _refused(self, status: int, headers: httpx2.Headers, body: str, limit: str) -> NoReturn:
        """Raise what a status other than 200 means; ``limit``: how ``max_tokens`` was called."""
        reason, said = f"status {status}", read_problem(body)
        message = f"{reason}{f': {said}' if said else ''}"
        if status == 400 and limit == "max_tokens" and _NEWER_LIMIT in body:
            self._max_tokens = _NEWER_LIMIT
            raise _TryAgain(reason, message)
        if status in _AGAIN and not any(word in body for word in _SPENT):
            raise _TryAgain(reason, message, seconds_to_wait(headers.get("retry-after")))
        advice = {
            401: "; the key is taken from an environment variable (--key-env)",
            403: "; the key may not use this model",
            404: "; an address often ends in /v1, and the model is named as the server names it",
        }.get(status, "; redirects are not followed" if 300 <= status < 400 else "")
        fatal = status in (401, 402, 403, 404, 405, 429) or 300 <= status < 400
        raise self._error(reason, message + advice, 1, fatal)

    def _error(self, reason: str, message: str, attempts: int, fatal: bool = False) -> ApiError:
        times = f" (asked {attempts} times)" if attempts > 1 else ""
        text = f"{self.server.url}, model {self.server.model}: {message}{times}"
        return ApiError(reason, self.server.struck_out(text), fatal, attempts)


def seconds_to_wait(
    header: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """What ``Retry-After`` asks for, seconds or a date; ``None`` where it cannot be read.

    >>> seconds_to_wait("2"), seconds_to_wait("-1"), seconds_to_wait("soon")
    (2.0, 0.0, None)
    """
    if header is None:
        return None
    try:
        wait = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now().timestamp()
    return max(0.0, wait) if wait == wait else None
