"""`harness gate` and `harness accept` as a user calls them: verdicts, exit codes, refusals."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.compare import StoredRun
from harness.difference import Difference
from harness.gate.decide import is_accuracy
from harness.gate.drops import mean_drop
from harness.gate.policy import Margin
from harness.metrics.accuracy import mean
from harness.metrics.corpus import corpus
from harness.metrics.divergence import per_token
from harness.records import Cost, DataRecord, ModelRecord, Row
from harness.speed import Look, Speed
from harness.types import Estimate
from harness.units import NATS
from tests.compared import answers, documents, stored_run
from tests.conftest import Command
from tests.report.fixtures.runs import generated_row, proportion

POLICY = """\
profiles:
  ci: {pooled: 3 points, task: 10 points}
"""
RIGHT = [1, 0] * 250
Store = Callable[..., StoredRun]
Gate = Callable[..., tuple[int, str, str]]


def lost(count: int, gained: int = 0) -> list[int]:
    """The 500 answers, of which so many fell and rose."""
    rows = list(RIGHT)
    for place in range(count):
        rows[2 * place] = 0
    for place in range(gained):
        rows[2 * place + 1] = 1
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    def make(name: str, one: Sequence[int], two: Sequence[int], **more: Any) -> StoredRun:
        rows: dict[str, Sequence[Row]] = {"arc_easy": answers(one), "hellaswag": answers(two)}
        return stored_run(tmp_path / "reports/runs", name, rows | more.pop("rows", {}), **more)

    return make


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def baseline(store: Store, harness: Command, tmp_path: Path) -> Path:
    """The model tiny, accepted as a baseline, and its run gone."""
    made = store("tiny", RIGHT, RIGHT)
    code, _, err = harness("accept", "tiny")
    assert code == 0, err
    (made.folder.path / "run.json").unlink()
    return tmp_path / "reports/baselines/tiny"


@pytest.fixture
def gate(harness: Command, policy: Path) -> Gate:
    def run(*arguments: str) -> tuple[int, str, str]:
        return harness(
            "gate", "--model", "other", "--baseline", "tiny", "--policy", str(policy), *arguments
        )

    return run


@pytest.mark.usefixtures("baseline")
@pytest.mark.parametrize(
    ("fell", "rose", "code", "said"),
    [
        (0, 0, 0, "pass: other against the baseline tiny"),
        (10, 0, 0, "pass: other against the baseline tiny"),
        (60, 0, 1, "fail: other against the baseline tiny: all accuracy tasks, arc_easy"),
        (45, 15, 3, "underpowered: other against the baseline tiny: all accuracy tasks: about"),
    ],
)
def test_the_verdict_and_its_exit_code(
    store: Store, gate: Gate, fell: int, rose: int, code: int, said: str
) -> None:
    """Of 1,000 docs: a drop of 0, 1, 6 and 3 points against a margin of 3. 60 lost of 500 are 12
    points in one task, surely more than 10 only if its lower bound is: 12 - 2.5 * 1.45 is not.
    """
    store("other", lost(fell, rose), RIGHT)
    found, out, err = gate()
    assert found == code, err
    last = out.splitlines()[-1]
    assert last.startswith(said.removesuffix(", arc_easy")), last


@pytest.mark.usefixtures("baseline")
def test_too_few_docs_may_pass_with_a_warning(
    store: Store, gate: Gate, policy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store("other", lost(45, 15), RIGHT)
    policy.write_text("underpowered: warn\n" + POLICY)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    code, out, _ = gate()
    assert code == 0
    assert "::warning title=gate::underpowered: other against the baseline tiny" in out
    assert (tmp_path / "summary.md").read_text().startswith("# Gate: underpowered\n")
    assert (tmp_path / "reports/gate.md").read_text() == (tmp_path / "summary.md").read_text()


@pytest.mark.usefixtures("baseline")
def test_a_task_that_broke_fails_alone(store: Store, gate: Gate, tmp_path: Path) -> None:
    """100 of 500 lost in one task: 20 points, surely beyond 10; JUnit says which."""
    store("other", lost(100), RIGHT)
    code, out, _ = gate("--junit", str(tmp_path / "gate.xml"))
    assert code == 1 and "surely dropped by more than tolerated" in out.splitlines()[-1]
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["all accuracy tasks primary metrics", "arc_easy acc", "verdict"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "3", "0")


@pytest.mark.usefixtures("baseline")
def test_what_can_be_seen_is_said_first(store: Store, gate: Gate) -> None:
    """1,000 docs: 3 + 2.8016 sqrt(0.1 / 1000) = 5.8 points; 0.1 (2.4865 / 0.03)^2 = 687 docs."""
    store("other", RIGHT, RIGHT)
    _, _, err = gate()
    assert err.splitlines()[0] == (
        "1,000 docs, margin 3 points: if 10% of them change, a true drop of 5.8 points fails four "
        "times in five, and a model that drops nothing needs 687 docs to pass as often"
    )


@pytest.mark.usefixtures("baseline")
def test_json_holds_the_whole_outcome(store: Store, gate: Gate) -> None:
    """45 fell and 15 rose of 1,000: a drop of 3 points at a discordance of 6%."""
    store("other", lost(45, 15), RIGHT)
    _, out, _ = gate("--json")
    told = json.loads(out)
    assert (told["verdict"], told["profile"]) == ("underpowered", "ci")
    pooled = told["pooled"]
    assert (pooled["docs"], pooled["changed"]) == (1000, 60)
    assert pooled["drop"] == pytest.approx(0.03) and pooled["low"] < 0.03 < pooled["high"]


@pytest.mark.usefixtures("baseline")
def test_a_newer_run_that_was_asked_more_is_the_one_that_counts(store: Store, gate: Gate) -> None:
    """It lost all; the older one, of the baseline's tasks alone, would pass."""
    wrong = [0] * 500
    store("other", RIGHT, RIGHT)
    newer = store(
        "other", wrong, wrong, rows={"piqa": answers(RIGHT)}, created="2026-04-01T12:00:00+00:00"
    )
    code, out, err = gate("--json")
    assert code == 1 and json.loads(out)["model_run"] == newer.run.id, err


