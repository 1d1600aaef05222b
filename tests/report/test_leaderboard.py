"""Which result stands in which cell, and which is marked as surely the best."""

import subprocess
import sys
from dataclasses import replace

import pytest

from harness.records import DataRecord, Run, TaskResult
from harness.report.captions import headline
from harness.report.leaderboard import Cell, Section, build_leaderboard, surely_best
from harness.types import Estimate
from tests.report.fixtures.runs import digest, ends, proportion, realistic, result, run


def cell(estimate: Estimate | None, unscored: int = 0) -> Cell:
    return Cell("r", estimate, 100, unscored, 0, None)


def best(*intervals: tuple[float, float], higher: bool = True) -> int | None:
    cells = [cell(ends((low + high) / 2, low, high, higher=higher)) for low, high in intervals]
    return surely_best(cells, higher)


def test_the_best_is_marked_only_where_its_interval_clears_all_others() -> None:
    """Worked by hand, intervals in percent.

    A 60 to 64, B 52 to 56, C 50 to 59: A's low end 60 is above both 56 and 59, so A is sure.
    A 58 to 62, B 52 to 56, C 50 to 59: A's low end 58 is below C's high end 59: nothing.
    A 60 to 64 and B 56 to 60 touch at 60: not apart, so nothing.
    """
    assert best((0.60, 0.64), (0.52, 0.56), (0.50, 0.59)) == 0
    assert best((0.58, 0.62), (0.52, 0.56), (0.50, 0.59)) is None
    assert best((0.60, 0.64), (0.56, 0.60)) is None


def test_the_widest_interval_with_the_highest_value_does_not_win() -> None:
    """A 50 to 80 (value 65) against B 60 to 62 (value 61): A is higher, but not surely."""
    assert best((0.50, 0.80), (0.60, 0.62)) is None


def test_lower_is_better_for_perplexity() -> None:
    """A 24 to 26 lies below B 28 to 30 and C 27 to 33; against C 25 to 33 it does not."""
    assert best((28, 30), (24, 26), (27, 33), higher=False) == 1
    assert best((28, 30), (24, 26), (25, 33), higher=False) is None


def test_one_model_alone_is_never_the_best() -> None:
    assert best((0.6, 0.7)) is None
    assert surely_best([None, cell(ends(0.6, 0.5, 0.7)), None], True) is None
    assert surely_best([], True) is None


@pytest.mark.parametrize(
    "unknown",
    [
        cell(ends(0.2, None, None)),
        cell(ends(0.2, 0.1, None)),
        cell(ends(None, None, None)),
        cell(ends(0.2, float("nan"), 0.3)),
        cell(None),
        cell(ends(0.2, 0.1, 0.3), unscored=3),
        cell(ends(0.2, 0.2, 0.2)),
    ],
)
def test_a_rival_of_unknown_strength_is_not_surely_beaten(unknown: Cell) -> None:
    assert surely_best([cell(ends(0.9, 0.8, 0.95)), unknown], True) is None


def board_of(*results: TaskResult) -> Section:
    """The benchmarks after scoring each result with a model of its own."""
    runs = [run(f"m{place}", [item]) for place, item in enumerate(results)]
    return build_leaderboard(runs).benchmarks


def columns(*results: TaskResult) -> list[str]:
    return [column.label for column in board_of(*results).columns]


def test_unequal_work_never_shares_a_column() -> None:
    plain = result("arc_easy", proportion(0.5, 2376))
    assert columns(plain, plain) == ["arc_easy"]
    assert columns(plain, result("arc_easy", proportion(0.5, 2376), num_fewshot=25)) == [
        "arc_easy",
        "arc_easy (25-shot)",
    ]
    limited = result("arc_easy", proportion(0.5, 1000), limit=1000)
    assert columns(limited, plain) == ["arc_easy", "arc_easy (first 1,000)"]
    reworded = columns(plain, result("arc_easy", proportion(0.5, 2376), prompts="other"))
    assert len(reworded) == 2 and all("(prompts " in label for label in reworded)
    newer = columns(plain, replace(plain, version="2.0"))
    assert newer == ["arc_easy (version 1.0)", "arc_easy (version 2.0)"]


