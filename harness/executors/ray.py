"""Workers as actors of a Ray cluster: one that is there, or one that is started on this machine.

Ray places processes, tells who is lost and carries bytes. What is asked of whom, and what is asked
again, is decided in `harness.executors.dispatch`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from harness.checkout import how_to_install
from harness.environment import cores
from harness.errors import HarnessError, UsageError
from harness.executors.pool import Worker, WorkerLost
from harness.executors.remote import PoolExecutor

DESK = "harness.executors.desk:Desk"
STORE_BYTES = 256 * 2**20
"""Of shared memory for a cluster that is started here: messages are all that lies in it."""
NOBODY = "--ray-address {}: there is no cluster that answers"
KNOCK_SECONDS = 5.0
LONGEST_BASE = 20
"""Characters of a temporary folder: with what Ray puts behind it, a socket's path may have 107."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
"""Set before ray is imported: it sends no statistics, and does not warn of its own plans."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for; ``None`` leaves it to the cluster.

    Attributes:
        address: of an existing cluster; ``None`` starts one here.
        workers: how many.
        cpus: of a worker, and threads that it computes with.
        gpus: of a worker.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int | None = None
    gpus: int | None = None


@dataclass(frozen=True)
class Placement:
    """How many workers, and what each takes.

    Attributes:
        workers: how many are asked for.
        cpus, gpus: of each.
        room: how many the cluster has room for now.
    """

    workers: int
    cpus: int
    gpus: int
    room: int


def place(nodes: Sequence[Mapping[str, float]], wanted: Wanted) -> Placement:
    """Divide a cluster among workers.

    Where nothing is said, a worker takes a GPU, with its share of the machine's processors; where
    there is no GPU, a machine.
    A worker of no GPUs sees none, whatever its machine has. A machine without processors (a head
    that only schedules) has none.

    Args:
        nodes: each living machine's resources, by Ray's names (``CPU``, ``GPU``).
        wanted: what was asked for.

    Raises:
        UsageError: no machine of the cluster has what one worker takes.
    """
    usable = [node for node in nodes if node.get("CPU", 0) >= 1]
    with_gpus = [node for node in usable if node.get("GPU", 0) >= 1]
    gpus = wanted.gpus if wanted.gpus is not None else int(bool(with_gpus))
    able = [node for node in usable if node.get("GPU", 0) >= gpus]
    shares = [node["CPU"] // (node["GPU"] // gpus if gpus else 1) for node in able]
    cpus = wanted.cpus or max(1, int(min(shares, default=1)))
    room = 0
    for node in able:
        fits = node["CPU"] // cpus
        room += int(min(fits, node["GPU"] // gpus) if gpus else fits)
    if not room:
        largest = max((int(node.get("CPU", 0)) for node in nodes), default=0)
        most = max((int(node.get("GPU", 0)) for node in nodes), default=0)
        raise UsageError(
            f"no machine of the cluster has {cpus} CPUs and {gpus} GPUs for a worker; the most "
            f"that one has is {largest} CPUs, {most} GPUs (--worker-cpus, --worker-gpus)"
        )
    return Placement(wanted.workers or room, cpus, gpus, room)


def open_ray(wanted: Wanted, tell: Callable[[str], None], desk: str = DESK) -> PoolExecutor:
    """Connect to a cluster, or start one, and ask for its workers.

    Args:
        wanted: what was asked for.
        tell: takes lines for the user.
        desk: ``module:function`` that makes a worker's desk, given its ``place``.

    Raises:
        UsageError: ray is not installed, or the cluster has no room for a worker.
        HarnessError: there is no cluster at the address.
    """
    ray = _import_ray()
    pool = RayPool(ray, wanted, desk)
    try:
        placement = pool.connect()
        if wanted.address is None and placement.workers > placement.room:
            raise UsageError(
                f"--workers {placement.workers}: this machine has room for {placement.room} of "
                f"{placement.cpus} CPUs and {placement.gpus} GPUs each; ask for fewer, or name a "
                "cluster with --ray-address"
            )
        about = f"{placement.cpus} CPUs" + (f", {placement.gpus} GPUs" if placement.gpus else "")
        waiting = placement.workers - placement.room
        late = f"; {waiting} of them wait for room" if waiting > 0 else ""
        tell(f"ray: {placement.workers} workers of {about} each{late}")
        return PoolExecutor(pool, tell)
    except BaseException:
        pool.close()
        raise


def _import_ray() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UsageError(
            f"--executor ray needs the package ray, which is not installed: {how_to_install('ray')}"
        ) from None
    return ray


def check_reachable(address: str) -> None:
    """Knock at a cluster's port: Ray itself would try for minutes.

    Args:
        address: ``HOST:PORT``, or another form that Ray knows, which is left to it.

    Raises:
        HarnessError: nobody opens.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise HarnessError(f"{NOBODY.format(address)} ({said})") from None


