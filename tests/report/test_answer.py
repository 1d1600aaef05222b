"""Which model to ship, on boards whose differences are worked by hand."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from harness.records import DataRecord
from harness.report.answer_words import answer_phrases, answer_sureness, plain
from harness.report.board import Answer, Section
from harness.report.leaderboard import build_leaderboard, narrowed_to
from harness.report.shared_work import Group, shared_work
from harness.run_folder import RunFolder
from tests.report.fixtures.paired import RIGHT, accuracy, answer_of, answers, board_of, scored
from tests.report.fixtures.runs import choice_row, digest, ends, result, run, stored

HAS_NO_DOCS = "its docs are not here, or not whole"


def said(section: Section) -> str:
    return plain(answer_phrases(section))


def standings(answer: Answer) -> dict[str, str]:
    return {rival.label: rival.standing for rival in answer.rivals}


def test_a_model_that_is_surely_ahead_of_all_others_is_named(tmp_path: Path) -> None:
    """B loses 30 docs of 400 and gains 10: −5 points, z = −20 / sqrt(40) = −3.16, p = 0.0016."""
    section = board_of(
        scored(tmp_path, "b", {"arc_easy": answers(10, 30)}),
        scored(tmp_path, "a", {"arc_easy": answers()}),
    ).benchmarks
    answer = section.answer
    assert answer is not None and (answer.leader, answer.score, answer.docs) == ("a", 0.75, 400)
    (rival,) = answer.rivals
    assert rival.standing == "behind" and rival.delta.value == pytest.approx(-0.05)
    assert rival.p == pytest.approx(0.00157, abs=1e-5) and rival.p_holm == rival.p
    assert said(section) == (
        "a is surely the best on arc_easy: 75.0% of 400 docs right. "
        "The other, b, is at −5.0 points, −8.3 to −2.0."
    )
    assert answer_sureness(section) == ["Of 1 other, 1 is surely behind."]


@pytest.mark.parametrize(("models", "standing"), [(8, "behind"), (9, "doubtful")])
def test_the_number_of_pairs_counts_against_being_sure(
    tmp_path: Path, models: int, standing: str
) -> None:
    """0.00157 times the 28 pairs of 8 models is 0.044; times the 36 pairs of 9 it is 0.056."""
    equal = [scored(tmp_path, f"a{n}", {"arc_easy": answers()}) for n in range(models - 1)]
    answer = answer_of(*equal, scored(tmp_path, "b", {"arc_easy": answers(10, 30)}))
    assert standings(answer)["b"] == standing
    assert {*standings(answer).values()} == {standing, "level"}


def test_the_smallest_of_those_that_cannot_be_told_apart_is_named(tmp_path: Path) -> None:
    """b: 10 gained, 12 lost, z = −0.43; c: 9 and 11; d is small too, but surely behind."""
    section = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}, disk_bytes=1000),
        scored(tmp_path, "b", {"arc_easy": answers(10, 12)}, disk_bytes=400),
        scored(tmp_path, "c", {"arc_easy": answers(9, 11)}, disk_bytes=700),
        scored(tmp_path, "d", {"arc_easy": answers(0, 60)}, disk_bytes=100),
    ).benchmarks
    answer = section.answer
    assert answer is not None and (answer.leader, answer.smaller) == ("a", "b")
    assert standings(answer) == {"b": "level", "c": "level", "d": "behind"}
    assert said(section) == (
        "a has the highest score on arc_easy: 75.0% of 400 docs right, surely ahead of 1 of 3 "
        "others. b is 60% smaller on disk and cannot be told from it (−0.5 points, −3.0 to +1.9)."
    )
    first, second = answer_sureness(section)
    assert first == "Of 3 others, 1 is surely behind; 2 cannot be told from it (b and c)."
    assert second.startswith("A true difference of 3.") and second.endswith(
        "four times in five, in a test of its own."
    )


def test_four_percent_smaller_is_not_smaller_and_equals_go_to_the_smallest(tmp_path: Path) -> None:
    section = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}, disk_bytes=1000),
        scored(tmp_path, "b", {"arc_easy": answers()}, disk_bytes=990),
        scored(tmp_path, "c", {"arc_easy": answers(10, 12)}, disk_bytes=960),
    ).benchmarks
    assert section.answer is not None
    assert (section.answer.leader, section.answer.smaller) == ("b", None)
    assert said(section) == (
        "b has, like a, the highest score on arc_easy: 75.0% of 400 docs right, but no other model "
        "is surely behind. None that can stand in for it is smaller."
    )


def test_a_loss_on_one_task_is_not_hidden_by_a_gain_on_another(tmp_path: Path) -> None:
    """b: −20 of 400 on the first task, surely; +19 on the second, surely; −1 of 800 over all."""
    section = board_of(
        scored(tmp_path, "a", {"arc_easy": answers(), "boolq": answers()}, disk_bytes=1000),
        scored(
            tmp_path, "b", {"arc_easy": answers(10, 30), "boolq": answers(22, 3)}, disk_bytes=300
        ),
    ).benchmarks
    answer = section.answer
    assert answer is not None
    (rival,) = answer.rivals
    assert (rival.standing, rival.worse_on, rival.better_on) == ("mixed", ("arc_easy",), ("boolq",))
    assert rival.delta.value == pytest.approx(-1 / 800) and answer.docs == 800
    assert "b is 70% smaller on disk and cannot be told from it over all (−0.1 points" in said(
        section
    )
    assert said(section).endswith("), but seems worse on arc_easy.")
    assert "Surely better than it on a task: b on boolq." in answer_sureness(section)


def test_a_level_model_goes_before_a_smaller_one_that_is_worse_on_a_task(tmp_path: Path) -> None:
    tasks = {"arc_easy": answers(), "boolq": answers()}
    answer = answer_of(
        scored(tmp_path, "a", tasks, disk_bytes=1000),
        scored(
            tmp_path, "b", {"arc_easy": answers(10, 30), "boolq": answers(22, 3)}, disk_bytes=300
        ),
        scored(tmp_path, "c", {"arc_easy": answers(5, 6), "boolq": answers()}, disk_bytes=600),
    )
    assert answer.smaller == "c"


def test_the_fastest_by_the_probe_is_named_where_the_leader_was_probed_too(tmp_path: Path) -> None:
    folders = [
        scored(tmp_path, "a", {"arc_easy": answers()}),
        scored(tmp_path, "b", {"arc_easy": answers(5, 7)}),
        scored(tmp_path, "c", {"arc_easy": answers(0, 60)}),
    ]
    speeds = {
        (digest(name), "bfloat16"): speed
        for name, speed in {"a": 100.0, "b": 150.0, "c": 900.0}.items()
    }
    board = board_of(*folders, decode=speeds)
    assert board.benchmarks.answer is not None and board.benchmarks.answer.faster == "b"
    assert "b is 1.5 times as fast and cannot be told from it (−0.5" in said(board.benchmarks)
    del speeds[digest("a"), "bfloat16"]
    assert answer_of(*folders, decode=speeds).faster is None


def test_only_models_that_share_work_are_held_against_each_other(tmp_path: Path) -> None:
    """Three of four share both tasks: six results; four share one: four."""
    both = {"arc_easy": answers(), "boolq": answers()}
    section = board_of(
        *(scored(tmp_path, name, both) for name in "abc"),
        scored(tmp_path, "d", {"arc_easy": answers(90)}),
    ).benchmarks
    assert section.answer is not None
    assert section.answer.columns == section.answer.measured == ("arc_easy", "boolq")
    assert section.answer.leader == "a" and section.answer.left_out == {"d": "other work"}
    assert "Not compared: d (other work)." in answer_sureness(section)


def test_what_all_share_is_found_where_every_two_share_something_else() -> None:
    """Five models have arc_easy, and any two of them one more task that no third has."""
    pairs = list(combinations("abcde", 2))
    runs = [
        run(name, [accuracy(task, answers()) for task in ("arc_easy", *map("".join, own))])
        for name in "abcde"
        for own in [[pair for pair in pairs if name in pair]]
    ]
    section = build_leaderboard(runs).benchmarks
    assert [column.label for column in section.columns[:3]] == ["ab", "ac", "ad"]
    (place,) = [n for n, column in enumerate(section.columns) if column.label == "arc_easy"]
    assert shared_work(section) == Group((0, 1, 2, 3, 4), (place,))


def test_half_of_the_models_is_not_enough(tmp_path: Path) -> None:
    section = board_of(
        *(scored(tmp_path, name, {"arc_easy": answers()}) for name in "ab"),
        *(scored(tmp_path, name, {"boolq": answers()}) for name in "cd"),
    ).benchmarks
    assert section.answer is not None and section.answer.leader is None
    assert said(section) == (
        "No model can be named: no task was asked of more than half of the models in the same way, "
        "and scored in full."
    )


def test_a_task_counts_once_by_its_fullest_column(tmp_path: Path) -> None:
    """The first 100 docs are among the 400: both columns together would count them twice."""
    limited = {"limit": 100, "prompts": "first"}
    folders = [
        made
        for name in "ab"
        for made in (
            scored(tmp_path, name, {"arc_easy": answers()}),
            scored(
                tmp_path,
                name,
                {"arc_easy": answers()[:100]},
                of_result=limited,
                id=f"{name}-limited",
            ),
        )
    ]
    answer = answer_of(*folders)
    assert answer.columns == ("arc_easy",) and answer.docs == 400


def test_results_of_several_runs_of_a_model_count_together(tmp_path: Path) -> None:
    answer = answer_of(
        *(
            scored(tmp_path, name, {task: right}, id=f"{name}-{task}")
            for name, right in (("a", answers()), ("b", answers(0, 60)))
            for task in ("arc_easy", "boolq")
        )
    )
    assert (answer.leader, answer.docs) == ("a", 800)
    assert standings(answer) == {"b": "behind"}


def test_unscored_docs_and_missing_rows_leave_a_model_out(tmp_path: Path) -> None:
    """The two that look best have no docs to show: one lost its rows, one of them half a line."""
    best, torn = (scored(tmp_path, name, {"arc_easy": answers(90)}) for name in ("best", "torn"))
    best.rows_path("arc_easy").unlink()
    with torn.rows_path("arc_easy").open("a") as rows:
        rows.write('{"doc_id": "half')
    level = [scored(tmp_path, name, {"arc_easy": answers()}) for name in "abcd"]
    unscored = scored(tmp_path, "unscored", {"arc_easy": answers(80)}, of_result={"unscored": 1})
    assert answer_of(*level, best, torn).leader == "a"
    assert answer_of(*level, best, torn).left_out == dict.fromkeys(("best", "torn"), HAS_NO_DOCS)
    assert answer_of(*level, unscored).left_out == {"unscored": "docs without a score"}
    (tmp_path / "run-of-a" / "rows" / "arc_easy.jsonl").unlink()
    alone = answer_of(level[0], level[1])
    assert (
        alone.leader is None
        and alone.why == f"Most of the models cannot be compared: a ({HAS_NO_DOCS})."
    )


def test_who_was_not_compared_is_not_beaten_by_words(tmp_path: Path) -> None:
    """Best has the highest figure and one unscored doc; a is ahead of b alone, and that is said."""
    best = scored(tmp_path, "best", {"arc_easy": answers(90)}, of_result={"unscored": 1})
    others = [scored(tmp_path, name, {"arc_easy": answers()}) for name in ("a",)]
    behind = [scored(tmp_path, name, {"arc_easy": answers(0, 60)}) for name in ("b", "c")]
    section = board_of(best, *others, *behind).benchmarks
    assert section.answer is not None and section.answer.ahead == ("best",)
    assert said(section) == (
        "a is surely ahead of the 2 others that could be compared on arc_easy: 75.0% of 400 docs "
        "right. The closest, b, is at −15.0 points, −18.8 to −11.8. Not compared, with a better "
        "figure on a task: best (docs without a score)."
    )


def test_the_same_weights_in_two_rows_are_one_model(tmp_path: Path) -> None:
    """Under another name nothing else can be surely behind it: its copy never would be."""
    section = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}),
        scored(tmp_path, "copy", {"arc_easy": answers()}, weights_id=digest("a")),
        scored(tmp_path, "b", {"arc_easy": answers(0, 60)}),
    ).benchmarks
    assert section.answer is not None
    assert section.answer.left_out == {"copy": "the same weights as a"}
    assert said(section).startswith("a is surely ahead of the 1 other that could be compared")


def test_equal_figures_on_every_doc_are_level_without_an_interval(tmp_path: Path) -> None:
    """A bootstrap of no differences has no spread, and there is nothing to doubt either."""

    def pages(name: str, nats: float) -> RunFolder:
        shares = [(-(nats + 0.01 * (page % 5)) * 100, 100) for page in range(20)]
        value = math.exp(-sum(a for a, _ in shares) / 2000)
        estimate = ends(value, value - 1, value + 1, unit="perplexity", higher=False, n=20)
        rows = [
            choice_row(page, True, scores={"word_perplexity": share})
            for page, share in enumerate(shares)
        ]
        made = run(name, [result("wikitext2", estimate, "word_perplexity")], id=name)
        return stored(tmp_path / name, made, {"wikitext2": rows})

    section = board_of(pages("a", 3.5), pages("b", 3.5), pages("c", 4.0)).benchmarks
    assert section.answer is not None and not section.answer.left_out
    assert standings(section.answer) == {"b": "level", "c": "behind"}
    assert "a has, like b, the best figure on wikitext2: word_perplexity 33." in said(section)


def test_nothing_right_is_nothing_to_ship(tmp_path: Path) -> None:
    none = [False] * 400
    section = board_of(*(scored(tmp_path, name, {"gsm8k": none}) for name in "ab")).benchmarks
    assert said(section) == "No model can be named: no model answered anything right."


def test_a_share_that_aims_at_its_middle_has_no_best(tmp_path: Path) -> None:
    """Of CrowS-Pairs' share half is no preference: 5% is no better than 50%."""
    folders = []
    for name, right in (("b", 0.5), ("a", 0.05)):
        made = accuracy("crows_pairs", [place < 400 * right for place in range(400)])
        estimate = replace(made.estimates["acc"], higher_is_better=False)
        made = replace(made, primary="pct_stereotype", estimates={"pct_stereotype": estimate})
        rows = [
            choice_row(place, True, scores={"pct_stereotype": float(place < 400 * right)})
            for place in range(400)
        ]
        lineage = ("b",) if name == "b" else ("b", "a")
        record = run(name, [made], id=name, lineage=lineage)
        folders.append(stored(tmp_path / name, record, {"crows_pairs": rows}))
    section = board_of(*folders).benchmarks
    assert section.answer is not None and section.answer.leader is None
    cells = [row.cells[0] for row in section.rows]
    assert [cell is not None and cell.surely_best for cell in cells] == [False, False]
    (delta,) = [cell.delta for cell in cells if cell is not None and cell.delta is not None]
    assert delta.estimate.value == pytest.approx(-0.45) and delta.p is not None and delta.p < 0.001
    assert (delta.verdict, delta.p_holm) == ("not tested", None)


