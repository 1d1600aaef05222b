"""Comparisons of stored runs: by hand, swapped, refused where the work was unequal."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu

from harness import paired
from harness.compare import POOLED, Comparison, StoredRun, compare_runs
from harness.difference import Difference, Flips
from harness.errors import IncomparableRuns, RecordError
from harness.metrics import overlap
from harness.metrics.accuracy import macro_mean, mean
from harness.metrics.corpus import corpus
from harness.metrics.deviation import deviation
from harness.metrics.perplexity import perplexity
from harness.records import DataRecord, NoiseFloor, Row
from harness.report.comparison import details
from tests.compared import answers, documents, stored_run
from tests.report.fixtures.runs import choice_row, generated_row

BASE = [1] * 60 + [0] * 40
MODEL = [1] * 48 + [0] * 12 + [1] * 2 + [0] * 38
"""Of 100 docs 12 are lost and 2 gained: 60 and 50 right."""


def of_metric(comparison: Comparison, task: str, metric: str | None = None) -> Difference:
    return next(
        each
        for each in comparison.differences
        if each.task == task and (each.metric == metric if metric else each.primary)
    )


def compared(tmp_path: Path, base: dict[str, Any], model: dict[str, Any]) -> Comparison:
    return compare_runs(stored_run(tmp_path, "a", base), [stored_run(tmp_path, "b", model)])[0]


def test_by_hand(tmp_path: Path) -> None:
    """2 gained, 12 lost of 100: -0.10; McNemar's (2 - 12)/sqrt(14) = -2.6726, p = 0.0075; exact
    2 * (1 + 14 + 91)/2^14 = 0.012939. One test alone is not adjusted.
    """
    comparison = compared(tmp_path, {"arc_easy": answers(BASE)}, {"arc_easy": answers(MODEL)})
    found = of_metric(comparison, "arc_easy")
    assert (found.base, found.model) == (0.6, 0.5)
    assert found.delta.value == pytest.approx(-0.1) and found.delta.n == 100
    assert (found.delta.low, found.delta.high) == paired.tango_interval(2, 12, 100)
    assert found.p == pytest.approx(0.0075, abs=5e-5) and found.p_holm == found.p
    assert found.p_mcnemar == pytest.approx(0.012939, abs=1e-6)
    assert found.verdict == "worse" and found.test == "Tango's score test"
    assert found.visible == paired.visible_proportion(0.14, 100)
    # A wrong answer of `choice_row` is always its first choice: none changed to another.
    assert found.flips == Flips(gained=2, lost=12, still_wrong=0)
    assert comparison.pooled is None and comparison.family == 1
    assert not comparison.on_samples and comparison.notes == ()


def test_swapped_sides_turn_every_sign(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    nats = rng.normal(-30, 4, size=30)
    base = {
        "arc_easy": answers(BASE),
        "mmlu": answers([1, 0] * 20, group="x") + answers([1] * 10, group="y", start=40),
        "wikitext2": documents(nats),
    }
    model = {
        "arc_easy": answers(MODEL),
        "mmlu": answers([1, 1] * 20, group="x") + answers([0, 1] * 5, group="y", start=40),
        "wikitext2": documents(nats - rng.normal(0.3, 0.5, size=30)),
    }
    there = stored_run(tmp_path, "a", base), stored_run(tmp_path, "b", model)
    one, other = compare_runs(there[0], [there[1]])[0], compare_runs(there[1], [there[0]])[0]
    assert one.pooled is not None and other.pooled is not None
    opposite = {"better": "worse", "worse": "better"}
    for first, second in zip(
        (*one.differences, one.pooled), (*other.differences, other.pooled), strict=True
    ):
        assert second.delta.value == pytest.approx(-(first.delta.value or 0))
        assert second.delta.low == pytest.approx(-(first.delta.high or 0))
        assert second.p == pytest.approx(first.p)
        assert second.verdict == opposite.get(first.verdict, first.verdict)
        assert first.p is not None and first.delta.low is not None
        assert first.delta.high is not None
        assert (first.p < 0.05) == (not first.delta.low <= 0 <= first.delta.high)


def test_a_metric_that_should_fall(tmp_path: Path) -> None:
    """Perplexity: half a nat less on each of 40 docs of ten words divides it by exp(0.05)."""
    nats = np.random.default_rng(2).normal(-30, 4, size=40)
    comparison = compared(
        tmp_path, {"wikitext2": documents(nats)}, {"wikitext2": documents(nats + 0.5)}
    )
    found = of_metric(comparison, "wikitext2")
    assert found.base is not None and found.model is not None
    assert found.model == pytest.approx(found.base / math.exp(0.05))
    assert found.verdict == "better" and found.flips is None and found.p_mcnemar is None
    assert found.test.startswith("paired bootstrap over docs, 100,000 resamples, seed")


def test_equal_answers_differ_in_nothing(tmp_path: Path) -> None:
    """The interval is Tango's with no discordance, 3.841459 / 103.841459 to each side."""
    rows = {
        "arc_easy": answers(BASE),
        "mmlu": answers([1, 0] * 20, group="x") + answers([1] * 9, group="y", start=40),
        "wikitext2": documents([-20.0, -30.0, -25.0]),
    }
    comparison = compared(tmp_path, rows, rows)
    assert {each.verdict for each in comparison.differences} == {"no difference seen"}
    assert all(each.p == 1.0 and each.delta.value == 0 for each in comparison.differences)
    assert of_metric(comparison, "arc_easy").delta.high == pytest.approx(0.036993, abs=1e-6)
    assert of_metric(comparison, "wikitext2").delta.low is None


