"""`harness compare` as a user calls it: names, runs, pages, refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands.compare_pages import file_name
from harness.metrics.accuracy import mean
from harness.report.wording import change, changes, probability
from harness.types import Estimate
from tests.compared import answers, stored_run
from tests.conftest import REPOSITORY, Command
from tests.report.fixtures.runs import choice_row
from tests.test_compare import BASE, MODEL


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "reports" / "runs"


@pytest.fixture
def two(runs: Path) -> None:
    """The models tiny and other, both scored on arc_easy."""
    stored_run(runs, "tiny", {"arc_easy": answers(BASE)})
    stored_run(runs, "other", {"arc_easy": answers(MODEL)})


@pytest.mark.usefixtures("two")
def test_two_models_by_name(harness: Command, tmp_path: Path) -> None:
    code, out, err = harness("compare", "tiny", "other")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "other against tiny"
    assert lines[2].split("\t") == [
        "arc_easy",
        "acc, % ↑",
        "60.0",
        "50.0",
        "−10.00 (−18.19 to −3.10)",
        "100",
        "2 / 12",
        "0.008",
        "0.008",
        "9.93",
        "worse",
    ]
    assert lines[3] == (
        "arc_easy: 2 from wrong to right, 12 from right to wrong, 0 changed answer, still wrong: "
        "14 of 100 docs (14.0%); McNemar's exact p 0.013"
    )
    assert lines[-1] == "other against tiny: worse on arc_easy."
    page = (tmp_path / "reports/compare/tiny--other.md").read_text("utf-8")
    assert page.startswith("# other against tiny\n") and "| worse |" in page
    assert "report: " in err and "tiny--other.md" in err


def test_comparing_loads_no_torch(two: None, tmp_path: Path) -> None:
    script = (
        "import sys, harness.cli\n"
        f"code = harness.cli.main(['compare', 'tiny', 'other', '--reports', {str(tmp_path)!r} + "
        "'/reports'])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'lm_eval'} & set(sys.modules)\n"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("two")
def test_json_has_every_figure(harness: Command) -> None:
    code, out, _ = harness("compare", "tiny", "other", "--json")
    (comparison,) = json.loads(out)
    assert code == 0 and comparison["model"]["model"] == "other"
    (found,) = comparison["differences"]
    assert found["flips"] == {"gained": 2, "lost": 12, "still_wrong": 0}
    assert found["delta"]["value"] == pytest.approx(-0.1) and found["verdict"] == "worse"


@pytest.mark.usefixtures("two")
def test_several_models_each_against_the_base(harness: Command, runs: Path, tmp_path: Path) -> None:
    stored_run(runs, "third", {"arc_easy": answers(BASE)})
    code, out, err = harness("compare", "--", "tiny", "other,third")
    assert code == 0, err
    assert "other against tiny: worse on arc_easy." in out
    assert "third against tiny: no difference seen on 1 of 1 task." in out
    pages = {path.name for path in (tmp_path / "reports/compare").glob("*.md")}
    assert pages == {"tiny--other.md", "tiny--third.md"}


@pytest.mark.usefixtures("two")
def test_the_newest_runs_of_equal_work_are_taken(harness: Command, runs: Path) -> None:
    """The base's newest run is of fewer docs; the model's newest is unfinished."""
    stored_run(runs, "tiny", {"arc_easy": answers(BASE[:9])}, created="2026-04-01T00:00:00+00:00")
    stored_run(
        runs,
        "other",
        {"arc_easy": answers(BASE)},
        created="2026-05-01T00:00:00+00:00",
        status="interrupted",
    )
    code, out, err = harness("compare", "tiny", "other")
    assert code == 0 and "runs: 2026-03-01-other against 2026-03-01-tiny" in out
    assert "weights" not in err


@pytest.mark.usefixtures("two")
def test_a_newest_run_of_other_weights_is_not_passed_over_in_silence(
    harness: Command, runs: Path
) -> None:
    for name in ("tiny", "other"):
        stored_run(
            runs,
            name,
            {"arc_easy": answers(BASE[: len(name)])},
            created="2026-04-01T00:00:00+00:00",
            weights_id=f"newer {name}",
        )
    for command in ("compare", "explain"):
        code, _, err = harness(command, "tiny", "other")
        assert code == 0, err
        for name in ("tiny", "other"):
            assert f"{name}: run 2026-03-01-{name} is taken; the newest" in err


def test_two_runs_of_one_model_by_id(harness: Command, runs: Path, tmp_path: Path) -> None:
    stored_run(runs, "tiny", {"arc_easy": answers(BASE)}, id="one")
    stored_run(runs, "tiny", {"arc_easy": answers(MODEL)}, id="two")
    code, out, _ = harness("compare", "one", "two")
    assert code == 0 and out.startswith("two against one\n")
    assert "note: one and two have the same weights" in out
    assert (tmp_path / "reports/compare/one--two.md").exists()


@pytest.mark.usefixtures("two")
def test_two_runs_of_one_model_against_a_base_are_told_apart(
    harness: Command, runs: Path, tmp_path: Path
) -> None:
    """Each has its page and its heading; what differs, and the advice, is of the right one."""
    stored_run(runs, "third", {"arc_easy": answers(BASE)}, id="one")
    stored_run(runs, "third", {"arc_easy": answers(MODEL)}, id="two")
    code, out, err = harness("compare", "tiny", "one,two,other")
    assert code == 0, err
    assert {"one against tiny", "two against tiny", "other against tiny"} <= set(out.splitlines())
    pages = {path.name for path in (tmp_path / "reports/compare").glob("*.md")}
    assert pages == {"tiny--one.md", "tiny--two.md", "tiny--other.md"}
    stored_run(runs, "third", {"arc_easy": answers(MODEL[:9])}, id="short")
    code, out, err = harness("compare", "tiny", "one,short")
    assert code == 1 and "arc_easy: docs: 100 for tiny, 9 for short" in err


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("models", ["", ",", " , "])
def test_no_model_is_no_comparison(harness: Command, models: str) -> None:
    code, out, err = harness("compare", "tiny", models)
    assert (code, out) == (2, "") and "no model is named to hold against 'tiny'" in err


@pytest.mark.usefixtures("two")
def test_mistakes_are_explained(harness: Command, runs: Path) -> None:
    stored_run(runs, "tiny", {"arc_easy": answers(BASE)}, id="broken-off", status="interrupted")
    for arguments, code, message in (
        (["tiny", "othr"], 2, r"unknown model or run 'othr': did you mean 'other'\?"),
        (["tiny-sft", "othr"], 2, r"unknown model or run 'othr'"),
        (["tiny", "tiny"], 2, "'tiny' is named 2 times"),
        (["tiny", "2026-03-01-tiny"], 2, "'tiny' and '2026-03-01-tiny' are the same run"),
        (["tiny", "broken-off"], 2, "finish it first, with `harness eval --resume broken-off`"),
        (["tiny", "other", "--tasks", "arc_esy"], 2, "did you mean 'arc_easy'"),
        (["tiny", "other", "--tasks", ","], 2, "--tasks is empty"),
        (["tiny"], 2, "MODEL"),
        (
            ["tiny", "tiny-sft"],
            1,
            "tiny-sft has no complete run .* This makes one: "
            "make eval MODEL=tiny-sft TASKS=arc_easy",
        ),
    ):
        found, out, err = harness("compare", *arguments)
        assert (found, out) == (code, "") and re.search(message, err), err


def test_a_model_before_any_run(harness: Command) -> None:
    code, _, err = harness("compare", "tiny", "tiny-sft")
    assert code == 1 and "tiny has no complete run" in err and "make eval MODEL=tiny" in err


def test_unequal_work_names_the_command_that_makes_it_equal(harness: Command, runs: Path) -> None:
    stored_run(
        runs, "tiny", {"arc_easy": answers(BASE), "gsm8k": answers(BASE)}, limit=100, data="a b"
    )
    stored_run(runs, "other", {"arc_easy": answers(MODEL)})
    code, out, err = harness("compare", "tiny", "other")
    assert (code, out) == (1, "")
    assert "tasks: only tiny has gsm8k" in err
    assert "make eval MODEL=other TASKS=arc_easy,gsm8k LIMIT=100 DATA='a b'" in err
    assert "--tasks arc_easy" in err
    assert harness("compare", "tiny", "other", "--tasks", "arc_easy")[0] == 0


def test_the_tasks_in_which_both_did_the_same_are_named(harness: Command, runs: Path) -> None:
    """One was asked more docs of one task, and one task alone; the third is equal."""
    equal = {"arc_easy": answers(BASE)}
    stored_run(runs, "tiny", {**equal, "piqa": answers(BASE), "boolq": answers(BASE)})
    stored_run(runs, "other", {**equal, "piqa": answers(MODEL[:9])})
    code, _, err = harness("compare", "tiny", "other")
    assert code == 1 and "Or compare the tasks in which both did the same: --tasks arc_easy" in err
    assert harness("compare", "tiny", "other", "--tasks", "arc_easy")[0] == 0
    stored_run(runs, "third", {"piqa": answers(MODEL[:9])})
    assert "Or compare" not in harness("compare", "tiny", "third")[2]


def test_the_advice_keeps_how_the_model_was_run(harness: Command, runs: Path) -> None:
    """Two runs of one model in two dtypes: in the dtype of the base it would be the base again."""
    stored_run(runs, "tiny", {"arc_easy": answers(BASE)}, id="one", limit=100)
    two = stored_run(runs, "tiny", {"arc_easy": answers(MODEL[:9])}, id="two", limit=9)
    how = replace(two.run.settings, dtype="float32", backend="hf", head="model")
    two.folder.write(replace(two.run, settings=how))
    err = harness("compare", "one", "two")[2]
    assert (
        "make eval MODEL=tiny TASKS=arc_easy LIMIT=100 DTYPE=float32 ARGS='--head model'\n" in err
    )


def test_the_advice_asks_the_same_samples_of_the_same_server(harness: Command, runs: Path) -> None:
    stored_run(runs, "tiny", {"arc_easy": answers(BASE)})
    base = stored_run(runs, "tiny", {"arc_easy": answers(BASE)}, id="base")
    base.folder.write(
        replace(base.run, settings=replace(base.run.settings, suite="card", samples=True))
    )
    far = stored_run(runs, "far", {"arc_easy": answers(MODEL[:9])})
    how = replace(
        far.run.settings, backend="api", dtype="auto", base_url="http://h/v1", served_model="a b"
    )
    far.folder.write(replace(far.run, settings=how))
    err = harness("compare", "base", "far")[2]
    assert (
        "make eval MODEL=far SUITE=card BACKEND=api BASE_URL=http://h/v1 "
        """ARGS='--served-model '"'"'a b'"'"' --samples'""" in err
    )
    how = replace(how, backend="lm_eval", base_url=None, served_model=None, lm_eval_model="dummy")
    far.folder.write(replace(far.run, settings=replace(how, lm_eval_args="a=1,b=2")))
    err = harness("compare", "base", "far")[2]
    said = "ARGS='--lm-eval-model dummy --lm-eval-args a=1,b=2 --samples'"
    assert f"make eval MODEL=far SUITE=card BACKEND=lm_eval {said}" in err


def test_what_changed_with_time_is_asked_of_both_again(harness: Command, runs: Path) -> None:
    """The model was asked what the base was, of another version: once more is no use."""
    older = {"arc_easy": {"version": "0.9"}}
    stored_run(runs, "tiny", {"arc_easy": answers(BASE)}, changes=older)
    stored_run(runs, "other", {"arc_easy": answers(MODEL)})
    err = harness("compare", "tiny", "other")[2]
    assert "Both were asked by the same settings at different times: ask both again" in err
    assert "make eval MODEL=tiny TASKS=arc_easy" in err
    assert "make eval MODEL=other TASKS=arc_easy" in err


def test_metrics_are_named_as_in_every_report(harness: Command, runs: Path, tmp_path: Path) -> None:
    """lm-eval's comma between metric and filter would read as the one between two metrics."""
    names = ("exact_match,strict-match", "exact_match,flexible-extract")
    rows = [choice_row(i, True, scores=dict.fromkeys(names, i % 2)) for i in range(9)]
    for name in ("tiny", "other"):
        stored_run(runs, name, {"gsm8k": rows}, metrics={"gsm8k": [mean(key) for key in names]})
    assert harness("compare", "tiny", "other")[0] == 0
    page = (tmp_path / "reports/compare/tiny--other.md").read_text("utf-8")
    said = "gsm8k exact_match (strict-match), gsm8k exact_match (flexible-extract)"
    assert f"- Tango's score test: {said}\n" in page


