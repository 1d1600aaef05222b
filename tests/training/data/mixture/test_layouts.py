"""Every layout, right and wrong; what each row gives is written out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from training.data.mixture.declared import FORMATS, Source, Votes
from training.data.mixture.exchange import plain_text
from training.data.mixture.layouts import Row, rows_of
from training.data.mixture.refused import RULES, Refused
from training.data.mixture.transcripts import messages_of
from training.data.rows import Example, Message, Pair

ASKED = (Message("user", "Why?"),)
TURNS = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]


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
            {"prompt": "Why?", "a": "So.", "b": "No.", "label": "A "},
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
            "turns",
            {"system": "Be brief.", "conversations": TURNS},
            {},
            [Example((Message("system", "Be brief."), *ASKED), "So.", "s")],
        ),
        (
            "turns",  # its own system message counts
            {"system": "x", "conversations": [{"from": "system", "value": "y"}, *TURNS]},
            {},
            [Example((Message("system", "y"), *ASKED), "So.", "s")],
        ),
        (
            "chat",
            {
                "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": "Why?"},
                    {"role": "assistant", "content": "So."},
                ],
            },
            {},
            [Example((Message("system", "Be brief."), *ASKED), "So.", "s")],
        ),
        (
            "alpaca",
            {"instruction": "Sum.", "input": "1, 2", "output": "3"},
            {"template": "Question: {instruction}\n{input}"},
            [Example((Message("user", "Question: Sum.\n1, 2"),), "3", "s")],
        ),
        (
            "alpaca",
            {"instruction": "Why?", "input": None, "output": "So."},
            {"template": "Q: {instruction}{input}"},
            [Example((Message("user", "Q: Why?"),), "So.", "s")],
        ),
        (
            "preference",
            {"instruction": "Why", "input": "x", "chosen": "So.", "rejected": "No."},
            {"template": "{instruction}?"},
            [Pair(ASKED, "So.", "No.", "s")],
        ),
        (
            "preference",
            {"question": "Why", "chosen": "So.", "rejected": "No."},
            {"template": "{question}?", "columns": {"instruction": "question"}},
            [Pair(ASKED, "So.", "No.", "s")],
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
                    {"text": "a", "score": 1, "selected": True},
                    {"text": "b", "score": 1, "selected": False},
                ],
            },
            {},
            [Pair((Message("user", "Why is 1 < 2?"),), "a", "b", "s")],
        ),
        (
            # A pm_score has the accepted answer's point in it: 4 is above 3, by 1.
            "stack_exchange",
            {
                "question": "Why is 1 < 2?",
                "answers": [
                    {"text": "a", "pm_score": 3, "selected": True},
                    {"text": "b", "pm_score": 4, "selected": False},
                    {"text": "c", "pm_score": 3, "selected": False},
                ],
            },
            {"votes": Votes(pairs=9)},
            [
                Pair((Message("user", "Why is 1 < 2?"),), "b", "a", "s"),
                Pair((Message("user", "Why is 1 < 2?"),), "b", "c", "s"),
            ],
        ),
    ],
)
def test_a_row_gives_what_it_says(
    format: str, columns: dict[str, Any], more: dict[str, Any], rows: list[Row]
) -> None:
    assert given(format, columns, **more) == rows


PAIR = {"prompt": "Why?", "chosen": "So.", "rejected": "No."}
SO = "\n\nHuman: Why?\n\nAssistant: So."
NO = SO.replace("So.", "No.")
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
        ("preference", {**PAIR, "rejected": "So. "}, "identical"),
        ("preference", {**PAIR, "rejected": ""}, "empty"),
        ("preference", {"prompt": "Why?"}, "malformed"),
        ("either", {"prompt": "?", "a": "x", "b": "y", "label": "AB"}, "tie"),
        ("either", {"prompt": "?", "a": "x", "b": "y", "label": 0.5}, "tie"),
        ("either", {"prompt": "?", "a": "x", "b": "y", "label": "physics"}, "malformed"),
        ("either", {"prompt": "?", "a": "x", "b": "y", "label": None}, "malformed"),
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
        ("transcripts", {"chosen": f"Context.{SO}", "rejected": f"Context.{NO}"}, "malformed"),
        ("transcripts", {"chosen": f"Context.{SO}", "rejected": f"Other.{NO}"}, "sides diverge"),
        ("transcripts", {"chosen": f"Context.{SO}", "rejected": NO}, "sides diverge"),
        ("stack_exchange", {"question": "?", "answers": []}, "too close"),
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


def said(*contents: str | None) -> list[dict[str, Any]]:
    """Messages that take turns, from the user's on."""
    return [
        {"role": ("user", "assistant")[place % 2], "content": content}
        for place, content in enumerate(contents)
    ]


def transcripts(chosen: str, rejected: str, asked: str = "Why?") -> dict[str, str]:
    sides = (f"\n\nHuman: {asked}\n\nAssistant: {side}" for side in (chosen, rejected))
    return dict(zip(("chosen", "rejected"), sides, strict=True))


LISTS = {"chosen": said("Why?", "So."), "rejected": said("Why?", "No.")}


