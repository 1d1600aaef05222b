"""Every layout, right and wrong; what each row gives is written out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from training.data.mixture.declared import FORMATS, Source, Votes
from training.data.mixture.layouts import Row, rows_of
from training.data.mixture.refused import RULES, Refused
from training.data.mixture.transcripts import messages_of
from training.data.rows import Example, Message, Pair

ASKED = (Message("user", "Why?"),)


def given(format: str, row: dict[str, Any], /, **more: Any) -> list[Row]:
    source = Source(name="s", format=format, licence="own", path="x", **more)  # type: ignore[arg-type]
    return rows_of(source, row, "x.jsonl, row 1")


@pytest.mark.parametrize(
    ("format", "columns", "more", "rows"),
    [
        (
            "alpaca",
            {"query": "Why?", "response": "So.", "type": 3},
            {"columns": {"instruction": "query", "output": "response"}},
            [Example(ASKED, "So.", "s")],
        ),
        (
            "alpaca",
            {"instruction": "", "input": "Why?", "output": "So."},
            {},
            [Example(ASKED, "So.", "s")],
        ),
        (
            "alpaca",
            {"lang": "C", "problem": "Sort.", "output": "ok"},
            {"template": "In {lang}: {problem}"},
            [Example((Message("user", "In C: Sort."),), "ok", "s")],
        ),
        (
            "turns",
            {"conversations": ["Why?", "So.", "And?", "Thus."]},
            {},
            [
                Example(ASKED, "So.", "s"),
                Example(
                    (*ASKED, Message("assistant", "So."), Message("user", "And?")), "Thus.", "s"
                ),
            ],
        ),
        (
            "turns",
            {
                "conversations": [
                    {"from": "system", "value": "Be brief."},
                    {"from": "human", "value": "Why?"},
                    {"from": "gpt", "value": "So."},
                    {"from": "human", "value": "unanswered"},
                ]
            },
            {},
            [Example((Message("system", "Be brief."), *ASKED), "So.", "s")],
        ),
        (
            "choices",
            {"question": "Why?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "key": "2"},
            {"columns": {"answer": "key"}},
            [Example((Message("user", "Why?\nA. x\nB. y"),), "B", "s")],
        ),
        (
            "choices",
            {"question": "Why?", "choices": ["x", "y", "z"], "answer": 2},
            {},
            [Example((Message("user", "Why?\nA. x\nB. y\nC. z"),), "C", "s")],
        ),
        (
            "preference",
            {"question": "Why?", "system": "", "chosen": "So.", "rejected": "No."},
            {"columns": {"instruction": "question"}},
            [Pair(ASKED, "So.", "No.", "s")],
        ),
        (
            # A group of the row's own is not what the mixture calls its source.
            "preference",
            {"prompt": "Why?", "chosen": "So.", "rejected": "No.", "group": 3},
            {},
            [Pair(ASKED, "So.", "No.", "s")],
        ),
        (
            "either",
            {"history": "Why?", "A": "So.", "B": "No.", "labels": 0},
            {"columns": {"prompt": "history", "a": "A", "b": "B", "label": "labels"}},
            [Pair(ASKED, "No.", "So.", "s")],
        ),
        (
            "either",
            {"prompt": "Why?", "a": "So.", "b": "No.", "label": "A"},
            {},
            [Pair(ASKED, "So.", "No.", "s")],
        ),
        (
            "transcripts",
            {
                "chosen": "\n\nHuman: Why?\n\nAssistant: Hm.\n\nHuman: Well?\n\nAssistant: So.",
                "rejected": "\n\nHuman: Why?\n\nAssistant: Hm.\n\nHuman: Well?\n\nAssistant: No.",
            },
            {},
            [
                Pair(
                    (*ASKED, Message("assistant", "Hm."), Message("user", "Well?")),
                    "So.",
                    "No.",
                    "s",
                )
            ],
        ),
        (
            # Scores 3 + 2 (accepted), 4, 1: gaps 1, 4 and 3; at least 3, the widest two.
            "stack_exchange",
            {
                "title": "T",
                "question": "<p>Why &lt; <b>x</b>?</p>",
                "answers": [
                    {"text": "best", "score": 3, "accepted": True},
                    {"text": "good", "score": 4},
                    {"text": "poor", "score": 1},
                    {"text": " ", "score": 9},
                ],
            },
            {"votes": Votes(bonus=2, gap=3, pairs=2)},
            [
                Pair((Message("user", "T\n\nWhy < x?"),), "best", "poor", "s"),
                Pair((Message("user", "T\n\nWhy < x?"),), "good", "poor", "s"),
            ],
        ),
        (
            "stack_exchange",
            {
                "question": "Why is 1 < 2?",
                "answers": [
                    {"text": "a", "pm_score": 1, "selected": True},
                    {"text": "b", "pm_score": 1, "selected": False},
                ],
            },
            {},
            [Pair((Message("user", "Why is 1 < 2?"),), "a", "b", "s")],
        ),
    ],
)
def test_a_row_gives_what_it_says(
    format: str, columns: dict[str, Any], more: dict[str, Any], rows: list[Row]
) -> None:
    assert given(format, columns, **more) == rows


PAIR = {"prompt": "Why?", "chosen": "So.", "rejected": "No."}
SO = "\n\nHuman: Why?\n\nAssistant: So."
TALK = {"chosen": SO, "rejected": SO}


@pytest.mark.parametrize(
    ("format", "columns", "rule"),
    [
        ("alpaca", {"instruction": "Why?", "output": None}, "empty"),
        ("alpaca", {"instruction": " ", "output": "So."}, "empty"),
        ("alpaca", {"instruction": "Why?"}, "malformed"),
        ("alpaca", {"instruction": "Why?", "output": 7}, "malformed"),
        ("turns", {"conversations": ["Why?"]}, "empty"),
        ("turns", {"conversations": "Why?"}, "malformed"),
        ("turns", {"conversations": [{"from": "bot", "value": "x"}]}, "malformed"),
        ("choices", {"question": "?", "choices": ["x", "y"], "answer": 2}, "malformed"),
        ("choices", {"question": "?", "choices": ["x", "y"], "answer": True}, "malformed"),
        ("choices", {"question": "?", "choices": ["x"], "answer": 0}, "malformed"),
        ("choices", {"question": "?", "choices": ["x", "\ud800"], "answer": 0}, "malformed"),
        ("preference", {**PAIR, "rejected": "So. "}, "identical"),
        ("preference", {**PAIR, "rejected": ""}, "empty"),
        ("preference", {"prompt": "Why?"}, "malformed"),
        ("either", {"prompt": "?", "a": "x", "b": "y", "label": "AB"}, "tie"),
        ("either", {"prompt": "?", "a": "x", "b": "", "label": "A"}, "empty"),
        ("either", {"prompt": "?", "a": "x", "b": "x", "label": "A"}, "identical"),
        ("transcripts", TALK, "identical"),
        (
            "transcripts",
            {**TALK, "rejected": SO.replace("Why", "What")},
            "sides diverge",
        ),
        ("transcripts", {**TALK, "rejected": "\n\nHuman: Why?"}, "empty"),
        ("transcripts", {"chosen": "x", "rejected": "y"}, "empty"),
        ("stack_exchange", {"question": "?", "answers": []}, "too close"),
        ("stack_exchange", {"question": "<p></p>", "answers": []}, "empty"),
        ("stack_exchange", {"question": "<p><![</p>", "answers": []}, "malformed"),
        ("stack_exchange", {"question": "?", "answers": [{"text": "x"}]}, "malformed"),
        (
            "stack_exchange",
            {"question": "?", "answers": [{"text": "x", "score": 1}, {"text": "y", "score": 1}]},
            "too close",
        ),
    ],
)
def test_a_row_that_gives_nothing_says_why(format: str, columns: dict[str, Any], rule: str) -> None:
    with pytest.raises(Refused) as refused:
        given(format, columns)
    assert refused.value.rule == rule
    assert rule in RULES


def test_rows_of_another_kind_are_not_wanted() -> None:
    with pytest.raises(Refused) as refused:
        given("alpaca", {"instruction": "?", "output": "x", "label": 0}, where={"label": 1})
    assert refused.value.rule == "not wanted"


def test_one_speakers_turns_in_a_row_are_one() -> None:
    assert messages_of("\n\nHuman: a\n\nHuman: b\n\nAssistant: c") == (
        Message("user", "a\n\nb"),
        Message("assistant", "c"),
    )


def test_every_format_can_be_read() -> None:
    for format in FORMATS:
        with pytest.raises(Refused):
            given(format, {})
