"""Limits of control groups, on written files of both versions; and the memory that follows."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cgroups import MemoryLimit, memory_limits, processor_limit
from harness.memory import available_memory, total_memory

GB = 1_000_000_000
NONE_V1 = "9223372036854771712\n"


def written(system: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return system


def group_v2(name: str, limit: str, used: int, cached: int = 0) -> dict[str, str]:
    return {
        f"sys/fs/cgroup/{name}memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{name}memory.current": f"{used}\n",
        f"sys/fs/cgroup/{name}memory.stat": f"anon 1\nfile 9\ninactive_file {cached}\n",
    }


def group_v1(name: str, limit: str, used: int, cached: int = 0) -> dict[str, str]:
    top = f"sys/fs/cgroup/memory/{name}"
    return {
        f"{top}memory.limit_in_bytes": limit,
        f"{top}memory.usage_in_bytes": f"{used}\n",
        f"{top}memory.stat": f"inactive_file 5\ntotal_inactive_file {cached}\n",
    }


def test_a_container_of_version_2(tmp_path: Path) -> None:
    """2 GB, of which 0.9 are held and 0.3 of these are cached files: 1.4 GB can be taken."""
    files = {"proc/self/cgroup": "0::/\n", **group_v2("", str(2 * GB), 9 * GB // 10, 3 * GB // 10)}
    (limit,) = memory_limits(written(tmp_path, files))
    assert limit.free == 1_400_000_000
    assert limit.file == tmp_path / "sys/fs/cgroup/memory.max"


def test_the_groups_above_limit_too(tmp_path: Path) -> None:
    """The own group has none, the slice above it 4 GB, of which 1.5 are held."""
    files = {
        "proc/self/cgroup": "0::/user.slice/run.scope\n",
        **group_v2("user.slice/run.scope/", "max", GB),
        **group_v2("user.slice/", str(4 * GB), 3 * GB // 2),
    }
    assert [each.free for each in memory_limits(written(tmp_path, files))] == [2_500_000_000]


def test_from_where_version_2_slows_down_is_a_limit(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", **group_v2("", str(4 * GB), GB)}
    files["sys/fs/cgroup/memory.high"] = f"{3 * GB}\n"
    assert sorted(each.free for each in memory_limits(written(tmp_path, files))) == [2 * GB, 3 * GB]


def test_a_container_of_version_1_knows_its_group_by_the_hosts_name(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n",
        **group_v1("", f"{GB}\n", 700_000_000, 200_000_000),
    }
    (limit,) = memory_limits(written(tmp_path, files))
    assert (limit.limit, limit.free) == (GB, 500_000_000)


def test_version_1_without_a_limit_and_one_above(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/job/step\n",
        **group_v1("", NONE_V1, 9 * GB),
        **group_v1("job/", f"{3 * GB}\n", 2 * GB),
        **group_v1("job/step/", NONE_V1, GB),
    }
    assert [each.free for each in memory_limits(written(tmp_path, files))] == [GB]


def test_what_is_over_its_limit_has_nothing_free() -> None:
    assert MemoryLimit(GB, 2 * GB, Path("memory.max")).free == 0


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n"},
        {"proc/self/cgroup": "nonsense\n:::\n0::/\n", "sys/fs/cgroup/memory.max": "1\n"},
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "many\n",
            "sys/fs/cgroup/memory.current": "5\n",
        },
        {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/other/memory.max": "5\n"},
    ],
    ids=["no /proc", "no limits", "no use told", "no number", "a group outside"],
)
def test_what_cannot_be_read_limits_nothing(files: dict[str, str], tmp_path: Path) -> None:
    assert memory_limits(written(tmp_path, files)) == []


def test_memory_is_the_least_of_what_is_free_and_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = SimpleNamespace(available=8 * GB, total=16 * GB)
    monkeypatch.setattr("harness.memory.psutil.virtual_memory", lambda: machine)
    assert (available_memory(tmp_path), total_memory(tmp_path)) == (8 * GB, 16 * GB)
    written(tmp_path, {"proc/self/cgroup": "0::/\n", **group_v2("", str(12 * GB), 2 * GB)})
    assert (available_memory(tmp_path), total_memory(tmp_path)) == (8 * GB, 12 * GB)
    written(tmp_path, group_v2("", str(3 * GB), 2 * GB))
    assert (available_memory(tmp_path), total_memory(tmp_path)) == (GB, 3 * GB)


def test_processors_of_both_versions(tmp_path: Path) -> None:
    """Version 2 gives time and period in microseconds; version 1 writes -1 where it has none."""
    written(tmp_path, {"proc/self/cgroup": "3:cpu,cpuacct:/a\n0::/b\n"})
    assert processor_limit(tmp_path) is None
    written(tmp_path, {"sys/fs/cgroup/cpu.max": "max 100000\n"})
    assert processor_limit(tmp_path) is None
    written(tmp_path, {"sys/fs/cgroup/b/cpu.max": "250000 100000\n"})
    assert processor_limit(tmp_path) == 2.5
    quota, period = "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "sys/fs/cgroup/cpu/cpu.cfs_period_us"
    written(tmp_path, {quota: "-1\n", period: "100000\n"})
    assert processor_limit(tmp_path) == 2.5
    written(tmp_path, {quota: "150000\n"})
    assert processor_limit(tmp_path) == 1.5
