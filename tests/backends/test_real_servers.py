"""The api backend against real servers of SmolLM2's weights on this machine, where they are
installed: ``pip install 'llama-cpp-python[server]'`` and ``pip install fastapi uvicorn openai``.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.backends.api import ApiBackend
from harness.backends.backend import Backend, LoadOptions, load_backend
from harness.openai_api.server import Server
from harness.openai_api.terms import Terms
from harness.types import GenerateUntil, LogLikelihood, LogProb, Request, Response

pytestmark = [pytest.mark.smol, pytest.mark.slow]

PAIRS: list[Request] = [
    LogLikelihood(f"Question: {question}\nAnswer:", f" {answer}")
    for question, answer in (
        ("Which gas do plants take in?", "carbon dioxide"),
        ("Which gas do plants take in?", "nitrogen"),
        ("At how many °C does water boil?", "100"),
        ("What is Käse?", "cheese"),
    )
]
WRITTEN: list[Request] = [
    GenerateUntil("Question: What is 2 + 2?\nAnswer:", ("\n",), 8),
    GenerateUntil("The capital of France is", (".", "\n"), 16),
]


@contextmanager
def started(words: Sequence[str], path: str, log: Path) -> Iterator[str]:
    """Run a server's module on a free port until it answers; its base address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *words, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process,
    ):
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 180
            while True:
                try:
                    urllib.request.urlopen(url + path, timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                    time.sleep(0.5)
            yield url + "/v1"
        finally:
            process.terminate()


def ask(backend: Backend, requests: Sequence[Request]) -> list[Response]:
    answers = sorted(backend.answer(backend.encode(requests)), key=lambda answer: answer.index)
    return [answer.response for answer in answers]


def needs(*packages: str) -> None:
    if lacking := [name for name in packages if importlib.util.find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(lacking)}")


@pytest.mark.parametrize("add_bos", [True, False])
def test_llama_cpp_is_within_a_hundredth_of_a_nat_or_found_out(
    smol_path: Path, tmp_path: Path, add_bos: bool
) -> None:
    """In float32, its cache too. Without BOS version 0.3.36 gives each token the log-probability
    of the next place.
    """
    needs("llama_cpp", "fastapi", "uvicorn", "sse_starlette")
    from tests.backends.f32_gguf import write_f32_gguf

    write_f32_gguf(smol_path, tmp_path / "smol.gguf", add_bos)
    words = f"llama_cpp.server --model {tmp_path / 'smol.gguf'} --model_alias smol --n_ctx 512"
    words += " --logits_all true --type_k 0 --type_v 0 --n_threads 1 --n_threads_batch 1"
    with started(words.split(), "/v1/models", tmp_path / "log") as url:
        served = ApiBackend(Terms(Server(url, "smol"), at_once=1), False, "smol")
        lacking = served.cannot([LogLikelihood])
        if not add_bos:
            assert "contradict one another" in lacking[LogLikelihood]
            return
        assert lacking == {}
        found = ask(served, PAIRS + WRITTEN)
    here = load_backend("hf", LoadOptions(smol_path, smol_path, "float32", add_bos=True))
    for request, ours, theirs in zip(
        PAIRS + WRITTEN, found, ask(here, PAIRS + WRITTEN), strict=True
    ):
        if isinstance(ours, LogProb) and isinstance(theirs, LogProb):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-2), request
            assert ours.is_greedy == theirs.is_greedy
        else:
            assert ours == theirs, request


def test_transformers_serve_generates_the_same_and_is_known_to_score_nothing(
    smol_path: Path, tmp_path: Path
) -> None:
    needs("fastapi", "uvicorn", "openai")
    words = ["transformers.cli.transformers", "serve", "--device", "cpu", "--dtype", "float32"]
    with started(words, "/health", tmp_path / "log") as url:
        served = ApiBackend(Terms(Server(url, str(smol_path)), at_once=1), False, "smol")
        assert set(served.cannot([LogLikelihood, GenerateUntil])) == {LogLikelihood}
        found = ask(served, WRITTEN)
    here = load_backend("hf", LoadOptions(smol_path, smol_path, "float32"))
    assert found == ask(here, WRITTEN)