def test_one_column_is_read_in_one_unit_whatever_a_pair_has(tmp_path: Path) -> None:
    """Two models whose F1 happens to be 0 or 1 on every doc, beside one that has halves."""
    folders = []
    for name, values in {
        "base": [float(place < 60) for place in range(200)],
        "tuned": [float(place < 90) for place in range(200)],
        "third": [0.5 * (place < 50) for place in range(200)],
    }.items():
        unit = "score" if name == "third" else "proportion"
        value = sum(values) / 200
        estimate = ends(value, value - 0.06, value + 0.06, unit=unit, n=200)
        lineage = ("base",) if name == "base" else ("base", name)
        made = run(name, [result("drop", estimate, "f1")], id=name, lineage=lineage)
        rows = [choice_row(place, True, scores={"f1": each}) for place, each in enumerate(values)]
        folders.append(stored(tmp_path / name, made, {"drop": rows}))
    section = board_of(*folders).benchmarks
    assert [column.unit for column in section.columns] == ["score"]
    answer = section.answer
    assert answer is not None and (answer.leader, answer.unit) == ("tuned", "score")
    assert [(each.label, each.delta.unit) for each in answer.rivals] == [
        ("base", "score"),
        ("third", "score"),
    ]
    assert "f1 0.450 over 200 docs. The closest, base, is at −0.150, " in said(section)
    deltas = {row.label: cell.delta for row in section.rows for cell in row.cells if cell}
    assert {
        label: (round(delta.estimate.value or 0, 3), delta.estimate.unit)
        for label, delta in deltas.items()
        if delta
    } == {"third": (-0.175, "score"), "tuned": (0.15, "score")}


