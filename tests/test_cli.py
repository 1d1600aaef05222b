"""The command line as a user meets it: what it prints, its exit codes, its refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.run_folder import RunFolder, list_runs
from tests.conftest import REPOSITORY, Command


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    script = (
        "import sys, harness.cli\n"
        "try: harness.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'lm_eval', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "eval" in done.stdout and "doctor" in done.stdout


@pytest.mark.parametrize("arguments", [["list", "models"], ["list", "models", "--json"]])
def test_a_reader_that_goes_away_is_no_failure(arguments: list[str]) -> None:
    """`harness list models | head -0`, with rich's printing and without."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=REPOSITORY,
            stdout=closed,
            stderr=subprocess.PIPE,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_words_that_are_not_utf_8_are_refused_as_written(
    harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python hands over the byte E9 as half a pair."""
    code, _, err = harness("eval", "--model", "tiny", "--data", "/tmp/d\udce9")
    assert code == 2 and "/tmp/d\\udce9: not UTF-8" in err
    monkeypatch.setenv("HARNESS_DATA", "/tmp/d\udce9")
    code, _, err = harness("list", "models")
    assert code == 2 and "HARNESS_DATA=/tmp/d\\udce9: not UTF-8" in err


def test_eval_from_the_samples_to_the_leaderboard(harness: Command, tmp_path: Path) -> None:
    code, out, _ = harness("eval", "--model", "tiny", "--suite", "quick", "--limit", "4", "--json")
    assert code == 0
    run = json.loads(out)
    assert run["status"] == "complete" and run["model"]["name"] == "tiny"
    assert run["settings"]["backend"] == "hf" and run["identity"]["backend"].startswith("hf ")
    assert run["plan"].startswith("packed, ") and run["plan"].endswith(" tokens a pass")
    assert list(run["results"]) == ["arc_easy", "mmlu", "hellaswag", "gsm8k", "wikitext2"]
    for result in run["results"].values():
        assert result["docs"] == 4 and result["unscored"] == 0
        assert result["data"][0]["origin"] == "samples"
        assert result["estimates"][result["primary"]]["value"] is not None
        assert result["cost"]["seconds"] > 0 and result["cost"]["tokens_in"] > 0
    assert run["model"]["memory_bytes"] > 0 and len(run["model"]["weights_id"]) == 64
    assert run["environment"]["packages"]["lm-eval"] == "0.4.13"
    board = (tmp_path / "reports" / "leaderboard.md").read_text("utf-8")
    assert "tiny" in board and "ample" in board
    assert (tmp_path / "reports" / "leaderboard.html").exists()

    code, out, _ = harness("show", "last", "--task", "arc_easy")
    assert code == 0 and "Question" in out
    code, out, _ = harness("report", "--json")
    assert code == 0 and json.loads(out)
    code, out, _ = harness("list", "runs", "--json")
    assert code == 0 and json.loads(out)[0]["model"] == "tiny"


def test_a_run_on_a_mirror_is_not_marked_as_samples(harness: Command, real_data: Path) -> None:
    code, out, _ = harness(
        "eval",
        "--model",
        "tiny",
        "--tasks",
        "arc_easy",
        "--limit",
        "2",
        "--data",
        str(real_data),
        "--json",
    )
    assert code == 0
    data = json.loads(out)["results"]["arc_easy"]["data"][0]
    assert data["origin"] == "mirror" and data["dataset"] == "allenai/ai2_arc"


@pytest.mark.parametrize("samples", [["--samples"], []])
def test_data_that_is_shipped_whole_is_not_marked_as_samples(
    harness: Command, tmp_path: Path, samples: list[str]
) -> None:
    """Seven docs are one of each topic; what else is scored on samples is marked all the same."""
    tasks = "stem,arc_easy" if samples else "stem,stem_numbers"
    code, out, _ = harness(
        "eval", "--model", "tiny", "--tasks", tasks, "--limit", "7", "--json", *samples
    )
    assert code == 0
    results = json.loads(out)["results"]
    assert results["stem"]["docs"] == 7 and len(results["stem"]["groups"]) == 7
    assert results["stem"]["data"][0]["origin"] == "shipped"
    board = json.loads((tmp_path / "reports" / "leaderboard.json").read_text("utf-8"))
    columns = {
        section: {column["task"] for column in board[section]["columns"]}
        for section in ("benchmarks", "samples")
    }
    assert columns["benchmarks"] == ({"stem"} if samples else {"stem", "stem_numbers"})
    assert columns["samples"] == ({"arc_easy"} if samples else set())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evl"], 2, ["unknown command 'evl'", "'eval'"]),
        (["eval", "--modle", "x"], 2, ["--modle", "'--model'"]),
        ([], 2, ["a command is missing: eval, compare,"]),
        (["--json", "list", "models"], 2, ["--json stands before", "`harness list ... --json`"]),
        (["eval", "arc_easy"], 2, ["'arc_easy' belongs to no option", "--tasks"]),
        (["list", "models", "tasks"], 2, ["'tasks' is one too many: harness list takes one name"]),
        (["list", "models", ""], 2, ["an empty word is no argument (see `harness list --help`)"]),
        (["explain", "a", "b", "c"], 2, ["'c' is one too many: harness explain takes 2 names"]),
        (["eval", "--model", "tiny,other"], 2, ["--models tiny,other", "make: ARGS="]),
        *(
            (["eval", option, ""], 2, [f"{option} is empty: a value is missing"])
            for option in ("--resume", "--model", "--models", "--tasks", "--suite", "--data")
        ),
        (["eval", "--model="], 2, ["--model is empty: a value is missing"]),
        (
            ["eval", "--model", "tiny-stf"],
            2,
            ["unknown model 'tiny-stf'", "'tiny-sft'", "zoo.yaml"],
        ),
        (["eval", "--model", "../../etc"], 2, ["unknown model"]),
        (["eval", "--model", "tiny", "--tasks", "arc_eazy"], 2, ["'arc_easy'"]),
        (["eval", "--model", "tiny", "--suite", "quik"], 2, ["unknown suite", "'quick'"]),
        (["eval", "--model", "tiny", "--tasks", "lm-eval:no_such"], 2, ["lm-eval:no_such"]),
        (["eval", "--model", "tiny", "--tasks", " , "], 2, ["--tasks is empty"]),
        (["eval", "--model", "tiny", "--tasks", "mmlu", "--suite", "card"], 2, ["choose one"]),
        (["eval", "--model", "tiny", "--dtype", "fp32"], 2, ["unknown dtype 'fp32'"]),
        (["eval", "--model", "tiny", "--backend", "vlm"], 2, ["unknown backend 'vlm'", "vllm"]),
        (["eval", "--model", "tiny", "--limit", "-3"], 2, ["--limit", "whole number"]),
        (["eval", "--model", "tiny", "--limit", "0"], 2, ["at least 1"]),
        (["eval", "--model", "tiny", "--noise-floor", "0"], 2, ["--noise-floor", "at least 1"]),
        (["eval", "--model", "tiny", "--noise-floor", "x"], 2, ["--noise-floor", "'x'"]),
        (["eval", "--model", "tiny", "--data", "/nowhere"], 2, ["no such folder"]),
        (
            ["eval", "--model", "tiny", "--models-dir", "/nowhere", "--samples", "--check"],
            2,
            ["the models folder /nowhere does not exist"],
        ),
        (
            ["eval", "--model", "tiny", "--tasks", "arc_easy"],
            1,
            ["allenai/ai2_arc/ARC-Easy/test.jsonl"],
        ),
        (
            ["eval", "--model", "tiny", "--samples", "--tasks", "hellaswag", "--num-fewshot", "5"],
            2,
            ["'train'", "--num-fewshot 0"],
        ),
        (
            ["eval", "--model", "tiny", "--samples", "--tasks", "wikitext2_token_1024"],
            1,
            ["no samples"],
        ),
        (
            ["eval", "--model", "tiny", "--tasks", "mmlu,arc_easy", "--dataset-config", "x"],
            2,
            ["TASK=x"],
        ),
        (
            ["eval", "--model", "tiny", "--dataset-config", "hellaswagg=x"],
            2,
            ["not among the tasks"],
        ),
        (["eval", "--model", "tiny-sft"], 1, ["not built", "make train MODEL=tiny-sft"]),
        (["eval", "--resume", "no-such-run"], 1, ["no run at"]),
        (["show", "nothing"], 1, ["make eval"]),
        (["report"], 1, ["no finished run"]),
        (["list", "modles"], 2, ["models"]),
        (["eval", "--model", "tiny", "--tasks-dir", "/nowhere"], 2, ["does not exist"]),
        (["eval", "--zoo", "/nowhere/zoo.yaml"], 2, ["/nowhere/zoo.yaml"]),
    ],
)
def test_a_mistake_is_explained(
    harness: Command, arguments: list[str], code: int, words: list[str], tmp_path: Path
) -> None:
    got, out, err = harness(*arguments)
    assert got == code, err
    assert "Traceback" not in err and out == ""
    assert sum(line.startswith("harness: ") for line in err.splitlines()) == 1
    for word in words:
        assert word in err
    assert not list((tmp_path / "reports" / "runs").glob("*")), "a refused run leaves nothing"


def test_an_unbuilt_model_of_the_shipped_registry_names_its_lineage(
    harness: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(REPOSITORY / "model_zoo.yaml"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    code, _, err = harness("eval", "--model", "qwen-dpo-int4")
    assert code == 1
    for name in (
        "qwen:",
        "qwen-sft",
        "qwen-dpo ",
        "qwen-dpo-int4",
        "make train MODEL=qwen-dpo-int4",
    ):
        assert name in err


def test_the_cost_of_a_refusal_is_small(tiny_zoo: Path, tmp_path: Path) -> None:
    """No data, no hub: refused in under 2 s, before torch is imported."""
    script = (
        "import sys, harness.cli\n"
        "code = harness.cli.main(['eval', '--model', 'tiny', '--tasks', 'arc_easy'])\n"
        "sys.exit(9 if 'torch' in sys.modules else code)\n"
    )
    environment = os.environ | {
        "HARNESS_ZOO": str(tiny_zoo),
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": "http://192.0.2.1:9",
        "HF_HUB_OFFLINE": "0",
    }
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    # The promise is 2 s; the bound here only tells giving up from hanging, on any machine.
    assert time.monotonic() - started < 15


def test_a_report_folder_that_cannot_be_written(harness: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = harness(
        "eval",
        "--model",
        "tiny",
        "--samples",
        "--tasks",
        "arc_easy",
        "--reports",
        str(tmp_path / "file"),
    )
    assert code == 1 and "cannot write" in err and "choose another folder" in err


def test_truncated_weights_are_refused(
    harness: Command, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    tensors = broken / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1000])
    zoo = tmp_path / "broken.yaml"
    zoo.write_text(f"models:\n  tiny: {{family: t, stage: base, source: {{path: {broken}}}}}\n")
    monkeypatch.setenv("HARNESS_ZOO", str(zoo))
    code, _, err = harness("eval", "--model", "tiny", "--samples", "--tasks", "arc_easy")
    assert code == 1 and "model.safetensors" in err and "Traceback" not in err


def test_a_prompt_longer_than_the_context_is_truncated_and_counted(
    harness: Command, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    """The tiny model's context is 512 tokens; a question of 2,000 words does not fit."""
    from tests.conftest import arc_row

    rows = [arc_row(1), arc_row(2, question="why " * 2000)]
    write_rows(tmp_path / "data/allenai/ai2_arc/ARC-Easy/test.jsonl", rows)
    code, out, _ = harness(
        "eval", "--model", "tiny", "--tasks", "arc_easy", "--data", str(tmp_path / "data"), "--json"
    )
    result = json.loads(out)["results"]["arc_easy"]
    assert code == 0 and result["truncated"] == 1 and result["unscored"] == 0


def test_a_window_longer_than_the_context_leaves_the_task_unscored(
    harness: Command, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    path = tmp_path / "data/Salesforce/wikitext/wikitext-2-raw-v1/test.jsonl"
    write_rows(path, [{"text": " Some words . \n"}] * 400)
    code, out, _ = harness(
        "eval",
        "--model",
        "tiny",
        "--tasks",
        "wikitext2_token_1024",
        "--data",
        str(tmp_path / "data"),
        "--json",
    )
    result = json.loads(out)["results"]["wikitext2_token_1024"]
    assert code == 1
    assert result["estimates"]["token_perplexity"]["value"] is None
    ((reason, count),) = result["unscored_reasons"].items()
    assert reason == "a window has 1024 tokens, the model's context 512"
    assert count == result["docs"] == result["unscored"]


def _start(
    arguments: Sequence[str], environment: dict[str, str], cwd: Path
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets its background jobs ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait_for_first_task(runs: Path, process: subprocess.Popen[str]) -> RunFolder:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for path in list_runs(runs):
            if RunFolder(path).read().results:
                return RunFolder(path)
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    raise AssertionError("no task was finished in time")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_keeps_its_finished_tasks_and_goes_on(
    how: signal.Signals, tiny_zoo: Path, tmp_path: Path
) -> None:
    environment = os.environ | {
        "HARNESS_ZOO": str(tiny_zoo),
        "HARNESS_TASKS": str(REPOSITORY / "tasks"),
        "PYTHONPATH": str(REPOSITORY),
    }
    # Generations take the longest: the signal comes while they are asked.
    process = _start(
        ["eval", "--model", "tiny", "--samples", "--tasks", "arc_easy,gsm8k,hellaswag", "--json"],
        environment,
        tmp_path,
    )
    folder = _wait_for_first_task(tmp_path / "reports" / "runs", process)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    stopped = folder.read()
    assert "arc_easy" in stopped.results and len(stopped.results) < 3
    if how is not signal.SIGKILL:
        assert process.returncode == 130
        assert f"harness eval --resume {stopped.id}" in err and "Traceback" not in err
        assert stopped.status == "interrupted"

    resumed = _start(["eval", "--resume", stopped.id, "--json"], environment, tmp_path)
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    finished: dict[str, Any] = json.loads(out)
    assert finished["id"] == stopped.id and finished["status"] == "complete"
    assert list(finished["results"]) == ["arc_easy", "gsm8k", "hellaswag"]
    kept = stopped.results["arc_easy"]
    assert (
        finished["results"]["arc_easy"]["estimates"]["acc"]["value"] == kept.estimates["acc"].value
    )


def test_a_full_disk_is_named_and_loses_no_finished_task(tiny_zoo: Path, tmp_path: Path) -> None:
    """On a file system of 160 KB: the first task fits, the second does not."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        environment = os.environ | {"HARNESS_ZOO": str(tiny_zoo), "PYTHONPATH": str(REPOSITORY)}
        process = _start(
            [
                "eval",
                "--model",
                "tiny",
                "--samples",
                "--tasks",
                "arc_easy,mmlu,hellaswag",
                "--reports",
                str(small / "reports"),
            ],
            environment | {"HARNESS_TASKS": str(REPOSITORY / "tasks")},
            tmp_path,
        )
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "the disk is full" in err and "Traceback" not in err
        (path,) = list_runs(small / "reports" / "runs")
        assert "arc_easy" in RunFolder(path).read().results
        assert "--resume" in err
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_models_folder_serves_instead_of_the_hub(
    harness: Command, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "models/Qwen/Qwen1.5-0.5B-Chat")
    monkeypatch.setenv("HARNESS_ZOO", str(REPOSITORY / "model_zoo.yaml"))
    code, out, _ = harness(
        "eval", "--model", "qwen", "--models-dir", str(tmp_path / "models"), "--samples",
        "--tasks", "arc_easy", "--limit", "3", "--json",
    )  # fmt: skip
    assert code == 0
    model = json.loads(out)["model"]
    assert model["name"] == "qwen" and "models folder" in model["source"]


def test_chat_templates_are_used_where_the_registry_says_so(
    harness: Command, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    folder = tmp_path / "chatty"
    shutil.copytree(tiny_model, folder)
    zoo = tmp_path / "chat.yaml"
    zoo.write_text(
        "models:\n  chatty:\n    family: t\n    stage: base\n    chat_template: true\n"
        f"    source: {{path: {folder}}}\n"
    )
    monkeypatch.setenv("HARNESS_ZOO", str(zoo))
    arguments = ("eval", "--model", "chatty", "--samples", "--tasks", "arc_easy", "--limit", "2")
    code, _, err = harness(*arguments)
    assert code == 1 and "has no chat template" in err and "chat_template: false" in err

    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    (folder / "chat_template.jinja").write_text(template)
    code, _, err = harness(*arguments)
    assert code == 0, err
    code, out, _ = harness("show", "last", "--task", "arc_easy", "--docs", "1")
    assert "<user>Question:" in out and "<assistant>" in out


def test_a_run_is_not_finished_under_another_registry_entry(
    harness: Command, tiny_zoo: Path, tmp_path: Path
) -> None:
    assert (
        harness("eval", "--model", "tiny", "--samples", "--tasks", "arc_easy,mmlu", "--limit", "3")[
            0
        ]
        == 0
    )
    (path,) = list_runs(tmp_path / "reports" / "runs")
    record = json.loads((path / "run.json").read_text())
    del record["results"]["mmlu"]
    record["status"] = "interrupted"
    (path / "run.json").write_text(json.dumps(record))

    entry = tiny_zoo.read_text()
    tiny_zoo.write_text(entry.replace("notes: random weights", "add_bos: true"))
    code, _, err = harness("eval", "--resume", path.name)
    assert code == 1 and "add_bos was None, is True" in err and "Start a new run" in err
    tiny_zoo.write_text(entry)
    environment = dict(record["environment"])
    record["environment"]["harness"] = "0.0.0"
    (path / "run.json").write_text(json.dumps(record))
    code, _, err = harness("eval", "--resume", path.name)
    assert code == 1 and f"harness was '0.0.0', is '{environment['harness']}'" in err
    record["environment"] = environment | {"git_commit": "b" * 40}
    (path / "run.json").write_text(json.dumps(record))
    code, _, err = harness("eval", "--resume", path.name, "--limit", "5")
    assert code == 2 and "leave out --limit" in err
    code, _, err = harness("eval", "--resume", path.name, "--num-fewshot", "0")
    assert code == 2 and "leave out --num-fewshot" in err
    code, out, err = harness("eval", "--resume", path.name, "--json")
    assert code == 0, err
    assert f"was begun with the harness at {'b' * 40}, which its record keeps" in err
    assert list(json.loads(out)["results"]) == ["arc_easy", "mmlu"]


def test_a_run_that_is_still_going_is_left_alone(harness: Command, tmp_path: Path) -> None:
    import fcntl

    assert (
        harness("eval", "--model", "tiny", "--samples", "--tasks", "arc_easy", "--limit", "2")[0]
        == 0
    )
    (path,) = list_runs(tmp_path / "reports" / "runs")
    record = (path / "run.json").read_text()
    (path / "run.json").write_text(record.replace('"status": "complete"', '"status": "running"'))
    other = os.open(path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        code, _, err = harness("eval", "--resume", path.name)
    finally:
        os.close(other)
    assert code == 1 and "still going in another process" in err


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / "runs" / "same") for _ in range(2)]
    assert [folder.create() for folder in folders] == [True, False]