@pytest.mark.usefixtures("two")
def test_hostile_names_stay_text(harness: Command, runs: Path, tmp_path: Path) -> None:
    stored_run(runs, "a|`b`\x1b[2J/../c", {"arc_easy": answers(BASE)}, id="hostile")
    code, out, err = harness("compare", "tiny", "hostile")
    assert code == 0, err
    assert "\x1b" not in out
    (page,) = (tmp_path / "reports/compare").glob("*.md")
    assert "\\|\\`b\\`" in page.read_text("utf-8")


@pytest.mark.usefixtures("two")
def test_each_model_has_files_of_its_own(harness: Command, runs: Path, tmp_path: Path) -> None:
    """Names that differ only in what a file's name cannot hold; and one that ends as a picture's
    name does.
    """
    names = ["m/1", "m-1", "m:1", "m--1", "other-forest"]
    for name in names:
        stored_run(runs, name, {"arc_easy": answers(BASE)}, id=name.encode().hex())
    code, _, err = harness("compare", "tiny", ",".join([*names, "other"]))
    assert code == 0, err
    folder = tmp_path / "reports/compare"
    pages = {page.read_text("utf-8").splitlines()[0]: page for page in folder.glob("*.md")}
    assert {*pages} == {f"# {name} against tiny" for name in [*names, "other"]}
    assert pages["# m-1 against tiny"].name == "tiny--m-1.md"
    assert re.fullmatch(r"tiny--m-1-[0-9a-f]{12}\.md", pages["# m/1 against tiny"].name)