def test_groups_are_strata(tmp_path: Path) -> None:
    """Subject x gains 10 of 40 docs, y loses 10 of 40: -0 overall, stratified; macro likewise."""
    base = answers([0] * 40, group="x") + answers([1] * 40, group="y", start=40)
    model = answers([1] * 10 + [0] * 30, group="x")
    model += answers([0] * 10 + [1] * 30, group="y", start=40)
    comparison = compared(tmp_path, {"mmlu": base}, {"mmlu": model})
    micro, macro = of_metric(comparison, "mmlu"), of_metric(comparison, "mmlu", "acc_macro")
    change = np.array([1.0] * 10 + [0.0] * 30 + [-1.0] * 10 + [0.0] * 30)
    effect = paired.design_effect(change, ["x"] * 40 + ["y"] * 40)
    assert effect < 0.9
    assert micro.test == "Tango's score test, stratified"
    assert micro.delta.high == paired.tango_interval(10 / effect, 10 / effect, 80 / effect)[1]
    assert macro.test == "Student's t over 2 groups, docs sampled within each"
    assert macro.delta.value == 0 and macro.delta.high is not None
    assert comparison.family == 2


def test_docs_of_one_passage_count_together(tmp_path: Path) -> None:
    """Four docs a passage, all of which turn alike: as many changes as by hand above, from a
    quarter of the passages, so that a difference is no longer sure; so for every kind of metric.
    """
    metrics = {
        "right": [mean("acc")],
        "number": [mean("score", share=False)],
        "texts": [perplexity("word_perplexity")],
        "subjects": [macro_mean("acc_macro", of="acc")],
    }

    def rows(right: list[int], shared: bool) -> dict[str, list[Row]]:
        def row(index: int, value: int, name: str) -> Row:
            texts = {"word_perplexity": (float(-value - index % 7), 10.0)}
            scores = texts if name == "texts" else {"acc": float(value), "score": value * 0.7}
            cluster = f"passage {index // 4}" if shared else None
            group = f"subject {index // 52}" if name == "subjects" else None
            return choice_row(index, bool(value), scores=scores, cluster=cluster, group=group)

        return {
            name: [row(index, value, name) for index, value in enumerate(right)] for name in metrics
        }

    found = {}
    for shared in (False, True):
        base, model = (
            stored_run(tmp_path / str(shared), name, rows(right, shared), metrics=metrics)
            for name, right in (("base", BASE), ("model", MODEL))
        )
        (comparison,) = compare_runs(base, [model])
        found[shared] = {each.task: each for each in comparison.differences}
    for name in metrics:
        alone, together = found[False][name], found[True][name]
        assert together.delta.value == pytest.approx(alone.delta.value)
        assert together.delta.stderr is not None and alone.delta.stderr is not None
        assert together.delta.stderr > 1.5 * alone.delta.stderr, name
        assert together.p is not None and alone.p is not None and together.p > alone.p, name
        assert together.test.endswith("clustered in 25 passages"), together.test
        assert together.flips == alone.flips