def _own_folder() -> tuple[str, str]:
    """A folder that only this user may enter, and one inside, which Ray opens to everybody.

    Raises:
        HarnessError: it cannot be made.
    """
    base = tempfile.gettempdir()
    try:
        short = len(base) <= LONGEST_BASE
        folder = tempfile.mkdtemp(prefix="lineup-ray-", dir=base if short else "/tmp")
    except OSError as error:
        raise HarnessError(f"ray cannot be started here ({error})") from None
    return folder, os.path.join(folder, "r")


class RayPool:
    """Starts workers in a cluster, and the cluster itself where none is named."""

    driver = ""

    def __init__(self, ray: Any, wanted: Wanted, desk: str) -> None:
        self._ray, self._wanted, self._desk = ray, wanted, desk
        self._folder: str | None = None
        self._actor: Any = None
        self.size = self._gpus = 0

    def connect(self) -> Placement:
        """Be connected, and know how many workers there will be."""
        ray, address = self._ray, self._wanted.address
        options: dict[str, Any] = {"address": address}
        if address is None:
            self._folder, inner = _own_folder()
            options = {
                "address": "local",
                "num_cpus": cores(),
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
                "_temp_dir": inner,
            }
        else:
            check_reachable(address)
        with _own_signals(), _silence():
            try:
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
            except (OSError, RuntimeError, ValueError) as error:
                said = str(error).strip().splitlines() or [type(error).__name__]
                where = NOBODY.format(address) if address else "ray cannot be started here"
                raise HarnessError(f"{where} ({said[0]})") from None
        _quiet_errors()
        self.driver = ray.get_runtime_context().get_node_id()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        placement = place(nodes, self._wanted)
        self.size = placement.workers
        actor = ray.remote(_Actor)
        self._actor = actor.options(
            num_cpus=placement.cpus,
            num_gpus=placement.gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        self._gpus = placement.gpus
        return placement

    def start(self) -> Worker:
        """Ask for an actor."""
        return _RayWorker(self._ray, self._actor.remote(self._desk, self._gpus))

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        with _silence():
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Actor:
    """A desk in a process of its own."""

    def __init__(self, desk: str, gpus: int) -> None:
        if not gpus:  # Ray hides none from who asked for none: each would take them all
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        # Ctrl-C is the driver's; it ends its workers itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        module, _, function = desk.partition(":")
        place = import_module("ray").get_runtime_context().get_node_id()
        self._desk = getattr(import_module(module), function)(place=place)

    def call(self, message: bytes) -> bytes:
        reply: bytes = self._desk.handle(message)
        return reply


class _RayWorker:
    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def call(self, message: bytes) -> Future[bytes]:
        """Send a message; Ray's errors become `WorkerLost`."""
        replied: Future[bytes] = Future()

        def done(reply: Future[bytes]) -> None:
            error = reply.exception()
            if error is None:
                replied.set_result(reply.result())
            else:
                replied.set_exception(WorkerLost(reason_of(type(error).__name__, str(error))))

        self._actor.call.remote(message).future().add_done_callback(done)
        return replied

    def stop(self) -> None:
        with contextlib.suppress(Exception):  # it may be gone, or the cluster
            self._ray.kill(self._actor)


def reason_of(kind: str, text: str) -> str:
    """Why a worker was lost, in a few words of ours instead of Ray's many."""
    lowered = text.lower()
    if "OutOfMemory" in kind or "memory monitor" in lowered or "running low on memory" in lowered:
        return "ended by Ray, for lack of memory on its machine"
    if "node has died" in lowered or "node was terminated" in lowered or "NodeDied" in kind:
        return "its machine was lost"
    for line in text.splitlines():
        if "ModuleNotFoundError" in line or "ImportError" in line:
            return f"{line.strip()}: install the harness on every machine of the cluster"
    if "creation task" in lowered:
        return text.strip().splitlines()[-1]
    return "its process ended"


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; ours ends a run as Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread: then nobody took it
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Ray's warnings, about this machine's shared memory and the like, are not the user's."""
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _quiet_errors() -> None:
    """A thread of Ray's prints to standard output, among the results, whenever a worker is lost."""
    import ray._private.worker as inner

    inner._worker_logs_enabled = False
