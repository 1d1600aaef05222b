"""The gate in several looks: asked in random order, stopped when sure, on a real tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.gate.simulation import Scene, looked_at, shares_of

TASKS = ("--tasks", "arc_easy,hellaswag", "--samples")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text("profiles:\n  ci: {pooled: 3 points, task: 10 points}\n")
    return path


@pytest.fixture
def baseline(harness: Command, two_roots: Path) -> None:
    code, _, err = harness("eval", "--model", "tiny", *TASKS)
    assert code == 0, err
    assert harness("accept", "tiny")[0] == 0


@pytest.mark.usefixtures("baseline")
def test_it_asks_more_until_the_verdict_is_sure(
    harness: Command, policy: Path, tmp_path: Path
) -> None:
    """The looks rise; the last one says what the whole run would, by levels that are hardly
    stricter; and what was asked is in the journal: the whole run asks the rest only.
    """
    gate = ("gate", "--model", "other", "--baseline", "tiny", "--policy", str(policy))
    code, out, err = harness(*gate, "--sequential", "--json")
    told = json.loads(out)
    assert code == {"pass": 0, "fail": 1, "underpowered": 3}[told["verdict"]], err
    looks = [line for line in err.splitlines() if " docs: " in line]
    asked = [int(line.split()[0]) for line in looks]
    assert asked == sorted(asked) and asked[-1] == round(told["asked"] * 180)
    assert all(line.endswith("not sure yet") for line in looks[:-1])
    assert told["pooled"]["docs"] == asked[-1]
    code, out, err = harness("eval", "--model", "other", *TASKS, "--json")
    stored = sum(each["cost"]["stored"] for each in json.loads(out)["results"].values())
    assert code == 0 and stored == asked[-1] * 4


@pytest.mark.usefixtures("baseline")
def test_nothing_is_asked_of_the_model_itself(harness: Command, policy: Path) -> None:
    code, out, err = harness(
        "gate", "--model=tiny", "--baseline=tiny", f"--policy={policy}", "--sequential"
    )
    assert code == 0 and out.startswith("same model: "), err
    assert " docs: " not in err


@pytest.mark.usefixtures("baseline")
def test_a_baseline_alone_sends_no_key_to_an_address(
    harness: Command, policy: Path, tmp_path: Path
) -> None:
    (path,) = (tmp_path / "reports/baselines/tiny").glob("run.json")
    record = json.loads(path.read_text("utf-8"))
    record["settings"] |= {"backend": "lm_eval", "lm_eval_args": "base_url=http://h/v1"}
    path.write_text(json.dumps(record), "utf-8")
    code, _, err = harness(
        "gate", "--model=other", "--baseline=tiny", f"--policy={policy}", "--sequential"
    )
    assert code == 2 and "the baseline tiny was asked of lm-eval's class hf with arguments" in err


def test_other_prompts_than_the_baselines_are_refused(
    harness: Command, policy: Path, tmp_path: Path, two_roots: Path
) -> None:
    harness("eval", "--model", "tiny", *TASKS)
    harness("accept", "tiny")
    rows = tmp_path / "reports/baselines/tiny/docs/arc_easy.jsonl"
    rows.write_text(rows.read_text().replace('"request_digest":"', '"request_digest":"x'))
    code, _, err = harness(
        "gate", "--model=other", "--baseline=tiny", f"--policy={policy}", "--sequential"
    )
    assert code in (1, 2) and "arc_easy: 6 of 6 docs or prompts are not the baseline's" in err


@pytest.mark.usefixtures("baseline")
@pytest.mark.parametrize(
    ("adds", "said"),
    [
        ("tasks: {arc_easy: {margin: 1 perplexity}}\n", "the policy bounds arc_easy, which only"),
        (
            "tasks: {hellaswag: {metric: acc_macro, margin: 1 points}}\n",
            "the policy bounds hellaswag, which only",
        ),
        ("limits: {peak memory: 1 times}\n", "the policy bounds peak memory, which only"),
        ("limits: {memory: 0.5 times}\n", "beyond its limit: memory"),
    ],
)
def test_bounds_are_kept_or_refused(
    harness: Command, policy: Path, tmp_path: Path, adds: str, said: str
) -> None:
    path = tmp_path / "reports/baselines/tiny/run.json"
    record = json.loads(path.read_text())
    estimates = record["results"]["hellaswag"]["estimates"]
    estimates["acc_macro"] = estimates["acc"]
    path.write_text(json.dumps(record))
    policy.write_text(policy.read_text() + adds)
    code, out, err = harness(
        "gate", "--model=other", "--baseline=tiny", f"--policy={policy}", "--sequential"
    )
    assert code in (1, 2) and said in out + err


@pytest.mark.parametrize("discordance", [0.05, 0.10, 0.20])
def test_looking_early_cries_wolf_no_oftener(discordance: float) -> None:
    """At the margin itself: 5% at most, within three standard errors of 4,000 runs."""
    found = looked_at(Scene("", discordance, (0.005,) * 4), 4_000)
    assert found.fails < 0.05 + 3 * (0.05 * 0.95 / 4_000) ** 0.5
    assert found.passes < 0.055 + 3 * (0.05 * 0.95 / 4_000) ** 0.5


@pytest.mark.parametrize(
    ("scene", "asked"),
    [(Scene("", 0.0, (0.0,) * 4), 0.21), (Scene("", 0.05, (0.03,) * 4), 0.21)],
    ids=["equal answers", "a drop of three points"],
)
def test_a_fifth_of_the_docs_is_enough_where_it_is_clear(scene: Scene, asked: float) -> None:
    """And the verdict is that of the whole run."""
    found, whole = looked_at(scene, 1_000), shares_of(scene, 1_000)
    assert found.asked < asked
    assert found.fails == pytest.approx(whole.fails, abs=0.02)
    assert found.passes == pytest.approx(whole.passes, abs=0.02)