def test_macro_counts_subjects_and_micro_docs(tmp_path: Path) -> None:
    """Subject x, 90 docs, does not change; y, 10 docs, gains 5: 0.05 by docs, 0.25 by subjects."""
    base = answers([1, 0] * 45, group="x") + answers([0] * 10, group="y", start=90)
    model = answers([1, 0] * 45, group="x") + answers([1, 0] * 5, group="y", start=90)
    comparison = compared(tmp_path, {"mmlu": base}, {"mmlu": model})
    assert of_metric(comparison, "mmlu").delta.value == pytest.approx(0.05)
    assert of_metric(comparison, "mmlu", "acc_macro").delta.value == pytest.approx(0.25)


def test_a_macro_average_is_of_one_unit_whichever_side_goes_beyond_1(tmp_path: Path) -> None:
    sides = [
        {
            "bias": [
                choice_row(place, True, scores={"gap": value}, group="xy"[place % 2])
                for place, value in enumerate(values)
            ]
        }
        for values in ((0.0, 1.0, 0.5, 1.0), (0.0, 3.0, 0.5, 3.0))
    ]
    metrics = {"bias": [macro_mean("gap_macro", of="gap")]}
    units = set()
    for name, (base, model) in {"there": sides, "back": sides[::-1]}.items():
        first = stored_run(tmp_path / name, "a", base, metrics=metrics)
        second = stored_run(tmp_path / name, "b", model, metrics=metrics)
        (found,) = compare_runs(first, [second])[0].differences
        units.add(found.delta.unit)
    assert units == {"score"}


def test_numbers_between_are_tested_by_sign_flips(tmp_path: Path) -> None:
    values = np.random.default_rng(3).uniform(0, 1, size=12)
    base = [choice_row(i, True, scores={"acc": float(v)}) for i, v in enumerate(values)]
    model = [choice_row(i, True, scores={"acc": float(v + 0.1)}) for i, v in enumerate(values)]
    model[0] = replace(model[0], scores={"acc": float(values[0] + 0.2)})
    found = of_metric(compared(tmp_path, {"rouge": base}, {"rouge": model}), "rouge")
    assert found.test == "sign-flip permutation test, all patterns of signs"
    assert found.p == pytest.approx(2 / 2**12) and found.verdict == "better"
    assert found.delta.unit == "score" and found.flips is None


def test_what_cannot_be_reduced_is_shown_without_a_test(tmp_path: Path) -> None:
    """A corpus metric of texts; and a number that is not the mean that it is taken for."""
    rows = [generated_row(i, "x", scores={"bleu": ("a", f"{i}")}) for i in range(4)]
    metric = corpus("bleu", lambda items: float(len(items)), higher_is_better=True)
    pair = [stored_run(tmp_path, name, {"bleu": rows}, metrics={"bleu": [metric]}) for name in "ab"]
    (comparison,) = compare_runs(pair[0], [pair[1]])
    found = comparison.differences[0]
    assert found.verdict == "not tested" and found.p is None and found.p_holm is None
    assert (found.base, found.model, found.delta.value) == (4.0, 4.0, None)
    assert found.test.startswith("no test: the docs give the metric neither as a mean")
    wrong = {"arc_easy": {"estimates": {"acc": mean("acc").estimate([(1.0, None), (1.0, None)])}}}
    odd = stored_run(tmp_path, "odd", {"arc_easy": answers(BASE)}, changes=wrong)
    plain = stored_run(tmp_path, "plain", {"arc_easy": answers(BASE)})
    assert compare_runs(plain, [odd])[0].differences[0].verdict == "not tested"


