"""Tasks that ask other models too, as a user meets them: references, judges, kills, rescoring."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.backends.hf import EngineBackend
from harness.errors import UnknownName, UsageError
from harness.others import others_of, parent_of, reference_of
from harness.run_folder import RunFolder
from harness.task import Task
from harness.types import Question
from harness.zoo import load_zoo
from tests.compared import answers, stored_run
from tests.conftest import REPOSITORY, Command

PAIRS = ("--model", "tiny", "--tasks", "reward_accuracy", "--limit", "8", "--json")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Question]]:
    """Every question, with the weights of the model that it was put to."""
    questions: list[tuple[str, Question]] = []
    answer = EngineBackend.answer

    def noted(self: EngineBackend, given: Sequence[Question]) -> Any:
        questions.extend((self.identity["weights"], question) for question in given)
        return answer(self, given)

    monkeypatch.setattr(EngineBackend, "answer", noted)
    return questions


def judging(name: str, *judges: str, reference: bool = False, parent: bool = False) -> Task:
    def never(task: Task, context: object) -> Any:
        raise AssertionError("opened")

    return Task(name, None, (), never, "", judges=judges, reference=reference, parent=parent)


@pytest.mark.parametrize(
    ("model", "reference", "parent"),
    [
        ("smol", None, None),
        ("smol-sft", None, "smol"),
        ("smol-dpo", "smol-sft", "smol-sft"),
        ("smol-dpo-int4", "smol-sft", "smol-dpo"),
        ("smol-base-dpo", "smol", "smol"),
        ("smol-kto", "smol-sft", "smol-sft"),
    ],
)
def test_whom_a_model_is_held_against(
    model: str, reference: str | None, parent: str | None
) -> None:
    """The reference is what the preference step started from, also for what was quantized since;
    the parent is what the last step started from.
    """
    zoo = load_zoo(REPOSITORY / "model_zoo.yaml")
    spec = zoo.get(model)
    for found, name in (
        (reference_of(spec, zoo, None), reference),
        (parent_of(spec, zoo, None), parent),
    ):
        assert (found.name if found else None) == name
    for asked in (reference_of, parent_of):
        named = asked(spec, zoo, "smol")
        assert (named.name if named else None) == (None if model == "smol" else "smol")
        assert asked(spec, zoo, "none") is None
        with pytest.raises(UnknownName, match="did you mean 'smol-dpo'"):
            asked(spec, zoo, "smol-dop")


@pytest.mark.parametrize(
    ("model", "reference"),
    [("again", "smol-dpo"), ("again-int4", "smol-dpo"), ("more", "smol-kto")],
)
def test_a_second_round_of_preferences_has_the_first_ones_reference(
    model: str, reference: str, tmp_path: Path
) -> None:
    """DPO's reference is what the step started from, whatever stage that was of."""
    registry = tmp_path / "model_zoo.yaml"
    registry.write_text(
        (REPOSITORY / "model_zoo.yaml").read_text()
        + "\n  again: {parent: smol-dpo, step: {kind: dpo}}"
        + "\n  again-int4: {parent: again, step: {kind: bnb}}"
        + "\n  more: {parent: smol-kto, step: {kind: kto}}\n"
    )
    zoo = load_zoo(registry)
    found = reference_of(zoo.get(model), zoo, None)
    assert found is not None and found.name == reference


def test_who_is_asked_is_checked_by_role() -> None:
    zoo = load_zoo(REPOSITORY / "model_zoo.yaml")
    spec = zoo.get("smol-dpo")
    pairs, far = judging("pairs", reference=True), judging("far", parent=True)
    assert others_of(spec, zoo, [judging("alone")], None) == {}
    assert others_of(spec, zoo, [pairs], None) == {"reference": zoo.get("smol-sft")}
    assert others_of(spec, zoo, [pairs, far], "smol") == {
        "reference": zoo.get("smol"),
        "parent": zoo.get("smol"),
    }
    assert others_of(zoo.get("smol"), zoo, [pairs], None) == {}
    with pytest.raises(UsageError, match="smol is asked to judge answers, but is a base model"):
        others_of(spec, zoo, [judging("judged", "smol")], None)
    with pytest.raises(UsageError, match=r"far: .* smol is a root, with no parent; name another"):
        others_of(zoo.get("smol"), zoo, [far], None)
    with pytest.raises(UsageError, match=r"far: .* and that is none; name another"):
        others_of(spec, zoo, [far], "none")


