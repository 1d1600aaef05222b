"""Memory, processors and the speed of bfloat16, with written limits and made-up rates."""

from pathlib import Path

import pytest
import torch

from harness.doctor import machine
from tests.test_cgroups import group_v2, written

GB = 1_000_000_000


def test_a_containers_limit_is_named(tmp_path: Path) -> None:
    """600 MB of 2 GB are left: too little, whatever the machine has."""
    files = {"proc/self/cgroup": "0::/\n", **group_v2("", str(2 * GB), 1_400_000_000)}
    finding = machine.memory_finding(written(tmp_path, files))
    assert (finding.state, finding.what) == ("missing", "memory")
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    assert finding.detail == f"0.6 of 2.0 GB can be taken, as {limit} allows"
    assert "1.1 GB" in finding.cost and finding.mend


def test_more_threads_than_processors_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 64)
    assert machine.processor_finding(64, tmp_path).state == "ok"
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}
    finding = machine.processor_finding(64, written(tmp_path, files))
    assert (finding.state, finding.mend) == ("note", "OMP_NUM_THREADS=2")
    assert finding.detail == "64, 64 threads in use, a limit allows the time of 2"


def test_fewer_threads_are_a_choice_that_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    finding = machine.processor_finding(1, tmp_path)
    assert (finding.state, finding.mend) == ("note", "unset OMP_NUM_THREADS")


@pytest.mark.parametrize(
    ("float32", "bfloat16", "state", "words"),
    [
        (100.0, 900.0, "ok", "faster than float32 (900 GFLOP/s, float32 100)"),
        (100.0, 100.0, "ok", "as fast as float32"),
        (100.0, 79.0, "note", "slower than float32"),
    ],
)
def test_the_class_of_bfloat16_is_by_measured_rates(
    float32: float, bfloat16: float, state: str, words: str
) -> None:
    finding = machine._bfloat16(None, float32, bfloat16)
    assert finding.state == state and words in finding.detail
    assert ("--dtype float32" in finding.mend) is (state == "note")


def test_rates_are_of_the_product_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 * 768^3 operations in a second are 0.906 GFLOP/s."""
    clock = iter(range(100))
    monkeypatch.setattr("harness.doctor.machine.time.perf_counter", lambda: next(clock))
    assert machine.rates(torch) == pytest.approx((0.905969664, 0.905969664))


def test_a_browser_without_its_driver_takes_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "harness.doctor.machine.shutil.which", lambda name: name if name == "chromium" else None
    )
    finding = machine.browser_finding()
    assert (finding.state, finding.detail) == ("note", "not here: chromedriver")
    assert finding.mend == "apt-get install chromium chromium-driver"