@pytest.mark.parametrize(
    ("format", "columns", "rule"),
    [
        # no answer
        ("alpaca", {"instruction": "Why?", "output": None}, "empty"),
        ("chat", {"messages": said("Why?")}, "empty"),
        ("chat", {"messages": []}, "empty"),
        ("turns", {"conversations": [{"from": "human", "value": "Why?"}]}, "empty"),
        ("choices", {"question": "?", "choices": ["x", "y"], "answer": None}, "empty"),
        ("preference", {**PAIR, "chosen": None}, "empty"),
        ("preference", {**LISTS, "chosen": []}, "empty"),
        ("either", {"prompt": "?", "a": "x", "b": None, "label": "A"}, "empty"),
        ("transcripts", {**TALK, "chosen": "\n\nHuman: Why?"}, "empty"),
        ("stack_exchange", {"question": "?", "answers": None}, "empty"),
        # empty
        ("alpaca", {"instruction": "Why?", "output": " "}, "empty"),
        ("alpaca", {"instruction": None, "input": " ", "output": "So."}, "empty"),
        ("chat", {"messages": said("Why?", "")}, "empty"),
        ("chat", {"messages": said(None, "So.")}, "empty"),
        ("turns", {"conversations": said("Why?")[:0]}, "empty"),
        ("turns", {"conversations": ["Why?", " "]}, "empty"),
        ("turns", {"conversations": [{"from": "human", "value": None}]}, "empty"),
        (
            "turns",
            {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": None}]},
            "empty",
        ),
        ("choices", {"question": "", "choices": ["x", "y"], "answer": 0}, "empty"),
        ("choices", {"question": "?", "choices": ["x", " "], "answer": 0}, "empty"),
        ("preference", {**LISTS, "rejected": said("Why?", "")}, "empty"),
        ("preference", {**LISTS, "prompt": " "}, "empty"),
        ("either", {"prompt": " ", "a": "x", "b": "y", "label": "A"}, "empty"),
        ("transcripts", transcripts("So.", " "), "empty"),
        ("stack_exchange", {"question": " ", "answers": []}, "empty"),
        # identical
        ("preference", {**PAIR, "chosen": "No."}, "identical"),
        ("preference", {**LISTS, "chosen": said("Why?", "No. ")}, "identical"),
        (
            "preference",
            {"prompt": "Why?", "chosen": said("", "No.")[1:], "rejected": said("", "No.")[1:]},
            "identical",
        ),
        ("either", {"prompt": "?", "a": "x", "b": " x", "label": "A"}, "identical"),
        ("transcripts", transcripts("So.", "So. "), "identical"),
    ],
)
def test_content_is_counted_and_stops_no_format(
    format: str, columns: dict[str, Any], rule: str
) -> None:
    with pytest.raises(Refused) as refused:
        given(format, columns)
    assert refused.value.rule == rule


@pytest.mark.parametrize(
    ("format", "columns", "row"),
    [
        (
            "preference",
            {"instruction": "", "input": "Why?", "chosen": "So.", "rejected": "No."},
            Pair(ASKED, "So.", "No.", "s"),
        ),
        ("preference", LISTS, Pair(ASKED, "So.", "No.", "s")),
        ("chat", {"messages": said("Why?", "So.", "unanswered")}, Example(ASKED, "So.", "s")),
    ],
)
def test_what_is_there_is_taken(format: str, columns: dict[str, Any], row: Row) -> None:
    assert given(format, columns) == [row]


@pytest.mark.parametrize(
    ("format", "columns", "place"),
    [
        ("choices", {"question": "?", "choices": ["\ud800 x", "y"], "answer": 1}, "choices[0]"),
        (
            "choices",
            {"question": "?", "choices": {"text": ["x", "\udfff"], "label": [1, 2]}, "answer": 0},
            "choices[1]",
        ),
        (
            "alpaca",
            {"instruction": "?", "output": "x", "history": [["a", "b"], ["a \ud800", "b"]]},
            "history[1]",
        ),
        (
            "alpaca",
            {"instruction": "?", "output": "x", "history": [["a", "b \ud800"]]},
            "history[0]",
        ),
    ],
)
def test_half_a_character_is_malformed(format: str, columns: dict[str, Any], place: str) -> None:
    with pytest.raises(Refused) as refused:
        given(format, columns)
    assert refused.value.rule == "malformed"
    assert f"the column {place!r} holds '\\ud" in str(refused.value)


def test_a_mistake_names_its_row_once() -> None:
    talk = {"messages": [{"role": "boss", "content": "x"}, {"role": "assistant", "content": "y"}]}
    with pytest.raises(Refused) as refused:
        given("chat", talk)
    assert str(refused.value).startswith("messages[0]: the column 'role' is 'boss'")


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


@pytest.mark.parametrize(
    ("format", "columns", "template", "rule"),
    [
        ("alpaca", {"instruction": None, "input": None}, "Q: {instruction}\n{input}", "empty"),
        ("alpaca", {"instruction": " ", "input": ""}, "Q: {instruction}", "empty"),
        ("alpaca", {"instruction": "", "lang": "C"}, "In {lang}: {instruction}", "empty"),
        ("alpaca", {"problem": ""}, "Q: {problem}", "empty"),
        ("alpaca", {"instruction": ["x"]}, "Q: {instruction}", "malformed"),
        ("alpaca", {"instruction": "x"}, "Q: {problem}", "malformed"),
        (
            "choices",
            {"question": " ", "choices": ["x", "y"], "answer": 0},
            "Q: {question}",
            "empty",
        ),
    ],
)
def test_a_template_words_no_question_that_is_not_there(
    format: str, columns: dict[str, Any], template: str, rule: str
) -> None:
    with pytest.raises(Refused) as refused:
        given(format, {"output": "So.", **columns}, template=template)
    assert refused.value.rule == rule


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n\n3"),
        ("a &lt; b", "a < b"),
        ("<p>x</p>if i<n and y>2", "x\nif i<n and y>2"),
        ("i<b and c>2", "i<b and c>2"),
        ("vector<int> v; <b>x</b>", "vector<int> v; x"),
        ("see <a href=\"x.html\" rel='n'>this</a><!-- language: c --><br>now", "see this\nnow"),
        ("1 < 2", "1 < 2"),
    ],
)
def test_the_text_of_html(written: str, plain: str) -> None:
    assert plain_text(written) == plain