def test_a_figure_of_another_statistic_is_shown_without_a_test(tmp_path: Path) -> None:
    """The size of a mean deviation: docs hold the deviation, under its own name."""
    metrics = {"judged": deviation("reward_deviation")}
    sides = [
        stored_run(
            tmp_path,
            name,
            {
                "judged": [
                    generated_row(i, "x", scores={"reward_deviation": shift - i / 10})
                    for i in range(20)
                ]
            },
            metrics=metrics,
        )
        for name, shift in (("a", -1.0), ("b", -2.0))
    ]
    (comparison,) = compare_runs(sides[0], [sides[1]])
    found = of_metric(comparison, "judged", "reward_deviation_abs")
    assert (found.base, found.model) == pytest.approx((1.95, 2.95))
    assert (found.delta.n, found.left_out, found.p) == (20, 0, None)
    assert found.test.startswith("no test: the docs give the metric neither as a mean")
    assert of_metric(comparison, "judged", "reward_deviation").p is not None


def test_docs_that_one_side_could_not_score_are_left_out_and_counted(tmp_path: Path) -> None:
    """Doc 0 has no score in the base, doc 99 none in the model: 98 docs, 59 and 50 right."""
    base, model = answers(BASE), answers(MODEL)
    base[0] = replace(base[0], scores={}, unscored="too long")
    model[99] = replace(model[99], scores={}, unscored="no answer")
    found = of_metric(compared(tmp_path, {"arc_easy": base}, {"arc_easy": model}), "arc_easy")
    assert (found.delta.n, found.left_out) == (98, 2)
    assert (found.base, found.model) == (pytest.approx(59 / 98), pytest.approx(49 / 98))


def test_all_docs_unscored(tmp_path: Path) -> None:
    dumb = [replace(row, scores={}, unscored="no") for row in answers(BASE)]
    comparison = compared(tmp_path, {"arc_easy": answers(BASE)}, {"arc_easy": dumb})
    found = comparison.differences[0]
    assert found.verdict == "not tested" and found.left_out == 100 and found.delta.n == 0
    assert found.test == "no test: no doc was scored on both sides"
    assert comparison.pooled is None


def test_another_wrong_answer_is_told_apart(tmp_path: Path) -> None:
    """All wrong: of three docs one takes the third choice instead of the first."""
    base = answers([0, 0, 0])
    model = answers([0, 0, 0])
    model[1] = replace(model[1], logprobs=(-5.5, -7.5, -1.0, -20.0))
    found = of_metric(compared(tmp_path, {"arc_easy": base}, {"arc_easy": model}), "arc_easy")
    assert found.flips == Flips(0, 0, still_wrong=1)
    texts = [generated_row(i, f"{i}", scores={"acc": 0.0}) for i in range(3)]
    found = of_metric(compared(tmp_path / "texts", {"gsm8k": texts}, {"gsm8k": texts}), "gsm8k")
    assert found.flips == Flips(0, 0, still_wrong=None)


