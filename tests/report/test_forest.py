"""The forest plot: what shares an axis, which margins are shown, and that the picture follows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.compare import Comparison, compare_runs
from harness.gate.policy import Margin, Policy, TaskPolicy
from harness.metrics.perplexity import perplexity
from harness.report.figures import name_in_figure
from harness.report.forest import Forest, caption, described, direction, forest
from harness.report.forest_figure import forest_svg
from tests.compared import METRICS, answers, documents, stored_run
from tests.report.fixtures.runs import HOSTILE_NAME
from tests.test_compare import BASE, MODEL

NATS = [-30.0 - 0.1 * place for place in range(20)]
POLICY = Policy("ci", 0.05, "block", Margin(0.005, "proportion"), Margin(0.02, "proportion"))


def compared(runs: Path, base: dict[str, Any], model: dict[str, Any], **more: Any) -> Comparison:
    sides = [stored_run(runs, name, rows, **more) for name, rows in (("a", base), ("b", model))]
    return compare_runs(sides[0], sides[1:])[0]


def mixed(tmp_path: Path) -> Comparison:
    """Two accuracy tasks, of which one fell by 10 points, and two perplexities that rose."""
    base = {"arc_easy": answers(BASE), "piqa": answers(BASE)}
    texts, risen = (
        {task: documents(each - shift for each in NATS) for task in ("wikitext2", "books")}
        for shift in (0, 1)
    )
    metrics = {**METRICS, "books": [perplexity("word_perplexity")]}
    return compared(
        tmp_path,
        {**base, **texts},
        {**base, "arc_easy": answers(MODEL), **risen},
        metrics=metrics,
    )


def margins(found: Forest | None) -> list[list[float | None]]:
    assert found is not None
    return [[line.margin for line in panel.lines] for panel in found.panels]


def test_two_units_never_share_an_axis(tmp_path: Path) -> None:
    found = forest(mixed(tmp_path), POLICY)
    assert found is not None
    shares, perplexities = found.panels
    assert [line.difference.task for line in shares.lines] == [
        "arc_easy",
        "piqa",
        "all accuracy tasks",
    ]
    assert [line.pooled for line in shares.lines] == [False, False, True]
    assert (shares.scale, shares.title) == (100.0, "acc, in points ↑")
    assert [line.difference.task for line in perplexities.lines] == ["wikitext2", "books"]
    assert (perplexities.scale, perplexities.higher_is_better) == (1.0, False)


def test_another_metric_of_the_same_unit_has_an_axis_of_its_own(tmp_path: Path) -> None:
    """Perplexities per word and per byte are both perplexities, and far apart."""
    comparison = mixed(tmp_path)
    books = next(each for each in comparison.differences if each.task == "books")
    others = [each for each in comparison.differences if each is not books]
    per_byte = replace(books, metric="byte_perplexity")
    found = forest(replace(comparison, differences=(*others, per_byte)), None)
    assert found is not None
    assert [panel.title for panel in found.panels] == [
        "acc, in points ↑",
        "word_perplexity ↓",
        "byte_perplexity ↓",
    ]


def test_a_bias_score_has_a_panel_with_no_better_side(tmp_path: Path) -> None:
    comparison = mixed(tmp_path)
    arc = next(each for each in comparison.differences if each.task == "arc_easy")
    bias = replace(arc, task="crows_pairs", metric="pct_stereotype")
    found = forest(replace(comparison, differences=(*comparison.differences, bias)), None)
    assert found is not None
    said = {panel.title: direction(panel) for panel in found.panels}
    assert said["acc, in points ↑"] == "right of 0 is better"
    assert said["pct_stereotype, in points ↑"] == "neither side is better"


def test_margins_are_those_of_the_policy_for_accuracy_alone(tmp_path: Path) -> None:
    comparison = mixed(tmp_path)
    assert margins(forest(comparison, POLICY)) == [[0.02, 0.02, 0.005], [None, None]]
    assert margins(forest(comparison, None)) == [[None] * 3, [None] * 2]
    of_tasks = {
        "arc_easy": TaskPolicy(margin=Margin(0.03, "proportion")),
        "piqa": TaskPolicy(metric="acc_norm"),
        "wikitext2": TaskPolicy(margin=Margin(0.5, "perplexity")),
    }
    found = forest(comparison, replace(POLICY, tasks=of_tasks))
    assert margins(found) == [[0.03, None, 0.005], [None, None]]
    assert found is not None and found.profile == "ci"


def test_the_words_say_every_number(tmp_path: Path) -> None:
    """10 of 100 fell in one of two tasks: 10 points there, 5 over both."""
    found = forest(mixed(tmp_path), POLICY)
    assert found is not None
    said = described(found)
    for words in (
        "b against a",
        "arc_easy −10.00 (−18.19 to −3.10), worse",
        "piqa 0.00 (−3.70 to +3.70), no difference seen",
        "all accuracy tasks −5.00 (",
        "wikitext2 +",
        "Dashed: the drop that gate.yaml tolerates (ci): 2 points a task, 0.5 points over all",
    ):
        assert words in said, words


def test_what_has_no_interval_is_named_and_nothing_alone_is_no_plot(tmp_path: Path) -> None:
    comparison = mixed(tmp_path)
    first, *others = comparison.differences
    without = replace(first, delta=replace(first.delta, low=None, high=None))
    found = forest(replace(comparison, differences=(without, *others)), POLICY)
    assert found is not None and found.left_out == ("arc_easy",)
    assert described(found).endswith("Without an interval: arc_easy.")
    assert caption(found).endswith("Without an interval, and so not shown: arc_easy.")
    assert forest(replace(comparison, differences=(without,), pooled=None), POLICY) is None


def ends(svg: bytes, style: str) -> list[tuple[float, float]]:
    """The first and last x of each line whose style matches."""
    paths = re.findall(rb'd="M ([\d.]+) [\d.]+ \nL ([\d.]+) [\d.]+ \n" [^>]*style="([^"]*)"', svg)
    return [
        (float(first), float(last))
        for first, last, found in paths
        if re.search(style, found.decode())
    ]


def drawn_alone(tmp_path: Path, base: Sequence[int], model: Sequence[int]) -> bytes:
    rows = ({"arc_easy": answers(right)} for right in (base, model))
    found = forest(compared(tmp_path, *rows), POLICY)
    assert found is not None
    return forest_svg(found)


def test_the_picture_is_to_scale(tmp_path: Path) -> None:
    """−18.19 to −3.10, the margin at −2: seen from the line at 0, in these proportions."""
    svg = drawn_alone(tmp_path / "one", BASE, MODEL)
    ((zero, _),) = ends(svg, r"stroke: #4d4d4d; stroke-width: 0.9")
    ((low, high),) = ends(svg, r"stroke: #d55e00; stroke-width: 2")
    ((margin, _),) = ends(svg, "stroke-dasharray.*stroke: #4d4d4d; stroke-width: 1.1")
    assert low < high < margin < zero
    assert (zero - high) / (zero - low) == pytest.approx(3.10 / 18.19, abs=0.001)
    assert (zero - margin) / (zero - low) == pytest.approx(2 / 18.19, abs=0.001)
    assert svg == drawn_alone(tmp_path / "again", BASE, MODEL)


def test_the_picture_follows_the_numbers(tmp_path: Path) -> None:
    """The two swapped: the same interval on the other side, and blue."""
    svg = drawn_alone(tmp_path, MODEL, BASE)
    texts = "".join(ElementTree.fromstring(svg).itertext())
    for words in ("+10.00 (+3.10 to +18.19)", "better", "arc_easy", "acc, 100 docs", "(ci)"):
        assert words in texts, words
    assert ends(svg, "stroke: #0072b2; stroke-width: 2") and not ends(svg, "stroke: #d55e00")


def test_a_name_in_a_figure_is_no_formula_and_not_too_long(tmp_path: Path) -> None:
    assert name_in_figure("a$b$\x1b") == r"a\$b\$"
    assert name_in_figure("n" * 60) == "n" * 47 + "…"
    hostile = {r"$\frac{x}$ \U0001F600 漢": answers(BASE), HOSTILE_NAME: answers(BASE)}
    found = forest(compared(tmp_path, hostile, hostile), POLICY)
    assert found is not None
    texts = "".join(ElementTree.fromstring(forest_svg(found)).itertext())
    assert r"$\frac{x}$" in texts and '<script>document.title="owned"</script>' in texts
