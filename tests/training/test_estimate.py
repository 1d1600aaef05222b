"""How long a step may take: size for size as long as the last of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from harness.lineage import Lineage
from training.estimate import SECONDS_PER_GB, estimate, roughly


def past(**changes: Any) -> Lineage:
    values: dict[str, Any] = {
        "model": "m",
        "recipe_id": "0",
        "kind": "sft",
        "options": {"data": "default", "epochs": 1.0},
        "parent": "p",
        "parent_weights_id": "0",
        "parent_bytes": 100,
        "files": {},
        "packages": {},
        "seed": 1,
        "seconds": 60.0,
        "when": "",
        "machine": "",
        "harness": "0",
    }
    return Lineage(**values | changes)


def test_time_grows_with_bytes_and_epochs() -> None:
    """60 s for 100 bytes and one epoch: 300 bytes and 2 epochs take 60 * 3 * 2 = 360 s."""
    options = {"data": "default", "epochs": 2.0}
    assert estimate("sft", options, 300, [past()]) == pytest.approx(360)


def test_the_latest_of_the_kind_on_the_same_data_counts() -> None:
    """120 s for 100 bytes; the others are of another kind, another data set, or only a rest."""
    known = [
        past(seconds=60.0),
        past(seconds=120.0),
        past(kind="dpo", seconds=1.0),
        past(options={"data": "gsm8k", "epochs": 1.0}, seconds=2.0),
        past(resumed=True, seconds=3.0),
    ]
    assert estimate("sft", {"data": "default", "epochs": 1.0}, 100, known) == pytest.approx(120)


def test_what_nothing_tells_is_not_made_up() -> None:
    assert estimate("sft", {"data": "my.jsonl"}, 100, [past()]) is None
    assert estimate("no-such-kind", {}, 100, []) is None
    assert estimate("sft", {"data": "default"}, None, [past()]) is None
    assert roughly(None) == "nothing tells how long"


def test_a_kind_never_done_here_takes_the_measured_rate() -> None:
    """2 GB at the rate of `SECONDS_PER_GB`."""
    assert estimate("gptq", {}, 2_000_000_000, []) == pytest.approx(2 * SECONDS_PER_GB["gptq"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10.0, "under a minute"),
        (50.0, "about 1 minute"),
        (230.0, "about 4 minutes"),
        (9000.0, "about 2 hours"),
    ],
)
def test_words_are_no_more_exact_than_the_estimate(seconds: float, words: str) -> None:
    assert roughly(seconds) == words
