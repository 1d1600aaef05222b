"""The journal as a user meets it: runs that go on after a kill, runs that are scored again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import asking
from harness.backends.hf import EngineBackend
from harness.run_folder import RunFolder, list_runs
from harness.types import Doc, Question, Response, Score
from tests.conftest import REPOSITORY, Command
from tests.report.fixtures.cards import card

SOME = ("--model", "tiny", "--samples", "--limit", "6", "--json")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Every question that the model is asked."""
    questions: list[Question] = []
    answer = EngineBackend.answer

    def noted(self: EngineBackend, given: Sequence[Question]) -> Any:
        questions.extend(given)
        return answer(self, given)

    monkeypatch.setattr(EngineBackend, "answer", noted)
    return questions


def scores(run: dict[str, Any]) -> dict[str, Any]:
    """What a run found, without when, where and at what cost."""
    kept = ("estimates", "groups", "prompt_digest", "docs", "unscored", "truncated")
    return {task: {key: result[key] for key in kept} for task, result in run["results"].items()}


def test_suites_share_answers_and_no_journal_goes_past_them(
    harness: Command, asked: list[Question], tmp_path: Path
) -> None:
    code, out, _ = harness("eval", *SOME, "--tasks", "arc_easy")
    first = json.loads(out)
    assert code == 0 and len(asked) == 24
    assert first["identity"]["weights"] == first["model"]["weights_id"]
    assert first["identity"]["device"] == "cpu" and first["identity"]["torch"]

    code, out, err = harness("eval", *SOME, "--tasks", "mmlu,arc_easy")
    second = json.loads(out)
    assert code == 0 and len(asked) == 48, "arc_easy was answered"
    assert scores(second)["arc_easy"] == scores(first)["arc_easy"]
    cost = second["results"]["arc_easy"]["cost"]
    assert (cost["stored"], cost["tokens_in"], cost["tokens_out"]) == (24, 0, 0)
    assert "journal: 24 answers of this model are stored" in err
    assert "arc_easy: done in" in err and "24 of 24 requests answered from the journal" in err

    (file,) = (tmp_path / "reports/journal").iterdir()
    before = file.read_bytes()
    code, out, _ = harness("eval", *SOME, "--tasks", "arc_easy", "--no-journal")
    assert code == 0 and len(asked) == 72
    assert json.loads(out)["results"]["arc_easy"]["cost"]["stored"] == 0
    assert file.read_bytes() == before

    code, out, _ = harness("show", second["id"])
    line = next(line for line in out.splitlines() if line.startswith("arc_easy"))
    assert "24 from the journal" in line and line.rstrip().endswith("–"), "no tokens/s"