def test_questions_that_two_tasks_ask_count_once(tmp_path: Path) -> None:
    """The same 400 questions by likelihood and as written answers: 400 docs, not 800."""
    arc = {"data": [DataRecord("allenai/ai2_arc", "ARC-Easy", "mirror", {"test.jsonl": "ab" * 32})]}
    tasks = {"arc_easy": answers(), "arc_easy_answer": answers()}
    worse = {"arc_easy": answers(1, 6), "arc_easy_answer": answers(1, 6)}
    answer = answer_of(
        scored(tmp_path, "a", tasks, of_result=arc), scored(tmp_path, "b", worse, of_result=arc)
    )
    assert answer.measured == ("arc_easy",) and answer.docs == 400
    assert standings(answer) == {"b": "level"}


def test_two_splits_of_a_data_set_count_both(tmp_path: Path) -> None:
    anli = {"data": [DataRecord("facebook/anli", None, "hub", {}, "ab" * 20)]}
    tasks = {"anli_r1": answers(), "anli_r2": answers()}
    folders = [scored(tmp_path, name, tasks, of_result=anli) for name in ("one", "two")]
    for folder in folders:
        rows = folder.rows_path("anli_r2")
        rows.write_text(rows.read_text().replace('"doc_id":"', '"doc_id":"other '))
    answer = answer_of(*folders)
    assert answer.measured == ("anli_r1", "anli_r2") and answer.docs == 800


