"""A small hub of one data set, ``org/name``, that answers what fetching its files asks.

``python -m tests.training.data.mixture.fake_hub FOLDER`` prints its port and serves the folder.
"""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """Says what the folder holds, and gives its files."""

    root: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        about, files = "/api/datasets/org/name", f"/datasets/org/name/resolve/{COMMIT}/"
        if path.startswith(f"{about}/tree/{COMMIT}"):
            self._tree(self.root / path.removeprefix(f"{about}/tree/{COMMIT}").lstrip("/"))
        elif path in (about, f"{about}/revision/{COMMIT}"):
            every = [each for each in sorted(self.root.rglob("*")) if each.is_file()]
            self._json(
                {"id": "org/name", "sha": COMMIT, "siblings": list(map(self._sibling, every))}
            )
        elif path.startswith(files) and (self.root / path.removeprefix(files)).is_file():
            content = (self.root / path.removeprefix(files)).read_bytes()
            self._send(200, content, ETag=f'"{_blob_id(content)}"')
        elif path.startswith(files):
            self._send(404, b"", **{"X-Error-Code": "EntryNotFound"})
        else:
            self._send(404, b"", **{"X-Error-Code": "RepoNotFound"})

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def _tree(self, folder: Path) -> None:
        self._json([self._entry(each) for each in sorted(folder.iterdir())])

    def _entry(self, path: Path) -> dict[str, Any]:
        kind = "file" if path.is_file() else "directory"
        size = path.stat().st_size if path.is_file() else 0
        return {
            "type": kind,
            "path": str(path.relative_to(self.root)),
            "size": size,
            "oid": "b" * 40,
        }

    def _sibling(self, path: Path) -> dict[str, Any]:
        digest = _blob_id(path.read_bytes())
        name = str(path.relative_to(self.root))
        return {"rfilename": name, "size": path.stat().st_size, "blobId": digest}

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), **{"Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {**headers, "X-Repo-Commit": COMMIT}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _blob_id(content: bytes) -> str:
    """Git's name of a content, as the hub announces it."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


if __name__ == "__main__":
    Hub.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    server.serve_forever()
