"""Where the files of a source are looked for, and what is said where there are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness import hub
from harness.data_card import read_card
from harness.errors import DataError
from tests.conftest import REPOSITORY
from tests.training.data.mixture.fake_hub import COMMIT
from tests.training.data.mixture.rows import alpaca, made, mixture, parquet, write
from training.data.mixture.declared import Source
from training.data.mixture.locating import Located, locate_all
from training.data.mixture.mixtures_file import find_mixture


@pytest.fixture(autouse=True)
def _no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def located(data: Path | None, **more: str) -> Located:
    wanted = Source("a", "alpaca", "own", dataset="org/name", config="main", **more)  # type: ignore[arg-type]
    return locate_all(mixture(wanted), data, lambda _: None)[0]


def refused(data: Path | None, **more: str) -> str:
    with pytest.raises(DataError) as error:
        located(data, **more)
    return str(error.value)


@pytest.mark.parametrize(
    "name", ["train.jsonl", "train.jsonl.gz", "train.json", "train.json.gz", "train.parquet"]
)
def test_a_whole_file_in_the_data_folder(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "org/name/main" / name, [])
    write(tmp_path / "org/name/main/training.jsonl", [])
    assert located(tmp_path) == Located((path,))


def test_parts_in_the_data_folder_are_read_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "org/name/main"
    parts = [
        parquet(folder / f"train-0000{number}-of-00002.parquet", alpaca(3, str(number)))
        for number in (1, 0)
    ]
    write(folder / "train-notes.jsonl", [])
    assert located(tmp_path).files == tuple(sorted(parts))
    wanted = Source("a", "alpaca", "own", dataset="org/name", config="main")
    card = made(mixture(wanted), tmp_path / "out", data=tmp_path)
    assert card.sources[0].rows == card.rows == 6
    assert list(card.sources[0].files) == [path.name for path in sorted(parts)]


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "org/name/main"
    write(folder / "train-00000-of-00003.jsonl", [])
    write(folder / "train-00002-of-00003.jsonl", [])
    assert "train-00001-of-00003.jsonl is missing" in refused(tmp_path)
    write(folder / "train-00001-of-00003.jsonl", [])
    assert len(located(tmp_path).files) == 3
    write(folder / "train-00000-of-00001.jsonl", [])
    assert "has parts of 00003 and parts of 00001" in refused(tmp_path)


def test_what_is_missing_is_said_once_for_all_sources(tmp_path: Path) -> None:
    said = refused(None)
    assert said.startswith(
        "mix: 1 source of 1 cannot be read:\n"
        "  a: org/name/main/train.jsonl is not in the data folder; its columns are instruction, "
        "output\nDATA=dir (--data) names the folder; .jsonl.gz, .json, .json.gz, .parquet are read "
        "too, and parts such as train-00000-of-00002.parquet. What the hub's cache lacks cannot be "
        "fetched: HF_HUB_OFFLINE=1 forbids the network."
    )
    assert f"The data folder is {tmp_path};" in refused(tmp_path)
    nowhere = Source("a", "alpaca", "own", path=str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"a: .*/none\.jsonl: no such file"):
        locate_all(mixture(nowhere), None, lambda _: None)


def test_what_no_hub_has_is_not_looked_for_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("looked for")

    monkeypatch.setattr(hub, "unreachable", never)
    monkeypatch.setattr(hub, "cached", never)
    said = refused(tmp_path, unpublished="a friend has it")
    assert "(not published: a friend has it)\nThe data folder is" in said


def test_the_reports_own_sets_say_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        locate_all(find_mixture("dpo-mix"), tmp_path, lambda _: None)
    exp, course = str(error.value).splitlines()[-3:-1]
    assert exp == (
        "  exp-pairs: zephyr-report/exp-dpo-3/default/train.jsonl is not in the data folder; its "
        "columns are prompt, chosen, rejected (not published: the progress report says "
        '"Exp DPO 3" and no more)'
    )
    assert course.startswith(
        "  course-pairs: zephyr-report/course-pairs/default/train.jsonl is not in the data folder; "
        "its columns are question, answer_A, answer_B, overall (not published: the course's own"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A data set as the hub holds it."""
    folder = tmp_path / "repository"
    for number in range(2):
        rows = alpaca(4, str(number))
        parquet(folder / "main" / f"train-0000{number}-of-00002.parquet", rows)
    parquet(folder / "main/test.parquet", alpaca(1, "test"))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n"
        "  - {split: train, path: main/train-*}\n  - {split: test, path: main/test.parquet}\n---\n"
    )
    return folder


