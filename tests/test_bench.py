"""`make bench` counts what is necessary, compares answers, and survives a child that is killed."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.catalog import load_catalog
from harness.data import DataFolders
from harness.errors import UnknownName, UsageError
from harness.types import GenerateUntil, LogLikelihood, Request, RollingLogLikelihood
from tests.bench import run
from tests.bench.agreement import Agreement, compare
from tests.bench.measure import children, time_work
from tests.bench.messages import Failed, Loaded, Round, Setup, read_requests, write_requests
from tests.bench.necessary import Needed, needed, operations
from tests.bench.processes import Child
from tests.bench.report import markdown
from tests.bench.results import (
    Bench,
    Side,
    WorkResult,
    geometric_mean,
    growth_exponent,
    machine_slug,
)
from tests.bench.works import WORKS, Asked, Work, ask, by_doc, choose_works, nested
from tests.conftest import REPOSITORY

GIB = 2**30
CHOICES = Asked(
    tuple(LogLikelihood(f"Question {doc}:", f" answer {c}") for doc in range(2) for c in "ABCD"),
    (4, 4),
)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """The shipped samples in the places of the real data."""
    for sample, place in (
        ("hellaswag", "Rowan/hellaswag/default"),
        ("gsm8k", "openai/gsm8k/main"),
        ("wikitext", "EleutherAI/wikitext_document_level/wikitext-2-raw-v1"),
    ):
        shutil.copytree(REPOSITORY / "tasks/samples" / sample, tmp_path / "mirror" / place)
    return tmp_path / "mirror"


@pytest.fixture
def setup(tiny_model: Path) -> Setup:
    folder = str(tiny_model)
    return Setup("lm_eval", folder, folder, "float32", None, False, "", 1, "")


def test_shared_prefixes_are_needed_once() -> None:
    """[1 2 3 4] and [1 2 3 5] share three of their tokens, [1 2] is a prefix of both, [6] is alone.

    Nodes: 1, 12, 123, 1234, 1235, 6: six tokens, at depths 1 + 2 + 3 + 4 + 4 + 1 = 15.
    The last two of each of the first two are asked: 123, 1234, 123, 1235: three rows. [1 2] asks
    after its last, 12, and [6] after 6: five rows.
    """
    sequences = [([1, 2, 3, 4], 2), ([1, 2, 3, 5], 2), ([1, 2], 1), ([6], 1)]
    assert needed(sequences) == Needed(tokens=6, rows=5, positions=15)


def test_generated_tokens_pass_once_each_but_for_the_last() -> None:
    """[1 2] continued by three tokens: 2 + 2 tokens, rows after 2 and after both of them: 3; the
    new ones attend to 3 and 4 tokens: 1 + 2 + 3 + 4 = 10. [1] continued by one: nothing more but
    the row after 1.
    """
    assert needed([([1, 2], 1), ([1], 1)], [3, 1]) == Needed(tokens=4, rows=4, positions=10)


def test_operations_are_two_per_weight_and_four_per_width_of_attention() -> None:
    """2 x 100 x 6 + 2 x 8 x 50 x 5 + 4 x 2 x 8 x 15 = 1,200 + 4,000 + 960."""
    model = Loaded("cpu", "float32", 100, layers=2, attention_width=8, hidden=8, vocabulary=50)
    assert operations(Needed(6, 5, 15), model) == 6_160


def test_the_exponent_is_the_slope_in_logarithms() -> None:
    """Seconds of 2 n^1.5: log2 of (16, 128, 1,024) is 4, 7, 10 over log2 n of 2, 4, 6: 3 / 2."""
    assert growth_exponent((4, 16, 64), (16, 128, 1_024)) == pytest.approx(1.5)


def test_a_geometric_mean_leaves_nothing_out() -> None:
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert geometric_mean([1.0, None]) is None
    assert geometric_mean([]) is None


@pytest.mark.parametrize(
    ("processor", "device", "slug"),
    [
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "cpu", "intel-xeon-2-cores"),
        ("AMD EPYC 7B13 64-Core Processor", "NVIDIA L4", "amd-epyc-7b13-2-cores-nvidia-l4"),
    ],
)
def test_a_machine_is_named_by_what_it_is(processor: str, device: str, slug: str) -> None:
    assert machine_slug(processor, 2, device) == slug


def test_requests_survive_their_file(tmp_path: Path) -> None:
    requests: list[Request] = [
        LogLikelihood("a", " ü"),
        RollingLogLikelihood("one\ntwo"),
        GenerateUntil("q", ("\n", "stop"), 5),
    ]
    write_requests(tmp_path / "requests.json", requests)
    assert read_requests(tmp_path / "requests.json") == requests


def test_float32_answers_are_equal_or_wrong() -> None:
    theirs = [-1.0, -2.0, -3.0, -4.0] * 2
    nearly = [value + 5e-4 for value in theirs]
    assert compare(nearly, theirs, CHOICES, "float32").agree
    other = [-2.5, *theirs[1:]]  # now the second choice of the first doc is the best
    found = compare(other, theirs, CHOICES, "float32")
    assert not found.agree and "1.5e+00" in found.problem
    assert found.other_choice == 0.5 and found.largest_difference == 1.5


def test_in_bfloat16_rounding_is_shown_and_more_than_rounding_refused() -> None:
    """Mean size 2.5: 0.1 + 2% of 2.5 = 0.15 is allowed."""
    theirs = [-1.0, -2.0, -3.0, -4.0] * 2
    found = compare([value - 0.125 for value in theirs], theirs, CHOICES, "bfloat16")
    assert found.agree and found.mean_difference == 0.125
    assert not compare([value - 0.25 for value in theirs], theirs, CHOICES, "bfloat16").agree


def test_a_missing_answer_is_no_agreement() -> None:
    values: list[Any] = [-1.0] * 8
    assert "1 requests without" in compare([None, *values[1:]], values, CHOICES, "bfloat16").problem
    assert not compare(values[:7], values, CHOICES, "float32").agree


def test_texts_are_equal_in_float32_and_begin_alike_below() -> None:
    asked = Asked(tuple(GenerateUntil(str(n), (), 9) for n in range(2)), (1, 1))
    beginning = "The same for a while, then "
    ours, theirs = [beginning + "this", "text"], [beginning + "that", "text"]
    assert not compare(ours, theirs, asked, "float32").agree
    rounded = compare(ours, theirs, asked, "bfloat16")
    assert rounded.agree and rounded.same_texts == 0.5 and rounded.same_beginnings == 1
    assert not compare(["x", "y"], theirs, asked, "bfloat16").agree


def test_works_are_chosen_by_name() -> None:
    assert [work.name for work in choose_works("gsm8k_5,mmlu", 7)] == ["gsm8k_5", "mmlu"]
    assert {work.docs for work in choose_works(None, 7)} == {7}
    assert choose_works(None, None) == list(WORKS)
    with pytest.raises(UnknownName, match="did you mean 'hellaswag'"):
        choose_works("helaswag", None)


def test_docs_are_spread_over_the_data(mirror: Path) -> None:
    """Of the 60 sample docs of HellaSwag, 3 are the 11th, the 31st and the 51st."""
    catalog = load_catalog(REPOSITORY / "tasks")
    folders = DataFolders(catalog.samples, mirror)
    work = choose_works("hellaswag", 60)[0]
    everything = ask(work, catalog, folders)
    assert len(everything.doc_sizes) == 60
    three = ask(replace(work, docs=3), catalog, folders)
    per_doc = by_doc(everything.requests, everything)
    assert by_doc(three.requests, three) == [per_doc[10], per_doc[30], per_doc[50]]


def test_beginnings_of_growing_work_are_spread_too() -> None:
    """Of eight docs first 0 and 4, then 2 and 6, then the odd ones."""
    asked = Asked(tuple(LogLikelihood(str(doc), " a") for doc in range(8)), (1,) * 8)
    contexts = [
        request.context for request in nested(asked).requests if isinstance(request, LogLikelihood)
    ]
    assert contexts == list("04261537")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--work", "mmlu_50", "--data", "."], "did you mean 'mmlu_5'"),
        (["--work", "hellaswag"], "DATA=dir"),
        (["--work", "hellaswag", "--data", "no-such-folder"], "no such folder"),
        (["--work", "", "--data", "."], "nothing to time"),
        (["--growth", "many", "--data", "."], "two or more numbers"),
        (["--docs", "0", "--data", "."], "1 or more"),
        (["--pairs", "0", "--data", "."], "1 or more"),
        (["--dtype", "float31", "--data", "."], "float32"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str], message: str, tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    with pytest.raises(UsageError, match=message) as caught:
        run.main(["--model", "tiny", "--backend", "lm_eval", *arguments])
    assert caught.value.exit_code == 2


def test_data_that_is_not_there_is_wrong_use(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    arguments = ["--model", "tiny", "--backend", "lm_eval", "--data", str(tmp_path)]
    with pytest.raises(UsageError, match="hellaswag") as caught:
        run.main([*arguments, "--work", "hellaswag"])
    assert caught.value.exit_code == 2


@pytest.mark.slow
def test_a_whole_bench_of_lm_eval_against_itself(
    tiny_zoo: Path,
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    out = tmp_path / "out"
    arguments = ["--model", "tiny", "--backend", "lm_eval", "--dtype", "float32"]
    arguments += ["--work", "hellaswag", "--docs", "2", "--pairs", "2", "--threads", "1"]
    arguments += ["--growth", "1,2", "--data", str(mirror), "--out", str(out)]
    assert run.main(arguments) == 0
    (file,) = out.glob("*.json")
    assert file.stem.endswith("-tiny-float32-lm_eval-part")
    bench = msgspec.json.decode(file.read_bytes(), type=Bench)
    (work,) = bench.works
    assert work.docs == 2 and work.requests == 8 and len(work.ratios) == 2
    assert set(work.trials) == {"4", "8", "16", "engine"} and str(work.batch) in work.trials
    assert work.agreement is not None and work.agreement.largest_difference == 0
    assert work.need is not None and work.ours.tokens_run == work.theirs.tokens_run
    assert 0 < work.need.tokens < (work.theirs.tokens_run or 0)
    assert bench.growth is not None and bench.growth.docs == (1, 2) and bench.rate > 0
    printed = capsys.readouterr().out
    assert "hellaswag: answers agree" in printed and "exponent" in printed
    assert markdown(bench).startswith("| work | docs |")
    svg = file.with_suffix(".svg").read_text("utf-8")
    assert "hellaswag" in svg and "Times as fast as lm-eval: hellaswag" in svg
    assert str(tmp_path) not in file.read_text("utf-8")


@pytest.mark.parametrize("kind", ["rolling", "generation"])
def test_a_child_answers_every_kind_the_same_twice(kind: str, setup: Setup) -> None:
    requests: dict[str, tuple[Request, ...]] = {
        "rolling": (RollingLogLikelihood("some words " * 300), RollingLogLikelihood("few")),
        "generation": (GenerateUntil("Once upon", (), 5), GenerateUntil("Once", (), 5)),
    }
    asked = Asked(requests[kind], (1,) * len(requests[kind]))
    with children(setup, asked, 8 * GIB) as start:
        child = start("lm_eval")
        first, second = child.answer(2), child.answer(2)
        assert isinstance(first, Round) and isinstance(second, Round)
        assert first.values == second.values and first.tokens_run == second.tokens_run
        texts = tuple(value for value in first.values if isinstance(value, str))
        need = child.needed(texts)
    assert 0 < need.tokens <= first.tokens_run
    assert compare(first.values, second.values, asked, "float32").agree
    assert all(isinstance(v, str) or math.isfinite(v or math.nan) for v in first.values)


def test_a_child_above_its_memory_limit_is_killed_and_reported(setup: Setup) -> None:
    work = Work("hellaswag", "hellaswag", 0, 2, 1.8, batch_sizes=(4, 8))
    said: list[str] = []
    with children(setup, CHOICES, memory_limit=GIB // 16) as start:
        result, rate = time_work(work, CHOICES, start, "lm_eval", 2, said.append)
    assert rate == 0 and result.ratio is None and result.batch is None
    assert all(str(trial).startswith("killed at 0.") for trial in result.trials.values())
    assert result.theirs.problem.startswith("batch 4: killed at 0.") and len(said) == 2
    assert not result.failed  # nobody disagreed


def test_an_engine_that_is_killed_fails_but_does_not_stop_the_bench(setup: Setup) -> None:
    work = Work("hellaswag", "hellaswag", 0, 2, 1.8, batch_sizes=(4,))
    with children(setup, CHOICES, 8 * GIB) as start:

        def small_engine(backend: str) -> Child:
            if backend == "lm_eval":
                return start(backend)
            return Child(replace(setup, requests="none"), GIB // 16)

        result, _ = time_work(work, CHOICES, small_engine, "engine", 1, lambda _: None)
    assert result.failed and result.ours.problem.startswith("killed at 0.")
    assert result.ratio is None and result.trials["4"] is not None


def test_a_child_that_cannot_load_says_why(setup: Setup, tmp_path: Path) -> None:
    with children(replace(setup, path=str(tmp_path)), CHOICES, 8 * GIB) as start:
        answered = start("lm_eval").answer(1)
    assert isinstance(answered, Failed) and answered.reason.startswith("ended with code 1: ")


def test_disagreement_ends_with_1(
    tiny_zoo: Path,
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A missed target does not: the ratio of 1 below is one."""

    def timed(work: Work, *_: Any) -> tuple[WorkResult, float]:
        return replace(result, agreement=agreement), 1e9

    side = Side(seconds=(2.0, 2.0), peak_bytes=GIB)
    result = WorkResult("hellaswag", 2, 8, 1.8, 1.0, {}, 4, side, side, None)
    monkeypatch.setattr(run, "time_work", timed)
    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    arguments = ["--model", "tiny", "--backend", "lm_eval", "--work", "hellaswag", "--docs", "2"]
    arguments += ["--data", str(mirror), "--out", str(tmp_path / "out")]
    agreement = Agreement(True)
    assert run.main(arguments) == 0
    assert "1.8x missed" in capsys.readouterr().out
    agreement = Agreement(False, "they differ")
    assert run.main(arguments) == 1
    assert "ANSWERS DISAGREE: they differ" in capsys.readouterr().out