@pytest.mark.usefixtures("baseline")
def test_an_older_run_is_taken_where_the_newest_was_asked_less_and_that_is_said(
    store: Store, gate: Gate, tmp_path: Path
) -> None:
    older = store("other", RIGHT, RIGHT, rows={"piqa": answers(RIGHT)})
    newest = stored_run(
        tmp_path / "reports/runs",
        "other",
        {"arc_easy": answers(RIGHT)},
        created="2026-04-01T12:00:00+00:00",
        weights_id="others",
    )
    code, out, err = gate("--json")
    assert code == 0 and json.loads(out)["model_run"] == older.run.id, err
    assert f"run {older.run.id} is taken; the newest, {newest.run.id}, has other weights" in err


def test_the_model_itself_is_not_tested(harness: Command, store: Store, policy: Path) -> None:
    store("tiny", RIGHT, RIGHT)
    harness("accept", "tiny")
    code, out, _ = harness("gate", "--model=tiny", "--baseline=tiny", f"--policy={policy}")
    assert code == 0
    assert out.startswith("same model: ") and len(out.splitlines()) == 1


def test_the_model_itself_is_known_where_a_metric_is_of_texts(
    harness: Command, store: Store, policy: Path
) -> None:
    """The baseline has no texts, so that what the run scored beside them decides."""
    metrics = {"gsm8k": [mean("exact_match"), corpus("f1", len, higher_is_better=True)]}
    rows = [
        generated_row(index, " 7", scores={"exact_match": 1.0, "f1": ("7", " 7")})
        for index in range(3)
    ]
    gate = ("gate", "--model=tiny", "--baseline=tiny", f"--policy={policy}")
    store("tiny", RIGHT, RIGHT, rows={"gsm8k": rows}, metrics=metrics)
    harness("accept", "tiny")
    assert harness(*gate)[1].startswith("same model: ")
    rows[0] = replace(rows[0], scores={}, unscored="no answer")
    store("tiny", RIGHT, RIGHT, rows={"gsm8k": rows}, metrics=metrics)
    assert not harness(*gate)[1].startswith("same model: ")


def test_a_macro_average_is_no_share_of_docs_under_any_filter() -> None:
    share = proportion(0.5, 10)
    assert is_accuracy("acc", share) and is_accuracy("exact_match,strict-match", share)
    assert not is_accuracy("acc_macro", share)
    assert not is_accuracy("exact_match,strict-match_macro", share)