def test_pooled_over_accuracy_tasks(tmp_path: Path) -> None:
    """14 of 100 docs changed on one task, 4 gained of 50 on another: -6 of 150. The perplexity is
    not among them.
    """
    nats = [-20.0, -30.0, -25.0]
    base = {"arc_easy": answers(BASE), "hellaswag": answers([0] * 50), "wikitext2": documents(nats)}
    model = {
        "arc_easy": answers(MODEL),
        "hellaswag": answers([1] * 4 + [0] * 46),
        "wikitext2": documents(nats),
    }
    comparison = compared(tmp_path, base, model)
    pooled = comparison.pooled
    assert pooled is not None and pooled.task == POOLED and pooled.delta.n == 150
    assert pooled.delta.value == pytest.approx(-6 / 150)
    assert (pooled.base, pooled.model) == (60 / 150, 54 / 150)
    assert pooled.flips == Flips(gained=6, lost=12, still_wrong=None)
    assert pooled.test == "Tango's score test, stratified"
    assert comparison.family == 4


def test_the_pool_names_its_tasks(tmp_path: Path) -> None:
    """An accuracy task without a scored doc is not in it, whatever it is called."""
    dumb = [replace(row, scores={}, unscored="no") for row in answers(BASE)]
    base = {"arc_easy": answers(BASE), "gsm8k": dumb, "hellaswag": answers(BASE)}
    model = {"arc_easy": answers(MODEL), "gsm8k": dumb, "hellaswag": answers(MODEL)}
    comparison = compared(tmp_path, base, model)
    assert comparison.pooled_tasks == ("arc_easy", "hellaswag")
    said = "\n".join(details(comparison))
    assert f"{POOLED} (arc_easy, hellaswag): 4 from wrong to right" in said
    alone = compared(tmp_path / "alone", {"gsm8k": answers(BASE)}, {"gsm8k": answers(MODEL)})
    assert alone.pooled is None and alone.pooled_tasks == ()


def test_other_splits_of_a_data_set_are_other_questions(tmp_path: Path) -> None:
    """Three tasks of one data set: the second has docs of its own and is pooled, the third asks
    those of the first. A task that is no accuracy is not spoken of.
    """
    data = [DataRecord("facebook/anli", None, "hub", {}, "ab" * 20)]
    changes = {task: {"data": data} for task in ("r1", "r2", "r1_again", "r1_overlap")}
    metrics = {"r1_overlap": [perplexity("word_perplexity")]}

    def stored(name: str, right: list[int]) -> StoredRun:
        rows = {
            "r1": answers(right),
            "r2": answers(right, start=100),
            "r1_again": answers(right),
            "r1_overlap": documents([-20.0, -30.0, -25.0]),
        }
        return stored_run(tmp_path, name, rows, metrics=metrics, changes=changes)

    (comparison,) = compare_runs(stored("a", BASE), [stored("b", MODEL)])
    assert comparison.pooled_tasks == ("r1", "r2")
    assert comparison.pooled is not None and comparison.pooled.delta.n == 200
    assert comparison.notes == ("r1_again asks the questions of r1: over all, they count once",)


def test_holm_is_over_all_models(tmp_path: Path) -> None:
    """Of three, 0.0075 twice and 1: the least is multiplied by 3, the next by 2 and made no
    smaller.
    """
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE)})
    models = [
        stored_run(tmp_path, name, {"arc_easy": answers(right)})
        for name, right in (("b", MODEL), ("c", MODEL), ("d", BASE))
    ]
    found = [comparison.differences[0] for comparison in compare_runs(base, models)]
    assert found[0].p is not None
    assert [each.p_holm for each in found] == pytest.approx([3 * found[0].p] * 2 + [1.0])
    assert [each.verdict for each in found] == ["worse", "worse", "no difference seen"]


def test_an_adjusted_p_can_take_a_verdict_back(tmp_path: Path) -> None:
    """3 gained and 12 lost: 9/sqrt(15) = 2.3238, p = 0.02014 alone, 0.0604 of three."""
    lost = [1] * 48 + [0] * 12 + [1] * 3 + [0] * 37
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE)})
    model = stored_run(tmp_path, "b", {"arc_easy": answers(lost)})
    same = [stored_run(tmp_path, name, {"arc_easy": answers(BASE)}) for name in "cd"]
    alone, among = compare_runs(base, [model])[0], compare_runs(base, [model, *same])[0]
    assert alone.differences[0].verdict == "worse"
    assert among.differences[0].p_holm == pytest.approx(0.0604, abs=5e-5)
    assert among.differences[0].verdict == "no difference seen"


