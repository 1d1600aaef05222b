"""Secrets of the user: in no record, no error, no lock file and no lineage."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import hub
from harness.cli import main
from harness.credentials import struck_out
from harness.environment import describe_command, describe_environment
from harness.errors import WeightsError
from harness.lock import write_lock
from harness.pinning import make_lock
from harness.progress import note
from harness.sources import resolve
from harness.zoo import load_zoo
from tests.conftest import Command

TOKEN, PASSWORD = "hf_" + "T0k3n" * 6, "pa55-w0rd"
SECRETS = (TOKEN, PASSWORD, "sk-" + "x1" * 12)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("OPENAI_API_KEY", SECRETS[2])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


class _Loud(http.server.BaseHTTPRequestHandler):
    """A hub that fails, and says back what it was sent."""

    def do_GET(self) -> None:
        body = f"you sent {self.headers.get('Authorization')} for {self.path}".encode()
        self.send_response(500)
        self.send_header("X-Error-Message", f"you sent {self.headers.get('Authorization')}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Loud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://ana:{PASSWORD}@127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    yield address
    server.shutdown()
    server.server_close()


def clean(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "/Xk3jd83hdkdjK39dkd9/kd83jdkKSJDkdj8"),
        ("SOME_TOKEN", "~Xk3jd83hdkd"),
        ("OPENAI_APIKEY", "abcdef0123456789"),
        ("HF_TOKEN_2", "hx_1234567890abcdef"),
        ("HF_TOKEN2", "hx_1234567890abcdef"),
        ("PGPASS", "abcd1234efgh"),
        ("PGPASSWORD", "abcd1234efgh"),
        ("DB_PASS", "abcd1234efgh"),
        ("DB_PWD", "abcd1234efgh"),
        ("AZURE_OPENAI_AUTH", "abcd1234efgh"),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, value: str) -> None:
    assert struck_out(f"said {value}.", {name: value}) == "said ***."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/home/ana/project-1"),
        ("OLDPWD", "/home/ana/project-1"),
        ("SSH_AUTH_SOCK", "/run/agent.1234"),
        ("TOKENIZERS_PARALLELISM", "whatever-12"),
        ("KEYBOARD", "whatever-12"),
        ("SSL_KEY", __file__),
        ("SOME_KEY", "not-needed"),
        ("HARNESS_DATA", "/data/key-1234"),
    ],
)
def test_a_harmless_value_stays(name: str, value: str) -> None:
    assert struck_out(f"said {value}.", {name: value}) == f"said {value}."


@pytest.mark.parametrize(
    ("text", "struck"),
    [
        ("http://ana:p/w@host/x", "http://***@host/x"),
        ("http://ana:p?w#x@host", "http://***@host"),
        ("http://ana:1/w@host", "http://ana:1/w@host"),  # 1 may be a port: SECURITY.md says so
        ("http://host:8000/v1/org/name@main", "http://host:8000/v1/org/name@main"),
        ("http://[::1]:8000/v1/name@main", "http://[::1]:8000/v1/name@main"),
        ("https://host/org/name@main", "https://host/org/name@main"),
        ("http://a:b@host 'http://c@other'", "http://***@host 'http://***@other'"),
    ],
)
def test_a_password_in_an_address_may_hold_a_slash(text: str, struck: str) -> None:
    assert struck_out(text, {}) == struck


def test_the_address_of_a_hub_is_told_without_its_password(loud: str, tmp_path: Path) -> None:
    path = tmp_path / "zoo.yaml"
    path.write_text("models: {m: {family: f, stage: base, source: {hub: org/name}}}", "utf-8")
    zoo = load_zoo(path)
    with pytest.raises(WeightsError, match="the hub did not give org/name") as caught:
        resolve(zoo.get("m"), zoo)
    assert clean(str(caught.value)) and caught.value.__cause__ is None
    lock = make_lock(zoo, [], None, None)
    write_lock(lock, tmp_path / "harness.lock.yaml")
    kept = (tmp_path / "harness.lock.yaml").read_text("utf-8")
    assert "org/name" in lock.unresolved and clean(kept)


def test_a_proxy_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("http_proxy", f"http://ana:{PASSWORD}@127.0.0.1:9")
    reason = hub.unreachable()
    assert reason is not None and clean(reason) and "ana" not in reason


def test_a_command_is_kept_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", f"s3://ana:{PASSWORD}@host/x")
    monkeypatch.setattr("sys.argv", ["harness", "eval", "--model", TOKEN, "--data", SECRETS[2]])
    assert clean(describe_command()) and "eval --model" in describe_command()
    assert clean(repr(describe_environment("cpu")))


def test_an_error_and_a_note_are_printed_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise WeightsError(f"http://ana:{PASSWORD}@host/ said {TOKEN} and {SECRETS[2]}")

    monkeypatch.setattr("harness.commands.list_command.run", fail)
    assert main(["list", "models"]) == 1
    note(f"fetching ftp://{TOKEN}@host/x")
    err = capsys.readouterr().err
    assert err == "harness: http://***@host/ said *** and ***\nfetching ftp://***@host/x\n"


def test_what_a_run_leaves_holds_no_secret(harness: Command, tmp_path: Path) -> None:
    """Records, rows, journal, pages: every file of a real run of the tiny model."""
    code, out, err = harness("eval", "--model", "tiny", "--tasks", "arc_easy", "--samples",
                             "--limit", "2")  # fmt: skip
    assert code == 0
    files = [path for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert len(files) > 5 and clean(out + err)
    assert all(clean(path.read_text("utf-8", "replace")) for path in files)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ana:p%40ss@host:8/x?a=b@c", "https://***@host:8/x?a=b@c"),
        ("https://token@host", "https://***@host"),
        ("mail ana@host or @user", "mail ana@host or @user"),
        ("http://host/a@b", "http://host/a@b"),
        (f"a={TOKEN}&b", "a=***&b"),
        (json.dumps('quo"ted-s3cret'), '"***"'),
        ("quo%22ted-s3cret", "***"),
        ("not-needed and short and /etc/passwd", "not-needed and short and /etc/passwd"),
        ("ghp_" + "a" * 36, "***"),
    ],
)
def test_what_is_struck_out(text: str, expected: str) -> None:
    environment = {
        "MY_SECRET": 'quo"ted-s3cret',
        "HF_TOKEN": TOKEN,
        "OPENAI_API_KEY": "not-needed",
        "A_KEY": "short",
        "SSL_KEY": "/etc/passwd",
        "EMPTY_TOKEN": "",
        "KEYBOARD": "not-needed-at-all-1",
    }
    assert struck_out(text, environment) == expected
