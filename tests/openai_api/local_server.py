"""A small server on this machine that speaks the protocol, well or badly, as a test tells it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Payload = dict[str, Any]


@dataclass(frozen=True)
class Says:
    """What the server does with a request.

    Attributes:
        body: of the response.
        status: of the response.
        headers: beside length and type.
        sent: bytes of the body that are sent before the connection is closed; all by default.
        drop: whether the connection is closed without a word.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None
    drop: bool = False


DROPPED = Says(b"", drop=True)


def completion(text: str | None, **more: Any) -> Says:
    """A chat completion; ``finish_reason``, ``refusal``, ``model`` and ``usage`` by name."""
    message: Payload = {"role": "assistant", "content": text}
    if "refusal" in more:
        message["refusal"] = more["refusal"]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": more.get("model", "judge-2026"),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": more.get("finish_reason", "stop"),
            }
        ],
        "usage": more.get("usage", {"prompt_tokens": 100, "completion_tokens": 10}),
    }
    return Says(json.dumps(body).encode())


def failure(status: int, message: str = "no", **headers: str) -> Says:
    """An error as the protocol words it; ``retry_after`` becomes the header of that name."""
    body = json.dumps({"error": {"message": message, "type": "error"}}).encode()
    return Says(body, status, {name.replace("_", "-"): text for name, text in headers.items()})


@dataclass
class LocalServer:
    """What a running server was asked.

    Attributes:
        url: its base address.
        asked: the payloads, in the order in which they came.
        keys: the header Authorization of each, empty where there was none.
        paths: what was asked for.
    """

    url: str = ""
    asked: list[Payload] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def serving(script: Callable[[Payload, int], Says]) -> Iterator[LocalServer]:
    """Serve on a free port of this machine.

    Args:
        script: answers a payload; the number counts the requests so far, from 0.
    """
    seen = LocalServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(seen.asked)
                seen.asked.append(payload)
                seen.keys.append(self.headers.get("Authorization", ""))
                seen.paths.append(self.path)
            says = script(payload, number)
            if not says.drop:
                self.send_response(says.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(says.body)))
                for name, text in says.headers.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(says.body[: says.sent])
            if says.drop or says.sent is not None:
                self.close_connection = True

        def log_message(self, *words: Any) -> None:
            return None

    class Silent(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is what some tests are about."""

    server = Silent(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def dripping(begin: bytes, drop: bytes) -> Iterator[str]:
    """A server that begins an answer and sends a drop of it every few milliseconds, for ever.

    Yields:
        Its base address.
    """
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(begin)
                while not over.wait(0.01):
                    connection.sendall(drop)
            except OSError:
                """The client has gone."""

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            over.set()
