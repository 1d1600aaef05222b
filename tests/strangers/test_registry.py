"""A registry or suite from a pull request: data that names things, and nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from harness import strict_yaml
from harness.catalog import _read_suite
from harness.errors import HarnessError, RegistryError
from harness.lock import read_lock
from harness.presence import presence
from harness.sources import resolve
from harness.task import Task
from harness.zoo import load_zoo
from tests.conftest import REPOSITORY, Command

ROOT = "models:\n  m:\n    family: f\n    stage: base\n    source: {path: x}\n"
LAUGHS = "".join(f"  - &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(10))
"""Ten lines that stand for ten billion values."""
CHAIN = "".join(
    f"  m{n}: {{parent: m{n - 1 if n else ''}, step: {{kind: sft}}}}\n" for n in range(2_000)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # PyYAML's reader in C ends the whole program at this depth: no exception, a dead process.
        ("models: " + "[" * 200_000, "nested deeper than 50 levels"),
        ("models:\n" + "".join(" " * n + "a:\n" for n in range(1, 99)), "nested deeper than 50"),
        ("- " * 20_000, "nested deeper than 50"),
        (f"models:\n{LAUGHS}", "more than 100,000 values, repeated ones counted"),
        ("models: &a {m: *a}", r"\*a stands within itself"),
        (ROOT.replace("family: f", "family: " + "9" * 6_000), "is a whole number, not a text"),
        (ROOT + "    add_bos: " + "9" * 6_000, r"'9{100}\.\.\.' is not readable"),
        (ROOT + "    notes: !!python/object/apply:os.mkdir [was-run]\n", "not a text"),
        (ROOT + "    notes: !!python/name:os.system\n", "not a text"),
        (ROOT + '    notes: "\\e[2Jcleared"\n', r"holds '\\x1b', which a terminal would obey"),
        (ROOT + '    notes: "\\u202eturned"\n', r"holds '\\u202e'"),
        (ROOT.replace("{path: x}", '{path: "a\\0b"}'), r"holds '\\x00'"),
        (ROOT.replace("x}", "~nosuchuser/x}"), "there is no home folder for '~nosuchuser/x'"),
        (ROOT + "    tokenizer: ~nosuchuser/x\n", "tokenizer: there is no home folder for"),
        (ROOT + ROOT.replace("models:\n", ""), "'m' is written twice"),
        (ROOT + "  a: {parent: b, step: {kind: sft}}\n  b: {parent: a, step: {kind: sft}}\n",
         r"the lineage is a circle \(a -> b -> a\)"),
        (ROOT + CHAIN, "the lineage has over 100 generations"),
        (ROOT.replace("  m:", f"  {'m' * 101}:"), "100 at most"),
    ],
)  # fmt: skip
def test_a_hostile_registry_is_refused(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zoo.yaml").write_text(text, "utf-8")
    with pytest.raises(RegistryError, match=says) as caught:
        load_zoo(Path("zoo.yaml"))
    assert len(str(caught.value)) < 1_000 and str(caught.value).startswith("zoo.yaml")
    assert not Path("was-run").exists()


def test_a_file_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "LARGEST", 1_000)
    path = tmp_path / "zoo.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: a terabyte that takes no room
    with pytest.raises(RegistryError, match="has more than 1,000 bytes"):
        load_zoo(path)


def test_the_environment_is_not_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "t0ps3cret")
    path = tmp_path / "zoo.yaml"
    path.write_text(ROOT.replace("x}", '"${HF_TOKEN}/$HF_TOKEN/%HF_TOKEN%"}'), "utf-8")
    zoo = load_zoo(path)
    told = presence(zoo.get("m"), zoo).detail
    with pytest.raises(HarnessError) as caught:
        resolve(zoo.get("m"), zoo)
    assert "${HF_TOKEN}/$HF_TOKEN" in told and "t0ps3cret" not in told + str(caught.value)


OUT = ["../../etc", "..", "/etc/passwd", "a/../../b", "a\\b", ".hidden"]


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize(
    "entry",
    [
        "  '{}': {{family: f, stage: base, source: {{path: x}}}}",
        "  m: {{family: f, stage: base, source: {{hub: '{}'}}}}",
        "  m: {{family: f, stage: base, source: {{hub: 'org/name@{}'}}}}",
        "  m: {{family: f, stage: base, source: {{package: '{}==1', file: a, sha256: "
        + "a" * 64
        + "}}}}",
        "  m: {{family: f, stage: base, source: {{package: p==1, file: '../{}', sha256: "
        + "a" * 64
        + "}}}}",
        "  m: {{family: f, stage: base, source: {{path: x}}}}\n"
        "  n: {{parent: m, step: {{kind: '{}'}}}}",
        "  m: {{family: f, stage: base, source: {{path: x}}}}\n"
        "  n: {{parent: '{}', step: {{kind: sft}}}}",
    ],
)
def test_no_name_is_a_path(entry: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "zoo.yaml"
    path.write_text(f"models:\n{entry.format(name)}\n", "utf-8")
    with pytest.raises(HarnessError):
        load_zoo(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"tasks:\n{LAUGHS}", "more than 100,000 values"),
        ("tasks: " + "[" * 200_000, "nested deeper than 50"),
        ("tasks: [{task: t, limit: " + "9" * 6_000 + "}]", r"'9{100}\.\.\.' is not readable"),
        ("tasks: [!!python/object/apply:os.mkdir [was-run]]", "a task of the suite is a value of"),
        ("tasks: [2001-99-99]", "2001-99-99 is a date, not a text"),
        ("tasks: [[" + "x, " * 9_000 + "]]", "a task of the suite is a list; a name or a mapping"),
        ("tasks: [t]\ntasks: [t]\n", r"s\.yaml:2: 'tasks' is written twice"),
        ("tasks:\n- t\n- {task: t, num_fewshot: 2}\n", r"s\.yaml:3: .*t is named twice: one run"),
        ("tasks: []", "tasks: the list is empty: name a task"),
        ("tasks: {task: t}", "a mapping stands where a list is needed"),
        ("about: x", "the key 'tasks' is missing"),
        ("tasks: [{task: t, limt: 3}]", "unknown key 'limt' in a task of the suite: did you mean"),
        ("tasks: [{task: t, limit: 0}]", "limit: 0 is no whole number of 1 or more"),
        ("tasks: [{task: t, num_fewshot: true}]", "num_fewshot: True is no whole number of 0 or"),
        ("tasks: [t]\nsamples: 1", "samples: 1 is neither true nor false"),
    ],
)  # fmt: skip
def test_a_hostile_suite_is_refused(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(text, "utf-8")
    with pytest.raises(RegistryError, match=says) as caught:
        _read_suite(Path("s.yaml"), {"t": Task("t", None, (), lambda task, context: None, "")})  # type: ignore[arg-type,return-value]
    assert len(str(caught.value)) < 1_000 and not Path("was-run").exists()


def test_a_suite_that_is_read_loosely_elsewhere_ends_with_2(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = shutil.copytree(REPOSITORY / "tasks", tmp_path / "tasks")
    monkeypatch.setenv("HARNESS_TASKS", str(tasks))
    words = ("eval", "--model", "tiny", "--suite", "mine", "--samples", "--check")
    (tasks / "suites/mine.yml").write_text("tasks: [arc_easy]\n", "utf-8")
    code, _, told = harness(*words)
    assert code == 2 and "suites/mine.yml is not read: name it mine.yaml" in told
    (tasks / "suites/mine.yaml").write_text("tasks: [arc_easy, {task: arc_easy}]\n", "utf-8")
    code, _, told = harness(*words)
    assert code == 2 and "suites/mine.yaml:1: a task of the suite: task: arc_easy is named" in told
    left_empty = 'about: ""\ntasks: [{task: arc_easy, num_fewshot: null, limit: , primary: }]\n'
    (tasks / "suites/mine.yaml").write_text(left_empty, "utf-8")
    assert harness(*words)[0] == 0


def test_a_hostile_lock_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "harness.lock.yaml"
    pin = "{origin: hub, commit: '../../x', files: {}}"
    path.write_text(f"schema: 1\nmodels: {{org/name: {pin}}}\n", "utf-8")
    with pytest.raises(RegistryError, match=re.escape("'../../x' is not a commit")):
        read_lock(path)