def test_the_hubs_cache_serves_without_a_network(tmp_path: Path, repository: Path) -> None:
    kept = tmp_path / "hub/datasets--org--name"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text(COMMIT)
    (kept / "snapshots").mkdir()
    snapshot = repository.rename(kept / "snapshots" / COMMIT)
    found = located(None)
    assert found.commit == COMMIT
    assert found.files == tuple(
        snapshot / f"main/train-0000{number}-of-00002.parquet" for number in range(2)
    )
    assert located(None, split="test").files == (snapshot / "main/test.parquet",)
    assert located(None, hub_folder="main").files == found.files
    assert "not in the data folder" in refused(None, split="tset")
    found.files[1].unlink()
    assert "not in the data folder" in refused(None)


FETCHING = """
import json, sys
from pathlib import Path
from harness.errors import HarnessError
from tests.training.data.mixture.rows import Silent, mixture
from training.data.mixture.declared import Source
from training.data.mixture.making import Place, make

for number, wanted in enumerate(json.loads(sys.argv[2])):
    a = Source("a", "alpaca", "own", **{"dataset": "org/name", "config": "main", **wanted})
    out = Path(sys.argv[1]) / f"out-{number}"
    try:
        make(mixture(a), Place(None, out, None, print), Silent())
    except HarnessError as error:
        print(error)
"""


@pytest.fixture
def address(repository: Path) -> Iterator[str]:
    """Of a hub that has the data set."""
    command = [sys.executable, "-m", "tests.training.data.mixture.fake_hub", str(repository)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def fetched(out: Path, address: str, *wanted: Mapping[str, str]) -> str:
    """What is said as mixtures are made of what a hub has, in a process of its own: the hub's
    libraries read its address as they are imported.
    """
    done = subprocess.run(
        [sys.executable, "-c", FETCHING, str(out), json.dumps(wanted)],
        env={
            **{name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"},
            "PYTHONPATH": str(REPOSITORY),
            "HF_ENDPOINT": address,
            "HF_HOME": str(out / "home"),
            "NO_PROXY": "127.0.0.1",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_hub_is_asked_for_what_is_nowhere_else(
    tmp_path: Path, repository: Path, address: str
) -> None:
    bad = {"split": "tset"}, {"config": "mane"}, {"dataset": "org/other"}
    said = fetched(tmp_path, address, {}, *bad)
    assert "fetching org/name, 4 files" in said
    card = read_card(tmp_path / "out-0")
    assert card is not None and (card.rows, card.sources[0].commit) == (8, COMMIT)
    assert "a: the hub's org/name has the splits train, test, not tset" in said
    assert "a: the hub's org/name: BuilderConfig 'mane' not found. Available: ['main']" in said
    assert "a: the hub knows no org/other, or it is private" in said
    # What was fetched serves from now on without the hub.
    assert "is there, made from the same sources" in fetched(tmp_path, "http://127.0.0.1:9", {})


def test_a_script_of_the_hub_is_not_run(tmp_path: Path, repository: Path, address: str) -> None:
    (repository / "name.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    said = fetched(tmp_path, address, {})
    assert "a: the hub's org/name: Dataset scripts are no longer supported" in said
    assert not (tmp_path / "run").exists()


def test_a_card_that_names_files_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the benchmarks' data sets are: `datasets` would read the file, wherever it lies."""
    secret = write(tmp_path / "secret.jsonl", alpaca(3))
    snapshot = tmp_path / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    card = f"---\nconfigs:\n- config_name: default\n  data_files: {secret}\n---\n"
    (snapshot / "README.md").write_text(card, "utf-8")
    monkeypatch.setattr(hub, "cached", lambda *_: snapshot)
    assert f"names {str(secret)!r} as data" in refused(None)
