"""lm-eval's own reader prints our results."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from lm_eval.utils import make_table

from harness.exports.lm_eval_results import lm_eval_results
from harness.records import Run
from tests.exports.stored import ARC, HOSTILE, STRICT, complete
from tests.report.fixtures.runs import result, run


def read_back(made: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(lm_eval_results(made)))
    return found


def printed(results: dict[str, Any], column: str = "results") -> list[list[str | float]]:
    """The cells of lm-eval's table without its two lines of heading; figures as numbers, because
    how many digits a column has depends on all of its values.
    """
    lines = make_table(results, column).strip().splitlines()[2:]
    return [[number(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]


def number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def test_lm_evals_table_shows_our_figures() -> None:
    acc, exact = "acc", "exact_match"
    assert printed(read_back(complete())) == [
        ["arc_easy", 1, "none", 0, acc, "↑", 0.5, "±", 0.05],
        ["gsm8k (samples)", 1, "strict-match", 5, exact, "↑", 0.25, "±", "N/A"],
        ["mmlu", 1, "none", 5, acc, "↑", 0.55, "±", "N/A"],
        ["", "", "none", 5, "acc_macro", "↑", "", "±", "N/A"],
        ["- anatomy", 1, "none", 5, acc, "↑", 0.25, "±", "N/A"],
        ["- virology", 1, "none", 5, acc, "↑", 0.75, "±", "N/A"],
        ["wikitext2", 1, "none", 0, "word_perplexity", "↓", 7.5, "±", "N/A"],
    ]


def test_lm_evals_table_of_groups() -> None:
    found = printed(read_back(complete()), "groups")
    assert [line[0] for line in found] == ["mmlu", ""]


def test_the_layout_is_lm_evals() -> None:
    found = read_back(complete())
    assert found["results"]["arc_easy"] == {
        "name": "arc_easy",
        "alias": "arc_easy",
        "sample_len": 100,
        "acc,none": 0.5,
        "acc_stderr,none": 0.05,
    }
    assert found["results"]["mmlu"]["acc_macro,none"] is None
    assert found["group_subtasks"]["mmlu"] == ["mmlu_anatomy", "mmlu_virology"]
    assert found["group_subtasks"]["arc_easy"] == []
    assert found["n-shot"]["mmlu_virology"] == 5
    assert found["higher_is_better"]["wikitext2"] == {"word_perplexity": False}
    # The limit of 100 docs left some out, how many the record does not say; MMLU had none.
    assert found["n-samples"]["arc_easy"] == {"original": None, "effective": 100}
    assert found["n-samples"]["mmlu_virology"] == {"original": 60, "effective": 60}
    assert found["configs"]["arc_easy"]["dataset_path"] == "allenai/ai2_arc"
    assert found["configs"]["arc_easy"]["dataset_name"] == "ARC-Easy"
    assert found["versions"]["arc_easy"] == 1.0
    assert found["date"] == 1772366400.0  # 2026-03-01 12:00 UTC
    assert found["config"]["model_args"]["pretrained"] == found["model_name"] == "smol"
    named = {"results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"}
    assert {tuple(found[name]) for name in named} == {tuple(found["results"])}


def test_intervals_and_identity_stand_beside() -> None:
    ours = read_back(complete())["lineup"]
    assert ours["estimates"]["arc_easy"]["acc"]["low"] == 0.4
    assert ours["on_samples"] == ["gsm8k"] and ours["run"] == complete().id
    assert ours["weights_id"] == complete().model.weights_id
    assert list(ours["estimates"]["gsm8k"]) == [STRICT]


def test_who_else_was_asked_stands_beside() -> None:
    judged = result("exchange", ARC, "reward", others={"judge-a": "judge-a (0123)"})
    ours = read_back(run("smol", [judged, result("arc_easy", ARC)]))["lineup"]
    assert ours["others"] == {"exchange": {"judge-a": "judge-a (0123)"}}


def test_no_path_and_no_command_of_the_machine_is_written() -> None:
    made = complete()
    made = replace(
        made, command="secret --data /home/me", settings=replace(made.settings, data="/d")
    )
    assert "secret" not in (text := json.dumps(lm_eval_results(made), default=str))
    assert '"/d"' not in text


def test_names_that_meet_or_are_hostile() -> None:
    """A group called b of the task a is not the task a_b."""
    tasks = [result("a", ARC, groups={"b": {"acc": ARC}}, version="two"), result("a_b", ARC)]
    found = read_back(run(HOSTILE, tasks, created="no time"))
    assert list(found["results"]) == ["a", "a/b", "a_b"]
    assert found["versions"]["a"] == "two" and found["date"] is None
    assert "/" not in found["model_name_sanitized"]
    assert [line[0] for line in printed(found)] == ["a", "- b", "a_b"]


def test_not_a_number_is_never_written() -> None:
    nan = float("nan")
    wrong = replace(ARC, value=nan, stderr=nan)
    found = read_back(run("smol", [result("arc_easy", wrong)]))["results"]["arc_easy"]
    assert found["acc,none"] is None and found["acc_stderr,none"] == "N/A"


@pytest.mark.parametrize(("version", "written"), [("3.0", 3.0), ("1", 1.0), ("1.0.2", "1.0.2")])
def test_versions_are_numbers_where_they_can_be(version: str, written: float | str) -> None:
    found = read_back(run("smol", [result("arc_easy", ARC, version=version)]))
    assert found["versions"] == {"arc_easy": written}
