"""A suite's results beside published figures: what stands where, what is inside, how it is said."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.cli import main
from harness.published import Figure, Measure, Published, PublishedModel, PublishedTable
from harness.records import Run
from harness.report.html_published import published_html
from harness.report.markdown_published import published_markdown
from harness.report.published import Asked, Ours, SuiteTable, lies_inside, suite_table
from harness.report.published_captions import ours_words, summary
from harness.report.terminal_published import print_published
from tests.conftest import REPOSITORY
from tests.report.fixtures.runs import HOSTILE_NAME, ends, proportion, result, run, stored

Command = Callable[..., tuple[int, str, str]]

GOLDEN = Path(__file__).parent / "fixtures" / "published.md"

ARC = Measure("ARC", "arc_challenge", "acc_norm", "percent", "share", 2, ("version",))
BLEU = Measure("BLEU", "stories", "bleu", "share", "percent", 4)
PUBLISHED = Published(
    suite="made-up",
    source="a report",
    unstated="It says no dtype.",
    notes={"version": "No version is said.", "data": "Other data."},
    tables=(
        PublishedTable(
            "Table 1",
            (ARC, BLEU),
            (
                PublishedModel("M0", "base", {"ARC": Figure("31.48", 31.48)}),
                PublishedModel(
                    "M1",
                    "tuned",
                    {"ARC": Figure("33.5", 33.5), "BLEU": Figure("0.0024", 0.0024)},
                    ("data",),
                ),
            ),
        ),
    ),
)
ASKED = {"arc_challenge": Asked(25, None), "stories": Asked(0, 200)}


def arc(value: float, docs: int = 1172, **changes: Any) -> Any:
    return result("arc_challenge", proportion(value, docs), "acc_norm", num_fewshot=25, **changes)


def stories(low: float, value: float, high: float, docs: int = 200, **changes: Any) -> Any:
    estimate = ends(value, low, high, unit="bleu", n=docs)
    return result("stories", estimate, "bleu", limit=docs, **changes)


def table_of(*runs: Run) -> SuiteTable:
    return suite_table(PUBLISHED, ASKED, runs, {"base"})


def test_inside_is_between_the_ends_of_our_interval() -> None:
    """31.48 is published. Of 1172 docs the interval is +- 1.96 * sqrt(p * (1 - p) / 1171).

    Ours 0.31: +- 0.02649, so 28.35 to 33.65 percent, which holds 31.48. Ours 0.29: +- 0.02599, so
    up to 31.60: inside. Ours 0.28: +- 0.02572, so up to 30.57: outside.
    """
    for value, ends_at, inside in ((0.31, 33.65, True), (0.29, 31.60, True), (0.28, 30.57, False)):
        cell = table_of(run("base", [arc(value)])).parts[0].published[0].cells[0]
        assert cell.ours is not None and cell.inside is inside
        assert cell.ours.estimate.high == pytest.approx(ends_at, abs=0.005)


def test_the_ends_are_inside_and_an_undefined_interval_says_nothing() -> None:
    assert lies_inside(2.0, ends(1.5, 1.0, 2.0)) is True
    assert lies_inside(1.0, ends(1.5, 1.0, 2.0)) is True
    assert lies_inside(2.001, ends(1.5, 1.0, 2.0)) is False
    for low, high in ((None, None), (1.0, None), (1.0, float("inf"))):
        assert lies_inside(1.5, ends(1.5, low, high)) is None
    one = run("base", [arc(1.0, 1)])
    assert "without an interval" in published_markdown(table_of(one))


def test_ours_is_turned_into_the_published_unit() -> None:
    """0.24 of 100 is 0.0024 of 1, with the four decimals of .0024; 0.31 of 1 is 31 percent."""
    (line,) = table_of(run("tuned", [arc(0.31), stories(0.1, 0.24, 0.38)])).parts[0].published[1:]
    first, second = line.cells
    assert first.ours and first.ours.estimate.value == pytest.approx(31.0)
    columns = table_of().parts[0].columns
    assert ours_words(second, columns[1], "-") == "0.0024 (0.0010 to 0.0038), first 200 docs"
    assert second.inside is True
    assert second.ours and second.ours.estimate.value == pytest.approx(0.0024)


def shown(*runs: Run) -> Ours | None:
    return table_of(*runs).parts[0].published[0].cells[0].ours


def test_a_metric_taken_otherwise_and_who_else_was_asked_are_named() -> None:
    measure = Measure("won", "pairs", "won", "share", "share", 2, (), "won_alone")
    published = replace(
        PUBLISHED, tables=(PublishedTable("T", (measure,), PUBLISHED.tables[0].models),)
    )

    def words(*runs: Run) -> str:
        found = suite_table(published, {"pairs": Asked(0, 100)}, runs, ())
        (part,) = found.parts
        return ours_words(part.published[0].cells[0], part.columns[0], "not run")

    half, more = proportion(0.5, 100), proportion(0.57, 100)
    alone = result("pairs", half, "won_alone")
    both = result(
        "pairs",
        half,
        "won_alone",
        estimates={"won": more, "won_alone": half},
        others={"reference": "smol-sft (0123456789abcdef)", "marker": "marker (ff)"},
    )
    said = "0.57 (0.47 to 0.67), 100 docs, against smol-sft, judged by marker"
    assert words(run("base", [alone])) == "0.50 (0.40 to 0.60), 100 docs, won_alone"
    assert words(run("base", [both], id="a"), run("base", [alone], id="b")) == said
    assert words(run("base", [result("pairs", half, "lost")])) == "not run"


def test_other_work_is_not_shown() -> None:
    """Other shots, other data of the task, the samples, a metric that the run has not, another
    model.
    """
    good = arc(0.31)
    assert shown(run("base", [good])) is not None
    assert shown(run("base", [replace(good, num_fewshot=0)])) is None
    for configs, other in (({"arc_challenge": "ARC-Easy"}, True), ({"mmlu": "all"}, False)):
        made = run("base", [good])
        made = replace(made, settings=replace(made.settings, dataset_configs=configs))
        assert (shown(made) is None) is other
    assert shown(run("base", [arc(0.31, 20, origin="samples")])) is None
    assert shown(run("base", [replace(good, estimates={})])) is None
    assert shown(run("other", [good])) is None


def test_of_several_results_the_suites_docs_then_more_docs_then_the_newest_count() -> None:
    def at(day: int, *results: Any) -> Run:
        return run("base", results, created=f"2026-03-0{day}T12:00:00+00:00", id=f"day-{day}")

    few, whole = arc(0.5, 20, limit=20), arc(0.31)
    found = shown(at(1, whole), at(2, few))
    assert found and (found.run_id, found.docs, found.limited) == ("day-1", 1172, False)
    found = shown(at(1, whole), at(3, whole), at(2, whole))
    assert found and found.run_id == "day-3"
    every, asked = stories(1, 2, 3, 1319, prompts="all"), stories(1, 2, 3, 200)
    runs = [
        replace(each, model=replace(each.model, name="tuned"))
        for each in (at(1, asked), at(2, every))
    ]
    cell = table_of(*runs).parts[0].published[1].cells[1]
    assert cell.ours and cell.ours.docs == 200, "the suite asks 200"


def test_models_beside_the_source_and_samples_are_rows_of_their_own() -> None:
    child = run("smol-dpo", [arc(0.3)], lineage=["smol", "smol-dpo"])
    samples = run("base", [arc(0.9, 20, origin="samples")], created="2026-05-01T00:00:00+00:00")
    nothing = run("elsewhere", [result("mmlu", proportion(0.3, 100))])
    (part,) = table_of(child, run("smol", [arc(0.29)]), samples, nothing).parts
    assert [line.model for line in part.own] == ["smol", "smol-dpo"]
    assert [line.model for line in part.samples] == ["base"]
    assert [line.cells[0].ours for line in part.published] == [None, None]
    assert all(cell.inside is None for line in (*part.own, *part.samples) for cell in line.cells)


def made_up() -> SuiteTable:
    return table_of(
        run("base", [arc(0.28, 500, limit=500, unscored=2)], id="run-1"),
        run("smol", [arc(0.29)], id="run-2"),
        run("smol", [arc(0.5, 20, origin="samples")], id="run-3"),
    )


def test_the_page_as_markdown() -> None:
    """After a wanted change: REWRITE_GOLDEN=1 pytest tests/report, then read the diff.

    0.28 of 500: +- 1.96 * sqrt(0.28 * 0.72 / 499) = +- 0.03940, so 24.06 to 31.94. 0.29 of 1172:
    26.40 to 31.60. 0.5 of 20: +- 1.96 * sqrt(0.25 / 19) = +- 0.22483, so 27.52 to 72.48.
    """
    text = published_markdown(made_up())
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")
    for words in ("28.00 (24.06 to 31.94)", "29.00 (26.40 to 31.60)", "50.00 (27.52 to 72.48)"):
        assert words in text
    assert "- run-1: base, weights " in text and "bfloat16, without a chat template" in text


def test_terminal_and_pipe_say_the_same() -> None:
    def printed(**options: Any) -> str:
        out = io.StringIO()
        print_published(made_up(), Console(file=out, **options))
        return out.getvalue()

    lines = printed().splitlines()
    assert [
        "ARC, % [1] (arc_challenge acc_norm, 25-shot)",
        "M0, here base",
        "31.48",
        "28.00 (24.06 to 31.94), first 500 docs, 2 unscored",
        "inside",
    ] in [line.split("\t") for line in lines]
    assert "not run: base (stories): make eval MODEL=base SUITE=made-up" in lines
    assert any(line.startswith("# Table 1: on the shipped samples") for line in lines)
    drawn = printed(force_terminal=True, width=100, color_system=None)
    for words in ("31.48", "inside", "not run", "M1, here tuned [2]", "not comparable"):
        assert words in re.sub(r"\s+", " ", drawn)


def test_the_page_as_html_has_every_figure_and_no_hostile_markup() -> None:
    hostile = run(HOSTILE_NAME, [arc(0.3)], id=HOSTILE_NAME)
    html = published_html(suite_table(PUBLISHED, ASKED, [hostile], {"base"}, [HOSTILE_NAME]))
    assert "<script>document" not in html and "\x1b" not in html and "\u202e" not in html
    assert "31.48" in html and "30.00 (27.38 to 32.62), 1,172 docs" in html
    html = published_html(made_up())
    for words in ("28.00 (24.06 to 31.94)", "inside", "Not run", "[2] Other data.", "run-1"):
        assert words in html
    markdown = published_markdown(
        suite_table(PUBLISHED, ASKED, [hostile], {"base"}, [HOSTILE_NAME])
    )
    assert "<script" not in markdown and "\x1b" not in markdown


def test_of_figures_that_are_not_comparable_nothing_is_said() -> None:
    """0.31 of 1172 reaches from 28.35 to 33.65 and would hold 31.48."""
    (table,) = PUBLISHED.tables
    measures = (replace(ARC, comparable=False), BLEU)
    published = replace(PUBLISHED, tables=(replace(table, measures=measures),))
    found = suite_table(published, ASKED, [run("base", [arc(0.31)])], ())
    assert found.parts[0].published[0].cells[0].inside is None
    assert summary(found) == (
        "1 of 3 published figures has a result of ours: 0 inside our 95% interval, 0 outside, "
        "1 not comparable."
    )
    assert "1,172 docs<br>not comparable |" in published_markdown(found)


def test_nothing_run_is_said_and_not_counted_as_outside() -> None:
    assert summary(table_of()) == "None of 3 published figures has a result of ours yet."


@pytest.fixture
def harness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("HARNESS_ZOO", str(REPOSITORY / "model_zoo.yaml"))
    monkeypatch.setenv("HARNESS_TASKS", str(REPOSITORY / "tasks"))
    monkeypatch.setenv("HARNESS_REPORTS", str(tmp_path / "reports"))

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_the_command_prints_and_writes_the_shipped_figures(
    harness: Command, tmp_path: Path
) -> None:
    """16.3 of GSM8K is published for Qwen1.5-0.5B, which is qwen-0.5b here; 10% of 200 is
    0.10 +- 1.96 * sqrt(0.09 / 199) = 5.83 to 14.17: outside.
    """
    reports = tmp_path / "reports"
    key = "exact_match,strict-match"
    made = result("gsm8k", proportion(0.10, 200), key, num_fewshot=5, limit=200)
    stored(reports / "runs" / "1-qwen", run("qwen-0.5b", [made], family="qwen"), {})
    (reports / "runs" / "2-torn").mkdir()
    (reports / "runs" / "2-torn" / "run.json").write_text("{")
    code, out, err = harness("report", "--suite", "zephyr-proposal")
    assert code == 0, err
    line = "Qwen1.5-0.5B (0.62 B), here qwen-0.5b\t16.3\t10.00 (5.83 to 14.17), first 200 docs"
    assert f"{line}\toutside" in out
    assert (
        "not run: phi-1.5 (arc_challenge, mmlu, gsm8k): make eval MODEL=phi-1.5 SUITE=zeph" in out
    )
    assert "not shown: 2-torn cannot be read" in out
    assert "no version of lm-eval and no dtype" in out
    for name in ("zephyr-proposal.md", "zephyr-proposal.html"):
        assert f"report: {reports / name}" in err
        assert "10.00 (5.83 to 14.17)" in (reports / name).read_text("utf-8")
    # The page leads to the site's, and is on the index at once.
    assert (reports / "leaderboard.html").exists() and (reports / "method.html").exists()
    assert 'href="zephyr-proposal.html"' in (reports / "index.html").read_text("utf-8")
    code, out, _ = harness("report", "--suite", "zephyr-proposal", "--json")
    rows = json.loads(out)["parts"][0]["published"]
    assert (
        rows[1]["cells"][2]["inside"] is False
        and rows[1]["cells"][2]["published"]["text"] == "16.3"
    )


def test_without_runs_every_model_is_listed_with_its_command(harness: Command) -> None:
    code, out, _ = harness("report", "--suite", "zephyr-proposal")
    assert code == 0
    assert out.count("make eval MODEL=") == 6 and "not in this registry" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--suite", "zephyr-propsal"], "unknown suite 'zephyr-propsal': did you mean"),
        (["--suite", "quick"], "no published figures are known for the suite 'quick'; there are"),
        (["--suite", "zephyr-proposal", "--model", "qwen"], "leave --model out"),
    ],
)
def test_wrong_use_is_refused(harness: Command, arguments: list[str], says: str) -> None:
    code, out, err = harness("report", *arguments)
    assert (code, out) == (2, "") and says in err and "Traceback" not in err
