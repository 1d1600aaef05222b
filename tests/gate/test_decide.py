"""From stored runs to a verdict: what is tested, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.gate.decide import Outcome, decide, held
from harness.gate.drops import Accuracy
from harness.gate.limits import Elsewhere
from harness.gate.policy import Margin, Policy, TaskPolicy
from harness.gate.rule import levels
from harness.metrics.accuracy import mean
from harness.metrics.corpus import corpus
from harness.metrics.deviation import deviation
from harness.metrics.metric import Metric
from harness.report.gate import headline
from tests.compared import answers, stored_run
from tests.report.fixtures.runs import choice_row, ends

POINTS = Margin(0.03, "proportion")
RIGHT = [1, 0] * 250


def policy(**margins: Margin) -> Policy:
    tasks = {task: TaskPolicy(margin=margin) for task, margin in margins.items()}
    return Policy("ci", 0.05, "block", POINTS, POINTS, tasks)


def decided(
    tmp_path: Path,
    metric: Metric,
    sides: tuple[Sequence[float], Sequence[float]],
    margin: Margin,
    beside: bool = False,
) -> Outcome:
    """The outcome of one task, beside an accuracy task of equal answers if there is to be one."""
    runs = []
    for name, values in zip(("base", "model"), sides, strict=True):
        rows = {
            "task": [
                choice_row(place, True, scores={metric.name: float(value)})
                for place, value in enumerate(values)
            ],
            **({"arc_easy": answers(RIGHT)} if beside else {}),
        }
        runs.append(stored_run(tmp_path, name, rows, metrics={"task": [metric]}))
    return decide(runs[0], runs[1], policy(task=margin), Elsewhere())


STEREOTYPE = mean("pct_stereotype", higher_is_better=False)


def test_three_unchanged_docs_do_not_show_that_a_share_holds(tmp_path: Path) -> None:
    found = decided(tmp_path, STEREOTYPE, ([1, 0, 1], [1, 0, 1]), Margin(0.01, "proportion"))
    assert found.verdict == "underpowered" and found.pooled is None
    assert (found.tasks[0].state, found.tasks[0].drop) == ("open", 0.0)


def test_a_share_that_rose_and_should_fall_fails_beside_a_pool_that_holds(tmp_path: Path) -> None:
    """Every doc of 100 turned from 0 to 1; it is none of the 500 docs of the pool."""
    sides = [0] * 100, [1] * 100
    found = decided(tmp_path, STEREOTYPE, sides, Margin(0.01, "proportion"), beside=True)
    assert found.pooled is not None and found.pooled.docs == 500
    assert found.pooled.state == "holds" and found.verdict == "fail"
    drop = next(each for each in found.tasks if each.task == "task")
    assert (drop.base, drop.model, drop.drop, drop.state) == (0.0, 1.0, 1.0, "fails")


def test_a_share_that_fell_as_it_should_holds(tmp_path: Path) -> None:
    sides = [1] * 300 + [0] * 100, [0] * 300 + [0] * 100
    found = decided(tmp_path, STEREOTYPE, sides, Margin(0.01, "proportion"))
    assert found.verdict == "pass" and found.tasks[0].drop == -0.75


def test_a_drop_without_a_spread_is_not_passed_over(tmp_path: Path) -> None:
    """Every doc fell by 0.5, 0.1 is tolerated: no standard error tells how sure that is."""
    sides = [4.5, 3.5, 2.5] * 10, [4.0, 3.0, 2.0] * 10
    found = decided(tmp_path, mean("rating"), sides, Margin(0.1, "score"), beside=True)
    assert found.pooled is not None and found.pooled.state == "holds"
    assert found.verdict == "underpowered"
    assert headline(found).endswith(
        ": task: no standard error: too few docs, or nothing varies among them"
    )
    (tmp_path / "within").mkdir()
    found = decided(tmp_path / "within", mean("rating"), sides, Margin(1.0, "score"), beside=True)
    assert found.verdict == "pass"


def test_a_metric_without_a_test_is_refused_for_what_it_is(tmp_path: Path) -> None:
    """The size of a deviation, whose docs hold the signed one; texts, which a baseline lacks."""
    _, size = deviation("deviation")
    texts = corpus("f1", len, higher_is_better=True)
    signed = {"deviation": 0.5}
    for metric, of_base, of_model in ((size, signed, signed), (texts, {}, {"f1": ("7", "7")})):
        runs = []
        for name, scores in (("a", of_base), ("b", of_model)):
            rows = {"task": [choice_row(index, True, scores=scores) for index in range(5)]}
            changes = {"task": {"estimates": {metric.name: ends(0.5, 0.4, 0.6, unit="score")}}}
            metrics = {"task": [metric]}
            runs.append(stored_run(tmp_path, name, rows, metrics=metrics, changes=changes))
        with pytest.raises(RecordError) as caught:
            decide(runs[0], runs[1], policy(task=Margin(0.1, "score")), Elsewhere())
        assert "no test: the docs give the metric neither as a mean" in str(caught.value)
        assert f"'task {metric.name}: ...'" in str(caught.value)


def test_the_pool_of_one_task_is_the_task() -> None:
    """No doc of 120 changed, and passages make them 40: up to 6.3 points for both."""
    task = Accuracy("a", "acc", 0.5, 0.5, gained=0, lost=0, docs=120, margin=0.03, effect=3.0)
    pooled, (alone,) = held([task], policy(), levels(0.05, 1), ["a"])
    assert pooled is not None and pooled.high == pytest.approx(alone.high)
    assert pooled.high == pytest.approx(0.0633, abs=1e-4)
    assert (pooled.state, alone.state) == ("open", "open")
