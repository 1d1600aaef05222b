"""The speed probe: what is timed, in which turn, and how a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.speed import TEXTS, WORDS, _rotated, texts
from tests.conftest import Command


def test_no_two_texts_begin_alike() -> None:
    made = texts(WORDS)
    assert len({text[:12] for text in made}) == TEXTS
    assert made == texts(WORDS)


def test_every_round_begins_with_another_model() -> None:
    assert [list(_rotated(3, turn)) for turn in range(4)] == [
        [0, 1, 2],
        [1, 2, 0],
        [2, 0, 1],
        [0, 1, 2],
    ]


@pytest.mark.usefixtures("two_roots")
def test_two_models_in_turn(harness: Command, tmp_path: Path) -> None:
    code, out, err = harness("speed", "tiny,other", "--rounds", "2")
    assert code == 0, err
    assert [line for line in err.splitlines() if "round" in line] == [
        "tiny: round 1 of 2",
        "other: round 1 of 2",
        "other: round 2 of 2",
        "tiny: round 2 of 2",
    ]
    assert out.splitlines()[0].startswith("tiny\t") and "\t1.00\t" in out.splitlines()[0]
    told = json.loads((tmp_path / "reports/speed.json").read_text())
    assert [each["model"] for each in told] == ["tiny", "other"]
    for look in told[0]["looks"]:
        assert look["prefill"] > 0 and look["decode"] > 0 and look["first_token"] > 0
        assert look["peak_memory_bytes"] > look["memory_bytes"] > 0


def test_a_judge_or_an_unknown_model_is_refused(harness: Command) -> None:
    code, _, err = harness("speed", "tniy")
    assert code == 2 and "did you mean 'tiny'" in err


def test_no_model_is_no_probe(harness: Command) -> None:
    code, _, err = harness("speed", ",")
    assert code == 2 and "no model is named" in err
