"""Building a lineage: what is built, what is kept, and what no failure may leave behind.

The steps are real files, found by path, that take no time (`steps_for_tests`); processes are really
killed, and disks are really full.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import data
from harness.cli import main as harness
from harness.lineage import built_folder, read_lineage
from harness.presence import presence
from harness.sources import resolve
from harness.storage import alone
from harness.zoo import Zoo, load_zoo
from tests.conftest import REPOSITORY
from tests.tiny_checkpoint import checkpoint
from tests.training.steps_for_tests import STEP, driver, environment, steps_at, write_steps
from training.cli import main
from training.leftovers import beside

ZOO = """models:
  root: {family: f, stage: base, source: {hub: org/name}}
  a: {parent: root, step: {kind: mark, mark: 1}}
  b: {parent: a, step: {kind: mark, mark: 2}}
  c: {parent: b, step: {kind: mark, mark: 3}}
"""


class Site:
    """A registry, a root, a cache and the log of what steps ran."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models = folder, folder / "models"
        self.root = checkpoint(self.models / "org" / "name")
        self.steps = write_steps(folder / "steps")
        self.path = folder / "zoo.yaml"
        self.write(ZOO)

    def write(self, text: str) -> None:
        self.path.write_text(text, "utf-8")

    @property
    def zoo(self) -> Zoo:
        return load_zoo(self.path)

    def train(self, *arguments: str) -> int:
        return main([*arguments, "--zoo", str(self.path), "--models", str(self.models)])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        words = [*driver(self.steps), *arguments, "--zoo", str(self.path)]
        return subprocess.Popen(
            [*words, "--models", str(self.models)],
            env=environment(REPOSITORY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever started the tests may ignore Ctrl-C, as a shell does for what it runs behind.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def ran(self) -> list[str]:
        """What steps ran since this was asked last, with the names in their scratch folders."""
        log = Path(os.environ["STEP_LOG"])
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def names(self) -> list[str]:
        return [line.split()[0] for line in self.ran()]

    def place(self, name: str) -> Path:
        return built_folder(self.zoo.get(name), self.zoo)

    def left(self, name: str) -> list[str]:
        """Everything that lies where a model is built, hidden files too, without the lock."""
        folder = self.place(name).parent
        return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data._why_no_hub.cache_clear()
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("HARNESS_LOCK", str(tmp_path / "lock.yaml"))
    (tmp_path / "lock.yaml").write_text("schema: 1\n", "utf-8")
    monkeypatch.setenv("STEP_LOG", str(tmp_path / "steps.log"))
    made = Site(tmp_path)
    with steps_at(made.steps):
        yield made


def test_a_walk_is_built_once_and_says_how(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.train("c") == 0
    assert site.ran() == ["a []", "b []", "c []"]
    out, err = capsys.readouterr()
    assert "root -> a -> b -> c" in out and "3 models to build" in out
    assert "c: built in" in err
    config = json.loads((site.place("c") / "config.json").read_text("utf-8"))
    assert [config[f"mark_{name}"] for name in "abc"] == [1, 2, 3]

    lineage = read_lineage(site.place("b"), "b")
    assert lineage is not None
    parent = resolve(site.zoo.get("a"), site.zoo)
    assert (lineage.parent, lineage.parent_weights_id) == ("a", parent.weights_id)
    assert lineage.parent_bytes == parent.disk_bytes
    options = {"data": "default", "mark": 2, "how": "well", "epochs": 1.0, "seed": 7}
    assert (lineage.kind, lineage.options, lineage.seed) == ("mark", options, 7)
    assert (lineage.data, lineage.figures) == ({"default": "d" * 64}, {"loss": 0.5})
    assert lineage.chosen == {"group_size": 64}
    assert "torch" in lineage.packages and lineage.seconds >= 0 and not lineage.resumed
    assert lineage.files == resolve(site.zoo.get("b"), site.zoo).files

    assert site.train("c") == 0
    assert site.names() == [] and "nothing to build" in capsys.readouterr().out
    assert site.left("c") == [site.place("c").name]


def test_a_changed_option_builds_that_step_and_its_descendants(site: Site) -> None:
    site.train("c")
    site.ran()
    former = site.place("b")
    site.write(ZOO.replace("mark: 2", "mark: 20"))
    assert site.train("c") == 0
    assert site.names() == ["b", "c"]
    assert former.is_dir() and former != site.place("b")
    site.write(ZOO)  # changed back: what was built for this recipe is still there
    assert site.train("c") == 0 and site.names() == []
    site.write(ZOO.replace("mark: 2", "mark: 2, seed: 7"))  # the default, written out
    assert site.train("c") == 0 and site.names() == []


def test_only_what_follows_the_last_model_that_is_here_is_built(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ancestors may be deleted to save room, the root too, which could not be fetched here."""
    site.train("b")
    site.ran()
    for path in site.place("a").iterdir():
        path.unlink()
    shutil.rmtree(site.root)
    capsys.readouterr()
    assert site.train("c", "--plan") == 0
    assert "which is not here yet" not in capsys.readouterr().out
    assert site.train("c") == 0 and site.names() == ["c"]


def test_a_parent_that_was_rebuilt_to_other_weights_rebuilds_its_children(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 1", "how: random"))
    site.train("c")
    site.ran()
    assert site.train("a", "--force") == 0 and site.names() == ["a"]
    options = ["--zoo", str(site.path), "--models-dir", str(site.models)]
    assert harness(["eval", "--model", "c", "--tasks", "arc_easy", "--samples", *options]) == 1
    assert "c: b was made from other weights of a" in capsys.readouterr().err
    assert site.train("c", "--plan") == 0
    assert "b was made from other weights of a than those that are here" in capsys.readouterr().out
    assert site.train("c") == 0 and site.names() == ["b", "c"]
    assert site.train("c") == 0 and site.names() == []


def test_a_parent_that_was_rebuilt_alike_leaves_its_children(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.train("c")
    assert site.train("a", "--force") == 0
    site.ran()
    assert site.train("c") == 0 and site.names() == []
    # A parent that has to be made again, and comes out as it was: its child is looked at and kept.
    (site.place("b") / "lineage.json").unlink()
    (site.place("c") / "lineage.json").rename(site.folder / "kept")
    assert site.train("b") == 0 and site.names() == ["b"]
    (site.folder / "kept").rename(site.place("c") / "lineage.json")
    assert site.train("c") == 0 and site.names() == []


def test_a_changed_root_is_an_error_that_names_both(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.train("c")
    site.ran()
    (site.root / "config.json").write_text('{"model_type": "other"}', "utf-8")
    options = ["--zoo", str(site.path), "--models-dir", str(site.models)]
    ask = ["eval", "--model", "c", "--tasks", "arc_easy", "--samples", *options]
    for command in (lambda: site.train("c"), lambda: harness(ask)):
        assert command() == 1
        err = capsys.readouterr().err
        assert "a was made from other weights of root" in err
        assert "`make train MODEL=c ARGS=--force`" in err
    assert site.names() == []
    assert site.train("c", "--force") == 0 and site.names() == ["a", "b", "c"]
    assert site.train("c") == 0 and site.names() == []


def test_changed_training_data_builds_what_learned_from_it_again(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe names a file, and the same name may hold other rows tomorrow."""
    rows = site.folder / "rows.jsonl"
    rows.write_text("{}\n", "utf-8")
    site.write(ZOO.replace("mark: 2", f"mark: 2, how: random, data: {rows}"))
    assert site.train("c") == 0 and site.names() == ["a", "b", "c"]
    assert site.train("c") == 0 and site.names() == []
    rows.write_text("{}\n{}\n", "utf-8")
    capsys.readouterr()
    assert site.train("c", "--plan") == 0
    assert f"{rows} has changed since it was learned from" in capsys.readouterr().out
    assert site.train("c") == 0 and site.names() == ["b", "c"]
    assert site.train("c") == 0 and site.names() == []
    rows.unlink()  # what is gone cannot be compared, and need not be kept
    assert site.train("c") == 0 and site.names() == []


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        ("gone.jsonl", 1, "gone.jsonl: no such file"),
        ("defualt", 2, "unknown training data 'defualt': did you mean 'default'"),
        ("gsm8k", 1, "no data for openai/gsm8k (main): no data folder was given"),
    ],
)
def test_data_that_is_not_there_is_refused_before_its_parents_are_built(
    site: Site, data: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 2", f"mark: 2, data: {data}"))
    assert site.train("c") == code
    assert says in capsys.readouterr().err
    assert site.names() == []


def test_data_of_the_data_folder_is_found_before_its_parents_are_built(site: Site) -> None:
    rows = site.folder / "data/openai/gsm8k/main/train.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text("{}\n", "utf-8")
    site.write(ZOO.replace("mark: 2", "mark: 2, data: gsm8k"))
    assert site.train("b", "--data", str(site.folder / "data")) == 0
    assert site.names() == ["a", "b"]


def test_a_step_on_a_quantized_parent_is_refused_before_the_parent_is_built(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = STEP.replace('stage: ClassVar[str] = "sft"', 'quantization: ClassVar[str] = "int8"')
    (site.steps / "rounds.py").write_text(rounds, "utf-8")
    site.write(ZOO.replace("kind: mark, mark: 2", "kind: rounds"))
    assert site.train("c") == 1
    err = capsys.readouterr().err
    assert "c: its parent b is quantized (int8), and rounded weights cannot be trained" in err
    assert "make it from a model that is not quantized, such as a" in err
    assert site.names() == []


def test_force_builds_missing_ancestors_and_the_model_itself(site: Site) -> None:
    assert site.train("b", "--force") == 0 and site.names() == ["a", "b"]
    assert site.train("c", "--force") == 0 and site.names() == ["c"]
    assert site.train("c", "--force") == 0 and site.names() == ["c"]


def test_a_torn_lineage_is_built_again_and_said(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.train("c")
    site.ran()
    path = site.place("c") / "lineage.json"
    path.write_bytes(path.read_bytes()[:40])
    assert presence(site.zoo.get("c"), site.zoo).state == "not built"
    assert site.train("c") == 0 and site.names() == ["c"]
    assert f"damaged: {path} is not readable" in capsys.readouterr().out
    assert site.train("c") == 0 and site.names() == []


def test_files_that_were_changed_by_hand_are_an_error_until_forced(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.train("b")
    site.ran()
    (site.place("b") / "tokenizer.json").write_text('{"other": 1}', "utf-8")
    for name in "bc":  # as what is wanted, and as a parent
        assert site.train(name) == 1
        err = capsys.readouterr().err
        assert "tokenizer.json changed since. `make train MODEL=b ARGS=--force`" in err
    assert site.train("b", "--force") == 0 and site.names() == ["b"]
    assert site.train("c") == 0 and site.names() == ["c"]


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        ("refuse", 1, "the loss is NaN at step 3"),
        ("full", 1, "b: the disk is full: free some room"),
        ("full_torch", 1, "b: the disk is full: free some room"),
        ("memory", 1, "b: too little memory for the step mark"),
        ("no_package", 1, "needs the package no_such_package, which is not installed"),
        ("no_weights", 1, "the step left no whole checkpoint: b: .* holds no \\*.safetensors"),
        ("no_tokenizer", 1, "b: the step left no tokenizer"),
    ],
)
def test_a_step_that_fails_leaves_nothing_that_looks_finished(
    site: Site, how: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 2", f"how: {how}"))
    assert site.train("c") == code
    err = capsys.readouterr().err
    assert re.search(says, err), err
    assert site.names() == ["a", "b"]
    assert site.left("b") == [f".{site.place('b').name}.scratch"]
    assert [presence(site.zoo.get(n), site.zoo).state for n in "abc"] == [
        "present",
        "not built",
        "not built",
    ]


def test_a_bug_in_a_step_is_not_dressed_up_and_leaves_nothing(site: Site) -> None:
    site.write(ZOO.replace("mark: 2", "how: raise"))
    with pytest.raises(RuntimeError, match="a bug"):
        site.train("c")
    assert site.left("b") == [f".{site.place('b').name}.scratch"]


def test_a_figure_that_is_no_number_is_left_out_and_said(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 1", "how: undefined"))
    assert site.train("a") == 0
    assert "a: not recorded, because it is no number: loss" in capsys.readouterr().err
    lineage = read_lineage(site.place("a"), "a")
    assert lineage is not None and lineage.figures == {}


def test_a_killed_step_is_resumed_from_its_scratch_folder(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 2", "how: hang"))
    process = site.start("c")
    assert process.stdout is not None
    for line in process.stdout:
        if line == "hanging\n":
            break
    process.kill()
    process.communicate()
    assert presence(site.zoo.get("b"), site.zoo).state == "not built"
    name = site.place("b").name
    assert site.left("b") == [f".{name}.partial", f".{name}.scratch"]

    assert site.train("c") == 0
    assert site.ran() == ["a []", "b []", "b ['checkpoint']", "c []"]
    assert "b: resuming it from a" in capsys.readouterr().err
    lineage = read_lineage(site.place("b"), "b")
    assert lineage is not None and lineage.resumed
    assert site.left("b") == [name]


def test_an_attempt_from_another_parent_is_not_resumed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 1", "how: hang"))
    process = site.start("a")
    assert process.stdout is not None
    for line in process.stdout:
        if line == "hanging\n":
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped while a was built" in err and "Traceback" not in err
    assert site.left("a") == [f".{site.place('a').name}.scratch"]

    (site.root / "config.json").write_text('{"model_type": "other"}', "utf-8")
    again = site.start("a")
    assert again.stdout is not None and again.stderr is not None
    for line in again.stdout:
        if line == "hanging\n":
            break
    again.kill()
    _, err = again.communicate()
    assert "a: begins anew" in err
    assert site.ran() == ["a []", "a []"]


def test_two_builders_build_everything_once(site: Site) -> None:
    site.write(ZOO.replace("mark: 1", "how: slow"))
    processes = [site.start("b") for _ in range(2)]
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert sorted(site.names()) == ["a", "b"]
    assert sum("waiting for another process that makes" in err for _, err in told) >= 1
    assert presence(site.zoo.get("b"), site.zoo).state == "present"


def test_a_full_disk_under_the_cache_leaves_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file system of 16 kB, of which the root's copy takes more than its parts leave free."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        monkeypatch.setenv("HARNESS_CACHE", str(small))
        assert site.train("a") == 1
        assert "disk is full" in capsys.readouterr().err
        assert presence(site.zoo.get("a"), site.zoo).state == "not built"
        assert not (site.place("a").parent / f".{site.place('a').name}.partial").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_listing_shows_bytes_and_recipe(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.train("b")
    capsys.readouterr()
    options = ["--zoo", str(site.path), "--models-dir", str(site.models)]
    assert harness(["list", "models", *options]) == 0
    out = capsys.readouterr().out
    assert f"recipe {site.place('a').name}: mark 1, group_size 64" in out
    assert harness(["list", "models", "--json", *options]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["b"]["built"]["options"]["seed"] == 7 and rows["b"]["disk_bytes"] > 0
    site.write(ZOO.replace("mark: 2", "mark: 20"))
    assert harness(["list", "models", *options]) == 0
    assert "b  mark  not built (its recipe has changed)" in capsys.readouterr().out
    assert rows["c"]["built"] is None and rows["c"]["state"] == "not built"


def test_what_a_killed_build_left_beside_a_whole_model_is_removed(site: Site) -> None:
    """A kill after the model was put in its place; a rebuild that was broken off stays to go on."""
    site.train("b")
    place = site.place("a")
    for what in ("partial", "former", "scratch"):
        beside(place, what).mkdir()
        (beside(place, what) / "model.safetensors").write_text("large")
    begun = beside(place, "scratch") / "begun.json"
    begun.write_text("{}")
    names = {what: f".{place.name}.{what}" for what in ("partial", "former", "scratch")}

    with alone(place, print):  # another process builds it again
        assert site.train("b") == 0
        assert set(names.values()) <= set(site.left("a"))
    assert site.train("b", "--plan") == 0 and names["partial"] in site.left("a")
    assert site.train("b") == 0
    assert site.left("a") == sorted([names["scratch"], place.name])
    os.utime(begun, ns=(0, 0))  # it was begun before what is there was finished
    assert site.train("b") == 0
    assert site.left("a") == [place.name] and site.names() == ["a", "b"]


def test_what_a_broken_off_build_of_another_recipe_left_is_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(ZOO.replace("mark: 2", "how: refuse"))
    assert site.train("b") == 1
    left = beside(site.place("b"), "scratch")
    (left / "step" / "checkpoint").write_bytes(bytes(5_000_000))
    assert site.train("b") == 1  # the same goes on from there
    assert "other recipes" not in capsys.readouterr().err
    site.write(ZOO)
    assert site.train("b") == 0
    err = capsys.readouterr().err
    assert "builds of other recipes that were broken off take 5.00 MB" in err
    assert f"`rm -r {left}`" in err
    assert left.is_dir() and site.place("b").is_dir()