def test_other_data_is_another_column() -> None:
    whole = result("hellaswag", proportion(0.4, 1000), "acc_norm")
    exact = replace(
        whole, data=(DataRecord("Rowan/hellaswag", "text-exact-1000", "mirror", {"v": "1" * 64}),)
    )
    assert columns(whole, exact) == [
        "hellaswag (Rowan/hellaswag)",
        "hellaswag (Rowan/hellaswag text-exact-1000)",
    ] or columns(whole, exact) == [
        "hellaswag (Rowan/hellaswag text-exact-1000)",
        "hellaswag (Rowan/hellaswag)",
    ]
    changed = replace(whole, data=(replace(whole.data[0], files={"v": "2" * 64}),))
    labels = columns(whole, changed)
    assert len(set(labels)) == 2 and all(label.startswith("hellaswag (data ") for label in labels)


def test_the_same_files_from_mirror_or_hub_are_the_same_work() -> None:
    mirror = result("hellaswag", proportion(0.4, 1000), "acc_norm")
    hub = replace(mirror, data=(replace(mirror.data[0], origin="hub"),))
    assert columns(mirror, hub) == ["hellaswag"]


def test_chat_templates_and_other_metrics_split_columns() -> None:
    plain = result("arc_easy", proportion(0.5, 2376))
    board = build_leaderboard([run("a", [plain]), run("b", [plain], chat_template=True)])
    labels = [column.label for column in board.benchmarks.columns]
    assert labels == ["arc_easy", "arc_easy (chat template)"]
    board = build_leaderboard(
        [run("a", [plain]), run("b", [result("arc_easy", proportion(0.5, 2376), "acc_norm")])]
    )
    assert [(c.label, c.metric) for c in board.benchmarks.columns] == [
        ("arc_easy", "acc"),
        ("arc_easy", "acc_norm"),
    ]


def test_results_against_other_models_never_share_a_column() -> None:
    """The same 60% beside another reference, or by another judge, is another figure."""
    plain = result("reward_accuracy", proportion(0.6, 100))
    one, other = (
        replace(plain, others={"reference": f"{name} (0f0f)"}) for name in ("smol", "smol-sft")
    )
    assert columns(one, one) == ["reward_accuracy (reference smol)"]
    assert columns(one, other) == [
        "reward_accuracy (reference smol)",
        "reward_accuracy (reference smol-sft)",
    ]
    layers = [replace(plain, others={"minilm": f"minilm (0f0f, layer {n})"}) for n in (4, 5)]
    assert columns(*layers) == [
        "reward_accuracy (minilm minilm (0f0f, layer 4))",
        "reward_accuracy (minilm minilm (0f0f, layer 5))",
    ]


def test_nobody_is_surely_best_by_an_interval_without_width() -> None:
    """Ten docs that were all right say 100.0 to 100.0: that is no certainty."""
    assert best((1.0, 1.0), (0.2, 0.4)) is None


def test_a_limit_that_leaves_no_doc_out_is_the_same_work() -> None:
    """Limits of 5,000 and 2,376 on a split of 2,376 docs ask the same as no limit."""
    whole = result("arc_easy", proportion(0.5, 2376))
    above, exact = (replace(whole, limit=limit) for limit in (5000, 2376))
    for results in ([whole, above], [whole, exact], [above, exact], [above]):
        section = board_of(*results)
        assert [column.label for column in section.columns] == ["arc_easy"], results
        assert section.columns[0].limit is None
        assert {cell.limit for row in section.rows for cell in row.cells if cell} == {None}
    # Alone, it may have left docs out: nothing says how many there are.
    assert columns(exact) == ["arc_easy (first 2,376)"]


def test_fuller_work_comes_first_and_other_docs_are_another_column() -> None:
    whole = result("arc_easy", proportion(0.5, 2376))
    some, few = (
        result("arc_easy", proportion(0.5, limit), limit=limit, prompts=limit)
        for limit in (1000, 10)
    )
    assert columns(few, some, whole) == [
        "arc_easy",
        "arc_easy (first 1,000)",
        "arc_easy (first 10)",
    ]


def test_results_in_other_units_share_a_column_and_are_read_in_one() -> None:
    """A metric that is 0 or 1 for all docs of one model is recorded as a proportion there."""
    lucky = result("drop", proportion(0.5, 20), "f1")
    usual = result("drop", ends(0.25, 0.2, 0.3, unit="score"), "f1", docs=20)
    empty = result("drop", ends(None, None, None, unit="perplexity", higher=False), "f1", docs=20)
    section = board_of(lucky, usual, empty)
    (column,) = section.columns
    assert (column.unit, column.higher_is_better) == ("score", True)
    estimates = [cell.estimate for row in section.rows for cell in row.cells if cell]
    assert [(e.value, e.unit) for e in estimates if e] == [
        (0.5, "score"),
        (0.25, "score"),
        (None, "score"),
    ]
    assert board_of(lucky, empty).columns[0].unit == "proportion"
    assert board_of(empty).columns[0].unit == "perplexity"


