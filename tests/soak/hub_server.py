"""A model hub of one model that misbehaves: as much of its protocol as huggingface_hub needs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c" * 40
FAULTS = ("slow", "error", "half", "wrong", "drop")
"""Too slow for the library's patience; 500; half of the bytes; other bytes; no reply at all."""

_STALL_SECONDS = 1.3
"""Longer than `tests.soak.ground.environment` has the library wait."""


@contextmanager
def served(model: Path, faults: Mapping[int, str], log: Path) -> Iterator[str]:
    """Serve a checkpoint as ``org/tiny``, in a process of its own.

    Args:
        model: the checkpoint.
        faults: request number, from 1 on, to the fault that it meets.
        log: gets a line per fault that took place.

    Yields:
        The hub's address.
    """
    files = {path.name: path.read_bytes() for path in sorted(model.iterdir())}
    log.write_text("", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = os.fork()
        if not number:
            try:
                _serve(listening, files, faults, log)
            finally:
                os._exit(0)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)


def _serve(
    listening: socket.socket, files: Mapping[str, bytes], faults: Mapping[int, str], log: Path
) -> None:
    class ThisHub(_Hub):
        content, planned, told = files, faults, log
        requests = 0

    server = ThreadingHTTPServer(listening.getsockname(), ThisHub, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.serve_forever()


class _Hub(BaseHTTPRequestHandler):
    content: Mapping[str, bytes]
    planned: Mapping[int, str]
    told: Path
    requests: int

    def log_message(self, *_: object) -> None:
        """Keep the output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        type(self).requests += 1
        fault = self.planned.get(self.requests)
        if fault is not None:
            with self.told.open("a", encoding="utf-8") as file:
                file.write(f"{fault} {self.command} {self.path}\n")
        if fault == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault == "error":
            self._reply(500, b"out of order", {})
        elif self.path.startswith("/api/"):
            self._reply(200, self._described(), {"Content-Type": "application/json"}, fault)
        else:
            self._file(self.path.partition("?")[0].rpartition("/")[2], fault)

    def _described(self) -> bytes:
        siblings: list[dict[str, Any]] = []
        for name, content in self.content.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content)}
            entry["blobId"] = _git(content)
            if name.endswith(".safetensors"):
                entry["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 1}
            siblings.append(entry)
        return json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": siblings}).encode()

    def _file(self, name: str, fault: str | None) -> None:
        content = self.content[name]
        etag = _sha256(content) if name.endswith(".safetensors") else _git(content)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            self._reply(200, content, headers, fault)
            return
        start, last = int(asked[1]), int(asked[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        self._reply(206, content[start : last + 1], headers, fault)

    def _reply(
        self, status: int, content: bytes, headers: Mapping[str, str], fault: str | None = None
    ) -> None:
        if fault == "wrong":
            content = bytes(byte ^ 1 for byte in content)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "GET":
            return
        half = len(content) // 2
        self.wfile.write(content[:half])
        if fault == "half":
            self.close_connection = True
            return
        if fault == "slow":
            self.wfile.flush()
            time.sleep(_STALL_SECONDS)
        self.wfile.write(content[half:])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
