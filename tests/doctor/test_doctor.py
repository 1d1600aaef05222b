"""The whole of `harness doctor`: what it prints, its JSON, its exit code."""

import json
from pathlib import Path

import pytest

from harness.commands.doctor_command import lines
from harness.doctor.finding import Finding
from tests.conftest import REPOSITORY, Command


@pytest.fixture(autouse=True)
def _registry(harness: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(REPOSITORY / "model_zoo.yaml"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.doctor.addresses._not_fetchable", lambda package: "")
    monkeypatch.setattr("harness.doctor.machine.available_memory", lambda system: 9_000_000_000)
    monkeypatch.chdir(tmp_path)


def findings(harness: Command, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    code, out, _ = harness("doctor", "--json", *options)
    return code, {each["what"]: each for each in json.loads(out)}


def test_every_piece_is_looked_at_and_what_lacks_has_its_cost(harness: Command) -> None:
    code, found = findings(harness)
    assert code == 0
    assert set(found) >= {
        "python", "memory", "device", "processors", "bfloat16", "chromium", "cache", "reports",
        "journal", "locks", "lock file", "hub", "MODELS=dir", "tasks", "data", "registry", "smol",
    }  # fmt: skip
    assert all(each["cost"] and each["mend"] for each in found.values() if each["state"] != "ok")
    assert "HF_HUB_OFFLINE=1" in found["hub"]["detail"]
    assert "cais/mmlu" in found["data"]["detail"] and "DATA=dir" in found["data"]["mend"]


@pytest.mark.parametrize(
    ("file", "content", "variable", "what"),
    [
        ("zoo.yaml", "models:\n  smol:\n    family: [x\n", "HARNESS_ZOO", "registry"),
        ("lock.yaml", "schema: [", "HARNESS_LOCK", "lock file"),
        ("data", None, "HARNESS_DATA", "DATA=dir"),
        ("models", None, "HARNESS_MODELS", "MODELS=dir"),
        ("tasks", None, "HARNESS_TASKS", "tasks"),
    ],
)
def test_what_stops_the_default_is_exit_code_one(
    file: str,
    content: str | None,
    variable: str,
    what: str,
    harness: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if content is not None:
        (tmp_path / file).write_text(content)
    monkeypatch.setenv(variable, str(tmp_path / file))
    code, found = findings(harness)
    assert code == 1
    assert found[what]["state"] == "missing" and file in found[what]["detail"]


def test_an_address_that_is_none_is_a_note(
    harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:80a")
    code, found = findings(harness)
    assert code == 0 and found["hub"]["state"] == "note"
    assert "HF_ENDPOINT=http://localhost:80a is no address" in found["hub"]["detail"]


def test_a_registry_without_the_default_is_said(
    harness: Command, tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = findings(harness, "--zoo", str(tiny_zoo))
    assert code == 1 and "unknown model 'smol'" in found["smol"]["detail"]


def test_the_last_line_says_what_follows(harness: Command) -> None:
    code, out, _ = harness("doctor", "--data", "gone")
    assert code == 1
    assert out.splitlines()[-1] == (
        "The embedded default cannot be scored here, for want of: DATA=dir"
    )


def test_a_finding_is_drawn_without_markup_of_its_own() -> None:
    drawn = lines(Finding("note", "hub", "[red]x\x1b[2J", "a cost", "a command"))
    assert drawn[0].endswith("\\[red]x[2J") and drawn[1].strip() == "cost: a cost"
    assert drawn[2].strip() == "mend: a command"