@pytest.mark.usefixtures("two_roots")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "--model tiny --tasks reward_accuracy --reference tiny-judge",
            "--reference tiny-judge: it judges answers and gives none; name a language model",
        ),
        (
            "--model tiny-judge --tasks reward_accuracy",
            "tiny-judge is a reward model: it marks answers and gives none, so reward_accuracy "
            "cannot be asked of it; reward_model_accuracy can",
        ),
        (
            "--model tiny --tasks reward_model_accuracy",
            "reward_model_accuracy is asked of reward models, and tiny is a base model",
        ),
        (
            "--model tiny --tasks divergence_choices --samples",
            "divergence_choices: a model is held against what it was made from, and tiny is a "
            "root, with no parent; name another model of its lineage: --reference MODEL",
        ),
        ("--model tiny --tasks reward_accuracy --reference tony", "did you mean 'tiny'"),
    ],
)
def test_mistakes_in_who_is_asked_are_wrong_use(
    harness: Command, tmp_path: Path, arguments: str, words: str
) -> None:
    code, out, err = harness("eval", *arguments.split())
    assert (code, out) == (2, "") and words in err, err
    assert not (tmp_path / "reports").exists()


@pytest.mark.usefixtures("two_roots")
def test_what_is_not_built_is_named_with_the_command(
    harness: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    code, _, err = harness("eval", *PAIRS, "--reference", "tiny-sft")
    assert code == 1 and "the reference tiny-sft is not built" in err
    assert "`make train MODEL=tiny-sft` builds it" in err
    code, out, _ = harness("eval", *PAIRS, "--reference", "tiny-sft", "--missing")
    assert (code, out) == (0, "tiny-sft\n")
    code, out, _ = harness(
        "eval", "--model", "tiny-dpo", "--samples", "--missing",
        "--tasks", "reward_accuracy,divergence_choices",
    )  # fmt: skip
    assert (code, out) == (0, "tiny-sft\n"), "once, by whatever names it goes"


def test_a_judge_that_is_not_built_is_named(
    harness: Command, two_roots: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tasks = shutil.copytree(REPOSITORY / "tasks", tmp_path / "tasks")
    source = (tasks / "reward_accuracy.py").read_text("utf-8")
    source += "\nfrom dataclasses import replace\n"
    source += "judged = replace(reward_accuracy, name='judged', judges=('tiny-judge',))\n"
    (tasks / "reward_accuracy.py").write_text(source, "utf-8")
    monkeypatch.setenv("HARNESS_TASKS", str(tasks))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    code, _, err = harness("eval", "--model", "tiny", "--tasks", "judged")
    assert code == 1 and "the judge tiny-judge is not built" in err
    assert "`make train MODEL=tiny-judge` builds it" in err


@pytest.mark.usefixtures("two_roots")
def test_without_a_reference_it_is_said_and_nobody_else_is_asked(
    harness: Command, asked: list[tuple[str, Question]]
) -> None:
    code, out, err = harness("eval", *PAIRS)
    result = json.loads(out)["results"]["reward_accuracy"]
    assert code == 0, err
    assert result["primary"] == "reference_free_accuracy" and result["others"] == {}
    assert "reward_accuracy" not in result["estimates"] and len(asked) == 16


@pytest.mark.usefixtures("two_roots")
def test_the_reward_accuracy_is_that_of_plain_passes(
    harness: Command, tmp_path: Path, tiny_model: Path, other_model: Path
) -> None:
    """DPO's definition over plain forward passes of transformers, both models in float32, with
    TRL's own function for the log-probabilities of tokens.
    """
    trainer_utils = pytest.importorskip("trl.trainer.utils")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    code, out, err = harness("eval", *PAIRS, "--reference", "other", "--dtype", "float32")
    assert code == 0, err
    run = json.loads(out)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    models: list[Any] = [
        AutoModelForCausalLM.from_pretrained(path).eval() for path in (tiny_model, other_model)
    ]

    def logps(model: Any, context: str, continuation: str) -> float:
        ids = tokenizer(context + continuation, return_tensors="pt").input_ids
        given = len(tokenizer(context).input_ids)
        with torch.no_grad():
            logits = model(ids).logits
        each = trainer_utils.selective_log_softmax(logits[:, :-1], ids[:, 1:])
        return float(each[0, given - 1 :].sum())

    rows = list(RunFolder(tmp_path / "reports/runs" / run["id"]).rows("reward_accuracy"))
    assert len(rows) == 8
    won = []
    for row in rows:
        chosen, rejected = (
            logps(models[0], row.prompt, each) - logps(models[1], row.prompt, each)
            for each in row.continuations
        )
        assert row.scores["reward_margin"] == pytest.approx(chosen - rejected, abs=1e-3)
        won.append(float(chosen > rejected))
        assert row.scores["reward_accuracy"] == won[-1]
    estimate = run["results"]["reward_accuracy"]["estimates"]["reward_accuracy"]
    assert estimate["value"] == sum(won) / 8 and estimate["low"] < estimate["value"]


@pytest.mark.usefixtures("two_roots")
def test_answers_of_all_are_stored_and_not_asked_twice(
    harness: Command, asked: list[tuple[str, Question]], tmp_path: Path
) -> None:
    command = ("eval", *PAIRS, "--reference", "other")
    code, out, err = harness(*command)
    first = json.loads(out)
    assert code == 0, err
    assert len(asked) == 32 and len({weights for weights, _ in asked}) == 2
    result = first["results"]["reward_accuracy"]
    weights = next(each for each, _ in asked if each != first["model"]["weights_id"])
    assert result["others"] == {"reference": f"other ({weights[:16]})"}
    assert result["cost"]["tokens_in"] > 0 and result["cost"]["others_seconds"] > 0
    assert len(list((tmp_path / "reports/journal").iterdir())) == 2
    asked.clear()

    code, out, _ = harness(*command)
    again = json.loads(out)["results"]["reward_accuracy"]
    assert code == 0 and asked == []
    assert again["estimates"] == result["estimates"] and again["cost"]["stored"] == 16

    # What the reference answered is the same whoever is held against it.
    code, out, err = harness(*["other" if each == "tiny" else each for each in command[:-2]])
    assert code == 0 and asked == [], err

    code, _, _ = harness(*command, "--no-journal")
    assert code == 0 and len(asked) == 32


@pytest.mark.usefixtures("two_roots")
def test_rescoring_finds_the_answers_of_others_in_their_journals(
    harness: Command, asked: list[tuple[str, Question]], tmp_path: Path
) -> None:
    code, out, _ = harness("eval", *PAIRS, "--reference", "other")
    first = json.loads(out)
    asked.clear()
    code, out, err = harness("rescore", first["id"], "--json")
    assert code == 0 and asked == [], err
    second = json.loads(out)
    for key in ("estimates", "others", "docs", "unscored"):
        assert (
            second["results"]["reward_accuracy"][key] == (first["results"]["reward_accuracy"][key])
        )

    of_model = next(
        file
        for file in (tmp_path / "reports/journal").iterdir()
        if first["model"]["weights_id"] not in file.read_text("utf-8").partition("\n")[0]
    )
    of_model.write_bytes(of_model.read_bytes()[:-200])
    code, _, err = harness("rescore", first["id"])
    assert code == 1 and f"answers are not in {of_model}" in err and asked == []
    assert "eval --model tiny --tasks reward_accuracy" in err and "--reference other" in err


def test_rescoring_refuses_another_reference_of_the_same_name(
    harness: Command, two_roots: Path, other_model: Path, tiny_model: Path, tmp_path: Path
) -> None:
    code, out, _ = harness("eval", *PAIRS, "--reference", "other")
    run = json.loads(out)
    changed = shutil.copytree(other_model, tmp_path / "changed")
    config = changed / "config.json"
    config.write_text(config.read_text() + "\n")
    two_roots.write_text(two_roots.read_text().replace(str(other_model), str(changed)))
    code, _, err = harness("rescore", run["id"])
    assert code == 1 and f"run {run['id']} asked the reference other (" in err
    assert "the registry now names the reference other (" in err


@pytest.mark.usefixtures("two_roots")
def test_a_noise_floor_asks_others_nothing_new(
    harness: Command, asked: list[tuple[str, Question]]
) -> None:
    """8 docs of 2 answers: 16 of the model, 16 of the reference, and 8 of the model once more."""
    code, out, err = harness(
        "eval", *PAIRS, "--reference", "other", "--noise-floor", "4", "--dtype", "float32"
    )
    assert code == 0, err
    run = json.loads(out)
    noise = run["results"]["reward_accuracy"]["noise"]
    assert (noise["docs"], noise["changed"], noise["unscored"]) == (4, 0, 0)
    assert noise["logprob_largest"] < 1e-3
    own = [each for weights, each in asked if weights == run["model"]["weights_id"]]
    assert len(own) == 24 and len(asked) == 40


def test_an_answer_longer_than_the_context_leaves_its_doc_unscored(
    harness: Command, two_roots: Path, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    """The tiny model reads 512 tokens."""
    own = tmp_path / "data/Anthropic/hh-rlhf/harmless-base/test.jsonl"
    talk = "\n\nHuman: What is 2 + 2?\n\nAssistant:"
    write_rows(
        own,
        [
            {"chosen": f"{talk} 4", "rejected": f"{talk} 5"},
            {"chosen": f"{talk} {'four ' * 600}", "rejected": f"{talk} 5"},
            {"chosen": f"{talk} 4", "rejected": f"{talk}"},
        ],
    )
    code, out, err = harness(
        "eval", "--model", "tiny", "--tasks", "reward_accuracy_hh", "--reference", "other",
        "--data", str(tmp_path / "data"), "--json",
    )  # fmt: skip
    assert code == 0, err
    result = json.loads(out)["results"]["reward_accuracy_hh"]
    assert (result["docs"], result["unscored"]) == (3, 2)
    reasons = sorted(result["unscored_reasons"])
    assert reasons[0] == "no pair: rejected is empty"
    assert reasons[1].startswith("the continuation has ") and "context 512" in reasons[1]
    assert result["estimates"]["reward_accuracy"]["n"] == 1


@pytest.mark.slow
def test_a_run_killed_in_the_second_round_asks_the_first_no_more(
    two_roots: Path, tmp_path: Path, tiny_model: Path
) -> None:
    environment = os.environ | {
        "HARNESS_ZOO": str(two_roots),
        "HARNESS_TASKS": str(REPOSITORY / "tasks"),
        "PYTHONPATH": str(REPOSITORY),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "harness", "eval", "--model", "tiny", "--json"]
    command += ["--tasks", "reward_accuracy", "--limit", "60", "--reference", "other"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stored() -> Mapping[Path, int]:
        files = (tmp_path / "reports/journal").glob("*.jsonl")
        return {file: file.read_bytes().count(b"\n") - 1 for file in files}

    deadline, killed = time.monotonic() + 500, start()
    while len(stored()) < 2 or min(stored().values()) < 1:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = sorted(stored().values())
    assert 0 < left[0] < left[1], "the second round was under way, the first was over"

    again = start()
    out, err = again.communicate(timeout=500)
    assert again.returncode == 0, err
    result = json.loads(out)["results"]["reward_accuracy"]
    assert (result["cost"]["tokens_in"], result["cost"]["stored"]) == (0, 120)
    assert result["estimates"]["reward_accuracy"]["n"] == 60
    assert sorted(stored().values()) == [left[1], left[1]]


def held(name: str) -> Mapping[str, Any]:
    return {"reward_accuracy": {"others": {"reference": name}}}


def test_unequal_references_are_refused_with_the_common_root(
    harness: Command, tmp_path: Path
) -> None:
    """Two children of one root: that root. The root itself and a child: none. Two strangers: none,
    and where a parent is needed, words.
    """
    runs = tmp_path / "reports" / "runs"
    rows = {"reward_accuracy": answers([1, 0, 1, 1])}

    def store(name: str, lineage: tuple[str, ...], changes: Mapping[str, Any]) -> None:
        made = stored_run(runs, name, rows, changes=changes, id=name)
        made.folder.write(with_lineage(made.run, lineage))

    store("tiny", ("tiny",), {})
    store("a", ("tiny", "a"), held("tiny (0)"))
    store("b", ("tiny", "a", "b"), held("a (1)"))
    store("c", ("else", "c"), {"reward_accuracy": {"others": {"parent": "else (2)"}}})

    code, out, err = harness("compare", "a", "b")
    assert (code, out) == (1, "")
    assert "reward_accuracy: reference: tiny (0) for a, a (1) for b; --reference MODEL" in err
    assert "make eval MODEL=a TASKS=reward_accuracy" in err and "REFERENCE=tiny\n" in err
    assert "make eval MODEL=b TASKS=reward_accuracy" in err and "REFERENCE=tiny\n" in err
    err = harness("compare", "tiny", "b")[2]
    assert "make eval MODEL=tiny TASKS=reward_accuracy" in err and "REFERENCE=none\n" in err
    assert "make eval MODEL=b TASKS=reward_accuracy" in err and "REFERENCE=none\n" in err
    err = harness("compare", "a", "c")[2]
    assert "name a third model that both can be held against, with REFERENCE=MODEL" in err


def with_lineage(run: Any, lineage: tuple[str, ...]) -> Any:
    from dataclasses import replace

    return replace(run, model=replace(run.model, name=lineage[-1], lineage=lineage))