def test_noise_floors_stand_beside_the_primary_metric(tmp_path: Path) -> None:
    noise = NoiseFloor(50, 2, 0, 1.0, 0.01, 0.002, ("one", "another"))
    base = stored_run(
        tmp_path, "a", {"arc_easy": answers(BASE)}, changes={"arc_easy": {"noise": noise}}
    )
    model = stored_run(tmp_path, "b", {"arc_easy": answers(MODEL)})
    assert compare_runs(base, [model])[0].differences[0].noise == (noise, None)


def refused(base: StoredRun, model: StoredRun, tasks: list[str] | None = None) -> str:
    with pytest.raises(IncomparableRuns) as caught:
        compare_runs(base, [model], tasks)
    return str(caught.value)


def test_unequal_work_is_refused_with_what_differs(tmp_path: Path) -> None:
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE), "hellaswag": answers(BASE)})
    model = stored_run(
        tmp_path,
        "b",
        {"arc_easy": answers(MODEL[:50]), "gsm8k": answers(BASE)},
        changes={"arc_easy": {"version": "2.0", "num_fewshot": 5, "origin": "samples"}},
        chat_template=True,
    )
    assert refused(base, model).splitlines() == [
        "a and b did not do the same work:",
        "  tasks: only a has hellaswag",
        "  tasks: only b has gsm8k",
        "  prompts: b is asked in its chat template, a in none",
        "  arc_easy: b was scored on the shipped samples, a on the benchmark",
        "  arc_easy: version: 1.0 for a, 2.0 for b",
        "  arc_easy: data: allenai/ai2_arc ARC-Easy for a, samples for b",
        "  arc_easy: examples in the prompt: 0 for a, 5 for b",
        "  arc_easy: docs: 100 for a, 50 for b",
    ]


def test_chosen_tasks_alone_must_be_equal(tmp_path: Path) -> None:
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE), "hellaswag": answers(BASE)})
    model = stored_run(tmp_path, "b", {"arc_easy": answers(MODEL)})
    (comparison,) = compare_runs(base, [model], ["arc_easy"])
    assert [each.task for each in comparison.differences] == ["arc_easy"]
    assert "b has no result for hellaswag" in refused(base, model, ["hellaswag"])


@pytest.mark.parametrize("fault", ["doc", "prompt", "metric", "direction", "digest"])
def test_other_docs_prompts_and_metrics_are_refused(tmp_path: Path, fault: str) -> None:
    rows = answers(MODEL)
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE)})
    same = {"prompt_digest": base.run.results["arc_easy"].prompt_digest}
    changes: dict[str, Any] = dict(same)
    if fault == "doc":
        rows[7] = replace(rows[7], doc_id="other-0")
    elif fault == "prompt":
        rows[7] = replace(rows[7], request_digest="other")
    elif fault == "metric":
        changes["estimates"] = {
            name: mean("acc").estimate([(float(value), None) for value in MODEL])
            for name in ("acc", "acc_norm")
        }
    elif fault == "direction":
        samples = [(float(value), None) for value in MODEL]
        changes["estimates"] = {"acc": mean("acc", higher_is_better=False).estimate(samples)}
    else:
        changes["prompt_digest"] = "0" * 16
    model = stored_run(tmp_path, "b", {"arc_easy": rows}, changes={"arc_easy": changes})
    said = {
        "doc": "arc_easy: 1 docs only in 2026-03-01-a, 1 only in 2026-03-01-b",
        "prompt": "arc_easy: 1 of 100 docs with other prompts",
        "metric": "arc_easy: metrics: only b has acc_norm",
        "direction": "arc_easy: acc: its direction differs",
        "digest": "arc_easy: other docs or prompts",
    }
    assert refused(base, model).splitlines()[1:] == [f"  {said[fault]}"]