def test_a_baseline_holds_no_text(store: Store, harness: Command, tmp_path: Path) -> None:
    """Neither prompts nor answers nor the folders of this machine."""
    made = store("tiny", RIGHT, RIGHT, rows={"wikitext2": documents([-30.0, -40.0])})
    told = made.run
    settings = replace(told.settings, data="/home/me/data")
    made.folder.write(replace(told, command="harness eval --data /home/me", settings=settings))
    harness("accept", "tiny")
    rows = [row for task in told.results for row in made.folder.rows(task)]
    texts = {text for row in rows for text in (row.prompt, row.target, *row.continuations)}
    files = [path for path in (tmp_path / "reports/baselines").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        "run.json", "history.jsonl", "arc_easy.jsonl", "hellaswag.jsonl", "wikitext2.jsonl"
    }  # fmt: skip
    for path in files:
        content = path.read_text()
        assert "/home/me" not in content
        assert not any(text and len(text) > 8 and text in content for text in texts), path


def test_a_baseline_falls_only_with_a_reason(
    store: Store, harness: Command, tmp_path: Path
) -> None:
    first = store("tiny", RIGHT, RIGHT)
    assert harness("accept", "tiny")[0] == 0
    second = store("tiny", lost(1), RIGHT, created="2026-03-02T12:00:00+00:00")
    code, out, err = harness("accept", "tiny")
    assert code == 2 and "arc_easy\tacc\t50.0 -> 49.8\t500 -> 500 docs" in out
    assert "(arc_easy: the figure falls); say why it may be: --lower" in err
    assert harness("accept", "tiny", "--lower", "a bug in the old prompts")[0] == 0
    history = (tmp_path / "reports/baselines/tiny/history.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in history]
    assert [entry["run"] for entry in entries] == [first.run.id, second.run.id]
    assert [entry["lower_because"] for entry in entries] == [None, "a bug in the old prompts"]
    assert entries[1]["replaced"] == first.run.id
    store("tiny", RIGHT, RIGHT, created="2026-03-03T12:00:00+00:00")
    assert harness("accept", "tiny")[0] == 0, "a rise needs no reason"
    assert [path.name for path in (tmp_path / "reports/baselines").iterdir()] == ["tiny"]


@pytest.mark.usefixtures("baseline")
@pytest.mark.parametrize(
    ("changes", "policy_adds", "said"),
    [
        ({"version": "2"}, "", "version"),
        ({"num_fewshot": 5}, "", "examples in the prompt"),
        ({}, "tasks: {arc_esay: {margin: 1 points}}\n", "unknown task 'arc_esay'"),
        ({}, "tasks: {arc_easy: {metric: f1}}\n", "unknown metric 'f1'"),
        (
            {},
            "tasks: {arc_easy: {margin: 1 perplexity}}\n",
            "arc_easy is in perplexity, and acc is",
        ),
    ],
)
def test_wrong_use_is_refused(
    store: Store, gate: Gate, policy: Path, changes: Mapping[str, Any], policy_adds: str, said: str
) -> None:
    store("other", RIGHT, RIGHT, changes={"arc_easy": changes})
    policy.write_text(policy_adds + POLICY)
    code, _, err = gate()
    assert code in (1, 2) and said in err, err


@pytest.mark.usefixtures("baseline")
def test_other_docs_and_prompts_are_refused(store: Store, gate: Gate) -> None:
    others = {"hellaswag": answers(RIGHT, start=500)}
    store("other", RIGHT, RIGHT, rows=others)
    code, _, err = gate()
    assert code in (1, 2) and "docs" in err


def test_docs_that_nobody_scored_are_refused(store: Store, harness: Command, gate: Gate) -> None:
    silent = [replace(row, scores={}, unscored="no answer") for row in answers(RIGHT)]
    store("tiny", RIGHT, RIGHT, rows={"hellaswag": silent})
    harness("accept", "tiny")
    store("other", RIGHT, RIGHT, rows={"hellaswag": silent})
    code, _, err = gate()
    assert code == 1 and "hellaswag: no doc was scored on both sides" in err


def test_a_margin_that_so_few_docs_cannot_show_is_refused(
    harness: Command, tmp_path: Path, gate: Gate
) -> None:
    """40 docs, every answer the same: 2.706 / 42.706 = 6.3 points; 3 takes 88 docs."""
    for name in ("tiny", "other"):
        stored_run(tmp_path / "reports/runs", name, {"arc_easy": answers([1, 0] * 20)})
    harness("accept", "tiny")
    code, _, err = gate()
    assert code == 2 and "40 docs cannot show that a drop stays within 3 points" in err
    assert "that takes 88" in err


@pytest.mark.usefixtures("baseline")
def test_costs_and_divergence_have_limits(store: Store, gate: Gate, policy: Path) -> None:
    policy.write_text(POLICY + "limits: {memory: 1.0 times, disk: 1.1 times}\n")
    store("other", RIGHT, RIGHT, memory_bytes=400_000_000)
    code, out, _ = gate()
    assert code == 1 and "beyond its limit: memory" in out.splitlines()[-1]
    assert "disk: 1, within its limit of 1.1 times" in out


@pytest.mark.parametrize("served", ["tiny", "other"])
def test_weights_that_are_not_here_have_no_size(
    harness: Command, store: Store, gate: Gate, policy: Path, served: str
) -> None:
    policy.write_text(POLICY + "limits: {disk: 1.1 times}\n")
    for name in ("tiny", "other"):
        store(name, RIGHT, RIGHT, **({"disk_bytes": 0} if name == served else {}))
    harness("accept", "tiny")
    code, _, err = gate()
    assert code == 1 and f"was not measured in the whole of run 2026-03-01-{served}" in err
    assert "take the limit out of the policy" in err


def test_peak_memory_is_of_the_tasks_that_both_were_asked(
    store: Store, harness: Command, gate: Gate, policy: Path
) -> None:
    """What the model alone was asked took twice as much, or was answered from the journal."""
    policy.write_text(POLICY + "limits: {peak memory: 1.1 times}\n")
    store("tiny", RIGHT, RIGHT)
    harness("accept", "tiny")
    for cost in (Cost(1.0, 1, 0, 1_824_000_000), Cost(1.0, 1, 0, 1_000, stored=3)):
        changes = {"piqa": {"cost": cost}}
        store("other", RIGHT, RIGHT, rows={"piqa": answers(RIGHT)}, changes=changes)
        code, out, err = gate()
        assert code == 0 and "peak memory: 1, within its limit of 1.1 times" in out, err


@pytest.mark.usefixtures("baseline")
def test_speed_is_held_against_the_baselines_in_one_probe(
    store: Store, gate: Gate, policy: Path, tmp_path: Path
) -> None:
    """Rounds at 100 and 70, 120 and 60, 80 and 64 tokens a second: 0.7, 0.5 and 0.8 times."""
    policy.write_text(POLICY + "limits: {speed: 0.6 times}\n")
    other = store("other", RIGHT, RIGHT).run.model
    code, _, err = gate()
    assert code == 1 and "harness speed tiny other" in err
    base = store("tiny", RIGHT, RIGHT).run.model

    def probe(decode: Sequence[float], model: ModelRecord) -> Speed:
        looks = [Look(1.0, 500.0, each, 0.1, None, None, 10, "bfloat16", "cpu") for each in decode]
        return Speed(model.name, model.weights_id, tuple(looks), 1.0, 1.0)

    found = [probe((100, 120, 80), base), probe((70, 60, 64), other)]
    (tmp_path / "reports/speed.json").write_bytes(msgspec.json.encode(found))
    code, out, _ = gate()
    assert code == 0 and "speed: 0.7, within its limit of 0.6 times" in out
    policy.write_text(POLICY + "limits: {speed: 0.75 times}\n")
    code, out, _ = gate()
    assert code == 1 and "beyond its limit: speed" in out


def test_what_each_measured_against_its_own_parent_is_not_gated_and_said(
    store: Store, harness: Command, gate: Gate, policy: Path
) -> None:
    """Nor can a policy gate it: then nothing would ever be tested."""
    texts = [generated_row(0, None, scores={"kl": (1.0, 10.0)}, target="")]
    more = {
        "rows": {"divergence": texts},
        "metrics": {"divergence": [per_token("kl", NATS, higher_is_better=False)]},
    }
    for name, parent in (("tiny", "smol (00)"), ("other", "tiny (11)")):
        store(name, RIGHT, RIGHT, changes={"divergence": {"others": {"parent": parent}}}, **more)
        if name == "tiny":
            harness("accept", "tiny")
    code, out, _ = gate()
    assert code == 0 and "divergence is not gated: each was held against a parent of its own" in out
    policy.write_text(POLICY + "tasks: {divergence: {metric: kl, margin: 0.1 nats/token}}\n")
    code, _, err = gate()
    assert code == 2 and "the policy gates divergence" in err and "under limits" in err


def test_a_divergence_from_the_baseline_may_stand_in_another_run(
    store: Store, harness: Command, gate: Gate, policy: Path, tmp_path: Path
) -> None:
    """0.1 nats a token from the baseline; one from another parent is no answer to the question, nor
    is one on the shipped samples, in another dtype or in a chat template, though it be newer.
    """
    base = store("tiny", RIGHT, RIGHT).run.model
    harness("accept", "tiny")
    store("other", RIGHT, RIGHT)
    policy.write_text(POLICY + "limits: {divergence kl: 0.2 nats/token}\n")
    metrics = {"divergence": [per_token("kl", NATS, higher_is_better=False)]}
    tiny = f"tiny ({base.weights_id[:16]})"
    cases: list[tuple[int, str, float, dict[str, Any], dict[str, Any]]] = [
        (2, "smol (00)", 1.0, {}, {}),
        (0, tiny, 1.0, {}, {}),
        (0, tiny, 9.0, {"origin": "samples"}, {}),
        (0, tiny, 9.0, {}, {"dtype": "float32"}),
        (0, tiny, 9.0, {}, {"chat_template": True}),
    ]
    for month, (code, parent, nats, of_task, of_run) in enumerate(cases, 5):
        stored_run(
            tmp_path / "reports/runs",
            "other",
            {"divergence": [generated_row(0, None, scores={"kl": (nats, 10.0)}, target="")]},
            metrics=metrics,
            changes={"divergence": {"others": {"parent": parent}, **of_task}},
            created=f"2026-{month:02}-01T12:00:00+00:00",
            **of_run,
        )
        assert gate()[0] == code, (of_task, of_run)
    assert f"divergence kl from {tiny}: 0.1 (run 2026-06-01-other, docs: 1), within" in gate()[1]


def test_a_limit_that_only_another_kind_of_run_has_measured_is_named(
    store: Store, harness: Command, gate: Gate, policy: Path, tmp_path: Path
) -> None:
    base = store("tiny", RIGHT, RIGHT).run.model
    harness("accept", "tiny")
    store("other", RIGHT, RIGHT)
    policy.write_text(POLICY + "limits: {divergence kl: 0.2 nats/token}\n")
    stored_run(
        tmp_path / "reports/runs",
        "other",
        {"divergence": [generated_row(0, None, scores={"kl": (1.0, 10.0)}, target="")]},
        metrics={"divergence": [per_token("kl", NATS, higher_is_better=False)]},
        changes={"divergence": {"others": {"parent": f"tiny ({base.weights_id[:16]})"}}},
        created="2026-06-01T12:00:00+00:00",
        dtype="float32",
    )
    code, _, err = gate()
    assert code == 1
    assert "in another dtype or chat template" in err and "unknown task" not in err


def test_few_passages_leave_few_degrees_of_freedom() -> None:
    """A drop of 1 with a standard error of 0.4: of 20 docs surely beyond 0.1, of two passages, with
    one degree of freedom and t = 6.3 instead of 1.7, not.
    """
    estimate = Estimate(-1.0, None, None, 0.4, 20, "", "perplexity", True)
    made = Difference("w", "p", True, 20.0, 19.0, estimate, "", freedom=19)
    margin = Margin(0.1, "perplexity")
    assert mean_drop(made, margin, 1.645, 1.645).state == "fails"
    assert mean_drop(replace(made, freedom=1), margin, 1.645, 1.645).state == "open"


def test_questions_asked_in_two_ways_are_pooled_once(
    harness: Command, tmp_path: Path, gate: Gate
) -> None:
    data = [DataRecord("allenai/ai2_arc", "ARC-Easy", "mirror", {"test.jsonl": "ab" * 32})]
    for name in ("tiny", "other"):
        rows = {"arc_easy": answers(RIGHT), "arc_easy_answer": answers(RIGHT)}
        changes = {task: {"data": data} for task in rows}
        stored_run(tmp_path / "reports/runs", name, rows, changes=changes)
    harness("accept", "tiny")
    code, out, err = gate("--json")
    assert code == 0, err
    assert json.loads(out)["pooled"]["docs"] == len(RIGHT)


def test_a_drop_in_another_split_of_a_data_set_reaches_the_pool(
    harness: Command, tmp_path: Path, gate: Gate
) -> None:
    """45 of 500 docs fell in the second split alone: 4.5 points of all 1,000, beyond 3."""
    data = [DataRecord("facebook/anli", None, "hub", {}, "ab" * 20)]
    for name, right in (("tiny", RIGHT), ("other", lost(45))):
        rows = {"anli_r1": answers(RIGHT), "anli_r2": answers(right, start=500)}
        changes = {task: {"data": data} for task in rows}
        stored_run(tmp_path / "reports/runs", name, rows, changes=changes)
    harness("accept", "tiny")
    code, out, err = gate("--json")
    pooled = json.loads(out)["pooled"]
    assert code == 1 and (pooled["docs"], pooled["state"]) == (1000, "fails"), err
    assert err.startswith("1,000 docs, margin 3 points: ")


def test_docs_of_one_passage_are_not_so_many_docs(
    harness: Command, tmp_path: Path, gate: Gate
) -> None:
    """150 of 1,000 docs fell. As 1,000 docs that is surely more than the margins; as 20 passages,
    of which three fell whole, it is not.
    """
    for shared, verdict in ((False, 1), (True, 3)):
        for name, right in (("tiny", [1] * 1000), ("other", [0] * 150 + [1] * 850)):
            rows = [
                replace(row, cluster=f"passage {row.index // 50}" if shared else None)
                for row in answers(right)
            ]
            created = f"2026-0{4 + shared}-01T12:00:00+00:00"
            stored_run(tmp_path / "reports/runs", name, {"arc_easy": rows}, created=created)
        harness("accept", "tiny")
        assert gate()[0] == verdict


def test_a_perplexity_is_gated_by_its_own_margin(
    store: Store, harness: Command, gate: Gate, policy: Path
) -> None:
    """exp(3) = 20.09 to exp(3.1) = 22.2: 2.1 more, against 0.5 and 5; without a margin it is not
    gated, and that is said.
    """
    nats = [-30.0 + 0.01 * place for place in range(50)]
    store("tiny", RIGHT, RIGHT, rows={"wikitext2": documents(nats)})
    harness("accept", "tiny")
    store("other", RIGHT, RIGHT, rows={"wikitext2": documents([each - 1 for each in nats])})
    code, out, _ = gate()
    assert code == 0
    assert "note: wikitext2 is not gated: the policy has no margin for it, in perplexity" in out
    for margin, expected in (("0.5", 1), ("5", 0)):
        policy.write_text(POLICY + f"tasks: {{wikitext2: {{margin: {margin} perplexity}}}}\n")
        assert gate()[0] == expected, margin


def test_unknown_baselines_and_damaged_ones_are_named(
    store: Store, harness: Command, gate: Gate, tmp_path: Path
) -> None:
    store("other", RIGHT, RIGHT)
    code, _, err = gate()
    assert code == 2 and "make accept-baseline MODEL=tiny" in err
    harness("accept", "other")
    code, _, err = gate()
    assert code == 2 and "unknown baseline 'tiny'" in err
    record = tmp_path / "reports/baselines/other/run.json"
    whole = record.read_text()
    for content, said in (
        (whole[: len(whole) // 2], "is not a readable run"),
        (
            whole.replace('"schema": 1', '"schema": 0'),
            "schema 0, this version of the harness reads",
        ),
    ):
        record.write_text(content)
        code, _, err = gate("--baseline", "other")
        assert code == 1 and said in err, err
    record.write_text(whole)
    rows = tmp_path / "reports/baselines/other/docs/arc_easy.jsonl"
    rows.write_text(rows.read_text()[:-30])
    store("tiny", RIGHT, RIGHT)
    code, _, err = gate("--baseline", "other", "--model", "tiny")
    assert code == 1 and "arc_easy.jsonl, line 500" in err
    assert "The baseline is damaged. Restore it (git checkout -- " in err
    code, _, err = harness("gate", "--model", "tiny", "--basline", "other")
    assert code == 2 and "unknown option --basline: did you mean '--baseline'" in err


@pytest.mark.parametrize("option", ["--data", "--models-dir"])
def test_a_folder_that_nothing_is_read_from_is_refused(harness: Command, option: str) -> None:
    code, _, err = harness("gate", "--model", "tiny", "--baseline", "other", option, "/nosuch")
    assert code == 2 and f"{option}: only --sequential asks the model" in err


@pytest.mark.usefixtures("baseline")
def test_a_model_does_not_pass_by_not_answering(store: Store, gate: Gate) -> None:
    """Of 500 docs 400 have no score: 200 of them were right, 20 points of 1,000."""
    mute = [
        replace(row, scores={}, unscored="is not a finite number") if row.index < 400 else row
        for row in answers(RIGHT)
    ]
    store("other", RIGHT, RIGHT, rows={"arc_easy": mute})
    code, out, _ = gate("--json")
    told = json.loads(out)
    assert code == 1 and told["verdict"] == "fail"
    assert told["pooled"]["drop"] == pytest.approx(0.2) and told["pooled"]["docs"] == 1000
    assert told["notes"] == [
        "arc_easy: 400 docs that the baseline scored have no score now, and count as wrong"
    ]


@pytest.mark.usefixtures("baseline")
def test_the_same_weights_with_other_scores_are_tested(
    harness: Command, store: Store, policy: Path
) -> None:
    """What changed is then not the model: the harness, or the machine."""
    store("tiny", lost(60), RIGHT)
    code, out, _ = harness("gate", "--model=tiny", "--baseline=tiny", f"--policy={policy}")
    assert code == 1 and out.splitlines()[-1].startswith("fail: ")


@pytest.mark.usefixtures("baseline")
def test_a_divergence_is_limited_where_only_the_model_was_asked(
    store: Store, gate: Gate, policy: Path
) -> None:
    nats = [replace(row, scores={"kl": (0.3 * 10, 10.0)}) for row in documents([-30.0] * 5)]
    metrics = {"divergence": [per_token("kl", "nats/token", higher_is_better=False)]}
    store("other", RIGHT, RIGHT, rows={"divergence": nats}, metrics=metrics)
    for limit, expected in (("0.2", 1), ("0.4", 0)):
        policy.write_text(POLICY + f"limits: {{divergence kl: {limit} nats/token}}\n")
        code, out, err = gate()
        assert code == expected, err
    assert "divergence kl: 0.3, within its limit of 0.4 nats/token" in out
    policy.write_text(POLICY + "limits: {divergense kl: 0.2 nats/token}\n")
    code, _, err = gate()
    assert code == 2 and "did you mean 'divergence'" in err


@pytest.mark.usefixtures("baseline")
def test_json_stays_json_under_github(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    store("other", RIGHT, RIGHT)
    _, out, err = gate("--json")
    assert json.loads(out)["verdict"] == "pass" and "::notice title=gate::" in err


def test_a_baseline_of_fewer_docs_is_weaker(store: Store, harness: Command) -> None:
    store("tiny", RIGHT, RIGHT)
    harness("accept", "tiny")
    store("tiny", [1] * 20, RIGHT, created="2026-03-02T12:00:00+00:00")
    code, _, err = harness("accept", "tiny")
    assert code == 2 and "arc_easy: it was asked 20 docs instead of 500" in err


def test_an_acceptance_that_was_cut_short_is_mended(
    store: Store, harness: Command, tmp_path: Path
) -> None:
    """Between the two renames the old baseline lies aside: it comes back, with its history."""
    store("tiny", RIGHT, RIGHT)
    harness("accept", "tiny")
    place = tmp_path / "reports/baselines/tiny"
    place.rename(place.with_name(".tiny.old"))
    store("tiny", lost(1), RIGHT, created="2026-03-02T12:00:00+00:00")
    code, _, err = harness("accept", "tiny")
    assert code == 2 and "the figure falls" in err
    assert place.is_dir() and not place.with_name(".tiny.old").exists()