def test_a_limit_that_is_spread_over_groups_is_not_called_first() -> None:
    groups = {"anatomy": {"acc": proportion(0.3, 50)}, "virology": {"acc": proportion(0.4, 50)}}
    mmlu = result("mmlu", proportion(0.35, 100), groups=groups, limit=100)
    assert columns(mmlu) == ["mmlu (100 over 2 groups)"]


def test_token_perplexity_is_compared_within_one_tokenizer_only() -> None:
    """Per-token figures of two vocabularies are of different units, word perplexity is not."""
    per_token = result("wikitext2", ends(20, 19, 21, unit="perplexity"), "token_perplexity")
    runs = [
        run("a", [per_token], files={"tokenizer.json": "1"}),
        run("a-sft", [per_token], files={"tokenizer.json": "1"}),
        run("b", [per_token], files={"tokenizer.json": "2"}),
    ]
    section = build_leaderboard(runs).benchmarks
    assert len(section.columns) == 2
    assert all("tokenizer" in column.label for column in section.columns)
    per_word = result("wikitext2", ends(20, 19, 21, unit="perplexity"), "word_perplexity")
    runs = [run(name, [per_word], files={"tokenizer.json": name}) for name in "ab"]
    assert len(build_leaderboard(runs).benchmarks.columns) == 1


def shown(section: Section) -> dict[str, list[float | None]]:
    return {
        row.label: [cell.estimate.value if cell and cell.estimate else None for cell in row.cells]
        for row in section.rows
    }


def test_the_newest_result_wins_whatever_the_order_of_the_runs() -> None:
    old = run("smol", [result("arc_easy", proportion(0.4, 100))], created="2026-01-01T00:00:00Z")
    # 23:30 at +02:00 is 21:30 UTC: earlier than the run of 22:00 UTC, though it sorts after it.
    mid = run("smol", [result("arc_easy", proportion(0.5, 100))], created="2026-01-02T23:30+02:00")
    new = run("smol", [result("arc_easy", proportion(0.6, 100))], created="2026-01-02T22:00:00Z")
    for runs in ([old, mid, new], [new, mid, old], [mid, new, old]):
        board = build_leaderboard(runs)
        assert shown(board.benchmarks) == {"smol": [0.6]}
        assert board.newest == "2026-01-02T22:00:00Z"


def test_results_of_several_runs_of_one_model_share_a_row() -> None:
    easy = run("smol", [result("arc_easy", proportion(0.5, 100))])
    hard = run("smol", [result("arc_challenge", proportion(0.2, 100))])
    board = build_leaderboard([easy, hard])
    assert shown(board.benchmarks) == {"smol": [0.2, 0.5]}
    assert board.benchmarks.rows[0].costs.tasks == 2


def test_other_weights_or_dtypes_of_one_name_are_rows_of_their_own() -> None:
    easy = [result("arc_easy", proportion(0.5, 100))]
    runs = [run("smol", easy), run("smol", easy, dtype="float32")]
    runs[1] = replace(runs[1], model=replace(runs[1].model, dtype="float32"))
    labels = sorted(row.label for row in build_leaderboard(runs).benchmarks.rows)
    assert labels == ["smol (bfloat16)", "smol (float32)"]
    runs = [run("smol", easy, weights_id="sha256:" + digit * 64) for digit in "12"]
    labels = sorted(row.label for row in build_leaderboard(runs).benchmarks.rows)
    assert labels == ["smol (weights 11111111)", "smol (weights 22222222)"]


def test_sample_results_are_set_apart_and_never_compete() -> None:
    real = run("a", [result("arc_easy", proportion(0.2, 2376))])
    toy = run("b", [result("arc_easy", proportion(0.9, 120), origin="samples")])
    board = build_leaderboard([real, toy])
    assert shown(board.benchmarks) == {"a": [0.2]}
    assert shown(board.samples) == {"b": [0.9]}
    assert not any(cell.surely_best for row in board.samples.rows for cell in row.cells if cell)


