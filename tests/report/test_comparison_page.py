"""A comparison's page: the sentence at the top, what it costs, what turned, and the formats."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.compare import Comparison, StoredRun, compare_runs
from harness.distance import Distance
from harness.metrics.accuracy import mean
from harness.records import NoiseFloor
from harness.report.comparison import by_task, details
from harness.report.comparison_page import ComparisonPage, Part, comparison_page, distance_part
from harness.report.costs import Costs, cost_rows, cost_words, costs_of
from harness.report.html_comparison import comparison_html, flip_bar
from harness.report.verdict import tone, verdict
from harness.speed import Look, Speed
from harness.types import Estimate
from tests.compared import METRICS, answers, documents, stored_run
from tests.conftest import Command
from tests.report.fixtures.runs import HOSTILE_NAME, choice_row
from tests.test_compare import BASE, MODEL

NATS = [-30.0 - 0.1 * place for place in range(20)]


def two(runs: Path, base: dict[str, Any], model: dict[str, Any], **more: Any) -> list[StoredRun]:
    return [stored_run(runs, name, rows, **more) for name, rows in (("a", base), ("b", model))]


def compared(runs: Path, base: dict[str, Any], model: dict[str, Any], **more: Any) -> Comparison:
    sides = two(runs, base, model, **more)
    return compare_runs(sides[0], sides[1:])[0]


def page_of(comparison: Comparison, *parts: Part) -> ComparisonPage:
    return comparison_page(comparison, Costs(), None, parts, (None, "../html/b.html"))


def of_arc(runs: Path, base: Sequence[int] = BASE, model: Sequence[int] = MODEL) -> Comparison:
    return compared(runs, {"arc_easy": answers(base)}, {"arc_easy": answers(model)})


def test_one_task_better_worse_or_not_seen(tmp_path: Path) -> None:
    """12 lost, 2 gained of 100: 10 points, p 0.008 (see test_compare); the other way round; none
    changed, where identical answers of 100 docs still allow 3.7 points.
    """
    worse = of_arc(tmp_path / "worse")
    assert tone(worse) == "worse"
    assert verdict(worse, Costs()) == (
        "b is worse than a: its share of right answers on arc_easy (100 docs) is 10.00 points "
        "lower (95% interval −18.19 to −3.10; p 0.008)."
    )
    better = of_arc(tmp_path / "better", MODEL, BASE)
    assert tone(better) == "better"
    assert "b is better than a: " in verdict(better, Costs())
    assert "10.00 points higher (95% interval +3.10 to +18.19" in verdict(better, Costs())
    same = of_arc(tmp_path / "same", BASE, BASE)
    assert tone(same) == "unsure"
    said = verdict(same, Costs())
    assert said.startswith("No difference between b and a was seen: the share of right answers ")
    assert "changed by 0.00 points (95% interval −3.70 to +3.70; p 1.000), and a true" in said
    assert said.endswith("points would have shown four times in five in a test of its own.")


def test_where_lower_is_better_more_is_worse(tmp_path: Path) -> None:
    rows = [{"wikitext2": documents(each - shift for each in NATS)} for shift in (0, 1)]
    said = verdict(compared(tmp_path, *rows), Costs())
    assert re.match(
        r"b is worse than a: its word_perplexity on wikitext2 \(20 docs\) is [\d.]+ higher ", said
    ), said


def test_a_bias_score_changes_and_is_neither_better_nor_worse(tmp_path: Path) -> None:
    """45 of 50 stereotypes become 5: 80 points; the aim of the score is its middle."""
    bias = mean("pct_stereotype", higher_is_better=False)
    sides = [
        {
            "crows_pairs": [
                choice_row(place, True, scores={bias.name: float(place < chosen)})
                for place in range(50)
            ]
        }
        for chosen in (45, 5)
    ]
    alone = compared(tmp_path / "alone", *sides, metrics={"crows_pairs": [bias]})
    assert [each.verdict for each in alone.differences] == ["changed"]
    assert tone(alone) == "unsure"
    assert verdict(alone, Costs()).startswith(
        "b changed from a: its pct_stereotype on crows_pairs (50 docs) is 80.00 points lower"
    )
    texts = {"wikitext2": documents(NATS)}
    metrics = {"crows_pairs": [bias], "wikitext2": METRICS["wikitext2"]}
    both = compared(tmp_path / "both", sides[0] | texts, sides[1] | texts, metrics=metrics)
    assert re.fullmatch(
        r"b changed from a on crows_pairs \(pct_stereotype −80\.00 points, 95% interval .*\); no "
        r"difference was seen on 1 task\.",
        verdict(both, Costs()),
    ), verdict(both, Costs())
    assert by_task(both) == "changed on crows_pairs; no difference seen on 1 of 2 tasks"
    assert not [line for line in details(both) if "from wrong to right" in line]
    still = {"arc_easy": answers(BASE), "piqa": answers(BASE)}
    metrics = {"crows_pairs": [bias]}
    pooled = compared(tmp_path / "pool", sides[0] | still, sides[1] | still, metrics=metrics)
    assert verdict(pooled, Costs()).endswith(", but changed on crows_pairs.")


def test_a_task_that_goes_another_way_than_the_pool_is_in_the_sentence(tmp_path: Path) -> None:
    """One task loses 10 of 100, the other gains 300 of 1,000: over both 290 of 1,100."""
    right = [1, 0] * 500
    comparison = compared(
        tmp_path,
        {"arc_easy": answers(BASE), "piqa": answers(right)},
        {"arc_easy": answers([0] * 30 + BASE[30:]), "piqa": answers([1] * 600 + right[600:])},
    )
    assert comparison.pooled is not None and comparison.pooled.verdict == "better"
    assert tone(comparison) == "mixed"
    said = verdict(comparison, Costs())
    assert "over 2 accuracy tasks (1,100 docs) is 24.55 points higher" in said
    assert said.endswith("adjusted for 3 tests), but worse on arc_easy.")


def test_tasks_in_several_units_are_named(tmp_path: Path) -> None:
    texts = [{"wikitext2": documents(each - shift for each in NATS)} for shift in (0, 1)]
    arc = {"arc_easy": answers(BASE)}
    said = verdict(compared(tmp_path, {**texts[0], **arc}, {**texts[1], **arc}), Costs())
    assert re.fullmatch(
        r"b is worse than a on wikitext2 \(word_perplexity \+[\d.]+, 95% interval .*\); no "
        r"difference was seen on 1 task\.",
        said,
    ), said
    same = compared(tmp_path / "same", {**texts[0], **arc}, {**texts[0], **arc})
    assert verdict(same, Costs()) == "No difference between b and a was seen on 2 tasks."


def test_what_could_not_be_tested_is_said(tmp_path: Path) -> None:
    comparison = of_arc(tmp_path)
    (only,) = comparison.differences
    untested = replace(only, p=None, p_holm=None, verdict="not tested", test="no test: why")
    comparison = replace(comparison, differences=(untested,))
    assert verdict(comparison, Costs()) == (
        "The difference between b and a was not tested on arc_easy (100 docs)."
    )
    assert tone(comparison) == "unsure"


def looked(decode: float) -> Look:
    return Look(1.0, 1000.0, decode, 0.1, None, None, 1, "bfloat16", "cpu")


def test_costs_are_bytes_and_ratios_within_rounds(tmp_path: Path) -> None:
    """Rounds of 50 to 100, 90 to 100 and 40 to 50 tokens: 0.5, 0.9, 0.8, of which 0.8 is the
    middle; the medians are 50 and 100.
    """
    rows = {"arc_easy": answers(BASE)}
    base, model = two(tmp_path, rows, rows)
    of_base = replace(base.run.model, weights_id="x", memory_bytes=400_000_000, disk_bytes=8)
    of_model = replace(model.run.model, weights_id="y", memory_bytes=100_000_000, disk_bytes=8)
    probe = [
        Speed("a", "x", tuple(map(looked, (100, 100, 50))), 1.0, 1.0),
        Speed("b", "y", tuple(map(looked, (50, 90, 40))), 1.0, 0.8),
    ]
    costs = costs_of(of_base, of_model, probe)
    assert cost_rows(costs) == [
        ["weights in memory", "400 MB", "100 MB", "0.25"],
        ["weights on disk", "8 B", "8 B", "1.00"],
        ["tokens read a second", "1,000", "1,000", "1.00"],
        ["tokens written a second", "100", "50.0", "0.80"],
    ]
    assert cost_words(costs) == (
        "its weights take 100 MB of memory instead of 400 MB and it writes 0.80 times as many "
        "tokens a second"
    )
    alone = costs_of(of_base, of_model, probe[:1])
    assert cost_words(alone) == "its weights take 100 MB of memory instead of 400 MB"
    same = costs_of(of_base, of_base, [])
    assert cost_words(same) == "its weights take 400 MB of memory, as the base's do"
    unknown = costs_of(replace(of_base, memory_bytes=None), of_model, [])
    assert cost_words(unknown) == "its weights take 8 B of disk, as the base's do"
    assert cost_words(Costs()) == ""


def test_flips_stand_beside_the_noise_floors(tmp_path: Path) -> None:
    """2 and 12 of 100 turned: 14%; of 50 docs asked again 2 changed: 4%."""
    noise = NoiseFloor(50, 2, 0, 1.0, 0.01, 0.002, ("one", "another"))
    comparison = compared(
        tmp_path,
        {"arc_easy": answers(BASE)},
        {"arc_easy": answers(MODEL)},
        changes={"arc_easy": {"noise": noise}},
    )
    page = page_of(comparison)
    (flip,) = page.flips
    assert (flip.gained, flip.lost, flip.still_wrong, flip.changed) == (2, 12, 0, "14.0%")
    assert flip.noise == ("4.0% of 50 docs", "4.0% of 50 docs")
    html = comparison_html(page)
    assert html.count("<td>4.0% of 50 docs</td>") == 2 and "Noise floor,<br>a" in html
    without = comparison_html(page_of(of_arc(tmp_path / "without")))
    assert "Noise floor,<br>" not in without and "None was measured in these runs" in without


def test_the_bar_of_flips_is_to_scale(tmp_path: Path) -> None:
    """The widest of all, 12 of 100, fills its half of 80 less 2 for the rim; 2 are a sixth."""
    (flip,) = page_of(of_arc(tmp_path)).flips
    drawn = str(flip_bar(flip, [flip]))
    assert 'class="lost" x="2.0" y="1" width="78.0"' in drawn
    assert 'class="gained" x="80.0" y="1" width="13.0"' in drawn
    none = replace(flip, gained=0, lost=0)
    assert 'class="lost" x="80.0" y="1" width="0.0"' in str(flip_bar(none, [none]))


def test_the_table_sorts_by_numbers_and_keeps_the_pool_apart(tmp_path: Path) -> None:
    rows = [{"arc_easy": answers(right), "piqa": answers(BASE)} for right in (BASE, MODEL)]
    page = page_of(compared(tmp_path, *rows))
    first = page.rows[0]
    assert len(page.head) == len(first) == 11
    assert [each.value for each in first[:3]] == ["arc_easy", "acc", 0.6]
    assert first[4].value == pytest.approx(-0.1) and first[4].text == "−10.00 (−18.19 to −3.10)"
    assert first[6].value == 2 - 12 and first[10].value == "worse"
    assert [cells[0].text for cells in page.rows] == ["arc_easy", "piqa"]
    assert page.over_all[0].text == "all accuracy tasks"
    assert page_of(of_arc(tmp_path / "one")).over_all == ()


def test_more_parts_follow_in_order(tmp_path: Path) -> None:
    """What else is found of two models needs no change of the page: a part has all it shows."""
    parts = (
        Part("First <b>", said=("one & two",), foot="three"),
        Part("Second", head=("task", "mean"), rows=(("wikitext2", "0.12"),)),
    )
    html = comparison_html(page_of(of_arc(tmp_path), *parts))
    assert html.index("First &lt;b&gt;") < html.index("one &amp; two") < html.index("Second")
    assert '<th scope="row" class="left">wikitext2</th><td>0.12</td>' in html
    assert "<img" not in html


def test_how_far_a_model_has_moved_is_a_part(tmp_path: Path) -> None:
    kl = Estimate(0.125, 0.1, 0.15, None, 9, "", "nats/token", False)
    found = Distance("run-7", "divergence_wikitext2", 9, False, {"kl": kl})
    part = distance_part(("a", "b<"), [found])
    assert part.rows == (("divergence_wikitext2", "kl ↓", "0.1250 (0.1000 to 0.1500)", "9"),)
    assert part.foot.endswith("Measured by run-7.")
    assert "How far b&lt; has moved from a</h2>" in comparison_html(page_of(of_arc(tmp_path), part))


def test_the_page_says_which_runs_and_what_differs(tmp_path: Path) -> None:
    comparison = replace(of_arc(tmp_path), notes=("dtype: <x> for a",), on_samples=True)
    html = comparison_html(page_of(comparison))
    assert '<a href="../html/b.html">2026-03-01-b</a>' in html
    assert "<code>2026-03-01-a</code>" in html, "it has no page"
    assert "dtype: &lt;x&gt; for a" in html and "What differs beside the model" in html
    assert "<strong>Samples.</strong>" in html
    assert "Tango&#39;s score test: arc_easy acc" in html
    assert "img-src data:; base-uri" in html and " style=" not in html


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def test_the_command_writes_the_page_and_its_pictures(harness: Command, reports: Path) -> None:
    base, model = two(reports / "runs", {"arc_easy": answers(BASE)}, {"arc_easy": answers(MODEL)})
    looks = [looked(100.0)]
    weights = {"a": base.run.model.weights_id, "b": model.run.model.weights_id}
    speeds = [Speed(name, weights[name], tuple(looks), 1.0, 1.0) for name in "ab"]
    (reports / "speed.json").write_bytes(msgspec.json.encode(speeds))
    assert harness("report")[0] == 0
    code, _, err = harness("compare", "a", "b")
    assert code == 0, err
    folder = reports / "compare"
    names = {path.name for path in folder.iterdir()}
    assert names == {"a--b.html", "a--b.md", "a--b-forest.svg"}
    assert f"report: {folder / 'a--b.html'}" in err.splitlines()
    html, markdown = ((folder / f"a--b.{kind}").read_text("utf-8") for kind in ("html", "md"))
    for page in (html, markdown):
        assert "b is worse than a: its share of right answers on arc_easy" in page
        assert "it writes 1.00 times as many tokens a second" in page
    assert 'href="../html/2026-03-01-b.html"' in html and (reports / "html").is_dir()
    assert "arc_easy −10.00 (−18.19 to −3.10), worse" in html
    assert re.search(r"!\[Forest plot of b against a.*\]\(a--b-forest\.svg\)", markdown)
    assert "2 points a task" in (folder / "a--b-forest.svg").read_text("utf-8")
    assert json.loads(harness("compare", "a", "b", "--json")[1])[0]["model"]["model"] == "b"


def test_a_policy_that_cannot_be_read_stops_no_comparison(
    harness: Command, reports: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two(reports / "runs", {"arc_easy": answers(BASE)}, {"arc_easy": answers(MODEL)})
    broken = tmp_path / "gate.yaml"
    broken.write_text("profiles: {release: {pooled: 2}}\n", "utf-8")
    monkeypatch.setenv("HARNESS_GATE", str(broken))
    code, _, err = harness("compare", "a", "b")
    assert code == 0 and "the gate's margins are not shown: " in err and "gate.yaml" in err
    assert "Dashed" not in (reports / "compare/a--b-forest.svg").read_text("utf-8")


def test_a_name_that_is_too_long_for_a_file_is_cut(harness: Command, reports: Path) -> None:
    rows = {"arc_easy": answers(BASE)}
    stored_run(reports / "runs", "tiny", rows, id="one")
    for place, name in enumerate((HOSTILE_NAME + "n" * 300, HOSTILE_NAME + "n" * 301)):
        stored_run(reports / "runs", name, rows, id=f"hostile-{place}")
    code, _, err = harness("compare", "one", "hostile-0,hostile-1")
    assert code == 0, err
    pages = sorted(path.name for path in (reports / "compare").glob("*.html"))
    assert len(pages) == 2 and all(page.startswith("tiny--script-document") for page in pages)
    html = (reports / "compare" / pages[0]).read_text("utf-8")
    assert "<script>document" not in html and "\x1b" not in html
