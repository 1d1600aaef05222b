"""What a row asks, whatever stands around it."""

from __future__ import annotations

from typing import Any

import pytest

from training.data.mixture.asked import bare, question_of
from training.data.mixture.declared import Source
from training.data.mixture.layouts import rows_of

SIDES = {"chosen": "So.", "rejected": "No."}
ANSWERS = [{"text": "So.", "score": 5}, {"text": "No.", "score": 0}]
TALK = {"conversations": ["Why?", "So.", "And?", "Thus."]}


@pytest.mark.parametrize(
    ("format", "row", "more"),
    [
        ("alpaca", {"instruction": "Why?", "output": "So."}, {}),
        ("alpaca", {"instruction": "", "input": "Why?", "output": "So."}, {}),
        ("alpaca", {"instruction": "Why?", "output": "x"}, {"template": "Tell: {instruction}"}),
        ("alpaca", {"q": "Why?", "output": "x"}, {"template": "Tell: {q}"}),
        (
            "alpaca",
            {"q": "Why?", "lang": "C", "output": "x"},
            {"template": "In {lang}: {q}", "columns": {"instruction": "q"}},
        ),
        ("alpaca", {"instruction": "And?", "output": "x", "history": [["Why?", "So."]]}, {}),
        ("alpaca", {"instruction": "Why?", "output": "x", "history": [["", "So."]]}, {}),
        ("turns", TALK, {}),
        ("choices", {"question": "Why?", "choices": ["x", "y"], "answer": 0}, {}),
        ("choices", {"question": "Why?", "choices": ["y", "z"], "answer": 0}, {}),
        ("preference", {"prompt": "Why?", **SIDES}, {"template": "Tell: {prompt}"}),
        ("preference", {"instruction": "Why?", **SIDES}, {"template": "Tell: {instruction}"}),
        ("either", {"prompt": "Why?", "a": "x", "b": "y", "label": 0}, {}),
        (
            "transcripts",
            {side: f"\n\nHuman: Why?\n\nAssistant: {said}" for side, said in SIDES.items()},
            {},
        ),
        ("stack_exchange", {"question": "<p>Why?</p>", "title": "T", "answers": ANSWERS}, {}),
    ],
)
def test_every_layout_asks_the_same(format: str, row: dict[str, Any], more: dict[str, Any]) -> None:
    source = Source(name="s", format=format, licence="own", path="x", **more)  # type: ignore[arg-type]
    assert question_of(source, row, rows_of(source, row, "row 1")[0]) == "Why?"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Question: Why?", "Why?"),
        ("Q 12. Why?", "Why?"),
        ("3) Why?", "Why?"),
        ("Why?\nA. x\n(B) y\n\nAnswer:", "Why?"),
        ("3.5 + 2", "3.5 + 2"),
        ("A. x\nB. y", "A. x"),
        ("Sort:\n1. x\n2. y", "Sort:\n1. x\n2. y"),
        ("Question:", "Question:"),
    ],
)
def test_labels_and_choices_are_not_asked(text: str, asked: str) -> None:
    assert bare(text) == asked
