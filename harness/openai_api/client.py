"""Asks an OpenAI-compatible server, and asks again where that may help."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NoReturn, Protocol

import httpx2

from harness.errors import HarnessError, UsageError
from harness.openai_api.reply import Ask, BrokenFigures, Reply, read_problem
from harness.openai_api.server import Server
from harness.openai_api.within import within

LONGEST_WAIT = 300.0
"""Seconds; a server that asks for a longer pause is left alone."""
LONGEST_BODY = 32_000_000
"""Bytes of an answer that are read at most."""
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_GIVEN_UP = frozenset({504, 524})
"""Something before the model waited no longer; the model may have gone on."""
_NOT_THIS_ONE = frozenset({400, 413, 422})
"""A request that does not fit, or holds what the server does not take."""
_NEWER_LIMIT = "max_completion_tokens"
"""What newer models of OpenAI call ``max_tokens``, and say so."""
_SPENT = ("insufficient_quota", "billing_hard_limit_reached")
"""What a 429 holds that no waiting helps against."""


class ApiError(HarnessError):
    """A server gave no answer that can be used.

    Attributes:
        reason: in a few words that errors alike share: ``time-out``, ``status 503``.
        fatal: whether every other question would meet the same: a wrong key, address or model.
        refused: whether it is this question and not the server: one that does not fit, or whose
            answers came each time with figures that cannot be used.
        attempts: how often it was asked.
        lost: of these, attempts that may have to be paid for although no answer came of them.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        fatal: bool = False,
        refused: bool = False,
        attempts: int = 1,
        lost: int = 0,
    ) -> None:
        super().__init__(message)
        self.reason, self.fatal, self.refused = reason, fatal, refused
        self.attempts, self.lost = attempts, lost


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
    """A reply, and how many attempts it took; ``lost``: as in `ApiError`."""

    reply: Reply
    attempts: int
    lost: int = 0


class Meter(Protocol):
    """Counts attempts, and bounds them; called from the threads that ask.

    The first attempt at a question is the caller's to admit, and the one that is answered the
    caller's to count.
    """

    def failed(self, ask: Ask, lost: bool) -> None:
        """An attempt ended without an answer; ``lost``: it may have to be paid for."""

    def admit(self, ask: Ask) -> str | None:
        """Why there may be no further attempt, else ``None``: then it is under way."""


@dataclass(eq=False)
class _Failed(Exception):
    """An attempt failed.

    Attributes:
        again: whether another attempt may succeed.
        wait: seconds that the server asked for.
        lost, fatal, refused: as in `ApiError`.
        counts: whether it is one of the attempts that are left.
    """

    reason: str
    message: str
    again: bool = True
    wait: float = 0.0
    lost: bool = False
    fatal: bool = False
    refused: bool = False
    counts: bool = True


