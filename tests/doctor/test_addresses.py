"""Servers that answer, refuse or are not there; and what pip says of the default's package."""

import http.client
import http.server
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.doctor import addresses
from harness.doctor.content import Default
from harness.doctor.finding import Finding


@pytest.fixture
def server() -> Iterator[str]:
    """Answers 200, 401 or 500 by the path that is asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            codes = {"/ok/models": 200, "/key/models": 401}
            self.send_response(codes.get(self.path, 500))
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            return

    listening = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(addresses, "PATIENCE", 30.0)  # on a busy machine too


def one(base_url: str | None = None, **environment: str) -> Finding:
    (finding,) = addresses.server_findings(base_url, environment)
    return finding


def test_nothing_is_said_of_what_is_not_named() -> None:
    assert list(addresses.server_findings(None, {"BASE_URL": "http://h"})) == []


def test_a_server_that_answers_asks_for_a_key_or_fails(server: str) -> None:
    assert one(f"{server}/ok/").state == "ok"
    asked = one(f"{server}/key")
    assert asked.state == "ok" and "OPENAI_API_KEY is not set" in asked.detail
    failed = one(f"{server}/v1")
    assert failed.state == "note" and "answers 500" in failed.detail


def test_secrets_in_an_address_are_not_printed(server: str) -> None:
    finding = one(server.replace("//", "//user:hunter2hunter2@") + "/ok")
    assert "hunter2" not in f"{finding}" and "127.0.0.1" in finding.detail


def test_what_does_not_speak_http_is_said(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "InvalidURL" in one(f"{server}/a b").detail
    monkeypatch.setattr(
        "harness.doctor.addresses.urllib.request.urlopen", raising(http.client.BadStatusLine("x"))
    )
    finding = one(f"{server}/ok")
    assert finding.state == "note" and "no HTTP server" in finding.detail


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("written", ["localhost:8000", "ftp://host/", "http://[", "http://"])
def test_what_is_no_address_is_refused(written: str) -> None:
    finding = one(written)
    assert finding.state == "note" and finding.mend == "write http://HOST:PORT/v1"


def test_a_cluster_that_is_there_and_one_that_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert one(RAY_ADDRESS=f"127.0.0.1:{port}").state == "ok"
        assert one(RAY_ADDRESS=f"ray://127.0.0.1:{port}").state == "ok"
    gone = one(RAY_ADDRESS=f"127.0.0.1:{port}")
    assert gone.state == "note" and "does not answer" in gone.detail
    assert one(RAY_ADDRESS="auto").state == "ok"
    assert "is no HOST:PORT" in one(RAY_ADDRESS="host:port").detail


def pip_says(monkeypatch: pytest.MonkeyPatch, code: int, out: str = "", err: str = "") -> None:
    done = subprocess.CompletedProcess([], code, out, err)
    monkeypatch.setattr("harness.doctor.addresses.subprocess.run", lambda *_, **__: done)


ABSENT = Default("absent", "package p==1.2", "p==1.2")


def test_a_default_that_pip_finds_is_fetched_by_the_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pip_says(monkeypatch, 0, "p (1.3)\nAvailable versions: 1.3, 1.2, 1.1\n")
    assert addresses.default_finding(ABSENT).state == "ok"


@pytest.mark.parametrize(
    ("code", "out", "err", "reason"),
    [
        (0, "p (1.3)\nAvailable versions: 1.3\n", "", "it has no version 1.2"),
        (1, "", "WARNING: x\nERROR: No matching distribution found for p\n", "No matching"),
        (1, "", "python: No module named pip\n", "ensurepip"),
    ],
)
def test_a_default_that_cannot_be_fetched_is_missing(
    code: int, out: str, err: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_says(monkeypatch, code, out, err)
    finding = addresses.default_finding(ABSENT)
    assert finding.state == "missing" and reason in finding.detail
    assert "PIP_FIND_LINKS=DIR" in finding.mend


def test_pip_is_not_a_file_of_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    Path("pip.py").write_text("open('was-run', 'w')\n", "utf-8")
    assert addresses.default_finding(ABSENT).state == "missing"
    assert not Path("was-run").exists()


def test_a_default_that_is_here_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_says(monkeypatch, 1)
    assert addresses.default_finding(Default("present", "package p", "p==1.2")).state == "ok"
    damaged = Default("absent", "damaged: a file is missing (rm -r x)", None)
    assert addresses.default_finding(damaged).state == "missing"