def test_perplexities_have_no_sum_but_one_alone_is_a_score(tmp_path: Path) -> None:
    """exp(4 nats a word) against exp(3.5), the same for all of 20 pages but for a little noise."""

    def model(name: str, nats: float, *tasks: str) -> RunFolder:
        shares = [(-(nats + 0.01 * (page % 5 - 2)) * 100, 100) for page in range(20)]
        value = math.exp(-sum(a for a, _ in shares) / 2000)
        estimate = ends(value, value - 1, value + 1, unit="perplexity", higher=False, n=20)
        rows = [
            choice_row(page, True, scores={"word_perplexity": share})
            for page, share in enumerate(shares)
        ]
        made = run(name, [result(task, estimate, "word_perplexity") for task in tasks], id=name)
        return stored(tmp_path / str(len(tasks)) / name, made, dict.fromkeys(tasks, rows))

    alone = board_of(model("a", 4.0, "wikitext2"), model("b", 3.5, "wikitext2"))
    assert said(alone.benchmarks).startswith(
        "b is surely the best on wikitext2: word_perplexity 33.12 over 20 docs."
    )
    both = board_of(*(model(name, 4.0, "ptb", "wikitext2") for name in "ab"))
    assert said(both.benchmarks) == (
        "No model can be named: the tasks that the models share have no right and wrong answers "
        "to add up."
    )