class Client:
    """Connections to one server; several threads may ask at the same time.

    Redirects are not followed: the key is for the address that was given.

    Args:
        server: whom to ask.
        patience: how long, how often.
        stop: once it is set, nothing is tried again.
        meter: told of all attempts but the first and the answered one.

    Raises:
        UsageError: what the environment says of proxies or certificates cannot be used.
    """

    def __init__(
        self,
        server: Server,
        patience: Patience = Patience(),
        stop: threading.Event | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.server, self._patience, self._meter = server, patience, meter
        self._stop = stop or threading.Event()
        self._paused_until = 0.0
        self._max_tokens = "max_tokens"
        headers = {"Authorization": server.key.header()} if server.key is not None else {}
        try:
            self._http = httpx2.Client(
                headers=headers,
                timeout=patience.timeout,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            )
        except (ValueError, ImportError, OSError, httpx2.InvalidURL):
            # Their texts may hold the password of a proxy.
            raise UsageError(
                "no connection can be set up: a proxy (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) is an "
                "address that begins with http:// or https://, NO_PROXY names hosts that need "
                "none, and SSL_CERT_FILE, where it is set, a file of certificates"
            ) from None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def ask(self, ask: Ask) -> Asked:
        """Ask once, and again after 408, 429, 5xx, a time-out, a broken connection or answer.

        Raises:
            ApiError: there is no answer; names the server's address and what it said last.
        """
        sent = lost = tries = 0
        while True:
            if self._stopped_in_a_pause():
                stopped = _Failed("stopped", "stopped before it was asked")
                raise self._error(stopped, sent, lost)
            sent += 1
            try:
                return Asked(self._attempt(ask), sent, lost)
            except _Failed as failed:
                lost += failed.lost
                tries += failed.counts
                if self._meter is not None:
                    self._meter.failed(ask, failed.lost)
                if not failed.again or tries >= self._patience.attempts:
                    raise self._error(failed, sent, lost) from None
                if failed.wait > LONGEST_WAIT:
                    raise self._error(failed, sent, lost) from None
                denied = self._meter.admit(ask) if self._meter is not None else None
                if denied is not None:
                    raise self._error(failed, sent, lost, denied) from None
                if failed.counts and self._stop.wait(self._pause(tries, failed)):
                    raise self._error(failed, sent, lost) from None

    def _pause(self, tries: int, failed: _Failed) -> float:
        """Seconds to wait: what the server asked for, which holds for all threads, and a drawn
        time that may double with each attempt.
        """
        most = min(self._patience.longest_wait, self._patience.first_wait * 2 ** (tries - 1))
        if failed.wait:
            self._paused_until = max(self._paused_until, time.monotonic() + failed.wait)
        return failed.wait + random.uniform(0, most)

    def _stopped_in_a_pause(self) -> bool:
        """Wait for what another thread's answer asked for; whether the user stopped it."""
        left = self._paused_until - time.monotonic()
        if left <= 0:
            return False
        # Not all threads at the same moment.
        return self._stop.wait(left + random.uniform(0, self._patience.first_wait))

    def _attempt(self, ask: Ask) -> Reply:
        limit, seconds = self._max_tokens, self._patience.timeout
        try:
            status, headers, body = within(seconds, lambda: self._exchange(ask, limit))
        except (httpx2.TimeoutException, TimeoutError):
            late = f"no whole answer within {seconds:g} s"
            raise _Failed("time-out", late, lost=True) from None
        except httpx2.ConnectError as error:
            raise _Failed("no connection", f"no connection ({error})") from None
        except httpx2.DecodingError as error:
            said = f"an answer that cannot be unpacked ({error})"
            raise _Failed("broken packing", said, lost=True) from None
        except httpx2.TransportError as error:
            said = f"the connection broke off ({error})"
            raise _Failed("broken off", said, lost=True) from None
        except httpx2.InvalidURL as error:
            raise _Failed("no address", f"no address ({error})", False, fatal=True) from None
        if status != 200:
            self._refused(status, headers, body, limit)
        try:
            return ask.read(body).struck_out(self.server.struck_out)
        except ValueError as error:
            said = f"{error}: {self._said(body, 80)}"
            broken = isinstance(error, BrokenFigures)
            raise _Failed(str(error), said, lost=True, refused=broken) from None

    def _exchange(self, ask: Ask, limit: str) -> tuple[int, httpx2.Headers, str]:
        payload = ask.payload(self.server.model)
        payload[limit] = payload.pop("max_tokens")
        deadline = time.monotonic() + self._patience.timeout
        url = f"{self.server.url}{ask.path}"
        with self._http.stream("POST", url, json=payload) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LONGEST_BODY:
                    said = f"an answer of over {LONGEST_BODY:,} bytes"
                    raise _Failed("too long", said, lost=True)
                if time.monotonic() > deadline:  # nobody waits for it any more
                    raise TimeoutError
            return response.status_code, response.headers, self._text(body)

    def _text(self, body: bytearray) -> str:
        return self.server.struck_out(body.decode("utf-8", "replace"))

    def _said(self, body: str, most: int = 300) -> str:
        """What an error's body says; without the key before it is cut, which could leave half."""
        said = self.server.struck_out(read_problem(body))
        return said if len(said) <= most else said[:most] + "..."

    def _refused(self, status: int, headers: httpx2.Headers, body: str, limit: str) -> NoReturn:
        """Raise what a status other than 200 means; ``limit``: how ``max_tokens`` was called."""
        reason, said = f"status {status}", self._said(body)
        message = f"{reason}{f': {said}' if said else ''}"
        if status == 400 and limit == "max_tokens" and _NEWER_LIMIT in body:
            self._max_tokens = _NEWER_LIMIT
            raise _Failed(reason, message, counts=False)
        if status in _AGAIN and not any(word in body for word in _SPENT):
            wait = seconds_to_wait(headers.get("retry-after")) or 0.0
            raise _Failed(reason, message, wait=wait, lost=status in _GIVEN_UP)
        advice = {
            401: "; the key is taken from an environment variable (--key-env)",
            403: "; the key may not use this model",
            404: "; an address often ends in /v1, and the model is named as the server names it",
        }.get(status, "; redirects are not followed" if 300 <= status < 400 else "")
        fatal = status in (401, 402, 403, 404, 405, 429) or 300 <= status < 400
        refused = status in _NOT_THIS_ONE
        raise _Failed(reason, message + advice, False, fatal=fatal, refused=refused)

    def _error(self, failed: _Failed, sent: int, lost: int, denied: str = "") -> ApiError:
        times = f" (asked {sent} times)" if sent > 1 else ""
        text = f"{self.server.url}, model {self.server.model}: {failed.message}{times}"
        return ApiError(
            failed.reason,
            self.server.struck_out(text) + (f"; {denied}" if denied else ""),
            fatal=failed.fatal,
            refused=failed.refused,
            attempts=sent,
            lost=lost,
        )


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
            wait = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now()).total_seconds()
        except (ValueError, TypeError, OverflowError):  # a date that no calendar has
            return None
    return max(0.0, wait) if wait == wait else None
