"""How a cluster is divided among workers, and what Ray's errors are called."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.executors.ray import (
    Placement,
    RayPool,
    Wanted,
    _Actor,
    check_reachable,
    place,
    reason_of,
)

CPU8 = {"CPU": 8.0, "memory": 1e9}
CPU4 = {"CPU": 4.0}
GPU4 = {"CPU": 32.0, "GPU": 4.0}
HEAD = {"memory": 1e9}


@pytest.mark.parametrize(
    ("nodes", "wanted", "placement"),
    [
        ([CPU8], Wanted(), Placement(1, 8, 0, 1)),
        ([HEAD, CPU8, CPU4], Wanted(), Placement(3, 4, 0, 3)),
        ([CPU8, CPU4], Wanted(cpus=3), Placement(3, 3, 0, 3)),
        ([CPU8], Wanted(workers=5, cpus=2), Placement(5, 2, 0, 4)),
        ([HEAD, GPU4, GPU4], Wanted(), Placement(8, 8, 1, 8)),
        ([GPU4], Wanted(gpus=2), Placement(2, 16, 2, 2)),
        ([GPU4, CPU8], Wanted(gpus=0, cpus=8), Placement(5, 8, 0, 5)),
        ([GPU4], Wanted(cpus=8), Placement(4, 8, 1, 4)),
        ([GPU4, CPU8], Wanted(cpus=16), Placement(2, 16, 1, 2)),
        ([GPU4], Wanted(gpus=1, cpus=16), Placement(2, 16, 1, 2)),
    ],
)
def test_a_worker_is_a_gpu_or_a_machine(
    nodes: list[dict[str, float]], wanted: Wanted, placement: Placement
) -> None:
    assert place(nodes, wanted) == placement


@pytest.mark.parametrize(("gpus", "seen"), [(0, ""), (1, "3")])
def test_a_worker_without_gpus_sees_none(
    gpus: int, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    context = SimpleNamespace(get_node_id=lambda: "node")
    ray = SimpleNamespace(get_runtime_context=lambda: context)
    monkeypatch.setitem(sys.modules, "ray", ray)
    _Actor("tests.executors.scripted:desk", gpus)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def test_a_port_where_nobody_is_is_told_at_once() -> None:
    for address, said in (
        (f"127.0.0.1:{closed_port()}", "Connection refused"),
        (f"{'a' * 64}.invalid:6379", "."),
    ):
        there_is_none = f"--ray-address {address}: there is no cluster .*{said}"
        with pytest.raises(HarnessError, match=there_is_none):
            check_reachable(address)


def test_a_port_that_opens_and_what_is_no_port_are_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_reachable(f"127.0.0.1:{server.getsockname()[1]}")
    check_reachable("auto")


class FailingRay:
    """Ray that cannot be started."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.folder = ""

    def init(self, **options: Any) -> None:
        """Fail."""
        self.folder = options["_temp_dir"]
        raise self._error

    def shutdown(self) -> None:
        """There is nothing to end."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("AF_UNIX path length cannot exceed 107 bytes"), "AF_UNIX path length"),
        (TimeoutError(), r"\(TimeoutError\)"),
    ],
)
def test_a_cluster_that_cannot_be_started_is_a_line(error: Exception, said: str) -> None:
    ray = FailingRay(error)
    pool = RayPool(ray, Wanted(), "x:y")
    with pytest.raises(HarnessError, match=f"^ray cannot be started here .*{said}"):
        pool.connect()
    outer = Path(ray.folder).parent
    assert outer.stat().st_mode & 0o777 == 0o700
    pool.close()
    assert not outer.exists()


def test_a_long_temporary_folder_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    ray = FailingRay(OSError("x"))
    pool = RayPool(ray, Wanted(), "x:y")
    with pytest.raises(HarnessError):
        pool.connect()
    pool.close()
    assert len(ray.folder) < 42


def test_a_cluster_without_room_is_told() -> None:
    with pytest.raises(UsageError, match=r"has 16 CPUs and 0 GPUs .* is 8 CPUs, 0 GPUs"):
        place([CPU8, CPU4], Wanted(cpus=16))
    with pytest.raises(UsageError, match=r"and 8 GPUs .* is 32 CPUs, 4 GPUs"):
        place([GPU4], Wanted(gpus=8))


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (
            "ActorDiedError",
            "The actor is dead because its worker process has died. OOM killer",
            "its process ended",
        ),
        (
            "ActorDiedError",
            "The actor is dead because its node has died. Node Id: 3",
            "its machine was lost",
        ),
        ("OutOfMemoryError", "Task was killed", "ended by Ray, for lack of memory on its machine"),
        (
            "ActorDiedError",
            "creation task\n  ModuleNotFoundError: No module named 'harness'",
            "ModuleNotFoundError: No module named 'harness': install the harness on every machine "
            "of the cluster",
        ),
    ],
)
def test_reasons_are_short(kind: str, text: str, reason: str) -> None:
    assert reason_of(kind, text) == reason
