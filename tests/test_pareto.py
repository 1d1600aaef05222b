"""Quality against cost: who is on the frontier, and the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness.compare import compare_runs
from harness.metrics.accuracy import mean
from harness.pareto import Pareto, frontier, pareto
from harness.report.pareto_figure import pareto_svg
from tests.compared import answers, documents, stored_run
from tests.conftest import Command
from tests.report.fixtures.runs import choice_row

RIGHT = [1, 0] * 50
LOST = [0] * 20 + RIGHT[20:]


def test_the_frontier_by_hand() -> None:
    """Of (cost, quality): (4, 9) and (1, 5) are beaten by none; (2, 5) costs more than (1, 5) for
    the same, (3, 4) is worse than (1, 5) in both. Equal points are both on it.
    """
    assert frontier([(4, 9), (1, 5), (2, 5), (3, 4)]) == [0, 1]
    assert frontier([(1, 5), (1, 5)]) == [0, 1]
    assert frontier([]) == []


def made(tmp_path: Path, decode: dict[str, float] | None = None) -> Pareto:
    """A base, an equal model of half its size, and a worse one of a quarter."""
    runs = tmp_path / "reports/runs"
    base, half, quarter = (
        stored_run(runs, name, {"arc_easy": answers(right)}, memory_bytes=size)
        for name, right, size in (
            ("tiny", RIGHT, 400_000_000),
            ("half", RIGHT, 200_000_000),
            ("quarter", LOST, 100_000_000),
        )
    )
    found = pareto(base, [half, quarter], compare_runs(base, [half, quarter]), decode or {})
    assert found is not None
    return found


def test_changes_are_paired_and_from_the_base(tmp_path: Path) -> None:
    """10 of 100 fell: 10 points."""
    found = made(tmp_path)
    assert [(point.model, point.change) for point in found.points] == [
        ("tiny", 0.0),
        ("half", 0.0),
        ("quarter", pytest.approx(-0.10)),
    ]
    low, high = found.points[2].interval
    assert low is not None and high is not None and low < -0.10 < high < 0


def test_the_picture_names_every_model_and_the_costs_that_are_known(tmp_path: Path) -> None:
    drawn = pareto_svg(made(tmp_path))
    assert drawn is not None
    texts = "".join(ElementTree.fromstring(drawn).itertext())
    assert all(name in texts for name in ("tiny", "half", "quarter", "weights in memory, MB"))
    assert "milliseconds" not in texts


def test_a_lower_perplexity_is_higher_quality(tmp_path: Path) -> None:
    """The model's perplexities are lower: its change and the interval's middle are positive."""
    runs = tmp_path / "reports/runs"
    nats = [-30.0 - 0.1 * place for place in range(20)]
    base = stored_run(runs, "tiny", {"wikitext2": documents(nats)})
    model = stored_run(runs, "other", {"wikitext2": documents([each + 1 for each in nats])})
    found = pareto(base, [model], compare_runs(base, [model]), {})
    assert found is not None
    point = found.points[1]
    low, high = point.interval
    assert low is not None and high is not None and 0 < low < point.change < high


def test_several_tasks_that_cannot_be_pooled_have_no_quality(tmp_path: Path) -> None:
    runs = tmp_path / "reports/runs"
    rows = {"wikitext2": documents([-30.0, -31.0]), "arc_easy": answers(RIGHT)}
    base, model = (stored_run(runs, name, rows) for name in ("tiny", "other"))
    assert pareto(base, [model], compare_runs(base, [model]), {}) is None


def test_a_bias_score_is_no_quality(tmp_path: Path) -> None:
    bias = mean("pct_stereotype", higher_is_better=False)
    base, model = (
        stored_run(
            tmp_path / "runs",
            name,
            {"crows_pairs": [choice_row(0, True, scores={bias.name: 1.0})]},
            metrics={"crows_pairs": [bias]},
        )
        for name in ("tiny", "other")
    )
    assert pareto(base, [model], compare_runs(base, [model]), {}) is None


def test_compare_draws_it_for_several_models(harness: Command, tmp_path: Path) -> None:
    made(tmp_path)
    code, _, err = harness("compare", "tiny", "half,quarter")
    assert code == 0 and "quality against cost: " in err
    assert (tmp_path / "reports/compare/tiny-pareto.svg").exists()
    _, _, err = harness("compare", "tiny", "half")
    assert "quality against cost" not in err
