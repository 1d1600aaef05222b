"""huggingface_hub's own parser reads our card back."""

from dataclasses import replace
from typing import Any

import huggingface_hub
import pytest

from harness.exports.model_card import model_card
from harness.records import DataRecord, Run
from tests.exports.stored import ARC, HOSTILE, STRICT, complete
from tests.report.fixtures.runs import result, run

SPLITS = {"arc_easy": "test", "mmlu": "test"}


def parsed(runs: list[Run]) -> Any:
    return read(model_card(runs, SPLITS).text)


def read(card: str) -> Any:
    return huggingface_hub.ModelCard(card)


def test_the_hubs_parser_finds_the_results() -> None:
    data = parsed([complete()]).data
    assert data.model_name == "smol"
    found = {(each.dataset_type, each.metric_type): each for each in data.eval_results}
    assert list(found) == [
        ("allenai/ai2_arc", "acc"),
        ("cais/mmlu", "acc"),
        ("EleutherAI/wikitext_document_level", "word_perplexity"),
    ]
    arc = found["allenai/ai2_arc", "acc"]
    assert (arc.dataset_config, arc.dataset_split) == ("ARC-Easy", "test")
    assert arc.metric_value == 0.5
    assert arc.metric_name == ("arc_easy acc, 0-shot, first 100 docs; 95% interval 0.4 to 0.6")
    assert arc.metric_args["low_95"] == 0.4 and arc.metric_args["high_95"] == 0.6
    assert arc.metric_args["unit"] == "proportion" and arc.metric_args["n"] == 100
    assert found["EleutherAI/wikitext_document_level", "word_perplexity"].dataset_split is None
    assert found["cais/mmlu", "acc"].metric_name == (
        "mmlu acc, 5-shot, 100 docs; 95% interval 0.45 to 0.65"
    )


def test_samples_and_undefined_values_are_left_out_and_named() -> None:
    card = model_card([complete()], SPLITS)
    assert card.results == 3
    assert card.left_out == (
        "gsm8k: scored on the shipped samples",
        "mmlu acc_macro: its value is undefined",
    )
    body = card.text.split("---\n", 2)[2]
    assert "- gsm8k: scored on the shipped samples\n" in body.replace("\\", "")
    assert "gsm8k" not in card.text.split("---\n", 2)[1]


def test_two_tasks_on_one_data_set_stay_two() -> None:
    """The hub's library puts the metrics of a data set together: each says its own task."""
    other = result("gsm8k_overlap", ARC, "bleu", dataset=("openai/gsm8k", "main"))
    found = parsed([run("smol", [result("gsm8k", ARC, STRICT, num_fewshot=5), other])])
    assert [
        (each.metric_args["task"], each.metric_args["num_fewshot"], each.metric_args.get("filter"))
        for each in found.data.eval_results
    ] == [("gsm8k", 5, "strict-match"), ("gsm8k_overlap", 0, None)]


def test_of_the_same_work_the_newest_stands() -> None:
    newer = run("smol", [result("arc_easy", replace(ARC, value=0.75))], created="2026-05-01")
    older = run("smol", [result("arc_easy", ARC), result("hellaswag", ARC)])
    card = model_card([newer, older], {})
    found = read(card.text).data.eval_results
    assert [(each.metric_args["task"], each.metric_value) for each in found] == [
        ("arc_easy", 0.75),
        ("hellaswag", 0.5),
    ]


def test_what_tells_two_results_apart_stands_at_the_metric() -> None:
    """Two judges; one judge with other weights; one work in two dtypes: six results."""
    asked = [
        {"judge-a": "judge-a (01)"},
        {"judge-b": "judge-b (02)"},
        {"judge-b": "judge-b (03)"},
        {"reference": "smol-sft (04)"},
    ]
    runs = [run("smol", [result("exchange", ARC, "reward", others=others)]) for others in asked]
    runs += [
        run("smol", [result("arc_easy", ARC)], dtype=dtype, created=created)
        for dtype, created in (("int8", "2026-05-02"), ("float32", "2026-05-01"))
    ]
    found = parsed(runs).data.eval_results
    assert [each.metric_name.partition(";")[0] for each in found] == [
        "exchange reward, 0-shot, 100 docs, judge-a",
        "exchange reward, 0-shot, 100 docs, judge-b, judge-b (02)",
        "exchange reward, 0-shot, 100 docs, judge-b, judge-b (03)",
        "exchange reward, 0-shot, 100 docs, reference smol-sft",
        "arc_easy acc, 0-shot, 100 docs, int8",
        "arc_easy acc, 0-shot, 100 docs, float32",
    ]
    assert [each.metric_args.get("others") for each in found] == [*asked, None, None]
    assert [each.metric_args["dtype"] for each in found[4:]] == ["int8", "float32"]
    assert {each.metric_args["backend"] for each in found} == {"lm_eval"}


def test_a_revision_is_the_data_sets_commit() -> None:
    at = DataRecord("org/set", None, "hub", {}, "c0ffee")
    shipped = DataRecord("stem", "template", "shipped", {"stem.jsonl": "ab"})
    tasks = [result("set", ARC, data=(at,)), result("stem", ARC, data=(shipped,))]
    card = model_card([run("smol", tasks)], {"set": "validation", "stem": "test"})
    first, second = read(card.text).data.eval_results
    assert (first.dataset_revision, first.dataset_split) == ("c0ffee", "validation")
    assert (second.dataset_revision, second.dataset_split) == (None, None)


def test_an_undefined_interval_is_said() -> None:
    alone = replace(ARC, low=None, high=None, stderr=None)
    (found,) = parsed([run("smol", [result("arc_easy", alone)])]).data.eval_results
    assert found.metric_name.endswith("95% interval undefined")
    assert "low_95" not in found.metric_args


@pytest.mark.parametrize("name", [HOSTILE, "---\nlicense: mit", "a: b #c", "{x}", "\u202eabc"])
def test_a_hostile_name_is_a_name(name: str) -> None:
    found = parsed([run(name, [result("--- <b>", ARC)], id="<script>x</script>\n---\n")])
    assert found.data.model_name == name
    assert set(found.data.to_dict()) == {"model-index"}
    assert found.data.eval_results[0].metric_args["task"] == "--- <b>"
    assert "<script>" not in found.text