def test_a_perplexity_beside_accuracies_is_looked_at_but_not_in_the_score(tmp_path: Path) -> None:
    """A macro average is a share as well, but weighs docs unequally: it is not in the score."""
    folders = []
    for name in "ab":
        macro = accuracy("mmlu", answers())
        macro = replace(macro, primary="acc_macro", estimates={"acc_macro": macro.estimates["acc"]})
        made = run(name, [accuracy("arc_easy", answers()), macro], id=name)
        rows = [
            choice_row(place, True, scores={"acc": float(place < RIGHT)}, group="g")
            for place in range(400)
        ]
        folders.append(stored(tmp_path / name, made, {"arc_easy": rows, "mmlu": rows}))
    section = board_of(*folders).benchmarks
    assert section.answer is not None and section.answer.measured == ("arc_easy",)
    assert "Looked at, but not in the score: mmlu." in answer_sureness(section)


def test_one_model_and_none_have_no_answer(tmp_path: Path) -> None:
    alone = board_of(scored(tmp_path, "a", {"arc_easy": answers()})).benchmarks
    assert said(alone) == "No model can be named: there is nothing to hold the only model against."
    assert board_of().benchmarks.answer is None
    assert answer_phrases(build_leaderboard([]).benchmarks) == []


def test_one_model_asked_for_by_name_comes_without_an_answer(tmp_path: Path) -> None:
    board = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}),
        scored(tmp_path, "a-sft", {"boolq": answers()}, lineage=("a", "a-sft")),
    )
    narrowed = narrowed_to(board, "a").benchmarks
    assert [row.label for row in narrowed.rows] == ["a"] and narrowed.answer is None
    assert [column.label for column in narrowed.columns] == ["arc_easy"]