def test_another_dtype_is_another_model(harness: Command, asked: list[Question]) -> None:
    for dtype in ("float32", "bfloat16", "float32"):
        code, _, err = harness("eval", *SOME, "--tasks", "arc_easy", "--dtype", dtype)
        assert code == 0, err
    assert len(asked) == 48


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_command(tiny_zoo: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "HARNESS_ZOO": str(tiny_zoo),
        "HARNESS_TASKS": str(REPOSITORY / "tasks"),
        "PYTHONPATH": str(REPOSITORY),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "harness", "eval", "--model", "tiny", "--samples", "--json"]
    command += ["--tasks", "arc_easy,gsm8k", "--limit", "24"]

    def start(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *more],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    journals, deadline = tmp_path / "reports/journal", time.monotonic() + 120
    killed = start()
    while not any(file.read_bytes().count(b"\n") > 1 for file in journals.glob("*.jsonl")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (file,) = journals.iterdir()
    stored = file.read_bytes().count(b"\n") - 1
    (left,) = list_runs(tmp_path / "reports/runs")
    assert RunFolder(left).read().status == "running" and 0 < stored < 120

    again = start()
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    finished = json.loads(out)
    assert finished["id"] != left.name
    assert sum(result["cost"]["stored"] for result in finished["results"].values()) == stored

    whole = start("--no-journal")
    out, err = whole.communicate(timeout=240)
    assert whole.returncode == 0, err
    undisturbed = json.loads(out)
    assert scores(finished) == scores(undisturbed)
    for task in ("arc_easy", "gsm8k"):
        rows, others = (
            sorted(
                RunFolder(tmp_path / "reports/runs" / run["id"]).rows(task),
                key=lambda row: row.index,
            )
            for run in (finished, undisturbed)
        )
        # Other questions share the batch: the last bits of a sum may differ, nothing else.
        for row, other in zip(rows, others, strict=True):
            assert row.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert replace(row, logprobs=()) == replace(other, logprobs=())


def test_a_resumed_run_finds_what_the_broken_off_task_had_answered(
    harness: Command, asked: list[Question], tmp_path: Path
) -> None:
    code, out, _ = harness("eval", *SOME, "--tasks", "arc_easy,mmlu")
    whole = json.loads(out)
    path = tmp_path / "reports/runs" / whole["id"] / "run.json"
    cut = {**whole, "status": "interrupted", "results": {"arc_easy": whole["results"]["arc_easy"]}}
    path.write_text(json.dumps(cut))
    code, out, err = harness("eval", "--resume", whole["id"], "--json")
    assert code == 0, err
    assert len(asked) == 48 and scores(json.loads(out)) == scores(whole)

    cut["identity"] = whole["identity"] | {"head": "float64"}
    path.write_text(json.dumps(cut))
    code, _, err = harness("eval", "--resume", whole["id"], "--json")
    assert code == 1 and "head was 'float64', is 'float32'" in err

    del cut["identity"]  # as a version without journals wrote it
    path.write_text(json.dumps(cut))
    assert harness("eval", "--resume", whole["id"], "--json")[0] == 0


def test_a_changed_metric_scores_the_same_answers_again(
    harness: Command, asked: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = harness("eval", *SOME, "--tasks", "arc_easy,wikitext2")
    first = json.loads(out)
    assert code == 0
    asked.clear()
    score = asking._score

    def turned(opened: Any, doc: Doc, responses: Sequence[Response]) -> Score:
        values = score(opened, doc, responses).values
        return Score({name: 1.0 - v if name == "acc" else v for name, v in values.items()})  # type: ignore[operator]

    monkeypatch.setattr(asking, "_score", turned)
    code, out, err = harness("rescore", first["id"], "--json")
    assert code == 0, err
    second = json.loads(out)
    assert asked == [], "no model was run"
    assert second["id"] != first["id"] and second["rescored_from"] == first["id"]
    assert second["model"] == first["model"] and second["settings"] == first["settings"]
    was, now = (run["results"]["arc_easy"]["estimates"] for run in (first, second))
    assert now["acc"]["value"] == pytest.approx(1 - was["acc"]["value"])
    assert now["acc_norm"] == was["acc_norm"]
    assert scores(second)["wikitext2"] == scores(first)["wikitext2"]
    assert all(
        r["cost"]["stored"] > 0 == r["cost"]["tokens_in"] for r in second["results"].values()
    )


def test_rescoring_asks_for_what_it_lacks(
    harness: Command, asked: list[Question], tmp_path: Path, tiny_zoo: Path
) -> None:
    _, out, _ = harness("eval", *SOME, "--tasks", "arc_easy,mmlu")
    run = json.loads(out)
    asked.clear()
    (file,) = (tmp_path / "reports/journal").iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-200])
    code, _, err = harness("rescore", run["id"])
    assert code == 1 and "2 answers are not in" in err and asked == []
    ask = "eval --model tiny --tasks arc_easy,mmlu --limit 6 --dtype auto --backend hf --samples"
    assert ask in err
    assert len(list_runs(tmp_path / "reports/runs")) == 1, "it leaves nothing behind"

    code, _, err = harness(*ask.split())
    assert code == 0 and len(asked) == 2
    code, out, err = harness("rescore", run["id"], "--json")
    assert code == 0 and len(asked) == 2, err
    assert scores(json.loads(out)) == scores(run)

    file.unlink()
    code, _, err = harness("rescore", run["id"])
    assert code == 1 and f"there is no {file}" in err and ask in err