def test_missing_results_interrupted_and_empty_runs_are_said() -> None:
    cut = run(
        "smol",
        [result("arc_easy", proportion(0.5, 100))],
        status="interrupted",
        tasks=("arc_easy", "mmlu"),
    )
    nothing = run("qwen", [], status="failed", tasks=("mmlu",), id="r1")
    board = build_leaderboard([cut, nothing, run("b", [result("mmlu", proportion(0.25, 100))])])
    by_name = {row.name: row for row in board.benchmarks.rows}
    assert by_name["smol"].notes == ("interrupted run: mmlu not scored",)
    assert by_name["smol"].cells[1] is None
    assert board.notes == ("run r1 of qwen (failed) has no finished task",)
    # Scored later by another run: nothing is missing any more.
    later = run("smol", [result("mmlu", proportion(0.3, 100))])
    assert build_leaderboard([cut, later]).benchmarks.rows[0].notes == ()


def test_a_result_without_its_primary_metric_is_undefined_not_zero() -> None:
    odd = replace(result("arc_easy", proportion(0.5, 100)), primary="acc_norm")
    section = build_leaderboard([run("smol", [odd])]).benchmarks
    assert section.rows[0].cells[0] is not None
    assert section.rows[0].cells[0].estimate is None


def test_costs_add_up_over_the_results_in_the_row() -> None:
    """100 docs x 0.21 s = 21 s and 200 docs x 0.21 s = 42 s; (100 + 200) x 96 / 63 s = 457.1/s."""
    tasks = [result("arc_easy", proportion(0.5, 100)), result("mmlu", proportion(0.5, 200))]
    costs = build_leaderboard([run("smol", tasks)]).benchmarks.rows[0].costs
    assert costs.seconds == pytest.approx(63)
    assert costs.tokens_per_second == pytest.approx(457.14, abs=0.01)
    assert costs.peak_memory_bytes == 912_000_000


def test_the_speed_is_the_probes_of_the_same_weights() -> None:
    tasks = [result("arc_easy", proportion(0.5, 100))]
    rows = build_leaderboard(
        [run("smol", tasks), run("qwen", tasks)],
        decode={(digest("smol"), "bfloat16"): 137.0, (digest("qwen"), "float32"): 9.0},
    ).benchmarks.rows
    assert {row.name: row.costs.decode for row in rows} == {"smol": 137.0, "qwen": None}


def test_pages_of_suites_that_were_not_run_are_not_linked() -> None:
    made = [run("smol", [result("arc_easy", proportion(0.5, 100))], suite="card")]
    assert build_leaderboard(made, published={"card", "other"}).published == ("card",)
    assert build_leaderboard(made, published={"leaderboard"}).published == ()


def test_answers_from_the_journal_have_no_speed() -> None:
    """The newest result counts; what the work takes is what the model itself took, if known."""

    def of(created: str, value: float, stored: int) -> Run:
        scored = result("arc_easy", proportion(value, 100))
        cost = replace(scored.cost, seconds=3.0, stored=stored) if stored else scored.cost
        return run("smol", [replace(scored, cost=cost)], created=created)

    asked, stored = of("2026-03-01T12:00:00+00:00", 0.5, 0), of("2026-03-02T12:00:00+00:00", 0.6, 9)
    (row,) = build_leaderboard([asked, stored]).benchmarks.rows
    assert row.cells[0] is not None and row.cells[0].estimate is not None
    assert row.cells[0].estimate.value == 0.6
    assert row.costs.seconds == pytest.approx(21)
    assert row.costs.tokens_per_second == pytest.approx(457.14, abs=0.01)

    (row,) = build_leaderboard([stored]).benchmarks.rows
    assert row.costs.seconds == 3.0 and row.costs.tokens_per_second is None


def test_the_headline_says_what_is_sure_and_what_is_not() -> None:
    board = build_leaderboard(realistic())
    assert headline(board.benchmarks) == (
        "Surely best: qwen on gsm8k (5-shot) and mmlu. "
        "In 4 other shared columns no model is surely ahead of all others."
    )
    assert headline(build_leaderboard(realistic()[:1]).benchmarks).startswith("No two models")


def test_descendants_follow_what_they_were_made_from() -> None:
    names = [row.name for row in build_leaderboard(realistic()).benchmarks.rows]
    assert names == ["bloom-560m", "qwen", "smol", "smol-sft", "smol-dpo", "smol-dpo-int4"]


def test_the_leaderboard_imports_nothing_heavy() -> None:
    code = (
        "import harness.report.leaderboard, sys;"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