def test_rows_that_are_missing_or_twofold_are_refused(tmp_path: Path) -> None:
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE)})
    twice = stored_run(tmp_path, "b", {"arc_easy": answers(BASE)})
    path = twice.folder.rows_path("arc_easy")
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([lines[0], *lines[:-1]]) + "\n", "utf-8")
    with pytest.raises(RecordError, match="stands twice"):
        compare_runs(base, [twice])
    path.unlink()
    with pytest.raises(RecordError, match="has figures only"):
        compare_runs(base, [twice])


def test_what_differs_beside_the_model_is_noted(tmp_path: Path) -> None:
    base = stored_run(tmp_path, "a", {"arc_easy": answers(BASE)})
    model = stored_run(
        tmp_path,
        "b",
        {"arc_easy": answers(BASE)},
        backend="hf",
        weights_id=base.run.model.weights_id,
    )
    assert compare_runs(base, [model])[0].notes == (
        "a and b have the same weights",
        "answered by: lm_eval for a, hf for b",
    )


def overlapping(texts: list[str]) -> list[Row]:
    """Rows of generated texts with their counts against one reference."""
    return [
        generated_row(
            index,
            None,
            scores={
                "bleu": overlap.bleu_counts(text, REFERENCE),
                **overlap.rouge(text, REFERENCE),
            },
            target=REFERENCE,
        )
        for index, text in enumerate(texts)
    ]


REFERENCE = "the train covers eighty kilometers in an hour and so on"
OVERLAP = {
    "gsm8k_overlap": [overlap.bleu(), *(overlap.mean_of_100(name) for name in overlap.ROUGE)]
}


def test_corpus_bleu_has_a_paired_bootstrap(tmp_path: Path) -> None:
    """Both values are sacrebleu's own; every doc of the model lost its last words."""
    rng = np.random.default_rng(5)
    words = REFERENCE.split()
    base = [" ".join(words[: rng.integers(7, 11)]) for _ in range(30)]
    model = [text.rsplit(" ", 2)[0] for text in base]
    sides = [
        stored_run(tmp_path, name, {"gsm8k_overlap": overlapping(texts)}, metrics=OVERLAP)
        for name, texts in (("a", base), ("b", model))
    ]
    comparison = compare_runs(sides[0], [sides[1]])[0]
    found = of_metric(comparison, "gsm8k_overlap", "bleu")
    expected = [sacrebleu.corpus_bleu(texts, [[REFERENCE] * 30]).score for texts in (base, model)]
    assert (found.base, found.model) == pytest.approx(tuple(expected))
    assert found.delta.unit == "bleu" and found.test.startswith("paired bootstrap over docs")
    assert found.delta.low is not None and found.delta.high is not None
    assert found.delta.low < expected[1] - expected[0] < found.delta.high < 0
    assert found.verdict == "worse" and comparison.pooled is None
    of_rouge = of_metric(comparison, "gsm8k_overlap", "rouge1")
    assert of_rouge.delta.unit == "of 100" and of_rouge.test.startswith("sign-flip")
    swapped = compare_runs(sides[1], [sides[0]])[0]
    assert of_metric(swapped, "gsm8k_overlap", "bleu").delta.low == pytest.approx(-found.delta.high)


def test_no_overlap_at_all_is_no_share_of_right_answers(tmp_path: Path) -> None:
    """Every figure is 0 on both sides: a difference of 0 of 100, and no flips."""
    rows = {"gsm8k_overlap": overlapping(["", "", ""])}
    sides = [stored_run(tmp_path, name, rows, metrics=OVERLAP) for name in "ab"]
    for each in compare_runs(sides[0], [sides[1]])[0].differences:
        assert (each.base, each.model, each.flips) == (0.0, 0.0, None)
        assert each.delta.unit in ("bleu", "of 100") and each.verdict == "no difference seen"
