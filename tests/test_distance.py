"""How far a model has moved, beside what a comparison pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare import StoredRun, compare_runs
from harness.distance import distances, is_unmeasured
from harness.errors import IncomparableRuns
from harness.metrics.divergence import NATS, per_token
from harness.records import Row
from harness.same_work import paired_tasks
from tests.compared import answers, stored_run
from tests.conftest import Command
from tests.report.fixtures.runs import generated_row

KL = {"divergence": [per_token("kl", NATS, higher_is_better=False)]}
RIGHT = [1, 0] * 30


def texts(*nats: float) -> list[Row]:
    return [
        generated_row(index, None, scores={"kl": (each, 10.0)}, target="")
        for index, each in enumerate(nats)
    ]


def parent_of(run: StoredRun) -> str:
    return f"{run.run.model.name} ({run.run.model.weights_id[:16]})"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "reports/runs"


@pytest.fixture
def base(runs: Path) -> StoredRun:
    """Of a model that was made from another, and held against that."""
    rows = {"arc_easy": answers(RIGHT), "divergence": texts(5.0, 6.0)}
    asked = {"divergence": {"others": {"parent": "sft (0123456789abcdef)"}}}
    return stored_run(runs, "tiny", rows, metrics=KL, changes=asked, lineage=("sft", "tiny"))


@pytest.fixture
def model(runs: Path, base: StoredRun) -> StoredRun:
    """Made from the base: 2 and 4 nats from it over ten tokens each, 0.3 a token."""
    rows = {"arc_easy": answers(RIGHT), "divergence": texts(2.0, 4.0)}
    return stored_run(
        runs,
        "other",
        rows,
        metrics=KL,
        changes={"divergence": {"others": {"parent": parent_of(base)}}},
        lineage=("sft", "tiny", "other"),
        quantization="bnb nf4",
    )


def test_what_each_measures_against_its_own_parent_is_not_paired(
    base: StoredRun, model: StoredRun
) -> None:
    assert paired_tasks(base.run, model.run) == ["arc_easy"]
    (comparison,) = compare_runs(base, [model])
    assert [each.task for each in comparison.differences] == ["arc_easy"]
    with pytest.raises(IncomparableRuns, match="parent: sft"):
        compare_runs(base, [model], ["divergence"])


def test_two_of_one_parent_are_paired(runs: Path, base: StoredRun, model: StoredRun) -> None:
    """Which of two roundings of a model moved further is a comparison like any other."""
    asked = {"divergence": {"others": {"parent": parent_of(base)}}}
    rows = {"divergence": texts(1.0, 2.0)}
    nearer = stored_run(runs, "int8", rows, metrics=KL, changes=asked)
    (comparison,) = compare_runs(model, [nearer], ["divergence"])
    (kl,) = comparison.differences
    assert kl.delta.value == pytest.approx(-0.15) and kl.delta.unit == NATS


def test_work_that_is_all_against_other_parents_is_still_refused(
    runs: Path, base: StoredRun
) -> None:
    asked = {"divergence": {"others": {"parent": parent_of(base)}}}
    alone = stored_run(runs, "int8", {"divergence": texts(1.0)}, metrics=KL, changes=asked)
    other = {"divergence": {"others": {"parent": "sft (0123456789abcdef)"}}}
    rows = {"divergence": texts(5.0)}
    of_base = stored_run(runs, "tiny", rows, metrics=KL, changes=other, id="alone")
    with pytest.raises(IncomparableRuns, match="parent: "):
        compare_runs(of_base, [alone])


def test_the_newest_measurement_of_these_very_weights_counts(
    base: StoredRun, model: StoredRun
) -> None:
    again = replace(model.run, id="later", created="2026-05-01T12:00:00+00:00")
    torn = replace(again, id="torn", status="interrupted")
    retrained = replace(again, id="else", model=replace(again.model, weights_id="f" * 64))
    runs = [torn, retrained, again, model.run, base.run]
    (found,) = distances(base.run, model.run, runs)
    assert found.run == "later" and found.docs == 2
    assert found.estimates["kl"].value == pytest.approx(0.3)
    assert not is_unmeasured(base.run, model.run, [found])


def test_a_parent_with_other_weights_is_another_base(base: StoredRun, model: StoredRun) -> None:
    moved = replace(base.run, model=replace(base.run.model, weights_id="e" * 64))
    assert distances(moved, model.run, [model.run]) == ()
    assert is_unmeasured(moved, model.run, [])
    assert not is_unmeasured(model.run, base.run, []), "the base was not made from the model"


def test_a_user_reads_both(harness: Command, runs: Path, base: StoredRun, model: StoredRun) -> None:
    code, out, err = harness("compare", "tiny", "other")
    assert code == 0, err
    assert "how far other has moved from tiny" in out.splitlines()
    assert "divergence\tkl ↓\t0.3000 (0.0000 to 1.5706)\t2" in out.splitlines()
    page = (runs.parent / "compare/tiny--other.md").read_text("utf-8")
    assert (
        "## How far other has moved from tiny" in page and "| 0.3000 (0.0000 to 1.5706) |" in page
    )


def test_a_rounded_model_without_a_measurement_is_told_how(
    harness: Command, runs: Path, base: StoredRun
) -> None:
    rows, lineage = {"arc_easy": answers(RIGHT)}, ("sft", "tiny", "other")
    stored_run(runs, "other", rows, lineage=lineage, quantization="bnb nf4")
    code, out, err = harness("compare", "tiny", "other")
    assert code == 0, err
    assert "make eval MODEL=other TASKS=divergence_wikitext2,divergence_choices" in err
    assert "how far" not in out
