"""Numbers and names as reports write them."""

import math

import pytest

from harness.report import wording
from tests.report.fixtures.runs import HOSTILE_NAME, ends


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.54125, "proportion", "54.1"),
        (0.0, "proportion", "0.0"),
        (-0.0001, "proportion", "0.0"),
        (29.8449, "perplexity", "29.84"),
        (12345.678, "perplexity", "12,345.68"),
        (4.2e9, "perplexity", "4.20e+09"),
        (0.91234, "bits/byte", "0.912"),
        (None, "proportion", "n/a"),
        (math.nan, "proportion", "n/a"),
        (math.inf, "perplexity", "n/a"),
    ],
)
def test_numbers_carry_their_units_decimals(value: float | None, unit: str, written: str) -> None:
    assert wording.number(value, unit) == written


def test_a_figure_is_a_value_with_its_interval() -> None:
    assert wording.figure(ends(0.541, 0.521, 0.561)) == "54.1 (52.1 to 56.1)"
    assert wording.figure(ends(0.541, None, None)) == "54.1 (n/a)"
    assert wording.figure(ends(0.541, None, 0.561)) == "54.1 (n/a to 56.1)"
    assert wording.figure(ends(None, None, None)) == "n/a"
    assert wording.figure(None) == "n/a"


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.118, "proportion", "+11.8"),
        (-0.0004, "proportion", "−0.04"),
        (0.031, "bits/byte", "+0.031"),
        (-0.0002, "bits/byte", "−0.0002"),
        (0.0, "bits/byte", "0.000"),
        (1e-12, "score", "0.000"),
        (None, "score", "n/a"),
    ],
)
def test_a_small_change_does_not_read_as_none(value: float | None, unit: str, written: str) -> None:
    assert wording.brief_change(value, unit) == written


def test_lm_eval_keys_name_metric_and_filter() -> None:
    assert wording.metric_name("exact_match,strict-match") == "exact_match (strict-match)"
    assert wording.metric_name("acc_norm,none") == "acc_norm"
    assert wording.metric_name("acc") == "acc"


def test_names_lose_control_and_direction_characters() -> None:
    cleaned = wording.clean(HOSTILE_NAME)
    assert "\n" not in cleaned and "\x1b" not in cleaned and "\u202e" not in cleaned
    assert "<script>" in cleaned  # escaping is the format's part, not the name's


def test_control_characters_of_texts_stay_visible() -> None:
    assert wording.visible("a\x00\x1b[2J\tb\nc\x7f\ud800") == "a␀␛[2J\tb\nc␡\ufffd"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (wording.size(269_060_552), "269 MB"),
        (wording.size(1_118_459_450), "1.12 GB"),
        (wording.size(999), "999 B"),
        (wording.size(None), "n/a"),
        (wording.parameters(134_515_008), "135 M"),
        (wording.parameters(999_999_999), "1.00 B"),
        (wording.seconds(8.24), "8.2 s"),
        (wording.seconds(59.96), "1 min 00 s"),
        (wording.seconds(200), "3 min 20 s"),
        (wording.seconds(7500), "2 h 05 min"),
        (wording.speed(457.14), "457"),
        (wording.speed(8.04), "8.0"),
        (wording.speed(None), wording.ABSENT),
        (wording.moment("2026-03-01T13:00:00+01:00"), "2026-03-01 12:00 UTC"),
        (wording.moment("yesterday"), "yesterday"),
    ],
)
def test_amounts_are_short(written: str, expected: str) -> None:
    assert written == expected
