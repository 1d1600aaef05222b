"""``harness-train answers``: of a local server, and of a tiny model in the engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.openai_api.local_server import Payload, Says, completion, failure, serving
from tests.training.ranking.conftest import Write, ranking
from training.cli import main
from training.data.formats import read_pairs

ASKED = [
    {"instruction": "1+1?", "output": "2", "group": "sums"},
    {"instruction": "Why?", "system": "Be kind."},
    {"instruction": "1+1?", "output": "2"},
]


def tutor(payload: Payload, number: int) -> Says:
    """Answers with the seed; so every sample is another."""
    return completion(f"Answer of quality {payload['seed']}.", model="tutor-1b")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def questions(write: Write) -> Path:
    path = write(ASKED).rename(write(ASKED).with_name("questions.jsonl"))
    return path


def test_answers_of_a_server_are_kept_with_their_settings(
    questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = questions.with_name("a.jsonl")
    with serving(tutor) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        words += ["--out", str(out), "--answers", "2", "--seed", "5", "--max-tokens", "9"]
        assert main(words) == 0
        assert len(server.asked) == 4, "equal questions are asked once"
        first, second = read(out)
        assert first == {
            "instruction": "1+1?",
            "input": "",
            "output": "2",
            "group": "sums",
            "answers": [
                {
                    "text": f"Answer of quality {seed}.",
                    "model": "tutor-1b",
                    "asked_as": "m",
                    "endpoint": server.url,
                    "temperature": 0.7,
                    "seed": seed,
                    "max_tokens": 9,
                    "finish": "stop",
                }
                for seed in (5, 6)
            ],
        }
        assert second["system"] == "Be kind." and second["output"] == ""
        assert main([*words[:-6], "--answers", "3", *words[-4:]]) == 0
    assert len(server.asked) == 6, "of more answers only the new ones are asked"
    assert [len(found["answers"]) for found in read(out)] == [3, 3]
    text, err = capsys.readouterr()
    assert "2 questions, 1 of them without a solution" in text
    assert "6 answers to 2 questions" in text and "4 replies are kept" in err


def test_answers_and_ranks_make_pairs(questions: Path) -> None:
    """From questions to rows for the trainer, with nothing written in between by hand. Each has a
    budget of its own, even under one name.
    """
    out = questions.with_name("a.jsonl")
    with serving(tutor) as server:
        words = ["--endpoint", server.url, "--model", "m"]
        assert main(["answers", str(questions), *words, "--out", str(out)]) == 0
    with serving(lambda payload, number: completion(ranking(payload))) as server:
        words = ["--endpoint", server.url, "--model", "judge"]
        pairs = questions.with_name("a.json")
        words += ["--budget-requests", "2"]
        assert main(["rank", str(out), *words, "--out", str(pairs)]) == 0
    found = read_pairs(pairs)
    assert len(found) == 6 and {pair.group for pair in found} == {"sums"}
    assert (found[0].chosen, found[0].rejected) == ("Answer of quality 3.", "Answer of quality 2.")


def test_a_plan_asks_nothing(questions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = questions.with_name("a.jsonl")
    with serving(tutor) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        assert main([*words, "--out", str(out), "--plan"]) == 0
    assert server.asked == [] and not out.exists()
    assert "8 requests\n" in capsys.readouterr().out


def test_what_a_server_did_not_answer_is_said_and_the_rest_is_there(
    questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = questions.with_name("a.jsonl")

    def script(payload: Payload, number: int) -> Says:
        return failure(400, "too long") if payload["seed"] == 1 else tutor(payload, number)

    with serving(script) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        assert main([*words, "--out", str(out), "--answers", "2"]) == 1
    assert "2 requests not answered, the last: " in capsys.readouterr().err
    assert [[answer["seed"] for answer in found["answers"]] for found in read(out)] == [[0], [0]]


def test_what_is_no_answer_is_left_out_and_counted(
    questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = questions.with_name("a.jsonl")
    finishes = ["stop", "error", "content_filter", "length", "length"]

    def script(payload: Payload, number: int) -> Says:
        seed = payload["seed"]
        text = f"Answer {seed}." if seed < 4 else None
        return completion(text, finish_reason=finishes[seed])

    with serving(script) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        for _ in ("asked", "kept"):
            assert main([*words, "--answers", "5", "--out", str(out)]) == 0
            taken = [[answer["seed"] for answer in found["answers"]] for found in read(out)]
            assert taken == [[0, 3]] * 2
            text = capsys.readouterr().out
            assert "answers left out, broken off by the server: 2" in text
            assert "answers left out, refused: 2" in text
            assert "answers left out, without any text: 2" in text
    assert len(server.asked) == 10


def test_a_model_that_says_nothing_is_an_error(
    questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = questions.with_name("a.jsonl")
    with serving(lambda payload, number: completion(None, finish_reason="length")) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        assert main([*words, "--max-tokens", "9", "--out", str(out)]) == 1
    assert "m answered without any text: --max-tokens 9 may be too few" in capsys.readouterr().err
    assert not out.exists()


def test_what_is_missing_takes_the_place_of_nothing(questions: Path) -> None:
    out = questions.with_name("a.jsonl")
    with serving(tutor) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        words += ["--out", str(out), "--answers", "2"]
        assert main(words) == 0
        before = out.read_bytes()
        assert main([*words, "--seed", "7", "--budget-requests", "6"]) == 1
    assert out.read_bytes() == before
    found = read(out.with_name("a.partial.jsonl"))
    assert [[answer["seed"] for answer in row["answers"]] for row in found] == [[7, 8]]
    with serving(tutor) as server:
        words = ["answers", str(questions), "--endpoint", server.url, "--model", "m"]
        assert main([*words, "--out", str(out), "--answers", "2"]) == 0
    assert not out.with_name("a.partial.jsonl").exists()


@pytest.mark.parametrize("name", ["a.jsonl", "a.partial.jsonl", "a.answers.replies.jsonl"])
def test_the_questions_are_not_overwritten(
    questions: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    mine = questions.rename(questions.with_name(name))
    before = mine.read_bytes()
    with serving(tutor) as server:
        words = ["answers", str(mine), "--endpoint", server.url, "--model", "m"]
        assert main([*words, "--out", str(mine.with_name("a.jsonl"))]) == 2
    assert f"{mine} would be written, and is read" in capsys.readouterr().err
    assert server.asked == [] and mine.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--temperature", "0"], "the same answer each time"),
        (["--out", "a.json"], "ends in .jsonl"),
        (["--model", "nobody"], "unknown model 'nobody'"),
        (["--model", "smol-reward"], "judges answers and gives none"),
        (["--endpoint", "host"], "is no address"),
        (["--budget-tokens", "9"], "--budget-tokens: only with --endpoint"),
        (["--price-in", "1", "--at-once", "2"], "--at-once, --price-in: only with --endpoint"),
        (["--endpoint", "host", "--template", "plain"], "--template: only without --endpoint"),
    ],
)
def test_wrong_use(
    questions: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    out = str(questions.with_name("a.jsonl"))
    assert main(["answers", str(questions), "--model", "smol", "--out", out, *more]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_a_set_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "defualt", "--model", "smol", "--out", "a.jsonl"]) == 2
    assert "did you mean 'default'" in capsys.readouterr().err


def test_a_model_that_is_not_built_names_the_command(
    questions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(questions.parent / "cache"))
    out = str(questions.with_name("a.jsonl"))
    assert main(["answers", str(questions), "--model", "smol-sft", "--out", out]) == 2
    assert "`make train MODEL=smol-sft` builds it" in capsys.readouterr().err


def test_answers_of_a_registered_model_are_kept_with_its_weights(
    questions: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = questions.parent
    monkeypatch.setenv("HARNESS_CACHE", str(folder / "cache"))
    shutil.copytree(tiny_model, folder / "models/org/name")
    zoo = folder / "zoo.yaml"
    zoo.write_text("models:\n  tiny: {family: f, stage: base, source: {hub: org/name}}\n", "utf-8")
    out = folder / "a.jsonl"
    words = ["answers", str(questions), "--model", "tiny", "--zoo", str(zoo), "--out", str(out)]
    words += ["--models", str(folder / "models"), "--max-tokens", "8", "--temperature", "1.5"]
    assert main([*words, "--answers", "3", "--plan"]) == 0
    assert not out.exists()
    assert main([*words, "--answers", "3"]) == 0
    found = read(out)
    assert [len(row["answers"]) for row in found] == [3, 3]
    assert [answer["seed"] for answer in found[0]["answers"]] == [0, 1, 2]
    assert len({answer["text"] for answer in found[0]["answers"]}) > 1
    made = found[0]["answers"][0]
    assert made["model"] == "tiny" and len(made["weights_id"]) == 64
    assert (made["temperature"], made["max_tokens"]) == (1.5, 8)
    finishes = [answer["finish"] for row in found for answer in row["answers"]]
    assert set(finishes) <= {"length", "stop"} and "length" in finishes
    capsys.readouterr()
    assert main([*words, "--answers", "4"]) == 0
    assert "6 answers of this model are stored" in capsys.readouterr().err
    more = read(out)
    assert [row["answers"][:3] for row in more] == [row["answers"] for row in found]
    assert [len(row["answers"]) for row in more] == [4, 4]
    rows = [{"instruction": "1+1?"}, {"instruction": "why " * 900}]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert main([*words, "--answers", "2"]) == 1
    assert "the question does not fit into the model's context: 2" in capsys.readouterr().err
    part = read(folder / "a.partial.jsonl")
    assert [row["instruction"] for row in part] == ["1+1?"], "never the end of a question"
    assert read(out) == more
