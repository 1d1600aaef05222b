"""A Ray cluster of two machines on this one: a machine is lost, a batch ends its workers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends.fake import FakeBackend
from harness.executors.ray import Wanted, open_ray
from harness.journal import answered
from harness.run_folder import RunFolder
from harness.types import LogLikelihood, Request, Unanswered
from tests.conftest import REPOSITORY, Command
from tests.executors.scripted import loading

ray = pytest.importorskip("ray", reason="ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head that has no processor, and two machines of one each."""
    import os

    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 100 * 2**20},
    )
    for _ in range(2):
        started.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    yield started
    started.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def test_a_batch_that_ends_three_workers_is_set_apart(
    cluster: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    executor = open_ray(Wanted(cluster.address), told.append, "tests.executors.scripted:desk")
    asked: list[Request] = [LogLikelihood(f"{n} " * 900, " x") for n in range(16)]
    asked[5] = LogLikelihood("POISON " * 900, " x")
    try:
        assert told == ["ray: 2 workers of 1 CPUs each"]
        backend = executor.load(loading(poison="POISON"))
        answers = {each.index: each for each in answered(backend, backend.encode(asked), None)}
    finally:
        executor.close()
    assert answers[5].response == Unanswered(
        "set apart: its batch ended 3 workers, the last one: its process ended"
    )
    fake = FakeBackend()
    theirs = [each.response for each in fake.answer(fake.encode(asked))]
    others = {i: a.response for i, a in answers.items() if not isinstance(a.response, Unanswered)}
    assert others and others == {i: theirs[i] for i in others}
    assert executor.set_apart and sum("asked elsewhere" in line for line in told) == 2
    out, _ = capfd.readouterr()
    assert out == "", "Ray writes nothing between the results"


def test_a_machine_that_is_lost_half_way_changes_nothing(
    cluster: Any, harness: Command, tmp_path: Path
) -> None:
    command = ("eval", "--model", "tiny", "--samples", "--tasks", "arc_easy,gsm8k", "--json")
    code, out, err = harness(*command, "--no-journal")
    assert code == 0, err
    theirs = json.loads(out)

    lost = threading.Event()

    def lose() -> None:
        journals = tmp_path / "reports" / "journal"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if any(file.read_bytes().count(b"\n") > 1 for file in journals.glob("*.jsonl")):
                node = next(iter(cluster.worker_nodes))
                cluster.remove_node(node, allow_graceful=False)
                lost.set()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=lose)
    thread.start()
    code, out, err = harness(*command, "--executor", "ray", "--ray-address", cluster.address)
    thread.join()
    assert lost.is_set() and code == 0, err
    assert "asked elsewhere" in err
    ours = json.loads(out)
    kept = ("prompt_digest", "docs", "unscored", "truncated", "groups", "estimates")
    for task, result in theirs["results"].items():
        assert {key: ours["results"][task][key] for key in kept} == {k: result[k] for k in kept}
        rows, others = (
            sorted(
                RunFolder(tmp_path / "reports/runs" / run["id"]).rows(task),
                key=lambda row: row.index,
            )
            for run in (ours, theirs)
        )
        assert [row.text for row in rows] == [row.text for row in others]
        for row, other in zip(rows, others, strict=True):
            # Each run measures how large its passes are: the last bits of a sum may differ.
            assert row.logprobs == pytest.approx(other.logprobs, abs=1e-4)