def test_labels_of_any_length_are_names_of_files() -> None:
    for long in ("a" * 121, "ä" * 61, "/" * 300, "", "\udcff"):
        assert len(file_name(long).encode()) <= 120 and "/" not in file_name(long)
    assert file_name("a" * 120) == "a" * 120
    assert file_name("a" * 121) != file_name("a" * 122)


def test_a_real_run_against_itself_in_another_dtype(harness: Command) -> None:
    """The tiny model in float32 and bfloat16, from the samples to the page."""
    ids = []
    for dtype in ("float32", "bfloat16"):
        code, out, err = harness(
            "eval", "--tasks", "arc_easy,mmlu,wikitext2", "--samples", "--limit", "12",
            "--model", "tiny", "--dtype", dtype, "--json",
        )  # fmt: skip
        assert code == 0, err
        ids.append(json.loads(out)["id"])
    code, out, err = harness("compare", *ids, "--json")
    assert code == 0, err
    (comparison,) = json.loads(out)
    assert comparison["on_samples"] and comparison["pooled"]["delta"]["n"] == 24
    tested = {(each["task"], each["metric"]): each for each in comparison["differences"]}
    assert tested["wikitext2", "word_perplexity"]["test"].startswith("paired bootstrap")
    assert tested["mmlu", "acc_macro"]["test"].startswith("Student's t")
    assert "dtype: float32 for" in " ".join(comparison["notes"])


def test_differences_and_probabilities_in_words() -> None:
    """A difference has a sign and one digit more than a value; 0.0499 stays on its side of 0.05,
    and an end of an interval on its side of 0.
    """
    assert change(0.0125, "proportion") == "+1.25"
    assert change(-0.00001, "proportion") == "0.00"
    assert change(-1234.5, "perplexity") == "−1,234.500"
    assert change(None, "score") == "n/a"
    beside_0 = Estimate(-0.0011, -0.0018, -0.00034, None, 5, "", "perplexity", False)
    assert changes(beside_0) == "−0.0011 (−0.0018 to −0.0003)"
    assert changes(replace(beside_0, high=0.0)) == "−0.001 (−0.002 to 0.000)"
    assert changes(replace(beside_0, high=-1e-12)) == "−0.001 (−0.002 to 0.000)"
    assert [probability(p) for p in (0.0499, 0.05, 0.0004, 1.0, None)] == [
        "0.0499",
        "0.0500",
        "<0.001",
        "1.000",
        "–",
    ]
