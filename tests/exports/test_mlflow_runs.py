"""Runs as MLflow's: what is logged, and, where MLflow is installed, a real SQLite store."""

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, StorageError
from harness.exports.mlflow_runs import KEY, as_logged, log_runs
from tests.exports.stored import ARC, complete, hostile, written
from tests.report.fixtures.runs import result, run


def test_what_is_logged() -> None:
    found = as_logged(complete())
    assert found.name == complete().id
    assert found.metrics == {
        "arc_easy/acc": 0.5,
        "arc_easy/acc.low": 0.4,
        "arc_easy/acc.high": 0.6,
        "mmlu/acc": 0.55,
        "mmlu/acc.low": 0.45,
        "mmlu/acc.high": 0.65,
        "gsm8k/exact_match.strict-match": 0.25,
        "gsm8k/exact_match.strict-match.low": 0.0625,
        "gsm8k/exact_match.strict-match.high": 0.5,
        "wikitext2/word_perplexity": 7.5,
        "wikitext2/word_perplexity.low": 6.0,
        "wikitext2/word_perplexity.high": 9.0,
    }
    assert found.params["model"] == "smol" and found.params["suite"] == "card"
    assert "limit" not in found.params  # none was asked for: no 0, no "None"
    assert found.tags["lineup.weights_id"] == complete().model.weights_id
    assert found.tags["lineup.run"] == complete().id
    assert found.tags["lineup.on_samples"] == "true"


@pytest.mark.parametrize("task", ["..", "", "a/../b", "x" * 400, "=cmd|'", "lm-eval:piqa", "ü"])
def test_names_are_valid_in_mlflow(task: str) -> None:
    names = as_logged(run("smol", [result(task, ARC)])).metrics
    assert len(names) == 3
    for name in names:
        first, second = name.split("/")
        assert set(first) - {"."} and not first.startswith("..") and second.startswith("acc")
        assert len(name) < 250 and not set(name) & set("=|',")


@pytest.mark.parametrize(
    ("one", "other"), [("a+b", "a.b"), ("x" * 100 + "1", "x" * 100 + "2"), ("a+b", "a&b")]
)
def test_tasks_whose_names_would_be_one_have_metrics_of_their_own(one: str, other: str) -> None:
    found = as_logged(run("s", [result(one, ARC), result(other, replace(ARC, value=0.25))])).metrics
    assert len(found) == 6
    assert sorted(value for name, value in found.items() if "acc-" in name) == [0.25, 0.5]
    alone = as_logged(run("s", [result(other, ARC), result("c", ARC)])).metrics
    assert all(not name.endswith("-") and "acc-" not in name for name in alone)


def test_no_number_is_no_metric() -> None:
    assert as_logged(run("smol", [result("t", replace(ARC, value=math.nan))])).metrics == {
        "t/acc.low": 0.4,
        "t/acc.high": 0.6,
    }


def test_without_mlflow_the_install_line_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match=r"pip install .* -e '\.\[mlflow\]'"):
        log_runs([], str(tmp_path / "m.db"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new SQLite store; skipped where MLflow is not installed."""
    for name in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(name)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return str(tmp_path / "mlflow.db")


def logged(store: str, experiment: str = "lineup") -> tuple[Any, list[Any]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    found = client.get_experiment_by_name(experiment)
    return client, client.search_runs([found.experiment_id])


def test_a_run_is_logged_once(store: str, tmp_path: Path) -> None:
    made, other = written(tmp_path / "runs"), hostile(tmp_path / "runs")
    assert log_runs([made], store).logged == (made.run.id,)
    outcome = log_runs([other, made], store)
    assert outcome.logged == (other.run.id,) and outcome.before == (made.run.id,)
    client, runs = logged(store)
    assert len(runs) == 2
    by_id = {each.data.tags["lineup.run"]: each for each in runs}
    mine = by_id[made.run.id]
    assert mine.data.metrics == as_logged(made.run).metrics
    assert mine.data.params == as_logged(made.run).params
    assert mine.info.status == "FINISHED" and mine.info.run_name == made.run.id
    assert mine.info.start_time == 1772366400000  # 2026-03-01 12:00 UTC
    # 1.4 s of loading and 0.21 s for each of 100 + 100 + 4 + 2 docs.
    assert mine.info.end_time - mine.info.start_time == pytest.approx(1400 + 206 * 210, abs=1)
    assert by_id[other.run.id].data.params["model"] == other.run.model.name
    (artifact,) = client.list_artifacts(mine.info.run_id)
    record = Path(client.download_artifacts(mine.info.run_id, artifact.path, str(tmp_path)))
    assert json.loads(record.read_text())["id"] == made.run.id
    assert (tmp_path / "mlflow-artifacts").is_dir()


def test_a_run_that_was_not_logged_whole_is_logged_again(store: str, tmp_path: Path) -> None:
    made = written(tmp_path / "runs")
    record = made.folder.path / "run.json"
    text = record.read_bytes()
    record.unlink()
    with pytest.raises(StorageError, match=r"MLflow cannot log to .*mlflow\.db"):
        log_runs([made], store)
    record.write_bytes(text)
    assert log_runs([made], store).logged == (made.run.id,)
    _, runs = logged(store)
    assert sorted((each.info.status, KEY in each.data.tags) for each in runs) == [
        ("FAILED", False),
        ("FINISHED", True),
    ]


def test_the_experiment_is_mlflows_own_variable(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    log_runs([written(tmp_path / "runs")], store)
    assert len(logged(store, "mine")[1]) == 1


def test_a_file_that_is_no_database_is_said(store: str, tmp_path: Path) -> None:
    Path(store).write_text("a text\n" * 200)
    with pytest.raises(StorageError, match="file is not a database"):
        log_runs([written(tmp_path / "runs")], store)
    with pytest.raises(StorageError, match=r"cannot write .*none"):
        log_runs([], str(tmp_path / "none" / "m.db"))
