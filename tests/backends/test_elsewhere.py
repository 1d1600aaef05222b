"""`harness eval` of models that another program has: a server, or a class of lm-eval's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.backends.backend import checked_arguments
from harness.errors import WeightsError
from tests.backends.served import TinyModel, serving_tiny
from tests.conftest import Command
from tests.openai_api.local_server import (
    LocalServer,
    Payload,
    Says,
    completion,
    failure,
    serving,
)

SECRET = "sk-secret-4711"
Write = Callable[[Path, Sequence[Mapping[str, Any]]], Path]
LOOK = 7
"""Requests of the first look: random weights are equally unsure of all tokens, so that several
prompts are tried.
"""


@pytest.fixture(scope="module")
def tiny_server(tiny_model: Path) -> Iterator[LocalServer]:
    with serving_tiny(tiny_model) as server:
        yield server


def scores(run: str) -> dict[str, float]:
    return {
        name: estimate["value"]
        for name, estimate in json.loads(run)["results"]["arc_easy"]["estimates"].items()
    }


LM_EVAL_HF = ["--model", "tiny", "--backend", "lm_eval", "--lm-eval-args"]
WORK = ("--tasks", "arc_easy", "--samples", "--limit", "3", "--json")


def test_a_served_model_scores_as_the_same_weights_here_and_its_key_is_nowhere(
    harness: Command,
    served_zoo: Path,
    tiny_server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    code, there, told = harness("eval", "--model", "far", "--base-url", tiny_server.url, *WORK)
    assert code == 0 and tiny_server.keys[-1] == f"Bearer {SECRET}"
    assert "were put to the server" in told and tiny_server.url in told
    code, here, _ = harness("eval", "--model", "tiny", *WORK)
    assert code == 0 and scores(there) == scores(here)
    run = json.loads(there)
    assert run["model"]["source"] == f"tiny of {tiny_server.url}"
    assert run["settings"]["backend"] == "api" and run["identity"]["server"] == tiny_server.url
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if SECRET.encode() in path.read_bytes()]
    asked = len(tiny_server.asked)
    code, again, _ = harness("eval", "--model", "far", "--base-url", tiny_server.url, *WORK)
    assert code == 0 and scores(again) == scores(there)
    assert len(tiny_server.asked) == asked + LOOK, "only the look whether it can be asked"


def test_a_registered_model_that_is_served_elsewhere(
    harness: Command, tiny_server: LocalServer
) -> None:
    words = ("--base-url", tiny_server.url + "/", "--served-model", "tiny")
    code, out, _ = harness("eval", "--model", "tiny-sft", *words, *WORK)
    run = json.loads(out)
    assert code == 0, "it was never built here"
    assert run["settings"]["base_url"] == tiny_server.url
    assert tiny_server.asked[-1]["model"] == run["settings"]["served_model"] == "tiny"


def test_a_spent_budget_ends_with_1_and_the_same_command_goes_on(
    harness: Command, served_zoo: Path, tiny_model: Path
) -> None:
    with serving_tiny(tiny_model) as server:
        words = ("eval", "--model", "far", "--base-url", server.url, *WORK)
        code, _, told = harness(*words, "--budget-requests", "16")
        assert code == 1 and len(server.asked) == 16
        assert "the budget of 16 requests admits no more" in told and "journal" in told
        code, out, _ = harness(*words)
        assert code == 0 and json.loads(out)["status"] == "complete"
        assert json.loads(out)["results"]["arc_easy"]["cost"]["stored"] == 16 - LOOK


def test_a_run_through_an_outage_is_not_complete_and_the_same_command_finishes_it(
    harness: Command, served_zoo: Path, tiny_model: Path
) -> None:
    model = TinyModel(tiny_model)

    def script(payload: Payload, number: int) -> Says:
        return failure(503, "down") if LOOK + 2 <= number < LOOK + 5 else model.says(payload)

    with serving(script) as server:
        words = ("eval", "--model", "far", "--base-url", server.url, *WORK)
        code, _, told = harness(*words, "--attempts", "1", "--at-once", "1")
        assert code == 1 and "the server failed at 3 of " in told and "status 503: down" in told
        assert "asks it again" in told and "Traceback" not in told
        code, out, _ = harness(*words)
    run = json.loads(out)
    assert code == 0 and run["status"] == "complete"
    assert run["results"]["arc_easy"]["unscored"] == 0
    assert run["results"]["arc_easy"]["cost"]["stored"] > 0


def test_a_budget_is_the_commands_and_not_each_models(
    harness: Command, served_zoo: Path, tiny_model: Path
) -> None:
    more = "  other:\n    family: tiny\n    stage: base\n    source: {server: third}\n"
    served_zoo.write_text(served_zoo.read_text("utf-8") + more, "utf-8")
    with serving_tiny(tiny_model) as server:
        words = ("eval", "--models", "far,tiny-sft,other", "--base-url", server.url, *WORK)
        code, out, told = harness(*words, "--budget-requests", "32")
    assert code == 1 and len(server.asked) == 32
    assert [run["model"]["name"] for run in json.loads(out)] == ["far"]
    assert f"far: {LOOK + 12} requests were put to the server" in told
    assert f"tiny-sft: {20 - LOOK} requests were put to the server" in told
    for name, asked in (("tiny-sft", "tiny-sft"), ("other", "third")):
        line = f"{name}: {server.url}, model {asked}: the budget of 32 requests admits no more"
        assert line in told


def test_a_record_alone_sends_no_key_anywhere(
    harness: Command, served_zoo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with serving_tiny(tiny_model) as server:
        words = ("eval", "--model", "far", "--base-url", server.url, *WORK)
        code, out, _ = harness(*words)
        record = json.loads(out)
        path = tmp_path / "reports/runs" / record["id"] / "run.json"
        path.write_text(json.dumps(record | {"status": "interrupted", "results": {}}), "utf-8")
        asked = len(server.asked)
        for more, said in (((), "say so again"), (("--base-url", "http://h/v1"), "says http://h")):
            code, _, told = harness("eval", "--resume", record["id"], *more)
            assert code == 2 and said in told and f"--base-url {server.url}" in told
        assert len(server.asked) == asked
        code, _, told = harness("eval", "--resume", record["id"], "--base-url", server.url)
        assert code == 0, told


def test_looks_ask_no_server_that_a_baseline_alone_names(
    harness: Command, served_zoo: Path, tiny_model: Path
) -> None:
    with serving_tiny(tiny_model) as server:
        assert harness("eval", "--model", "far", "--base-url", server.url, *WORK)[0] == 0
        assert harness("accept", "far")[0] == 0
        asked = len(server.asked)
        code, _, told = harness("gate", "--model", "tiny", "--baseline", "far", "--sequential")
        assert code == 2 and f"the baseline far was asked of the server {server.url}" in told
        assert len(server.asked) == asked


def test_looks_ask_no_class_of_lm_eval_that_a_baseline_alone_names(
    harness: Command, served_zoo: Path
) -> None:
    lm_eval = ("--backend", "lm_eval", "--lm-eval-model", "dummy")
    assert harness("eval", "--model", "far", *lm_eval, *WORK)[0] == 0
    assert harness("accept", "far")[0] == 0
    code, _, told = harness("gate", "--model", "tiny", "--baseline", "far", "--sequential")
    assert code == 2 and "the baseline far was asked of lm-eval's class dummy" in told


def test_a_record_alone_sends_no_key_to_an_address_among_arguments(
    harness: Command, served_zoo: Path, tmp_path: Path
) -> None:
    address = ("--lm-eval-args", "base_url=http://h/v1")
    dummy = ("--backend", "lm_eval", "--lm-eval-model", "dummy", *address)
    code, out, told = harness("eval", "--model", "far", *dummy, *WORK)
    assert code == 0, told
    record = json.loads(out)
    path = tmp_path / "reports/runs" / record["id"] / "run.json"
    path.write_text(json.dumps(record | {"status": "interrupted", "results": {}}), "utf-8")
    for more, said in (((), "say so again"), (("--lm-eval-args", "a=b"), "says a=b")):
        code, _, told = harness("eval", "--resume", record["id"], *more)
        assert code == 2 and said in told and "--lm-eval-args base_url=http://h/v1" in told
    code, _, told = harness("eval", "--resume", record["id"], *address)
    assert code == 0, told


def test_an_answer_that_the_prompt_begins_is_asked_of_no_chat(
    harness: Command,
    served_zoo: Path,
    tmp_path: Path,
    own_tasks: Callable[[str], None],
    write_rows: Write,
) -> None:
    definition = {
        "task": "begun",
        "dataset_path": "org/name",
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "gen_prefix": "The best answer is",
        "metric_list": [{"metric": "exact_match"}],
    }
    (tmp_path / "begun.yaml").write_text(json.dumps(definition), "utf-8")
    own_tasks(
        f"begun = lm_eval_task('begun', yaml={str(tmp_path / 'begun.yaml')!r}, primary=None, "
        "datasets=[Dataset('org/name')], about='begun')"
    )
    write_rows(tmp_path / "data/org/name/default/test.jsonl", [{"q": "A or B?", "a": "B"}])
    chatty = served_zoo.read_text("utf-8") + "    chat_template: true\n"
    served_zoo.write_text(chatty, "utf-8")
    with serving(lambda payload, number: completion("The best answer is B")) as server:
        words = ("--base-url", server.url, "--tasks", "begun", "--data", str(tmp_path / "data"))
        code, _, told = harness("eval", "--model", "far", *words)
    assert code == 2, told
    assert "  begun: its prompts begin the model's answer, and chat completions begin" in told
    assert server.asked == []


def test_tasks_that_a_server_cannot_be_asked_are_named_before_any_is(
    harness: Command, served_zoo: Path
) -> None:
    def script(payload: Payload, number: int) -> Says:
        body = {"choices": [{"index": 0, "text": " yes", "logprobs": None}]}
        return Says(json.dumps(body).encode())

    tasks = "arc_easy,hellaswag,gsm8k,wikitext2"
    with serving(script) as server:
        words = ("--base-url", server.url, "--tasks", tasks, "--samples", "--limit", "2")
        code, _, told = harness("eval", "--model", "far", *words)
    assert code == 2, told
    assert "  arc_easy, hellaswag: it gives no log-probabilities of a prompt" in told
    assert "  wikitext2: " in told
    assert "What is left: --tasks gsm8k" in told
    assert len(server.asked) <= 3


def test_a_suite_leaves_out_what_a_server_cannot_be_asked(
    harness: Command, served_zoo: Path, tiny_server: LocalServer
) -> None:
    words = ("--base-url", tiny_server.url, "--suite", "quick", "--limit", "2", "--json")
    code, out, told = harness("eval", "--model", "far", *words)
    assert code in (0, 1), told  # examples of gsm8k are longer than what the tiny model can hold
    assert "far: without wikitext2: " in told
    results = json.loads(out)["results"]
    assert set(results) == {"arc_easy", "mmlu", "hellaswag", "gsm8k"}
    assert results["hellaswag"]["unscored"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "far"], "--base-url URL"),
        (["--model", "far", "--backend", "hf"], "has no weights here"),
        (["--model", "tiny", "--backend", "hf", "--base-url", "http://h/v1"], "of the backend api"),
        (["--model", "far", "--base-url", "http://me:pw@h/v1"], "holds @"),
        (["--model", "far", "--base-url", "http://h/v1", "--budget-money", "1"], "--price-in"),
        (["--model", "far", "--base-url", "http://h/v1", "--key-env", "NO_KEY"], "names no"),
        (["--model", "tiny", "--lm-eval-args", "a=b"], "add --backend lm_eval"),
        (["--model", "tiny", "--backend", "lm_eval", "--lm-eval-args", "api_key=x"], "a secret"),
        (["--model", "tiny", "--backend", "lm_eval", "--lm-eval-args", "nonsense"], "NAME=VALUE"),
        ([*LM_EVAL_HF, "trust_remote_code=True"], "runs their code"),
        ([*LM_EVAL_HF, "peft=stranger/adapter"], "runs their code"),
        (["--model", "tiny", "--backend", "lm_eval", "--lm-eval-model", "dumy"], "'dummy'"),
        (["--model", "tiny", "--backend", "lm_eval", "--lm-eval-model", "dummy"], "pretrained"),
        ([*LM_EVAL_HF, "a=b", "--budget-requests", "1"], "--budget-requests: only the backend api"),
        ([*LM_EVAL_HF, "a=b", "--key-env", "NO_KEY", "--at-once", "8"], "--key-env, --at-once: on"),
        (["--model", "tiny", "--price-in", "1", "--price-out", "1"], "these terms, not hf: leave"),
    ],
)
def test_what_cannot_be_is_refused(
    harness: Command, served_zoo: Path, words: list[str], said: str
) -> None:
    code, _, told = harness("eval", *words, *WORK)
    assert code == 2 and said in told
    assert "pw" not in told


@pytest.mark.parametrize(
    "argument",
    [
        "x_api_key=pw-4711",
        "apiKey=pw-4711",
        "openai_api_key_2=pw-4711",
        "API-KEY=pw-4711",
        "authtoken=pw-4711",
        "user_password=pw-4711",
        "Authorization=pw-4711",
        "default_headers={'x': 'pw-4711'}",
        "extra={'api-key': 'pw-4711'}",
        "base_url=http://me:pw-4711@h/v1",
        "base_url=http://h/v1?code=pw-4711",
        "base_url=http://h/v1#pw-4711",
        "base_url=h/v1?key=pw-4711",
        "model=hf_pw4711pw4711pw4711pw4711",
    ],
)
def test_an_argument_that_could_hold_a_secret_is_refused_and_not_shown(
    harness: Command, served_zoo: Path, tmp_path: Path, argument: str
) -> None:
    words = (
        "--backend",
        "lm_eval",
        "--lm-eval-model",
        "dummy",
        "--lm-eval-args",
        f"a=b,{argument}",
    )
    code, out, told = harness("eval", "--model", "far", *words, *WORK)
    assert code == 2 and "it could hold a secret" in told
    assert "4711" not in out + told
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"4711" in path.read_bytes()]


@pytest.mark.parametrize(
    "arguments",
    [
        "model=m,base_url=http://localhost:8000/v1/completions,num_concurrent=4",
        "max_tokens=5,tokenizer_backend=None,tokenized_requests=False,add_bos_token=True",
        "prefix_token_id=1,eos_string=</s>,think_end_token=</think>",
    ],
)
def test_arguments_without_secrets_are_taken(arguments: str) -> None:
    assert checked_arguments(arguments) == arguments


def test_a_server_that_refuses_is_told_in_words(harness: Command, served_zoo: Path) -> None:
    with serving(lambda payload, number: failure(404, "no such model")) as server:
        code, _, told = harness("eval", "--model", "far", "--base-url", server.url, *WORK)
    assert code == 1 and "status 404: no such model" in told and "Traceback" not in told


def test_any_class_of_lm_eval(harness: Command, served_zoo: Path, tmp_path: Path) -> None:
    lm_eval = ("--backend", "lm_eval", "--lm-eval-model")
    code, out, _ = harness("eval", "--model", "far", *lm_eval, "dummy", *WORK)
    run = json.loads(out)
    assert code == 0 and run["results"]["arc_easy"]["unscored"] == 0
    assert run["model"]["source"].endswith("of lm-eval dummy")
    words = ("hf", "--lm-eval-args", "batch_size=2,softmax_dtype=float32", "--dtype", "float32")
    code, theirs, told = harness("eval", "--model", "tiny", *lm_eval, *words, *WORK)
    assert code == 0, told
    code, ours, _ = harness("eval", "--model", "tiny", *lm_eval[:2], "--dtype", "float32", *WORK)
    assert scores(theirs) == scores(ours)
    assert json.loads(theirs)["identity"] != json.loads(ours)["identity"]


def test_a_model_of_a_server_is_no_parent_to_train_from(harness: Command, served_zoo: Path) -> None:
    from harness.presence import presence
    from harness.sources import resolve
    from harness.zoo import load_zoo

    zoo = load_zoo(Path(os.environ["HARNESS_ZOO"]))
    assert "BASE_URL=URL" in presence(zoo.get("far"), zoo).detail
    with pytest.raises(WeightsError, match="has no weights here"):
        resolve(zoo.get("far"), zoo)
