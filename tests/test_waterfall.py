"""A lineage step by step: which step is named, what is left out, and the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare import StoredRun, compare_runs
from harness.difference import Difference
from harness.metrics.accuracy import mean
from harness.report.waterfall import head, named, rows
from harness.report.waterfall_figure import waterfall_svg
from harness.report.wording import ABSENT
from harness.types import Estimate
from harness.waterfall import Step, Waterfall, between, waterfall
from tests.compared import answers, stored_run
from tests.conftest import Command
from tests.report.fixtures.runs import choice_row

LINEAGE = ("tiny", "sft", "dpo", "int4")
RIGHT = [1, 0] * 100
LEARNED = [1] * 60 + RIGHT[60:]
"""30 of 200 rose: 15 points."""
BROKEN = [0] * 40 + LEARNED[40:]
"""Then 40 fell: 20 points."""


def store(runs: Path, place: int, right: Sequence[int], turned: bool = False) -> StoredRun:
    """A run of both tasks, which ``turned`` puts the other way round."""
    name = LINEAGE[place]
    rows = {"arc_easy": answers(right), "hellaswag": answers(RIGHT)}
    rows = dict(reversed(rows.items())) if turned else rows
    return stored_run(runs, name, rows, lineage=LINEAGE[: place + 1])


@pytest.fixture
def all_four(tmp_path: Path) -> list[StoredRun]:
    runs = tmp_path / "reports/runs"
    scored = (RIGHT, LEARNED, LEARNED, BROKEN)
    return [store(runs, place, right) for place, right in enumerate(scored)]


def steps_of(base: StoredRun, model: StoredRun, on_the_way: Sequence[StoredRun]) -> Waterfall:
    named = {each.run.model.name: each for each in on_the_way}
    return waterfall(base, model, named, compare_runs(base, [model])[0])


def test_the_step_that_lost_the_points_is_named(all_four: list[StoredRun]) -> None:
    """+15 points by SFT, 0 by DPO, -20 by int4; over both tasks half of that; -5 in all."""
    found = steps_of(all_four[0], all_four[3], all_four[1:3])
    assert [(step.parent, step.child) for step in found.steps] == [
        ("tiny", "sft"),
        ("sft", "dpo"),
        ("dpo", "int4"),
    ]
    values = [[each.delta.value for each in step.differences] for step in found.steps]
    assert values == [
        pytest.approx([0.15, 0.0, 0.075]),
        pytest.approx([0.0, 0.0, 0.0]),
        pytest.approx([-0.20, 0.0, -0.10]),
    ]
    assert found.family == 9
    said = named(found)
    assert said[0].startswith("arc_easy: gained by tiny to sft (+15.00 (")
    assert ", lost by dpo to int4 (−20.00 (" in said[0]
    assert said[1] == "hellaswag: no step surely moved it"


def test_a_model_without_a_run_is_skipped_and_said(all_four: list[StoredRun]) -> None:
    found = steps_of(all_four[0], all_four[3], all_four[1:2])
    assert [step.unscored for step in found.steps] == [(), ("dpo",)]
    assert rows(found)[1][0] == "sft to int4 (by way of dpo)"


def test_a_change_stands_in_its_tasks_column_whatever_the_order_of_a_run(tmp_path: Path) -> None:
    """Only arc_easy moved, by 15 points in the second step; sft was asked hellaswag first."""
    tiny, sft, dpo = (
        store(tmp_path / "reports/runs", place, right, turned=place == 1)
        for place, right in enumerate((RIGHT, RIGHT, LEARNED))
    )
    found = steps_of(tiny, dpo, [sft])
    assert head(found)[1].startswith("arc_easy\n") and head(found)[2].startswith("hellaswag\n")
    for line in rows(found)[1:]:
        assert line[1].startswith("+15.00 (") and line[2].startswith("0.00 ("), line


def test_a_task_that_a_step_lacks_is_absent_there(all_four: list[StoredRun]) -> None:
    found = steps_of(all_four[0], all_four[3], all_four[1:3])
    first = replace(found.steps[0], differences=found.steps[0].differences[1:])
    cells = rows(replace(found, steps=(first, *found.steps[1:])))
    assert cells[0][1] == ABSENT and cells[0][2:] == rows(found)[0][2:]


def test_a_step_that_moved_a_bias_score_has_changed_it(tmp_path: Path) -> None:
    bias = mean("pct_stereotype", higher_is_better=False)
    runs = [
        stored_run(
            tmp_path,
            LINEAGE[place],
            {
                "crows_pairs": [
                    choice_row(doc, True, scores={bias.name: float(doc < chosen)})
                    for doc in range(50)
                ]
            },
            metrics={"crows_pairs": [bias]},
            lineage=LINEAGE[: place + 1],
        )
        for place, chosen in enumerate((45, 5, 5))
    ]
    (said,) = named(steps_of(runs[0], runs[2], runs[1:2]))
    assert said.startswith("crows_pairs: changed by tiny to sft (−80.00 (")


def test_who_is_between(all_four: list[StoredRun]) -> None:
    tiny, sft, _, int4 = all_four
    assert between(tiny, int4) == ("sft", "dpo")
    assert between(tiny, sft) == between(int4, tiny) == between(sft, sft) == ()


def test_the_picture_shows_every_step_and_is_the_same_each_time(all_four: list[StoredRun]) -> None:
    found = steps_of(all_four[0], all_four[3], all_four[1:3])
    drawn = waterfall_svg(found)
    texts = "".join(ElementTree.fromstring(drawn).itertext())
    for text in (*LINEAGE, "arc_easy", "hellaswag", "+15.0", "−20.0"):
        assert text in texts, text
    assert drawn == waterfall_svg(found)


def test_the_picture_labels_a_step_in_its_metrics_unit() -> None:
    """0.02 bits a byte are a sure loss, and no 0.0."""

    def changed(by: float) -> Difference:
        delta = Estimate(by, by - 0.01, by + 0.01, None, 60, "bootstrap", "bits/byte", False)
        return Difference("wikitext2", "bits_per_byte", True, 0.9, 0.9 + by, delta, "bootstrap")

    steps = (
        Step("tiny", "sft", (), (changed(0.031),)),
        Step("sft", "dpo", (), (changed(-0.02),)),
    )
    drawn = waterfall_svg(Waterfall(steps, (changed(0.011),), 2))
    texts = "".join(ElementTree.fromstring(drawn).itertext())
    assert "+0.031" in texts and "−0.020" in texts


@pytest.mark.usefixtures("all_four")
def test_compare_shows_the_way_from_an_ancestor(harness: Command, tmp_path: Path) -> None:
    code, out, err = harness("compare", "tiny", "int4", "--tasks", "arc_easy")
    assert code == 0, err
    assert "step by step" in out and "lost by dpo to int4" in out.splitlines()[-1]
    page = (tmp_path / "reports/compare/tiny--int4.md").read_text()
    assert "## Step by step" in page and "(tiny--int4-steps.svg)" in page
    assert (tmp_path / "reports/compare/tiny--int4-steps.svg").exists()
    _, out, _ = harness("compare", "dpo", "int4")
    assert "step by step" not in out