def test_rescoring_refuses_what_is_not_that_run(
    harness: Command, tmp_path: Path, tiny_zoo: Path, tiny_model: Path
) -> None:
    code, _, err = harness("rescore", "some-run")
    assert code == 2 and "unknown run 'some-run'" in err
    _, out, _ = harness("eval", *SOME, "--tasks", "arc_easy")
    run = json.loads(out)
    path = tmp_path / "reports/runs" / run["id"] / "run.json"

    path.write_text(json.dumps(run | {"status": "interrupted"}))
    code, _, err = harness("rescore", run["id"])
    assert code == 2 and f"harness eval --resume {run['id']}" in err
    path.write_text(json.dumps(run | {"status": "interrupted", "rescored_from": "other"}))
    code, _, err = harness("eval", "--resume", run["id"])
    assert code == 2 and "harness rescore other" in err
    path.write_text(json.dumps(run | {"identity": {}}))
    code, _, err = harness("rescore", run["id"])
    assert code == 1 and "was made before answers were kept" in err
    path.write_text(json.dumps(run))

    shutil.copytree(tiny_model, tmp_path / "other")
    config = tmp_path / "other/config.json"
    config.write_text(config.read_text() + "\n")
    tiny_zoo.write_text(tiny_zoo.read_text().replace(str(tiny_model), str(tmp_path / "other")))
    code, _, err = harness("rescore", run["id"])
    assert code == 1 and f"its weights were {run['model']['weights_id']}, are " in err


def test_rescoring_scores_what_was_scored_whatever_the_suite_holds_now(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = shutil.copytree(REPOSITORY / "tasks", tmp_path / "tasks")
    monkeypatch.setenv("HARNESS_TASKS", str(tasks))
    suite = tasks / "suites" / "small.yaml"
    suite.write_text("about: some\nsamples: true\ntasks: [arc_easy]\n")
    small = ("--model", "tiny", "--limit", "6", "--json")
    _, out, _ = harness("eval", *small, "--suite", "small")
    run = json.loads(out)
    harness("eval", *SOME, "--tasks", "hellaswag")

    suite.write_text("about: some\nsamples: true\ntasks: [arc_easy, hellaswag]\n")
    code, out, err = harness("rescore", run["id"], "--json")
    assert code == 0, err
    assert scores(json.loads(out)) == scores(run)

    suite.write_text("about: some\nsamples: true\ntasks: [hellaswag]\n")
    code, _, err = harness("rescore", run["id"])
    assert code == 1 and "arc_easy, which the suite 'small' no longer holds" in err


def test_a_run_keeps_the_cards_that_it_was_begun_with(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is scored again has the earlier one's; one that is not taken up gets no other."""
    monkeypatch.setattr("harness.scoring.learned_from", lambda spec, zoo: {"mixed": card()})
    _, out, _ = harness("eval", *SOME, "--tasks", "arc_easy")
    run = json.loads(out)
    folder = tmp_path / "reports/runs" / run["id"]
    cards = {path.name: path.read_bytes() for path in (folder / "cards").iterdir()}
    assert len(cards) == 1

    other = replace(card(), about="other rows")
    monkeypatch.setattr("harness.scoring.learned_from", lambda spec, zoo: {"mixed": other})
    code, out, err = harness("rescore", run["id"], "--json")
    assert code == 0, err
    again = tmp_path / "reports/runs" / json.loads(out)["id"] / "cards"
    assert {path.name: path.read_bytes() for path in again.iterdir()} == cards

    (folder / "run.json").write_text(json.dumps(run | {"status": "interrupted", "results": {}}))
    code, _, err = harness("eval", "--resume", run["id"])
    assert code == 1 and "data_cards was" in err
    assert [path.name for path in (folder / "cards").iterdir()] == list(cards)
